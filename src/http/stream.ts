import { TimeoutError, withTimeout } from "../time.ts";
import { invalidRequest } from "./errors.ts";

/**
 * The chunks of a request's body, within time limits in milliseconds. Ending the iteration cancels the body.
 * @throws {ApiError} 400 when the body stalls, takes too long or breaks off
 */
export async function* chunksOf(
  body: ReadableStream<Uint8Array>,
  { stallMsMax, durationMsMax }: { stallMsMax: number; durationMsMax: number },
): AsyncGenerator<Uint8Array, void> {
  const until = Date.now() + durationMsMax;
  const reader = body.getReader();
  try {
    for (;;) {
      const left = Math.max(0, Math.min(stallMsMax, until - Date.now()));
      const { done, value } = await withTimeout(left, reader.read()).catch((error: unknown) => {
        const isSlow = error instanceof TimeoutError;
        throw invalidRequest(
          isSlow ? "The body took too long to arrive." : "The body could not be read to its end.",
        );
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => null);
  }
}
