import { ImageScanner } from "./format.ts";

/** One picture of a generation. */
export type StoredImage = {
  id: string;
  /** Where it lies in the images bucket, and in its URL. */
  key: string;
  contentType: string;
  width: number;
  height: number;
  bytes: number;
  createdAt: number;
};

/** R2 lists and deletes at most this many at once: far more than a generation's runs can have stored. */
const LISTED_MAX = 1_000;

/**
 * What runs have stored whole for a generation, in the order in which it came.
 * @throws when R2 fails, or an object in it is no image
 */
export async function storedImages(bucket: R2Bucket, generationId: string): Promise<StoredImage[]> {
  const { objects } = await bucket.list({
    prefix: `${generationId}/`,
    limit: LISTED_MAX,
    include: ["httpMetadata", "customMetadata"],
  });
  // Ids of images begin with their time, and R2 lists in the order of keys.
  const images: StoredImage[] = [];
  for (const object of objects) {
    images.push({
      id: object.key.slice(generationId.length + 1).replace(/\.\w+$/, ""),
      key: object.key,
      contentType: object.httpMetadata?.contentType ?? "application/octet-stream",
      ...(await sizeOf(bucket, object)),
      bytes: object.size,
      createdAt: object.uploaded.getTime(),
    });
  }
  return images;
}

/** Width and height as they were stored with the object; read from the image where they could not be. */
async function sizeOf(bucket: R2Bucket, object: R2Object): Promise<{ width: number; height: number }> {
  const { width, height } = object.customMetadata ?? {};
  if (width !== undefined && height !== undefined) return { width: Number(width), height: Number(height) };
  const scanner = new ImageScanner();
  const stored = await bucket.get(object.key);
  for await (const chunk of stored?.body ?? []) {
    if (scanner.write(chunk) === "invalid" || scanner.header !== null) break;
  }
  if (scanner.header === null) throw new Error(`The stored object ${object.key} is no image.`);
  return { width: scanner.header.width, height: scanner.header.height };
}

/** Removes the stored images of a generation that are not among these. */
export async function removeImagesExcept(
  bucket: R2Bucket,
  generationId: string,
  keys: readonly string[],
): Promise<void> {
  const { objects } = await bucket.list({ prefix: `${generationId}/`, limit: LISTED_MAX });
  const orphans = objects.map((object) => object.key).filter((key) => !keys.includes(key));
  if (orphans.length > 0) await bucket.delete(orphans);
}
