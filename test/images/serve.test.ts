import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { serveImage } from "../../src/images/serve.ts";
import { storeImage } from "../../src/images/upload.ts";
import { filled, png, watched } from "./samples.ts";

const ULID = "01JDA8Z9N7QK4M2X5V6B3C1D0E";
const KEY = `gen_${ULID}/img_${ULID}.png`;
const LARGE = `gen_${ULID}/img_${ULID.replace("0E", "0F")}.png`;
const EMPTY = `gen_${ULID}/img_${ULID.replace("0E", "0G")}.png`;
const LARGE_BYTES = 5 * 1024 * 1024 + 10;
const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
let etag = "";
let lastModified = "";

beforeAll(async () => {
  const object = await env.IMAGES.put(KEY, bytes, { httpMetadata: { contentType: "image/png" } });
  etag = object.httpEtag;
  lastModified = object.uploaded.toUTCString();
  await storeImage(env.IMAGES, filled(png(1, 1), LARGE_BYTES), {
    keyFor: () => LARGE,
    bytesMax: LARGE_BYTES,
  });
  await env.IMAGES.put(EMPTY, "");
});

/** `ETAG` and `DATE` in a header's value are replaced by the image's. */
async function serve(headers: Record<string, string> = {}, key = KEY, method = "GET", failOn?: string) {
  const { bucket, calls } = watched(env.IMAGES, failOn);
  const told = Object.entries(headers).map(([name, value]) => [
    name,
    value.replace("ETAG", etag).replace("DATE", lastModified),
  ]);
  const request = new Request("https://images.test/", { method, headers: Object.fromEntries(told) });
  const response = await serveImage(bucket, key, request);
  return { response, calls, body: response === null ? null : await response.bytes() };
}

