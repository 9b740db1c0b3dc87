import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { png } from "../images/samples.ts";
import { call, newUser, respond } from "../support/http.ts";
import { Generated, refusal } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

/** Image URLs, which need no key. */
const bytes = Buffer.from(png(1024, 1024));
let url: string;

beforeEach(async () => {
  provide();
  const { key } = await newUser(8);
  const json = { model: "gpt-image-2", prompt: "a hill" };
  const { images } = Generated.parse((await call("POST", "/api/v1/images/generations", { key, json })).body);
  url = images[0]?.url ?? "";
});

afterEach(() => {
  vi.restoreAllMocks();
});

async function get(headers: Record<string, string> = {}, method = "GET") {
  const response = await respond(method, url, { headers });
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.bytes()) };
}

describe("GET of an image's url", () => {
  it("returns the image with cache and security headers", async () => {
    const answer = await get();
    expect([answer.status, answer.bytes]).toEqual([200, bytes]);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "content-type": "image/png",
      "content-length": String(bytes.length),
      "cache-control": "public, max-age=31536000, immutable",
      "x-content-type-options": "nosniff",
      "accept-ranges": "bytes",
      etag: expect.stringMatching(/^".+"$/),
      "x-request-id": expect.stringMatching(/^req_/),
    });
  });

  it("answers HEAD with the same headers, and no body", async () => {
    const [got, headed] = [await get(), await get({}, "HEAD")];
    expect([headed.status, headed.bytes.length]).toEqual([200, 0]);
    const known = [
      "content-type",
      "content-length",
      "etag",
      "cache-control",
      "last-modified",
      "accept-ranges",
    ];
    for (const name of known) expect(headed.headers.get(name)).toBe(got.headers.get(name));
  });

  it.each([
    ["bytes=0-9", 206, `bytes 0-9/${bytes.length}`, bytes.subarray(0, 10)],
    ["bytes=30-", 206, `bytes 30-${bytes.length - 1}/${bytes.length}`, bytes.subarray(30)],
    ["bytes=-5", 206, `bytes ${bytes.length - 5}-${bytes.length - 1}/${bytes.length}`, bytes.subarray(-5)],
    [`bytes=${bytes.length}-`, 416, `bytes */${bytes.length}`, Buffer.alloc(0)],
    ["bytes=9-3", 200, null, bytes],
    ["bytes=0-1,4-5", 200, null, bytes],
    ["lines=0-1", 200, null, bytes],
  ])("honours Range: %s", async (range, status, contentRange, content) => {
    const answer = await get({ Range: range });
    expect([answer.status, answer.headers.get("Content-Range"), answer.bytes]).toEqual([
      ...[status, contentRange, content],
    ]);
  });

  it("returns 304 for the current ETag, and the image for another one", async () => {
    const etag = (await get()).headers.get("ETag") ?? "";
    const known = await get({ "If-None-Match": etag });
    expect([known.status, known.bytes.length, known.headers.get("ETag")]).toEqual([304, 0, etag]);
    expect((await get({ "If-None-Match": '"another"' })).status).toBe(200);
  });

  it("ignores credentials, good or bad", async () => {
    expect((await get({ Authorization: "Bearer nonsense" })).status).toBe(200);
  });
});

describe("a URL without an image", () => {
  it("is a 404, also when manipulated", async () => {
    const { pathname } = new URL(url);
    const [, , generation = "", file = ""] = pathname.split("/");
    const other = `${file.slice(0, 10)}${file[10] === "A" ? "B" : "A"}${file.slice(11)}`;
    const paths = [
      ...[
        `/images/${generation}/${other}`,
        `/images/${generation}`,
        `/images/${generation}/`,
        "/images/",
        "/images",
      ],
      ...[`${pathname}/`, `${pathname}%00`, `${pathname}%20`, `${pathname}.png`, pathname.toUpperCase()],
      ...[pathname.replace(".png", ".jpg"), pathname.replace(".png", ""), `/images/${generation}%2F${file}`],
      ...[`/images/x/..%2f${generation}%2f${file}`, `/images/..%2f${generation}/${file}`, "/images/%00/%00"],
      ...[
        `/images/${"a".repeat(4_000)}/${"b".repeat(4_000)}`,
        "/images/%ff/%fe",
        "/images/__proto__/constructor",
      ],
    ];
    for (const path of paths) {
      const answer = await call("GET", path);
      expect([path, refusal(answer).code, answer.status]).toEqual([path, "notFound", 404]);
    }
  });

  it.each(["POST", "PUT", "PATCH", "DELETE"])("does not accept %s", async (method) => {
    const answer = await call(method, new URL(url).pathname);
    expect(refusal(answer)).toMatchObject({ status: 405, code: "methodNotAllowed" });
    expect(answer.headers.get("Allow")).toBe("GET, HEAD");
    expect((await get()).bytes).toEqual(bytes);
  });
});
