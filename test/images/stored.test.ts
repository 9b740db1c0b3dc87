import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { newId } from "../../src/id.ts";
import { removeImagesExcept, storedImages } from "../../src/images/stored.ts";
import { storeImage } from "../../src/images/upload.ts";
import { filled, frame, jpeg, jpegOf, png, SCAN, segment, watched } from "./samples.ts";

async function store(generationId: string, name: string, bytes: Uint8Array) {
  const key = `${generationId}/${name}`;
  const outcome = await storeImage(env.IMAGES, new Blob([bytes]).stream(), {
    keyFor: () => key,
    bytesMax: 1_000,
  });
  expect(outcome.kind).toBe("stored");
  return key;
}

it("lists complete images, in the order of ids, of one generation only", async () => {
  const [id, other] = [newId("gen"), newId("gen")];
  await store(id, "img_2.jpg", jpeg(frame(5, 6)));
  await store(id, "img_1.png", png(3, 4));
  await store(other, "img_0.png", png(1, 1));
  await env.IMAGES.createMultipartUpload(`${id}/img_3.png`);
  const images = await storedImages(env.IMAGES, id);
  expect(images).toMatchObject([
    {
      id: "img_1",
      key: `${id}/img_1.png`,
      contentType: "image/png",
      width: 3,
      height: 4,
      bytes: png(3, 4).length,
    },
    { id: "img_2", key: `${id}/img_2.jpg`, contentType: "image/jpeg", width: 5, height: 6 },
  ]);
  for (const { createdAt } of images) expect(Math.abs(Date.now() - createdAt)).toBeLessThan(60_000);
  expect(await storedImages(env.IMAGES, newId("gen"))).toEqual([]);
});

it("returns the same fields for a large image, stored in parts, as for a small one", async () => {
  const id = newId("gen");
  const bytes = 6 * 1024 * 1024;
  await storeImage(env.IMAGES, filled(png(7, 8), bytes), {
    keyFor: () => `${id}/img_1.png`,
    bytesMax: bytes,
  });
  expect(await storedImages(env.IMAGES, id)).toMatchObject([
    { contentType: "image/png", width: 7, height: 8, bytes },
  ]);
});

it("reads the size of an image that was stored without it", async () => {
  const id = newId("gen");
  const metadata = segment(
    0xe1,
    Array.from({ length: 60_000 }, () => 0),
  );
  await env.IMAGES.put(`${id}/img_1.jpg`, jpegOf(...Array(9).fill(metadata), frame(5, 6), SCAN));
  expect(await storedImages(env.IMAGES, id)).toMatchObject([{ id: "img_1", width: 5, height: 6 }]);
});

it.each([
  ["those not named", ["img_1.png"], ["img_1.png"], ["list", "delete"]],
  ["all when none is named", [], [], ["list", "delete"]],
  ["nothing when all are named", ["img_1.png", "img_2.png"], ["img_1.png", "img_2.png"], ["list"]],
])("removes %s", async (_, named, left, asked) => {
  const [id, other] = [newId("gen"), newId("gen")];
  for (const name of ["img_1.png", "img_2.png"]) await store(id, name, png(1, 1));
  await store(other, "img_1.png", png(1, 1));
  const { bucket, calls } = watched(env.IMAGES);
  await removeImagesExcept(
    bucket,
    id,
    named.map((name) => `${id}/${name}`),
  );
  expect(calls).toEqual(asked);
  expect((await storedImages(env.IMAGES, id)).map(({ key }) => key)).toEqual(
    left.map((name) => `${id}/${name}`),
  );
  expect(await storedImages(env.IMAGES, other)).toHaveLength(1);
});