describe("serveImage", () => {
  it("serves the image with cache and security headers", async () => {
    const { response, calls, body } = await serve();
    expect([response?.status, calls, body]).toEqual([200, ["get"], bytes]);
    expect(Object.fromEntries(response?.headers ?? [])).toEqual({
      "content-type": "image/png",
      "content-length": "100",
      "content-disposition": "inline",
      "cache-control": "public, max-age=31536000, immutable",
      "accept-ranges": "bytes",
      etag,
      "last-modified": lastModified,
      "x-content-type-options": "nosniff",
      "content-security-policy": "default-src 'none'; sandbox",
      "access-control-allow-origin": "*",
    });
    expect(etag).toMatch(/^"[^"]+"$/);
  });

  it("answers HEAD with the headers of GET and no body, with one R2 operation", async () => {
    const [get, head] = [await serve(), await serve({ Range: "bytes=0-4" }, KEY, "HEAD")];
    expect([head.response?.status, head.calls, head.body?.length]).toEqual([200, ["head"], 0]);
    expect([...(head.response?.headers ?? [])]).toEqual([...(get.response?.headers ?? [])]);
    expect((await serve({ "If-None-Match": "ETAG" }, KEY, "HEAD")).response?.status).toBe(304);
    expect((await serve({}, KEY.replace("0E.", "0Z."), "HEAD")).response).toBeNull();
  });

  it.each([
    ["bytes=0-9", 0, 9],
    ["bytes=90-", 90, 99],
    ["bytes=99-99", 99, 99],
    ["bytes=-10", 90, 99],
    ["bytes=-1000", 0, 99],
    ["bytes=95-1000", 95, 99],
    ["bytes=5-99999999999999999999999", 5, 99],
    ["Bytes=0-0", 0, 0],
  ])("serves the range %s", async (range, first, last) => {
    const { response, calls, body } = await serve({ Range: range });
    expect([response?.status, calls]).toEqual([206, ["get"]]);
    expect(response?.headers.get("content-range")).toBe(`bytes ${first}-${last}/100`);
    expect(response?.headers.get("content-length")).toBe(String(last - first + 1));
    expect(body).toEqual(bytes.subarray(first, last + 1));
  });

  it("serves a range across the parts of a large image", async () => {
    const { response, body } = await serve({ Range: "bytes=5242878-5242881" }, LARGE);
    expect([response?.status, response?.headers.get("content-range")]).toEqual([
      206,
      `bytes 5242878-5242881/${LARGE_BYTES}`,
    ]);
    expect(body).toEqual(new Uint8Array(4).fill(7));
    expect((await serve({}, LARGE)).body?.length).toBe(LARGE_BYTES);
  });

  it.each([
    ["bytes=100-", KEY, 100],
    ["bytes=100-200", KEY, 100],
    ["bytes=99999999999999999999999-", KEY, 100],
    ["bytes=-0", KEY, 100],
    ["bytes=0-", EMPTY, 0],
    ["bytes=-5", EMPTY, 0],
  ])("answers 416 to %s", async (range, key, size) => {
    const { response, body } = await serve({ Range: range }, key);
    expect([response?.status, response?.headers.get("content-range"), body?.length]).toEqual([
      416,
      `bytes */${size}`,
      0,
    ]);
  });

  it.each([
    "bytes=0-1,5-6",
    "bytes=9-5",
    "bytes=-",
    "bytes=a-b",
    "bytes 0-1",
    "items=0-1",
    "bytes=1",
    "",
    "bytes=--1",
  ])("ignores the range %j", async (range) => {
    const { response, body } = await serve({ Range: range });
    expect([response?.status, body?.length]).toEqual([200, 100]);
  });

  it.each([
    [{ "If-None-Match": "ETAG" }, 304],
    [{ "If-None-Match": "W/ETAG" }, 304],
    [{ "If-None-Match": '"other", W/"x" , ETAG' }, 304],
    [{ "If-None-Match": "*" }, 304],
    [{ "If-None-Match": '"other"' }, 200],
    [{ "If-None-Match": "garbage" }, 200],
    [{ "If-None-Match": '"other"', "If-Modified-Since": "DATE" }, 200],
    [{ "If-Modified-Since": "DATE" }, 304],
    [{ "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT" }, 304],
    [{ "If-Modified-Since": "Thu, 01 Jan 1998 00:00:00 GMT" }, 200],
    [{ "If-Modified-Since": "yesterday" }, 200],
    [{ Range: "bytes=0-4", "If-None-Match": "ETAG" }, 304],
    [{ Range: "bytes=500-", "If-None-Match": "ETAG" }, 304],
    [{ Range: "bytes=0-4", "If-None-Match": '"other"' }, 206],
    [{ Range: "bytes=0-4", "If-Range": "ETAG" }, 206],
    [{ Range: "bytes=0-4", "If-Range": "DATE" }, 206],
    [{ Range: "bytes=0-4", "If-Range": '"other"' }, 200],
    [{ Range: "bytes=0-4", "If-Range": "W/ETAG" }, 200],
    [{ Range: "bytes=0-4", "If-Range": "Thu, 01 Jan 1998 00:00:00 GMT" }, 200],
    [{ Range: "bytes=500-", "If-Range": '"other"' }, 200],
    [{ "If-Range": '"other"' }, 200],
  ])("judges %j: %i", async (headers, status) => {
    const { response, body, calls } = await serve(headers);
    expect([response?.status, calls]).toEqual([status, status === 304 ? ["head"] : ["head", "get"]]);
    expect(body?.length).toBe(status === 304 ? 0 : status === 206 ? 5 : 100);
    expect(response?.headers.get("etag")).toBe(etag);
    if (status === 304) expect(response?.headers.get("content-length")).toBeNull();
  });

  it("returns 416 also when R2 refuses the range, and passes on any other failure", async () => {
    const refused = await serve({ Range: "bytes=100-" }, KEY, "GET", "get");
    expect([refused.response?.status, refused.calls]).toEqual([416, ["get", "head"]]);
    await expect(serve({ Range: "bytes=0-4" }, KEY, "GET", "get")).rejects.toThrow("R2 fails on get");
  });

  it("returns null for an image that does not exist", async () => {
    for (const headers of [{}, { Range: "bytes=0-1" }]) {
      expect((await serve(headers, KEY.replace("0E.", "0Z."))).response).toBeNull();
    }
  });

  it.each([
    "",
    "secret.png",
    `gen_${ULID}/1`,
    `gen_${ULID}/img_${ULID}.gif`,
    `gen_${ULID}/img_${ULID}`,
    `gen_${ULID}/img_${ULID}.png/`,
    `gen_${ULID}/img_${ULID}.png\n`,
    `/gen_${ULID}/img_${ULID}.png`,
    `gen_${ULID}/../gen_${ULID}/img_${ULID}.png`,
    KEY.toLowerCase(),
    KEY.replace("01J", "01I"),
    KEY.replace("01J", "01JJ"),
  ])("asks R2 for nothing under the key %j", async (key) => {
    await env.IMAGES.put(key === "" ? "x" : key, "secret");
    const { response, calls } = await serve({}, key);
    expect([response, calls]).toEqual([null, []]);
  });
});
