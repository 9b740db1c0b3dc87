/**
 * Answers GET and HEAD for a stored image (RFC 9110: conditional requests, section 13; ranges, section 14). One R2
 * operation a request; a second one only when a condition turns out not to spare the body, or R2 refuses the range.
 * The conditions are judged here, because R2's `onlyIf` throws on an odd ETag and does not know If-Range.
 * @returns null when there is no such image; a key of another form never reaches R2.
 */
export async function serveImage(bucket: R2Bucket, key: string, request: Request): Promise<Response | null> {
  if (!IMAGE_KEY.test(key)) return null;
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

/** `gen_<ULID>/img_<ULID>.<extension>`: what runs store, and nothing else that may ever lie in the bucket. */
const IMAGE_KEY = /^gen_[0-9A-HJKMNP-TV-Z]{26}\/(?<name>img_[0-9A-HJKMNP-TV-Z]{26}\.(?:png|jpg|webp))$/;

/** One range as it was asked for, not yet held against a size. */
type RangeAsked = { first: number; last: number | null } | { suffix: number };

async function serveWhole(bucket: R2Bucket, key: string): Promise<Response | null> {
  const object = await bucket.get(key);
  return object === null ? null : whole(object, object.body);
}

async function serveRange(bucket: R2Bucket, key: string, asked: RangeAsked): Promise<Response | null> {
  const object = await getRange(bucket, key, asked);
  if (object === null) return null;
  const range = resolveRange(asked, object.size);
  const body = "body" in object ? object.body : null;
  if (range !== null && body !== null) return partial(object, range, body);
  await body?.cancel();
  return unsatisfiable(object);
}

/** R2 either throws on a range beyond the end or ignores it; the object then says how long it is. */
async function getRange(
  bucket: R2Bucket,
  key: string,
  asked: RangeAsked,
): Promise<R2ObjectBody | R2Object | null> {
  try {
    return await bucket.get(key, { range: new Headers({ range: rangeHeader(asked) }) });
  } catch (error) {
    const object = await bucket.head(key);
    if (object !== null && resolveRange(asked, object.size) !== null) throw error;
    return object;
  }
}

/** A single range of bytes. Several, another unit and anything malformed are null: a server may ignore them. */
function parseRange(header: string | null): RangeAsked | null {
  const match = /^bytes=(\d*)-(\d*)$/i.exec(header ?? "");
  if (match === null) return null;
  const [, first = "", last = ""] = match;
  if (first === "") return last === "" ? null : { suffix: toBytes(last) };
  if (last === "") return { first: toBytes(first), last: null };
  return toBytes(last) < toBytes(first) ? null : { first: toBytes(first), last: toBytes(last) };
}

const toBytes = (digits: string) => Math.min(Number(digits), Number.MAX_SAFE_INTEGER);

function rangeHeader(asked: RangeAsked): string {
  return "suffix" in asked ? `bytes=-${asked.suffix}` : `bytes=${asked.first}-${asked.last ?? ""}`;
}

/** First and last byte of what is sent; null when the range holds no byte of the object. */
function resolveRange(asked: RangeAsked, size: number): { first: number; last: number } | null {
  const first = "suffix" in asked ? Math.max(0, size - asked.suffix) : asked.first;
  const last = "suffix" in asked ? size - 1 : Math.min(asked.last ?? size - 1, size - 1);
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

/** A picture is whatever a stranger's prompt made: nothing in it may run, or be taken for another type. */
const SAFETY = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; sandbox",
  "Access-Control-Allow-Origin": "*",
};

function imageHeaders(object: R2Object): Headers {
  const name = IMAGE_KEY.exec(object.key)?.groups?.["name"];
  return new Headers({
    ...SAFETY,
    "Content-Type": object.httpMetadata?.contentType ?? "application/octet-stream",
    "Content-Disposition": `inline; filename="${name}"`,
    "Cache-Control": "public, max-age=31536000, immutable",
    "Accept-Ranges": "bytes",
    ETag: object.httpEtag,
    "Last-Modified": lastModified(object),
  });
}

function lastModified(object: R2Object): string {
  return object.uploaded.toUTCString();
}
