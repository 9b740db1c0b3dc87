import { ImageScanner } from "./format.ts";
import { parseImageKey } from "./keys.ts";

/** One stored image of a generation. */
export type StoredImage = {
  id: string;
  /** The key in the images bucket, which is also the path of its URL. */
  key: string;
  contentType: string;
  width: number;
  height: number;
  bytes: number;
  createdAt: number;
};

/** The most objects that R2 lists and deletes at once: far more than the runs of a generation can store. */
const LISTED_MAX = 1_000;

/**
 * The images that runs have stored for a generation, oldest first.
 * @throws when R2 fails, or when a stored object is not an image
 */
export async function storedImages(bucket: R2Bucket, generationId: string): Promise<StoredImage[]> {
  const { objects } = await bucket.list({
    prefix: `${generationId}/`,
    limit: LISTED_MAX,
    include: ["httpMetadata", "customMetadata"],
  });
  // Image ids begin with their time, and R2 lists in the order of keys.
  const images: StoredImage[] = [];
  for (const object of objects) {
    if (parseImageKey(object.key)?.edge) continue;
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

/** Width and height from the object's metadata, or from the image if the metadata lacks them. */
async function sizeOf(bucket: R2Bucket, object: R2Object): Promise<{ width: number; height: number }> {
  const { width, height } = object.customMetadata ?? {};
  if (width !== undefined && height !== undefined) return { width: Number(width), height: Number(height) };
  const scanner = new ImageScanner();
  const stored = await bucket.get(object.key);
  for await (const chunk of stored?.body ?? []) {
    if (scanner.write(chunk) === "invalid" || scanner.header !== null) break;
  }
  if (scanner.header === null) throw new Error(`The stored object ${object.key} is not an image.`);
  return { width: scanner.header.width, height: scanner.header.height };
}

/** Deletes the stored images of a generation, and their renditions, except these. */
export async function removeImagesExcept(
  bucket: R2Bucket,
  generationId: string,
  keys: readonly string[],
): Promise<void> {
  const { objects } = await bucket.list({ prefix: `${generationId}/`, limit: LISTED_MAX });
  // The key of a rendition begins with that of its image.
  const isKept = (key: string) => keys.some((kept) => key.startsWith(kept));
  const orphans = objects.map((object) => object.key).filter((key) => !isKept(key));
  if (orphans.length > 0) await bucket.delete(orphans);
}
