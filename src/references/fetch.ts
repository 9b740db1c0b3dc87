import { TimeoutError, withTimeout } from "../time.ts";
import { checkUrl } from "./addresses.ts";
import { REFERENCE_BYTES_MAX, type ReferenceOutcome, refused, storeReference, tooLarge } from "./store.ts";

export type FetchLimits = {
  bytesMax: number;
  redirectsMax: number;
  /** The limit for everything: all redirects, and the body to its end. */
  durationMsMax: number;
};

export const FETCH_LIMITS: FetchLimits = {
  bytesMax: REFERENCE_BYTES_MAX,
  redirectsMax: 3,
  durationMsMax: 30_000,
};

/** RFC 9110, section 15.4: those that name another place for the same thing. */
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** Why a URL gives no reference. Thrown and caught inside this file only. */
class FetchFailure extends Error {}

/**
 * Fetches a reference image and streams it into the bucket. The address rules apply to every redirect. The bytes decide
 * the type of the image.
 * @throws {StorageError} when R2 fails; nothing is left in the bucket then
 */
export async function fetchReference(
  bucket: R2Bucket,
  key: string,
  address: string,
  allowInsecure: boolean,
  limits: FetchLimits = FETCH_LIMITS,
): Promise<ReferenceOutcome> {
  const stop = new AbortController();
  const until = Date.now() + limits.durationMsMax;
  const inTime = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await withTimeout(Math.max(0, until - Date.now()), work);
    } catch (error) {
      if (!(error instanceof TimeoutError))
        throw new FetchFailure("could not be fetched: the connection failed");
      const seconds = limits.durationMsMax / 1000;
      throw new FetchFailure(`could not be fetched: it did not come within ${seconds} seconds`);
    }
  };
  try {
    const response = await follow(address, allowInsecure, limits, inTime, stop.signal);
    const declared = Number(response.headers.get("Content-Length") ?? 0);
    if (declared > limits.bytesMax) return refused(tooLarge(limits.bytesMax));
    return await storeReference(bucket, key, bodyOf(response, inTime), limits.bytesMax);
  } catch (error) {
    if (error instanceof FetchFailure) return refused(error.message);
    throw error;
  } finally {
    // The rest of the body is not read.
    stop.abort();
  }
}

/** The answer at the end of the redirects, with status 200. @throws {FetchFailure} */
async function follow(
  address: string,
  allowInsecure: boolean,
  { redirectsMax }: FetchLimits,
  inTime: <T>(work: Promise<T>) => Promise<T>,
  signal: AbortSignal,
): Promise<Response> {
  let next = address;
  for (let redirects = 0; redirects <= redirectsMax; redirects++) {
    const check = checkUrl(next, allowInsecure);
    if (check.kind === "refused") {
      if (redirects === 0) throw new FetchFailure(check.reason);
      throw new FetchFailure(`could not be fetched: it redirects to a URL that ${check.reason}`);
    }
    const response = await inTime(fetch(check.url, { redirect: "manual", headers: HEADERS, signal }));
    if (response.status === 200) return response;
    const location = REDIRECTS.has(response.status) ? response.headers.get("Location") : null;
    if (location === null) {
      throw new FetchFailure(`could not be fetched: the server answered ${response.status}`);
    }
    await response.body?.cancel();
    next = resolve(location, check.url);
  }
  throw new FetchFailure(`could not be fetched: it redirects more than ${redirectsMax} times`);
}

/** The request has no data of the caller and no secret. Some servers refuse requests without a User-Agent. */
const HEADERS = { Accept: "image/png, image/jpeg, image/webp", "User-Agent": "gpt-image-hub" };

/** A `Location` may be relative (RFC 9110, section 10.2.2). One that is no URL is left as it is, and refused. */
function resolve(location: string, base: URL): string {
  try {
    return new URL(location, base).href;
  } catch {
    return location;
  }
}

async function* bodyOf(
  { body }: Response,
  inTime: <T>(work: Promise<T>) => Promise<T>,
): AsyncGenerator<Uint8Array, void> {
  if (body === null) return;
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read());
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => null);
  }
}
