/** A promise did not settle in time. */
export class TimeoutError extends Error {
  override readonly name = "TimeoutError";
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/**
 * Resolves like the promise, if it settles in time. Does not stop the work behind it.
 * @throws {TimeoutError} after that many milliseconds
 */
export async function withTimeout<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimeoutError(`nothing within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_LAST_MS = 30_000;

/** The wait before retry number `retry` (from 0): doubles, with jitter of half, so that failed callers spread out. */
export function backoffMs(retry: number): number {
  return (0.5 + Math.random() / 2) * Math.min(BACKOFF_FIRST_MS * 2 ** retry, BACKOFF_LAST_MS);
}
