import type { File, Signal } from "./platform.ts";

/** The platform's own signal: `fetch` takes no other. */
export function nativeSignal(signal: Signal | undefined): AbortSignal | null {
  if (signal === undefined || signal instanceof AbortSignal) return signal ?? null;
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  return controller.signal;
}

/** @throws {TypeError} if the file is none of the platform's, which a request could not carry */
export function nativeFile(file: File): Blob {
  if (file instanceof Blob) return file;
  throw new TypeError("A reference must be a Blob or a File.");
}
