import { undelivered } from "./failure.ts";

/** The size of one read. A default reader gets 4 KiB at a time from workerd, at a tenth of the speed. */
export const READ_BYTES = 65_536;

export type ByteSource = {
  /** The next bytes, or null at the end. The next call overwrites them. */
  next: () => Promise<Uint8Array | null>;
  /** Cancels the stream. */
  cancel: () => Promise<void>;
};

/**
 * Reads a byte stream in pieces of up to {@link READ_BYTES}, one read at a time, without reading ahead. `next` rejects
 * with an `undelivered` ProviderError when no byte arrives for `idleMs`, when `signal` aborts, when the stream breaks,
 * and beyond `bytesMax`.
 */
export function readBytes(
  body: ReadableStream<Uint8Array>,
  { idleMs, signal, bytesMax }: { idleMs: number; signal: AbortSignal; bytesMax: number },
): ByteSource {
  const reader = body.getReader({ mode: "byob" });
  const watch = new Watch(idleMs, signal);
  // A read detaches the buffer and returns it; without it, no further read is possible.
  let buffer: ArrayBufferLike | null = new ArrayBuffer(READ_BYTES);
  let ended = false;
  let left = bytesMax;
  const cancel = () => {
    watch.end();
    return reader.cancel().catch(() => undefined);
  };
  return {
    cancel,
    async next() {
      if (ended) return null;
      if (buffer === null) throw undelivered("aborted");
      const view = new Uint8Array(buffer, 0, READ_BYTES);
      buffer = null;
      const { done, value } = await watch.over(reader.read(view)).catch(async (error: unknown) => {
        await cancel();
        throw error;
      });
      ended = done;
      if (done) {
        watch.end();
        return null;
      }
      buffer = value.buffer;
      left -= value.byteLength;
      if (left < 0) throw undelivered("the response is too long");
      return value;
    },
  };
}

/** Interrupts a read that takes too long. One timer and one listener serve all reads: an image has hundreds. */
class Watch {
  readonly #idleMs: number;
  readonly #signal: AbortSignal;
  readonly #onAbort = () => this.#interrupt?.(undelivered("aborted"));
  #timer: ReturnType<typeof setTimeout>;
  #since = 0;
  /** Rejects the current read; null while there is none. */
  #interrupt: ((error: Error) => void) | null = null;

  constructor(idleMs: number, signal: AbortSignal) {
    this.#idleMs = idleMs;
    this.#signal = signal;
    this.#timer = this.#lookAfter(idleMs);
    signal.addEventListener("abort", this.#onAbort);
  }

  /** Resolves like the read, or rejects as `undelivered` when it takes too long or the signal aborts. */
  async over<T>(read: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    read.then(resolve, () => reject(undelivered("the connection broke")));
    this.#since = Date.now();
    this.#interrupt = reject;
    if (this.#signal.aborted) this.#onAbort();
    try {
      return await promise;
    } finally {
      this.#interrupt = null;
    }
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#onAbort);
  }

  #lookAfter(milliseconds: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      const left = this.#interrupt ? this.#since + this.#idleMs - Date.now() : this.#idleMs;
      if (left > 0) this.#timer = this.#lookAfter(left);
      else this.#interrupt?.(undelivered("the response stalled"));
    }, milliseconds);
  }
}
