import { parseImageKey } from "./keys.ts";

/**
 * Serves GET and HEAD for a stored image (RFC 9110: conditional requests, section 13; ranges, section 14). Uses one R2
 * operation per request, and a second one only when a condition does not save the body, or when R2 refuses the range.
 * Conditions are evaluated here, because R2's `onlyIf` throws on an unusual ETag and does not support If-Range.
 * @returns null when there is no such image. A key of another form is never looked up in R2.
 */
export async function serveImage(bucket: R2Bucket, key: string, request: Request): Promise<Response | null> {
  if (parseImageKey(key) === null) return null;
  let range = parseRange(request.headers.get("range"));
  if (request.method === "HEAD" || CONDITIONS.some((name) => request.headers.has(name))) {
    const object = await bucket.head(key);
    if (object === null) return null;
    if (isNotModified(request, object)) return notModified(object);
    if (request.method === "HEAD") return whole(object, null);
    if (!ifRangeHolds(request, object)) range = null;
  }
  return range === null ? serveWhole(bucket, key) : serveRange(bucket, key, range);
}

const CONDITIONS = ["if-none-match", "if-modified-since", "if-range"];

/** A requested range, before it is resolved against the size of the object. */
type RequestedRange = { first: number; last: number | null } | { suffix: number };

async function serveWhole(bucket: R2Bucket, key: string): Promise<Response | null> {
  const object = await bucket.get(key);
  return object === null ? null : whole(object, object.body);
}

async function serveRange(
  bucket: R2Bucket,
  key: string,
  requested: RequestedRange,
): Promise<Response | null> {
  const object = await getRange(bucket, key, requested);
  if (object === null) return null;
  const range = resolveRange(requested, object.size);
  const body = "body" in object ? object.body : null;
  if (range !== null && body !== null) return partial(object, range, body);
  await body?.cancel();
  return unsatisfiable(object);
}

/** R2 either throws on a range beyond the end or ignores it. The object then has its size. */
async function getRange(
  bucket: R2Bucket,
  key: string,
  requested: RequestedRange,
): Promise<R2ObjectBody | R2Object | null> {
  try {
    return await bucket.get(key, { range: new Headers({ range: rangeHeader(requested) }) });
  } catch (error) {
    const object = await bucket.head(key);
    if (object !== null && resolveRange(requested, object.size) !== null) throw error;
    return object;
  }
}

/**
 * Parses a single byte range. Null for several ranges, another unit or a malformed header, which a server may ignore.
 */
function parseRange(header: string | null): RequestedRange | null {
  const match = /^bytes=(\d*)-(\d*)$/i.exec(header ?? "");
  if (match === null) return null;
  const [, first = "", last = ""] = match;
  if (first === "") return last === "" ? null : { suffix: toBytes(last) };
  if (last === "") return { first: toBytes(first), last: null };
  return toBytes(last) < toBytes(first) ? null : { first: toBytes(first), last: toBytes(last) };
}

const toBytes = (digits: string) => Math.min(Number(digits), Number.MAX_SAFE_INTEGER);

function rangeHeader(requested: RequestedRange): string {
  return "suffix" in requested
    ? `bytes=-${requested.suffix}`
    : `bytes=${requested.first}-${requested.last ?? ""}`;
}

/** The first and last byte to send; null when the object has no byte in the range. */
function resolveRange(requested: RequestedRange, size: number): { first: number; last: number } | null {
  const first = "suffix" in requested ? Math.max(0, size - requested.suffix) : requested.first;
  const last = "suffix" in requested ? size - 1 : Math.min(requested.last ?? size - 1, size - 1);
  return first <= last ? { first, last } : null;
}

/** If-None-Match wins over If-Modified-Since (RFC 9110, 13.2.2) and compares weakly. */
function isNotModified(request: Request, object: R2Object): boolean {
  const tags = request.headers.get("if-none-match");
  if (tags !== null) {
    if (tags.trim() === "*") return true;
    return Array.from(tags.matchAll(/"[^"]*"/g), ([tag]) => tag).includes(object.httpEtag);
  }
  const since = Date.parse(request.headers.get("if-modified-since") ?? "");
  return Date.parse(lastModified(object)) <= since;
}

/** If-Range compares strongly: a weak tag or another date never holds (RFC 9110, 13.1.5). */
function ifRangeHolds(request: Request, object: R2Object): boolean {
  const validator = request.headers.get("if-range")?.trim();
  return validator === undefined || validator === object.httpEtag || validator === lastModified(object);
}

function whole(object: R2Object, body: ReadableStream | null): Response {
  const headers = imageHeaders(object);
  headers.set("Content-Length", String(object.size));
  return new Response(body, { headers });
}

function partial(object: R2Object, range: { first: number; last: number }, body: ReadableStream): Response {
  const headers = imageHeaders(object);
  headers.set("Content-Length", String(range.last - range.first + 1));
  headers.set("Content-Range", `bytes ${range.first}-${range.last}/${object.size}`);
  return new Response(body, { status: 206, headers });
}

function unsatisfiable(object: R2Object): Response {
  const headers = new Headers({ ...SAFETY, "Content-Range": `bytes */${object.size}` });
  return new Response(null, { status: 416, headers });
}

function notModified(object: R2Object): Response {
  const headers = imageHeaders(object);
  headers.delete("Content-Type");
  return new Response(null, { status: 304, headers });
}

/** An image may come from any prompt: nothing in it may execute or be interpreted as another type. */
const SAFETY = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; sandbox",
  "Access-Control-Allow-Origin": "*",
};

function imageHeaders(object: R2Object): Headers {
  return new Headers({
    ...SAFETY,
    "Content-Type": object.httpMetadata?.contentType ?? "application/octet-stream",
    // Without a name: one would replace the name that a link to a download has.
    "Content-Disposition": "inline",
    "Cache-Control": "public, max-age=31536000, immutable",
    "Accept-Ranges": "bytes",
    ETag: object.httpEtag,
    "Last-Modified": lastModified(object),
  });
}

function lastModified(object: R2Object): string {
  return object.uploaded.toUTCString();
}
