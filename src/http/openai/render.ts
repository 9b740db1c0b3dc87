import type { GenerationRecord } from "../../account/record.ts";
import type { Model } from "../../catalogue/models.ts";
import { base64Length, encodeBase64 } from "../../images/base64.ts";
import type { StoredImage } from "../../images/stored.ts";
import type { ImageFields } from "./schemas.ts";

export type Operation = "image_generation" | "image_edit";

/** What an answer is made of: text, and images whose base64 stands in their place. */
export type Part = string | StoredImage;

export function renderModel({ id, created, owned_by }: Model) {
  return { id, object: "model", created, owned_by };
}

/** OpenAI's answer without streaming: `{"created":…,"data":[{"b64_json":"…"}],…}`. */
export function imagesResponse(generation: GenerationRecord, fields: ImageFields): Part[] {
  const { images } = generation;
  const [first] = images;
  const data = images.flatMap((image, index): Part[] => [
    `${index === 0 ? "" : ","}{"b64_json":"`,
    image,
    '"}',
  ]);
  const { quality, ...shown } = shownOf(first, fields);
  const details = {
    ...shown,
    // Of a whole answer OpenAI's own types have no `auto`.
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
    return [`event: ${type}\ndata: {"type":"${type}","b64_json":"`, image, `",${rest}\n\n`];
  });
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
 * The bytes of an answer, each image read from storage when its turn comes.
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

function shownOf(image: StoredImage | undefined, fields: ImageFields) {
  return {
    size: image ? `${image.width}x${image.height}` : "auto",
    quality: fields.quality ?? "auto",
    background: "opaque",
    output_format: fields.output_format ?? "png",
  };
}

function chargeOf({ creditsCharged, creditsRefunded }: GenerationRecord): number {
  return creditsCharged - creditsRefunded;
}

/** This service counts credits, not tokens; clients that read OpenAI's members find them, at 0. */
function usageOf(credits: number) {
  return {
    input_tokens: 0,
    output_tokens: 0,
    total_tokens: 0,
    input_tokens_details: { text_tokens: 0, image_tokens: 0 },
    credits,
  };
}
