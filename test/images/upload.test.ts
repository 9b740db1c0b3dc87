import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { EXTENSIONS } from "../../src/images/format.ts";
import { PART_BYTES, STORAGE_ATTEMPTS, StorageError, storeImage } from "../../src/images/upload.ts";
import { spyOnLog } from "../support/log.ts";
import { filled, frame, jpeg, jpegOf, png, SCAN, segment, watched, webpLossy } from "./samples.ts";

const options = (name: string, bytesMax = 64 * 1024 * 1024) => ({
  keyFor: (contentType: keyof typeof EXTENSIONS) => `${name}.${EXTENSIONS[contentType]}`,
  bytesMax,
});

async function digestOf(content: AsyncIterable<Uint8Array> | Uint8Array[]) {
  const hash = createHash("sha256");
  for await (const chunk of content) hash.update(chunk);
  return hash.digest("hex");
}

describe("storeImage", () => {
  it.each([
    ["png", png(3, 4), "image/png"],
    ["jpg", jpeg(frame(3, 4)), "image/jpeg"],
    ["webp", webpLossy(3, 4), "image/webp"],
  ])("stores a small %s as it is, with what its bytes tell", async (extension, bytes, contentType) => {
    const { bucket, calls } = watched(env.IMAGES);
    const stored = await storeImage(bucket, new Blob([bytes]).stream(), {
      ...options("small"),
      cacheControl: "public, max-age=31536000, immutable",
      customMetadata: { model: "m" },
    });
    const key = `small.${extension}`;
    expect(stored).toEqual({
      kind: "stored",
      key,
      contentType,
      width: 3,
      height: 4,
      bytes: bytes.length,
    });
    expect(calls).toEqual(["put"]);
    const object = await env.IMAGES.get(key);
    expect(object?.httpMetadata).toMatchObject({
      contentType,
      cacheControl: "public, max-age=31536000, immutable",
    });
    expect(object?.customMetadata).toEqual({ width: "3", height: "4", model: "m" });
    expect(await object?.bytes()).toEqual(bytes);
  });

  it.each([
    ["one byte short of a part", PART_BYTES - 1, ["put"]],
    ["exactly a part", PART_BYTES, ["put"]],
    ["a part and a byte", PART_BYTES + 1, ["createMultipartUpload", "uploadPart", "uploadPart", "complete"]],
    ["exactly two parts", 2 * PART_BYTES, ["createMultipartUpload", "uploadPart", "uploadPart", "complete"]],
    [
      "two parts and a byte",
      2 * PART_BYTES + 1,
      ["createMultipartUpload", "uploadPart", "uploadPart", "uploadPart", "complete"],
    ],
  ])("stores %s with no more calls than needed", async (_name, bytes, expected) => {
    for (const chunkBytes of [64 * 1024, 1_000_003, 3 * PART_BYTES]) {
      const { bucket, calls, unfinished } = watched(env.IMAGES);
      const stored = await storeImage(bucket, filled(png(8, 9), bytes, chunkBytes), options("large"));
      expect(stored).toMatchObject({ kind: "stored", key: "large.png", width: 8, height: 9, bytes });
      expect([calls, unfinished.size]).toEqual([expected, 0]);
      const object = await env.IMAGES.get("large.png");
      expect(await digestOf(object?.body ?? [])).toBe(await digestOf(filled(png(8, 9), bytes, chunkBytes)));
      expect((await env.IMAGES.head("large.png"))?.httpMetadata?.contentType).toBe("image/png");
    }
  });

  it("detects the format of an image that arrives byte by byte", async () => {
    async function* bytes() {
      for (const byte of jpeg(segment(0xe1, [1, 2, 3]), frame(5, 6))) yield Uint8Array.of(byte);
    }
    expect(await storeImage(env.IMAGES, bytes(), options("slow"))).toMatchObject({ width: 5, height: 6 });
  });

  const endless = (header: Uint8Array) => filled(header, Number.POSITIVE_INFINITY);
  const large = (bytes: number) => {
    const image = png(8, 9);
    // A chunk that states more bytes than will come.
    const chunk = Uint8Array.of(0x7f, 0xff, 0xff, 0xff, 0x70, 0x61, 0x44, 0x64);
    return filled(Uint8Array.of(...image.subarray(0, 33), ...chunk), bytes);
  };
  it.each([
    ["nothing", filled(new Uint8Array(0), 0), "not_an_image"],
    ["text, at once", endless(new TextEncoder().encode("hello")), "not_an_image"],
    ["half a header", filled(png(1, 1).subarray(0, 20), 20), "not_whole"],
    ["a header alone", filled(png(1, 1).subarray(0, 33), 33), "not_whole"],
    ["a small image without its last byte", filled(png(1, 1).subarray(0, -1), 0), "not_whole"],
    ["a large image that is cut off", large(2 * PART_BYTES + 1), "not_whole"],
    ["a damaged image, at once", endless(jpeg([0xff, 0xd8])), "not_whole"],
    ["an image without an end", endless(png(1, 1)), "too_large"],
  ])("refuses %s, and leaves nothing behind", async (_name, source, kind) => {
    const { bucket, unfinished } = watched(env.IMAGES);
    expect(await storeImage(bucket, source, options("refused", 11 * 1024 * 1024))).toEqual({ kind });
    expect([unfinished.size, (await env.IMAGES.list({ prefix: "refused" })).objects]).toEqual([0, []]);
    expect(await source.next(), "the source is told to stop").toEqual({ done: true, value: undefined });
  });

  it.each([
    ["less than a part", 60, ["put"], { width: "5", height: "6" }],
    ["more than a part", 110, ["createMultipartUpload", "uploadPart", "uploadPart", "complete"], {}],
  ])("stores a JPEG whose metadata is %s", async (_name, segments, expected, customMetadata) => {
    const metadata = Uint8Array.from(segment(0xe1, new Array(65533).fill(0)));
    async function* source() {
      yield jpegOf();
      for (let count = 0; count < segments; count++) yield metadata;
      yield Uint8Array.of(...frame(5, 6), ...SCAN);
    }
    const { bucket, calls } = watched(env.IMAGES);
    const stored = await storeImage(bucket, source(), options("metadata"));
    expect(stored).toMatchObject({ kind: "stored", key: "metadata.jpg", width: 5, height: 6 });
    expect(calls).toEqual(expected);
    expect((await env.IMAGES.head("metadata.jpg"))?.customMetadata).toEqual(customMetadata);
  });

  it.each([1000, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES])(
    "accepts %i bytes and no more",
    async (bytesMax) => {
      const store = (bytes: number) =>
        storeImage(env.IMAGES, filled(png(1, 1), bytes), options("limit", bytesMax));
      expect(await store(bytesMax)).toMatchObject({ kind: "stored", bytes: bytesMax });
      await env.IMAGES.delete("limit.png");
      expect(await store(bytesMax + 1)).toEqual({ kind: "too_large" });
      expect(await env.IMAGES.head("limit.png")).toBeNull();
    },
  );

  it.each([1000, 2 * PART_BYTES + 1])("passes on the source's error after %i bytes", async (bytes) => {
    const { bucket, unfinished } = watched(env.IMAGES);
    const broken = new Error("the provider hung up");
    async function* source() {
      yield* filled(png(1, 1), bytes);
      throw broken;
    }
    await expect(storeImage(bucket, source(), options("broken"))).rejects.toBe(broken);
    expect([unfinished.size, await env.IMAGES.head("broken.png")]).toEqual([0, null]);
  });

  it.each(["put", "createMultipartUpload", "uploadPart", "complete"])(
    "retries %s from the buffer",
    async (call) => {
      const log = spyOnLog();
      const bytes = call === "put" ? 1000 : 3 * PART_BYTES;
      const { bucket, calls, unfinished } = watched(env.IMAGES, call, STORAGE_ATTEMPTS - 1);
      const stored = await storeImage(bucket, filled(png(1, 1), bytes), options(`again-${call}`));
      expect(stored).toMatchObject({ kind: "stored", bytes });
      expect(calls.filter((name) => name === call).length).toBeGreaterThanOrEqual(STORAGE_ATTEMPTS);
      expect(unfinished.size).toBe(0);
      const object = await env.IMAGES.get(`again-${call}.png`);
      expect(await digestOf(object?.body ?? [])).toBe(await digestOf(filled(png(1, 1), bytes)));
      // Other files of this Worker may log, too.
      const lines = log.mock.calls.filter(([line]) => line.includes(`"operation":"${call}"`));
      expect(lines).toHaveLength(STORAGE_ATTEMPTS - 1);
      await env.IMAGES.delete(`again-${call}.png`);
      log.mockRestore();
    },
  );

  it.each(["put", "createMultipartUpload", "uploadPart", "complete"])(
    "leaves nothing when every %s fails",
    async (call) => {
      const log = spyOnLog();
      const bytes = call === "put" ? 1000 : 3 * PART_BYTES;
      const { bucket, calls, unfinished } = watched(env.IMAGES, call, STORAGE_ATTEMPTS);
      const stored = storeImage(bucket, filled(png(1, 1), bytes), options("failed"));
      await expect(stored).rejects.toThrow(new StorageError(`R2 ${call} failed`));
      expect(calls.filter((name) => name === call)).toHaveLength(STORAGE_ATTEMPTS);
      expect([unfinished.size, await env.IMAGES.head("failed.png")]).toEqual([0, null]);
      log.mockRestore();
    },
  );

  it("accepts a completion whose response was lost", async () => {
    const { bucket, calls } = watched(env.IMAGES);
    const create = bucket.createMultipartUpload.bind(bucket);
    const losing = new Proxy(bucket, {
      get(target, name) {
        if (name !== "createMultipartUpload") return Reflect.get(target, name);
        return async (key: string, given?: R2MultipartOptions) => {
          const upload = await create(key, given);
          return {
            ...upload,
            async complete(parts: R2UploadedPart[]) {
              await upload.complete(parts);
              throw new Error("the answer was lost");
            },
          };
        };
      },
    });
    const stored = await storeImage(losing, filled(png(1, 1), 2 * PART_BYTES), options("done"));
    expect(stored).toMatchObject({ kind: "stored", key: "done.png" });
    expect(calls.filter((name) => name === "complete")).toHaveLength(1);
    expect(await env.IMAGES.head("done.png")).toMatchObject({ size: 2 * PART_BYTES });
  });

  it("returns the refusal, and logs, when the upload cannot be aborted", async () => {
    const log = spyOnLog();
    const { bucket } = watched(env.IMAGES, "abort");
    const stored = await storeImage(
      bucket,
      filled(png(1, 1), 3 * PART_BYTES),
      options("failed", 2 * PART_BYTES),
    );
    expect(stored).toEqual({ kind: "too_large" });
    expect(log).toHaveBeenCalledOnce();
    log.mockRestore();
  });
});
