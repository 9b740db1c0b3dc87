import * as z from "zod";

/** A request to generate images, with the native API's field names. The OpenAI API and the pages produce it too. */

export const PROMPT_CODE_POINTS_MAX = 32_000;
const USER_CODE_POINTS_MAX = 128;

export const prompt = z.string().superRefine((text, context) => {
  const fault = promptFault(text);
  if (fault) context.addIssue({ code: "custom", message: fault });
});

function promptFault(text: string): string | null {
  if (text.trim() === "") return "prompt must not be blank.";
  if (!text.isWellFormed()) return "prompt must be well-formed Unicode: it has half of a surrogate pair.";
  const tooLong = `prompt must be at most ${PROMPT_CODE_POINTS_MAX} characters.`;
  return exceedsCodePoints(text, PROMPT_CODE_POINTS_MAX) ? tooLong : null;
}

/** A code point takes one or two UTF-16 units, so only lengths between those bounds need counting. */
function exceedsCodePoints(text: string, most: number): boolean {
  return text.length > 2 * most || (text.length > most && [...text].length > most);
}

/**
 * The fields of a request to generate images. The catalogue checks `size`, `quality`, `aspect_ratio`, `resolution` and
 * `n` against the model and against each other: see {@link readRequest}.
 */
export const GenerationInput = z.strictObject({
  model: z.string(),
  prompt,
  size: z.string().optional(),
  quality: z.string().optional(),
  aspect_ratio: z.string().optional(),
  resolution: z.string().optional(),
  n: z.number().optional(),
  output_format: z.enum(["png", "jpeg", "webp"]).default("png"),
  output_compression: z.int().min(0).max(100).optional(),
  background: z.enum(["auto", "opaque"]).default("auto"),
  moderation: z.enum(["auto", "low"]).default("auto"),
  user: z
    .string()
    .refine((text) => !exceedsCodePoints(text, USER_CODE_POINTS_MAX), {
      message: `user must be at most ${USER_CODE_POINTS_MAX} characters.`,
    })
    .optional(),
});

export type GenerationInput = z.infer<typeof GenerationInput>;
