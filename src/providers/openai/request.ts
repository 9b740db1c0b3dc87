import type { ImageRequest, Reference } from "../provider.ts";
import { type Part, streamParts, textPart } from "../wire/body.ts";

/** A request for fetch. `sent` settles when the body was sent, or could not be. */
export type UpstreamRequest = {
  path: "/images/generations" | "/images/edits";
  headers: Record<string, string>;
  body: string | ReadableStream<Uint8Array>;
  sent: Promise<void>;
};

const EXTENSIONS = { "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp" } as const;

/**
 * Builds the call: JSON to `/images/generations`, or, with references, a form to `/images/edits`, which is streamed from
 * storage. Stops sending when `signal` aborts.
 */
export function buildRequest(
  request: ImageRequest,
  references: readonly Reference[],
  signal: AbortSignal,
): UpstreamRequest {
  const fields = fieldsOf(request);
  if (references.length === 0) {
    const headers = { "content-type": "application/json" };
    const sent = Promise.resolve();
    return { path: "/images/generations", headers, body: JSON.stringify(fields), sent };
  }
  const boundary = `form-${crypto.randomUUID()}`;
  const headers = { "content-type": `multipart/form-data; boundary=${boundary}` };
  return {
    path: "/images/edits",
    headers,
    ...streamParts(formParts(fields, references, boundary), signal),
  };
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

function formParts(
  fields: Record<string, string | number>,
  references: readonly Reference[],
  boundary: string,
): Part[] {
  const disposition = `--${boundary}\r\nContent-Disposition: form-data`;
  const texts = Object.entries(fields).map(
    ([name, value]) => `${disposition}; name="${name}"\r\n\r\n${value}\r\n`,
  );
  const files = references.flatMap((reference, index) => {
    const filename = `reference-${index + 1}.${EXTENSIONS[reference.contentType]}`;
    const head = `${disposition}; name="image[]"; filename="${filename}"\r\nContent-Type: ${reference.contentType}\r\n\r\n`;
    return [textPart(head), reference, textPart("\r\n")];
  });
  return [textPart(texts.join("")), ...files, textPart(`--${boundary}--\r\n`)];
}
