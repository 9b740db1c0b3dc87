import { expect, inject, it } from "vitest";
import * as z from "zod";
import { REFUSALS } from "./faults.ts";

/**
 * The answers as the types of npm `@google/genai` 3.3.0 publish them, and errors as `google.rpc.Status`. Strict, so that
 * the double invents nothing.
 */
const Part = z.strictObject({
  text: z.string().optional(),
  inlineData: z.strictObject({ mimeType: z.string(), data: z.base64().min(1) }).optional(),
  thought: z.boolean().optional(),
  thoughtSignature: z.base64().optional(),
});
const Answer = z.strictObject({
  candidates: z
    .array(
      z.strictObject({
        content: z.strictObject({ parts: z.array(Part), role: z.literal("model") }).optional(),
        finishReason: z.string(),
        finishMessage: z.string().optional(),
        index: z.int(),
      }),
    )
    .optional(),
  promptFeedback: z.strictObject({ blockReason: z.string() }).optional(),
  usageMetadata: z.looseObject({ promptTokenCount: z.int(), totalTokenCount: z.int() }),
  modelVersion: z.string(),
  responseId: z.string(),
});
const Failure = z.strictObject({
  error: z.strictObject({
    code: z.int(),
    message: z.string(),
    status: z.string(),
    details: z.array(z.looseObject({ "@type": z.string() })).optional(),
  }),
});

const url = inject("googleDouble");

it.each([
  "",
  "draft-first",
  "two-pictures",
  "text-only",
  "finish-image-safety",
  "block-other",
  "empty-answer",
])("answers in the published shape: %s", async (fault) => {
  const response = await generate({}, fault === "" ? "a lighthouse" : `[fault:${fault}]`);
  expect(response.status).toBe(200);
  Answer.parse(await response.json());
});

it.each(Object.entries(REFUSALS).filter(([, refusal]) => "error" in refusal))(
  "refuses in the published shape: %s",
  async (fault, { status }) => {
    const response = await generate({}, `[fault:${fault}]`);
    expect(response.status).toBe(status);
    expect(Failure.parse(await response.json()).error.code).toBe(status);
  },
);

it.each([
  [{ imageSize: "2k" }],
  [{ imageSize: "512" }],
  [{ aspectRatio: "2:1" }],
  [{ outputMimeType: "image/png" }],
])("refuses what the API refuses: %j", async (imageConfig) => {
  const response = await generate(imageConfig, "a lighthouse");
  expect(response.status).toBe(400);
  expect(Failure.parse(await response.json()).error.status).toBe("INVALID_ARGUMENT");
});

function generate(imageConfig: object, text: string): Promise<Response> {
  const body = {
    contents: [{ role: "user", parts: [{ text }] }],
    generationConfig: { responseModalities: ["IMAGE"], imageConfig: { aspectRatio: "1:1", ...imageConfig } },
  };
  return fetch(`${url}/models/gemini-3-pro-image:generateContent`, {
    method: "POST",
    headers: { "x-goog-api-key": "AIza-test", "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}
