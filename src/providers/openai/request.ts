import type { ImageRequest, Reference } from "../provider.ts";
import { streamParts } from "../wire/body.ts";
import { formParts } from "../wire/form.ts";

type UpstreamRequest = {
  path: "/images/generations" | "/images/edits";
  headers: Record<string, string>;
  body: string | ReadableStream<Uint8Array>;
};

/**
 * Builds the call: JSON to `/images/generations`, or, with references, a form to `/images/edits`. The form is streamed
 * from storage. Stops sending when `signal` aborts.
 * @param partials how many partial pictures of each image to ask for. With any, the answer is an event stream
 */
export function buildRequest(
  request: ImageRequest,
  references: readonly Reference[],
  partials: number,
  signal: AbortSignal,
): UpstreamRequest {
  const fields = { ...fieldsOf(request), ...(partials > 0 && { stream: true, partial_images: partials }) };
  if (references.length === 0) {
    const headers = { "content-type": "application/json" };
    return { path: "/images/generations", headers, body: JSON.stringify(fields) };
  }
  const { parts, contentType } = formParts(fields, references, () => "image[]");
  const headers = { "content-type": contentType };
  return { path: "/images/edits", headers, body: streamParts(parts, signal) };
}

/**
 * Only fields that the GPT Image models accept; they refuse `response_format` and `input_fidelity`. `moderation` is
 * sent only if it differs from the default: the published form schema of edits lacks it, though the API accepts it
 * there.
 */
function fieldsOf(request: ImageRequest): Record<string, string | number> {
  const { size, outputCompression } = request;
  return {
    model: request.providerModel,
    prompt: request.prompt,
    n: request.n,
    size: size === "auto" ? size : `${size.width}x${size.height}`,
    quality: request.renderQuality,
    output_format: request.outputFormat,
    ...(outputCompression !== null &&
      request.outputFormat !== "png" && { output_compression: outputCompression }),
    ...(request.background !== "auto" && { background: request.background }),
    ...(request.moderation !== "auto" && { moderation: request.moderation }),
    ...(request.endUser !== null && { safety_identifier: request.endUser }),
  };
}
