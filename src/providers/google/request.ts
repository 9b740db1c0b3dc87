import type { ImageRequest, Reference } from "../provider.ts";
import { base64Part, streamParts, textPart } from "../wire/body.ts";

/**
 * The body of `models/{model}:generateContent`, with the references in base64 inside the JSON, encoded as they are
 * read. Always names the ratio and the size: without a ratio, the model chooses an odd one. The API has no `auto`, so
 * that means a square. The letter K of the size is upper-case; `2k` would be billed as 1K.
 */
export function buildBody(
  request: ImageRequest,
  references: readonly Reference[],
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const { prompt, aspectRatio, tier } = request;
  const generationConfig = {
    responseModalities: ["IMAGE"],
    imageConfig: { aspectRatio: aspectRatio === "auto" ? "1:1" : aspectRatio, imageSize: tier },
  };
  const images = references.flatMap((reference) => [
    textPart(`,{"inlineData":{"mimeType":"${reference.contentType}","data":"`),
    base64Part(reference),
    textPart('"}}'),
  ]);
  const start = `{"contents":[{"role":"user","parts":[${JSON.stringify({ text: prompt })}`;
  const end = `]}],"generationConfig":${JSON.stringify(generationConfig)}}`;
  return streamParts([textPart(start), ...images, textPart(end)], signal);
}
