import * as z from "zod";
import { models } from "../../catalogue/models.ts";
import { type GenerationInput, prompt } from "../../generations/input.ts";
import { invalidRequest } from "../errors.ts";

const IMAGES_MAX = Math.max(...models.map((model) => model.max_images));
/** The most images that an edit may start from. */
export const REFERENCES_MAX = Math.max(...models.map((model) => model.reference_image_limit));

/** The fields of a request. As in OpenAI's own API, null means the same as a field left out. */
const asked = {
  model: z.string().nullish().meta({
    description: "The id of a model, as the list of models has it.",
    default: models[0].id,
  }),
  prompt,
  n: z
    .number()
    .nullish()
    .meta({
      description: "The number of images. Each one has the same price.",
      documentedAs: { type: ["integer", "null"], minimum: 1, maximum: IMAGES_MAX, default: 1 },
    }),
  size: z.string().nullish().meta({
    description: "`auto`, or `WIDTHxHEIGHT` in pixels. The number of pixels decides the price.",
    default: "auto",
  }),
  quality: z
    .enum(["auto", "low", "medium", "high", "standard", "hd"])
    .nullish()
    // The names of DALL·E, which older clients still send.
    .transform((quality) => (quality === "standard" ? "auto" : quality === "hd" ? "high" : quality))
    .meta({
      description:
        "How much effort the provider spends. `standard` means `auto` and `hd` means `high`. Null means `auto`.",
    }),
  output_format: z
    .enum(["png", "jpeg", "webp"])
    .nullish()
    .meta({ description: "The format of the images. The default is the model's, which is mostly `png`." }),
  output_compression: z
    .int()
    .min(0)
    .max(100)
    .nullish()
    .meta({ description: "The compression level, for `jpeg` and `webp` only." }),
  background: z
    .enum(["auto", "opaque"])
    .nullish()
    .meta({ description: "The background of the images.", default: "auto" }),
  moderation: z
    .enum(["auto", "low"])
    .nullish()
    .meta({ description: "How strictly the provider filters content.", default: "auto" }),
  user: z
    .string()
    .nullish()
    .meta({ description: "Your id of your own user. The provider gets only a hash of it." }),
  safety_identifier: z
    .string()
    .nullish()
    .meta({ description: "The newer name of `user`, which it takes precedence over." }),
  stream: z.boolean().nullish().meta({ description: "Answer with server-sent events.", default: false }),
  partial_images: z.int().min(0).max(3).nullish().meta({
    description:
      "How many pictures of each unfinished image to send, with `stream: true`. There may be fewer: not every provider makes them, and those that a reader is too slow for are left out. They are not charged for.",
    default: 0,
  }),
  response_format: z
    .enum(["b64_json", "url"])
    .nullish()
    .meta({ description: "Whether each image is sent as base64 or as a URL.", default: "b64_json" }),
  style: z.string().nullish().meta({ description: "Accepted from clients that send it, and ignored." }),
  // Other values than null were refused with a special message: see refuseUnsupported.
  mask: z.null().optional().meta({ description: "Not supported: null, or left out." }),
  input_fidelity: z.null().optional().meta({ description: "Not supported: null, or left out." }),
};

/** The fields of the form of POST /openai/v1/images/edits, beside its files. */
export const ImageFields = z.strictObject(asked);

/** The body of POST /openai/v1/images/generations. */
export const CreateImageBody = z.preprocess((value, context) => {
  const refused = findUnsupported(value);
  if (refused) context.addIssue({ code: "custom", path: [refused.field], message: refused.message });
  return value;
}, ImageFields);

/** In the form of OpenAI's image API, or of its chat API. */
const imageUrl = z.union([z.string(), z.strictObject({ url: z.string() })]);

/** The body of …/images/edits after its data URLs were replaced by placeholders. */
export const EditImageBody = z.strictObject({
  ...asked,
  images: z
    .array(z.union([z.string(), z.strictObject({ image_url: imageUrl })]))
    .min(1)
    .meta({ description: "The images to edit, as data URLs in base64.", maxItems: REFERENCES_MAX }),
});

export type ImageFields = z.infer<typeof ImageFields>;

const MASK = "mask is not supported: say in the prompt what is to change, and where.";

/** Why a field of OpenAI's API is not supported here, as a message, or null. */
function unsupported(field: string, value: unknown): string | null {
  switch (field) {
    case "mask":
    case "mask[]":
      return MASK;
    case "input_fidelity":
      return "input_fidelity cannot be chosen for this model: leave it out.";
    case "background":
      if (value !== "transparent") return null;
      return "background transparent is not supported by this model: use opaque or auto.";
    case "n":
      if (typeof value !== "number" || value <= IMAGES_MAX) return null;
      return `n may be at most ${IMAGES_MAX} here: send several requests for more images.`;
    default:
      return null;
  }
}

/** The first field of a body that OpenAI's API has and this service does not support. */
function findUnsupported(value: unknown): { field: string; message: string } | null {
  if (typeof value !== "object" || value === null) return null;
  for (const [field, given] of Object.entries(value)) {
    const message = given === null ? null : unsupported(field, given);
    if (message !== null) return { field, message };
  }
  return null;
}

/** @throws {ApiError} 400 for a field that OpenAI's API has and this service does not support */
export function refuseUnsupported(value: unknown): void {
  const refused = findUnsupported(value);
  if (refused) throw invalidRequest(refused.message, refused.field);
}

/** The images of a JSON body, each as its URL or its placeholder. */
export function imagesOf(value: unknown): unknown[] {
  if (typeof value !== "object" || value === null || !("images" in value)) return [];
  return Array.isArray(value.images) ? value.images.map(urlOf) : [];
}

/** The URL of `"…"`, `{image_url: "…"}` or `{image_url: {url: "…"}}`. */
function urlOf(image: unknown): unknown {
  const named = typeof image === "object" && image !== null && "image_url" in image ? image.image_url : image;
  return typeof named === "object" && named !== null && "url" in named ? named.url : named;
}

/** The messages for files in other fields than `image`, by field. */
export const REFUSED_FILES: ReadonlyMap<string, string> = new Map([["mask", MASK]]);

/** The same request with the native API's fields. */
export function toInput(fields: ImageFields): GenerationInput {
  return {
    model: fields.model ?? models[0].id,
    prompt: fields.prompt,
    size: fields.size ?? undefined,
    quality: fields.quality ?? undefined,
    n: fields.n ?? undefined,
    output_format: fields.output_format ?? undefined,
    output_compression: fields.output_compression ?? undefined,
    background: fields.background ?? "auto",
    moderation: fields.moderation ?? "auto",
    user: fields.safety_identifier ?? fields.user ?? undefined,
  };
}

/** The text fields of a form, converted to JSON values. The schema refuses a text that cannot be converted. */
export function fromForm(fields: ReadonlyMap<string, string>): Record<string, unknown> {
  return Object.fromEntries([...fields].map(([name, text]) => [name, fromText(name, text)]));
}

function fromText(name: string, text: string): unknown {
  switch (name) {
    case "n":
    case "output_compression":
    case "partial_images":
      return /^\d{1,9}$/.test(text) ? Number(text) : text;
    case "stream":
      return text === "true" ? true : text === "false" ? false : text;
    default:
      return text;
  }
}
