import * as z from "zod";
import { imageUrl } from "../../account/render.ts";
import type { GenerationRecord } from "../../account/views.ts";
import type { Model } from "../../catalogue/model.ts";
import type { Config } from "../../config.ts";
import type { PartialPicture } from "../../generations/partials.ts";
import { base64Length, encodeBase64, encodeBytes } from "../../images/base64.ts";
import type { StoredImage } from "../../images/stored.ts";

import { count, listOf, named } from "../fields.ts";
import type { ImageFields } from "./schemas.ts";

const usage = () =>
  z.strictObject({
    input_tokens: z.literal(0),
    output_tokens: z.literal(0),
    total_tokens: z.literal(0),
    input_tokens_details: z.strictObject({ text_tokens: z.literal(0), image_tokens: z.literal(0) }),
    credits: count.meta({ description: "The price. This service counts no tokens." }),
  });

const pictureFields = () => ({
  size: z.string(),
  background: z.literal("opaque"),
  output_format: z.enum(["png", "jpeg", "webp"]),
});

const shownFields = () => ({ ...pictureFields(), usage: usage() });

export const OpenAIModel = named("OpenAIModel", () =>
  z.strictObject({
    id: z.string(),
    object: z.literal("model"),
    created: z.int().meta({ description: "Unix time in seconds." }),
    owned_by: z.string(),
  }),
);

export const OpenAIModelList = named("OpenAIModelList", () => listOf(OpenAIModel));

export const OpenAIImages = named("OpenAIImages", () =>
  z.strictObject({
    created: z.int().meta({ description: "Unix time in seconds." }),
    data: z.array(
      z.union([z.strictObject({ b64_json: z.base64() }), z.strictObject({ url: z.url() })]).meta({
        description: '`url` with `response_format: "url"`, else `b64_json`.',
      }),
    ),
    quality: z.enum(["low", "medium", "high"]).optional(),
    ...shownFields(),
  }),
);

/** A partial picture of an image. */
const OpenAIPartialEvent = named("OpenAIPartialEvent", () =>
  z.strictObject({
    type: z.enum(["image_generation.partial_image", "image_edit.partial_image"]),
    b64_json: z.base64(),
    partial_image_index: z.int().min(0).max(2).meta({ description: "From 0, for each image." }),
    created_at: z.int().meta({ description: "Unix time in seconds." }),
    quality: z.enum(["auto", "low", "medium", "high"]),
    ...pictureFields(),
  }),
);

const OpenAICompletedEvent = named("OpenAICompletedEvent", () =>
  z.strictObject({
    type: z.enum(["image_generation.completed", "image_edit.completed"]),
    b64_json: z.base64().optional(),
    url: z.url().optional().meta({ description: 'Instead of `b64_json`, with `response_format: "url"`.' }),
    created_at: z.int().meta({ description: "Unix time in seconds." }),
    quality: z.enum(["auto", "low", "medium", "high"]),
    ...shownFields(),
  }),
);

/** The data of one server-sent event, of any type. */
export const OpenAIImageEvent = named("OpenAIImageEvent", () =>
  z.union([OpenAICompletedEvent, OpenAIPartialEvent]),
);

const shownExample = {
  size: "1024x1024",
  background: "opaque",
  output_format: "png",
  usage: {
    input_tokens: 0,
    output_tokens: 0,
    total_tokens: 0,
    input_tokens_details: { text_tokens: 0, image_tokens: 0 },
    credits: 8,
  },
} as const;

/** The first bytes of a PNG. */
export const BASE64_EXAMPLE = "iVBORw0KGgoAAAANSUhEUg==";

export const IMAGES_EXAMPLE: z.input<typeof OpenAIImages> = {
  created: 1_777_536_041,
  data: [{ b64_json: BASE64_EXAMPLE }],
  ...shownExample,
};

/** @param operation the one that the event is of */
export function eventExample(operation: Operation): z.input<typeof OpenAIImageEvent> {
  return {
    type: `${operation}.completed`,
    b64_json: BASE64_EXAMPLE,
    created_at: 1_777_536_041,
    quality: "auto",
    ...shownExample,
  };
}

export type Operation = "image_generation" | "image_edit";

/** The parts of a response: text, and images, which are sent as base64. */
export type Part = string | StoredImage;

export function renderModel({ id, created, owned_by }: Model): z.input<typeof OpenAIModel> {
  return { id, object: "model", created, owned_by };
}

