import { Buffer } from "node:buffer";
import type { Reference } from "../provider.ts";
import { readBytes } from "./bytes.ts";

/** The longest pause of a reference that is read from storage. */
const IDLE_MS = 60_000;

/** A part of a request body, with its length. */
export type Part = { bytes: number; open: () => Promise<ReadableStream<Uint8Array>> };

export function textPart(text: string): Part {
  const encoded = new TextEncoder().encode(text);
  return { bytes: encoded.byteLength, open: async () => new Blob([encoded]).stream() };
}

/** A reference in base64 (RFC 4648, section 4), encoded as it is read from storage. */
export function base64Part(reference: Reference, signal: AbortSignal): Part {
  return {
    bytes: 4 * Math.ceil(reference.bytes / 3),
    open: async () => inBase64(await reference.open(), signal),
  };
}

function inBase64(body: ReadableStream<Uint8Array>, signal: AbortSignal): ReadableStream<Uint8Array> {
  const source = readBytes(body, { idleMs: IDLE_MS, signal, bytesMax: Number.POSITIVE_INFINITY });
  const encode = (bytes: Buffer) => Buffer.from(bytes.toString("base64"), "latin1");
  /** What is left of a group of three bytes. */
  let carried = Buffer.alloc(0);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const read = await source.next();
        if (read === null) {
          if (carried.length > 0) controller.enqueue(encode(carried));
          controller.close();
          return;
        }
        // Copied, because the source overwrites its buffer.
        const bytes = Buffer.concat([carried, read]);
        const whole = bytes.length - (bytes.length % 3);
        carried = bytes.subarray(whole);
        // A pull without a chunk is repeated only when the reader asks again, so an empty one is passed on too.
        controller.enqueue(encode(bytes.subarray(0, whole)));
      },
      cancel: () => source.cancel(),
    },
    { highWaterMark: 0 },
  );
}

/**
 * A body for fetch that sends one part after another, and opens each only when it is its turn. Its length is known: a
 * body without Content-Length would be sent chunked, which not every gateway accepts. `sent` settles when the body was
 * sent, or could not be. Stops sending when `signal` aborts.
 */
export function streamParts(
  parts: readonly Part[],
  signal: AbortSignal,
): { body: ReadableStream<Uint8Array>; sent: Promise<void> } {
  const stream = new FixedLengthStream(parts.reduce((total, part) => total + part.bytes, 0));
  return { body: stream.readable, sent: send(parts, stream.writable, signal) };
}

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
