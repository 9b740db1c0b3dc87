import * as z from "zod";
import { exceedsCodePoints } from "../catalogue/limits.ts";
import type { Model } from "../catalogue/model.ts";
import { models } from "../catalogue/models.ts";
import { URL_LENGTH_MAX } from "../references/addresses.ts";

/** A request to generate images, with the native API's field names. The OpenAI API and the pages produce it too. */

/** More than any price. */
const CREDITS_MAX = 1_000_000_000;
/** Of the model that takes the longest prompts. */
export const PROMPT_CODE_POINTS_MAX = Math.max(...models.map(({ promptMax }) => promptMax));
const USER_CODE_POINTS_MAX = 128;

export const prompt = z
  .string()
  .superRefine((text, context) => {
    const fault = promptFault(text);
    if (fault) context.addIssue({ code: "custom", message: fault });
  })
  .meta({
    description: "A description of the image.",
    ...{ minLength: 1, maxLength: PROMPT_CODE_POINTS_MAX },
  });

function promptFault(text: string): string | null {
  if (text.trim() === "") return "prompt must not be blank.";
  if (!text.isWellFormed()) return "prompt must be well-formed Unicode: it has half of a surrogate pair.";
  const tooLong = `prompt must be at most ${PROMPT_CODE_POINTS_MAX} characters.`;
  return exceedsCodePoints(text, PROMPT_CODE_POINTS_MAX) ? tooLong : null;
}

/** The labels of a generation: {@link metadata} has their limits. */
const METADATA_ENTRIES_MAX = 16;
const METADATA_NAME_MAX = 64;
const METADATA_VALUE_MAX = 512;

/** A caller's own labels for a generation. They are stored and shown with it, and no provider gets them. */
export const metadata = z
  .preprocess(
    (labels, context) => {
      // A record drops this name without an issue.
      const isDropped = typeof labels === "object" && labels !== null && Object.hasOwn(labels, "__proto__");
      if (isDropped)
        context.addIssue({ code: "custom", message: "metadata must not have the name __proto__." });
      return labels;
    },
    z.record(z.string(), z.string()).superRefine((labels, context) => {
      const fault = metadataFault(labels);
      if (fault) context.addIssue({ code: "custom", message: fault });
    }),
  )
  .meta({ maxProperties: METADATA_ENTRIES_MAX });

function metadataFault(labels: Readonly<Record<string, string>>): string | null {
  const entries = Object.entries(labels);
  if (entries.length > METADATA_ENTRIES_MAX)
    return `metadata must have at most ${METADATA_ENTRIES_MAX} entries.`;
  for (const [name, value] of entries) {
    if (!name.isWellFormed() || !value.isWellFormed())
      return "metadata must be well-formed Unicode: it has half of a surrogate pair.";
    if (name === "" || exceedsCodePoints(name, METADATA_NAME_MAX))
      return `A name in metadata must be 1 to ${METADATA_NAME_MAX} characters.`;
    if (exceedsCodePoints(value, METADATA_VALUE_MAX))
      return `metadata.${name} must be at most ${METADATA_VALUE_MAX} characters.`;
  }
  return null;
}

/** The values that some model supports, for the API's documentation: {@link readRequest} checks those of one model. */
function supported(valuesOf: (model: Model) => readonly string[]): string[] {
  return [...new Set(models.flatMap(valuesOf))];
}

/**
 * The fields of a request to generate images. The catalogue checks them against the limits of the model, and against
 * each other: see {@link readRequest}.
 */
export const GenerationInput = z.strictObject({
  model: z.string().meta({
    description: "The id of a model, as the list of models has it.",
    examples: models.map(({ id }) => id),
  }),
  prompt,
  size: z
    .string()
    .optional()
    .meta({
      description: "`auto`, or `WIDTHxHEIGHT` in pixels. The number of pixels decides the price.",
      pattern: "^(auto|[1-9]\\d*x[1-9]\\d*)$",
      default: "auto",
      examples: ["1024x1024"],
    }),
  quality: z
    .string()
    .optional()
    .meta({
      description: "How much effort the provider spends. `1K`, `2K` and `4K` set the `resolution` instead.",
      enum: supported((model) => [...model.supported_render_qualities, ...model.supported_qualities]),
      default: "auto",
    }),
  aspect_ratio: z
    .string()
    .optional()
    .meta({
      description: "The shape of the image, instead of `size`.",
      enum: supported((model) => model.supported_aspect_ratios),
    }),
  resolution: z
    .string()
    .optional()
    .meta({
      description: "The resolution of the image, instead of `size`. It decides the price.",
      enum: supported((model) => model.supported_qualities),
    }),
  n: z
    .number()
    .optional()
    .meta({
      description: "The number of images. Each one has the same price.",
      ...{ type: "integer", minimum: 1, default: 1 },
      maximum: Math.max(...models.map((model) => model.max_images)),
    }),
  output_format: z.enum(["png", "jpeg", "webp"]).optional().meta({
    description:
      "The format of the images. Without it, the first of the model's `supported_output_formats`, or the provider's own choice.",
  }),
  output_compression: z
    .int()
    .min(0)
    .max(100)
    .optional()
    .meta({ description: "The compression level, for `jpeg` and `webp` only." }),
  background: z
    .enum(["auto", "opaque"])
    .default("auto")
    .meta({ description: "The background of the images." }),
  moderation: z
    .enum(["auto", "low"])
    .default("auto")
    .meta({ description: "How strictly the provider filters content." }),
  max_credits: z.int().min(1).max(CREDITS_MAX).optional().meta({
    description: "The most that the generation may cost. A higher price is refused, and nothing is charged.",
  }),
  metadata: metadata.optional().meta({
    description:
      'Your own labels, such as {"project": "website"}: at most 16 texts of at most 512 characters, with names of at most 64. They are shown with the generation, and lists can be filtered by them. In a form, a JSON object as text.',
  }),
  webhook_url: z
    .string()
    .optional()
    .meta({
      description:
        "An https URL that is called when the generation ends. It must not name a private, loopback or link-local address, or have a user name.",
      ...{ format: "uri", maxLength: URL_LENGTH_MAX },
      examples: ["https://example.com/webhooks"],
    }),
  user: z
    .string()
    .refine((text) => !exceedsCodePoints(text, USER_CODE_POINTS_MAX), {
      message: `user must be at most ${USER_CODE_POINTS_MAX} characters.`,
    })
    .optional()
    .meta({
      description: "Your id of your own user. The provider gets only a hash of it.",
      maxLength: USER_CODE_POINTS_MAX,
    }),
});

export type GenerationInput = z.infer<typeof GenerationInput>;