/** OpenAI's answer without streaming: `{"created":…,"data":[{"b64_json":"…"}],…}`. */
export function imagesResponse(generation: GenerationRecord, fields: ImageFields, config: Config): Part[] {
  const { images } = generation;
  const [first] = images;
  const data = images.flatMap((image, index): Part[] => [
    index === 0 ? "{" : ",{",
    ...pictureOf(generation, image, fields, config),
    "}",
  ]);
  const { quality, ...shown } = shownOf(first, fields);
  const details = {
    ...shown,
    // OpenAI's types of a response without streaming have no `auto`.
    ...(quality === "auto" ? {} : { quality }),
    usage: usageOf(chargeOf(generation)),
  };
  const created = Math.floor((generation.endedAt ?? generation.createdAt) / 1000);
  return [`{"created":${created},"data":[`, ...data, `],${JSON.stringify(details).slice(1)}`];
}

/** OpenAI's server-sent events: one for each image, in order. */
export function completedEvents(
  operation: Operation,
  generation: GenerationRecord,
  fields: ImageFields,
  config: Config,
): Part[] {
  const { images } = generation;
  const type = `${operation}.completed`;
  return images.flatMap((image): Part[] => {
    const details = {
      created_at: Math.floor((generation.endedAt ?? generation.createdAt) / 1000),
      ...shownOf(image, fields),
      usage: usageOf(chargeOf(generation) / images.length),
    };
    const rest = JSON.stringify(details).slice(1);
    const picture = pictureOf(generation, image, fields, config);
    return [`event: ${type}\ndata: {"type":"${type}",`, ...picture, `,${rest}\n\n`];
  });
}

/** OpenAI's event of a partial picture, in pieces. */
export function* partialEvent(
  operation: Operation,
  { index, header, bytes }: PartialPicture,
  fields: ImageFields,
): Generator<Uint8Array, void> {
  const encoder = new TextEncoder();
  const type = `${operation}.partial_image`;
  yield encoder.encode(`event: ${type}\ndata: {"type":"${type}","b64_json":"`);
  yield* encodeBytes(bytes);
  const details = {
    partial_image_index: index,
    created_at: Math.floor(Date.now() / 1000),
    ...shownOf(header, fields),
  };
  yield encoder.encode(`",${JSON.stringify(details).slice(1)}\n\n`);
}

/** The member that carries a picture: `b64_json`, or `url` where the caller asked for it. */
function pictureOf(
  generation: GenerationRecord,
  image: StoredImage,
  fields: ImageFields,
  config: Config,
): Part[] {
  if (fields.response_format !== "url") return ['"b64_json":"', image, '"'];
  return [`"url":${JSON.stringify(imageUrl(generation, image.key, config))}`];
}

export function errorEvent(error: object): string {
  return `event: error\ndata: ${JSON.stringify({ type: "error", error })}\n\n`;
}

export function lengthOf(parts: readonly Part[]): number {
  const encoder = new TextEncoder();
  const lengths = parts.map((part) =>
    typeof part === "string" ? encoder.encode(part).length : base64Length(part.bytes),
  );
  return lengths.reduce((sum, length) => sum + length, 0);
}

/**
 * The bytes of a response. Each image is read from storage when its turn comes.
 * @throws when an image is gone, or R2 fails
 */
export async function* encodeParts(
  parts: readonly Part[],
  bucket: R2Bucket,
): AsyncGenerator<Uint8Array, void> {
  const encoder = new TextEncoder();
  for (const part of parts) {
    if (typeof part === "string") yield encoder.encode(part);
    else {
      const object = await bucket.get(part.key);
      if (object === null) throw new Error("A stored image is gone.");
      yield* encodeBase64(object.body);
    }
  }
}

function shownOf(
  image: Pick<StoredImage, "contentType" | "width" | "height"> | undefined,
  fields: ImageFields,
) {
  return {
    size: image ? `${image.width}x${image.height}` : "auto",
    quality: fields.quality ?? "auto",
    background: "opaque",
    // The actual format, whatever was requested.
    output_format: image?.contentType.replace("image/", "") ?? "png",
  };
}

function chargeOf({ creditsCharged, creditsRefunded }: GenerationRecord): number {
  return creditsCharged - creditsRefunded;
}

/** This service counts credits, not tokens. Clients of OpenAI's API find the members, at 0. */
function usageOf(credits: number) {
  return {
    input_tokens: 0,
    output_tokens: 0,
    total_tokens: 0,
    input_tokens_details: { text_tokens: 0, image_tokens: 0 },
    credits,
  };
}
