import { base64Length, encodeBase64 } from "../../images/base64.ts";
import type { Reference } from "../provider.ts";

/** A part of a request's body, whose length is known before it is opened. */
export type BodyPart = {
  bytes: number;
  open: () => Promise<ReadableStream<Uint8Array> | AsyncGenerator<Uint8Array, void>>;
};

export function textPart(text: string): BodyPart {
  const encoded = new TextEncoder().encode(text);
  return { bytes: encoded.byteLength, open: async () => new Blob([encoded]).stream() };
}

/** A reference in base64, encoded as it is sent. */
export function base64Part(reference: Reference): BodyPart {
  return { bytes: base64Length(reference.bytes), open: async () => encodeBase64(await reference.open()) };
}

/**
 * A body that streams its parts, with a known length: without Content-Length it would be sent chunked, which not every
 * server accepts. Stops sending when `signal` aborts.
 */
export function streamParts(parts: readonly BodyPart[], signal: AbortSignal): ReadableStream<Uint8Array> {
  const { readable, writable } = new FixedLengthStream(parts.reduce((total, part) => total + part.bytes, 0));
  // If the body cannot be sent, the request fails. If the response comes early, the body need not be sent.
  send(parts, writable, signal).catch(() => undefined);
  return readable;
}

/** Sends one part after another, and opens each only when it is its turn. */
async function send(
  parts: readonly BodyPart[],
  writable: WritableStream<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  try {
    for (const part of parts) {
      const content = await part.open();
      if (content instanceof ReadableStream) await content.pipeTo(writable, { preventClose: true, signal });
      else await write(content, writable, signal);
    }
    await writable.close();
  } catch (error) {
    // A reference with too few or too many bytes ends here too: the call fails, and is never sent short.
    await writable.abort(error).catch(() => undefined);
    throw error;
  }
}

async function write(
  pieces: AsyncGenerator<Uint8Array, void>,
  writable: WritableStream<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const writer = writable.getWriter();
  try {
    for await (const piece of pieces) {
      signal.throwIfAborted();
      await writer.write(piece);
    }
  } finally {
    writer.releaseLock();
  }
}
