import * as z from "zod";

/**
 * The upstream's answers as published: OpenAI's OpenAPI document of 21 August 2026 (ImagesResponse, Error) and the
 * types of its Node SDK 7.57.0. Strict, so that the double invents nothing.
 */
const tokens = z.int().nonnegative();

export const ImagesResponse = z.strictObject({
  created: z.int(),
  data: z.array(z.strictObject({ b64_json: z.base64().min(1) })).optional(),
  background: z.enum(["transparent", "opaque"]).optional(),
  output_format: z.enum(["png", "jpeg", "webp"]).optional(),
  quality: z.enum(["low", "medium", "high"]).optional(),
  size: z
    .string()
    .regex(/^\d+x\d+$/)
    .optional(),
  safety_identifier: z.string().nullable().optional(),
  usage: z
    .strictObject({
      input_tokens: tokens,
      output_tokens: tokens,
      total_tokens: tokens,
      input_tokens_details: z.strictObject({ text_tokens: tokens, image_tokens: tokens }),
      output_tokens_details: z.strictObject({ text_tokens: tokens, image_tokens: tokens }).optional(),
    })
    .optional(),
});

export const ErrorResponse = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
    moderation_details: z
      .strictObject({
        moderation_stage: z.enum(["input", "output", "unknown"]),
        categories: z.array(z.string()).optional(),
      })
      .optional(),
  }),
});
