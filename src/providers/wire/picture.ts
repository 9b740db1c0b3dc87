import { sleep } from "../../time.ts";
import { readBytes } from "./bytes.ts";
import { undelivered } from "./failure.ts";

/** The longest time to fetch an image from its URL, with all attempts and bytes. */
export const PICTURE_MS_MAX = 120_000;
/** A GET is free, and a lost image is not. */
export const PICTURE_ATTEMPTS = 3;
const AGAIN_MS = 500;

/**
 * Fetches the image at a URL of a response: over https, or from the gateway's own origin, without the key, without
 * following redirects, and within {@link PICTURE_MS_MAX}.
 * @throws {ProviderError} `undelivered`; the stream fails with the same
 */
export async function openPicture(
  address: string,
  { baseUrl, idleMs, signal }: { baseUrl: string; idleMs: number; signal: AbortSignal },
): Promise<ReadableStream<Uint8Array>> {
  const url = allowed(address, baseUrl);
  if (url === null) throw undelivered("image URL not allowed");
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), PICTURE_MS_MAX);
  const stop = AbortSignal.any([signal, late.signal]);
  try {
    const source = readBytes(await get(url, stop), {
      idleMs,
      signal: stop,
      bytesMax: Number.POSITIVE_INFINITY,
    });
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            const bytes = await source.next();
            // The source overwrites its buffer.
            if (bytes !== null) return controller.enqueue(bytes.slice());
            controller.close();
          } catch (error) {
            controller.error(error);
          }
          clearTimeout(timer);
        },
        async cancel() {
          clearTimeout(timer);
          await source.cancel();
        },
      },
      { highWaterMark: 0 },
    );
  } catch (error) {
    clearTimeout(timer);
    throw error;
  }
}

async function get(url: URL, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  for (let attempts = 1; ; attempts++) {
    const response = await fetch(url, { redirect: "manual", signal }).catch(() => null);
    if (response?.ok && response.body !== null) return response.body;
    await response?.body?.cancel();
    const mayHelp =
      response === null || response.status === 404 || response.status === 429 || response.status >= 500;
    if (!mayHelp || attempts === PICTURE_ATTEMPTS || signal.aborted) {
      throw undelivered(`image URL returned ${response?.status ?? "no response"}`);
    }
    await sleep(AGAIN_MS * attempts);
  }
}

/** The URL, resolved against the gateway's; null if it is not allowed. */
function allowed(address: string, baseUrl: string): URL | null {
  const url = URL.parse(address, baseUrl);
  if (url === null || url.username !== "" || url.password !== "") return null;
  return url.protocol === "https:" || url.origin === new URL(baseUrl).origin ? url : null;
}
