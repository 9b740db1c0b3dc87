import { unavailable } from "./failure.ts";

/** What one read asks for. A plain reader gets 4 KiB at a time from workerd, at a tenth of the speed. */
export const READ_BYTES = 65_536;

export type ByteSource = {
  /** The next bytes, or null at the end. They are overwritten by the following call. */
  next: () => Promise<Uint8Array | null>;
  /** Lets go of the stream and whatever feeds it. */
  cancel: () => Promise<void>;
};

/**
 * Reads a byte stream in pieces of up to {@link READ_BYTES}, one read at a time, with nothing ahead of the reader.
 * `next` rejects with an `unavailable` ProviderError when no byte comes for `idleMs`, when `signal` aborts, when the
 * stream breaks, and beyond `bytesMax`.
 */
export function readBytes(
  body: ReadableStream<Uint8Array>,
  { idleMs, signal, bytesMax }: { idleMs: number; signal: AbortSignal; bytesMax: number },
): ByteSource {
  const reader = body.getReader({ mode: "byob" });
  // A read takes the buffer away and brings it back; without it no further read is possible.
  let buffer: ArrayBufferLike | null = new ArrayBuffer(READ_BYTES);
  let ended = false;
  let left = bytesMax;
  const cancel = () => reader.cancel().catch(() => undefined);
  return {
    cancel,
    async next() {
      if (ended) return null;
      if (buffer === null) throw unavailable("stopped");
      const view = new Uint8Array(buffer, 0, READ_BYTES);
      buffer = null;
      const read = reader.read(view).catch(() => {
        throw unavailable("the connection broke");
      });
      const { done, value } = await within(read, idleMs, signal).catch(async (error: unknown) => {
        await cancel();
        throw error;
      });
      ended = done;
      if (done) return null;
      buffer = value.buffer;
      left -= value.byteLength;
      if (left < 0) throw unavailable("an answer that is too long");
      return value;
    },
  };
}

/** The work's result, or an `unavailable` failure as soon as the time is over or the signal aborts. */
async function within<T>(work: Promise<T>, idleMs: number, signal: AbortSignal): Promise<T> {
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(unavailable("stopped"));
  const timer = setTimeout(() => reject(unavailable("the answer stalled")), idleMs);
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, interrupted]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
