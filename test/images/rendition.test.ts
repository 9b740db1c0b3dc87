import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { crc32, deflateSync } from "node:zlib";
import { afterEach, describe, expect, it, vi } from "vitest";
import { newId } from "../../src/id.ts";
import { makeRendition } from "../../src/images/rendition.ts";
import { removeImagesExcept, storedImages } from "../../src/images/stored.ts";
import worker from "../../src/index.ts";

/** The platform's transformations run here in their local form. */

function chunk(type: string, data: Buffer): Buffer {
  const content = Buffer.concat([Buffer.from(type), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(content));
  return Buffer.concat([length, content, checksum]);
}

/** A PNG that can be decoded, in one grey. */
function greyPng(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 0, 0, 0, 0], 8);
  const row = Buffer.alloc(width + 1, 0x40).fill(0, 0, 1);
  const pixels = deflateSync(Buffer.concat(Array.from({ length: height }, () => row)));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", pixels),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

async function storePng(width: number, height: number) {
  const id = newId("gen");
  const key = `${id}/${newId("img")}.png`;
  const bytes = greyPng(width, height);
  await env.IMAGES.put(key, bytes, {
    httpMetadata: { contentType: "image/png" },
    customMetadata: { width: String(width), height: String(height) },
  });
  return { id, key };
}

async function get(path: string, settings: object = {}) {
  const request = new Request(`https://hub.test/images/${path}`, { redirect: "manual" });
  return await worker.fetch(request, { ...env, ...settings }, createExecutionContext());
}

/** The size of a stored image, read by the platform. */
async function sizeOf(key: string) {
  const object = await env.IMAGES.get(key);
  if (object === null) return null;
  const info = await env.TRANSFORM.info(object.body);
  return "width" in info ? [info.format, info.width, info.height] : null;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a rendition of an image", () => {
  it.each([
    [1600, 800, 640, [640, 320]],
    [800, 1600, 640, [320, 640]],
    [1600, 800, 1280, [1280, 640]],
    [641, 10, 640, [640, 10]],
    [640, 10, 640, [640, 10]],
    [64, 32, 640, [64, 32]],
  ])("of %d × %d with an edge of %d has %j pixels", async (width, height, edge, size) => {
    const { key } = await storePng(width, height);
    const response = await get(`${key}.${edge}.webp`);
    await response.bytes();
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "image/webp"]);
    expect(response.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect(await sizeOf(`${key}.${edge}.webp`)).toEqual(["image/webp", ...size]);
  });

  it("is made once", async () => {
    const { key } = await storePng(700, 700);
    const etags = [];
    for (const _ of [1, 2]) {
      const response = await get(`${key}.640.webp`, etags.length === 0 ? {} : { TRANSFORM: undefined });
      await response.bytes();
      etags.push([response.status, response.headers.get("etag")]);
    }
    expect(etags[1]).toEqual(etags[0]);
    expect(etags[0]).toEqual([200, expect.stringMatching(/^".+"$/)]);
  });

  it("is the whole image where there are no transformations, or when they fail", async () => {
    const { key } = await storePng(700, 700);
    const failing = {
      input: () => {
        throw new Error("too many transformations");
      },
    };
    for (const TRANSFORM of [undefined, failing]) {
      const response = await get(`${key}.640.webp`, { TRANSFORM });
      expect([response.status, response.headers.get("location")]).toEqual([302, `/images/${key}`]);
    }
    expect(await env.IMAGES.head(`${key}.640.webp`)).toBeNull();
  });

  it.each(["641.webp", "0640.webp", "640.png", "640.webp.640.webp", "1280"])(
    "does not exist as %s",
    async (end) => {
      const { key } = await storePng(700, 700);
      expect((await get(`${key}.${end}`)).status).toBe(404);
    },
  );

  it("does not exist without its image", async () => {
    const missing = `${newId("gen")}/${newId("img")}.png.640.webp`;
    for (const TRANSFORM of [env.TRANSFORM, undefined])
      expect((await get(missing, { TRANSFORM })).status).toBe(404);
  });

  it("is removed when its image was deleted meanwhile", async () => {
    const { key } = await storePng(700, 700);
    const head = vi.spyOn(env.IMAGES, "head").mockResolvedValue(null);
    expect(await makeRendition(env.IMAGES, env.TRANSFORM, `${key}.640.webp`)).toBe("unknown");
    expect(head).toHaveBeenCalledWith(key);
    head.mockRestore();
    expect(await env.IMAGES.head(`${key}.640.webp`)).toBeNull();
  });

  it("counts as no image of a run, stays with its image, and goes with it", async () => {
    const { id, key } = await storePng(700, 700);
    const rendition = `${key}.640.webp`;
    await (await get(rendition)).bytes();
    expect((await storedImages(env.IMAGES, id)).map((image) => image.key)).toEqual([key]);
    await removeImagesExcept(env.IMAGES, id, [key]);
    expect(await env.IMAGES.head(rendition)).not.toBeNull();
    await removeImagesExcept(env.IMAGES, id, []);
    expect([await env.IMAGES.head(key), await env.IMAGES.head(rendition)]).toEqual([null, null]);
  });
});
