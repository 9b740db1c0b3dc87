import { sleep } from "../../time.ts";
import { readBytes } from "./bytes.ts";
import { undelivered } from "./failure.ts";

/** How long it may take to get a picture from its address, all attempts and all bytes of it. */
export const PICTURE_MS_MAX = 120_000;
/** A GET costs nothing, and a picture that is lost does. */
export const PICTURE_ATTEMPTS = 3;
const AGAIN_MS = 500;

/**
 * Opens the picture at an address that an answer gave. Over https, or at the gateway's own origin; without the key,
 * without following redirects, and within {@link PICTURE_MS_MAX}.
 * @throws {ProviderError} `undelivered`; the stream fails with the same
 */
export async function openPicture(
  address: string,
  { baseUrl, idleMs, signal }: { baseUrl: string; idleMs: number; signal: AbortSignal },
): Promise<ReadableStream<Uint8Array>> {
  const url = allowed(address, baseUrl);
  if (url === null) throw undelivered("a picture at an address that is not allowed");
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
            // The source overwrites what it gave.
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
      throw undelivered(`a picture whose address gave ${response?.status ?? "no answer"}`);
    }
    await sleep(AGAIN_MS * attempts);
  }
}

/** The address as a URL, relative to the gateway's; null for one that is not to be asked. */
function allowed(address: string, baseUrl: string): URL | null {
  const url = URL.parse(address, baseUrl);
  if (url === null || url.username !== "" || url.password !== "") return null;
  return url.protocol === "https:" || url.origin === new URL(baseUrl).origin ? url : null;
}
