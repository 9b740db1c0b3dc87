import type { ImageRequest, Reference } from "../provider.ts";

/** A request for fetch. `sent` settles when the body was sent, or could not be. */
export type UpstreamRequest = {
  path: "/images/generations" | "/images/edits";
  headers: Record<string, string>;
  body: string | ReadableStream<Uint8Array>;
  sent: Promise<void>;
};

const EXTENSIONS = { "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp" } as const;

/**
 * Builds the call: JSON to `/images/generations`, or, with references, a form to `/images/edits`. The form is streamed
 * from storage with a known length: a body without Content-Length would be sent chunked, which not every gateway
 * accepts. Stops sending when `signal` aborts.
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
  const parts = formParts(fields, references, boundary);
  const stream = new FixedLengthStream(parts.reduce((total, part) => total + part.bytes, 0));
  const headers = { "content-type": `multipart/form-data; boundary=${boundary}` };
  return {
    path: "/images/edits",
    headers,
    body: stream.readable,
    sent: send(parts, stream.writable, signal),
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

type Part = { bytes: number; open: () => Promise<ReadableStream<Uint8Array>> };

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

function textPart(text: string): Part {
  const encoded = new TextEncoder().encode(text);
  return { bytes: encoded.byteLength, open: async () => new Blob([encoded]).stream() };
}

/** Sends one part after another, and opens each only when it is its turn. */
async function send(
  parts: readonly Part[],
  writable: WritableStream<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  try {
    for (const part of parts) await (await part.open()).pipeTo(writable, { preventClose: true, signal });
    await writable.close();
  } catch (error) {
    // A reference with too few or too many bytes ends here too: the call fails, and is never sent short.
    await writable.abort(error).catch(() => undefined);
    throw error;
  }
}
