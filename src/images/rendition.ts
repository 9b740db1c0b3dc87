import { describe, log } from "../log.ts";
import { parseImageKey } from "./keys.ts";
import { storeImage } from "./upload.ts";

/** Smaller copies of stored images, as WebP. Each is made when it is first requested, and stored beside its image. */

const QUALITY = 80;
/** More than any WebP of this size: one of noise has about 2 MB. */
const RENDITION_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Makes and stores a rendition. Images that are smaller keep their size.
 * @param transform the platform's image transformations; undefined where they are not bound
 * @param key of the rendition
 * @returns `unknown` when there is no such image, `unavailable` when the image can be shown only as it is
 */
export async function makeRendition(
  bucket: R2Bucket,
  transform: ImagesBinding | undefined,
  key: string,
): Promise<"made" | "unknown" | "unavailable"> {
  const { imageKey = "", edge = null } = parseImageKey(key) ?? {};
  if (edge === null) return "unknown";
  if (transform === undefined) return (await bucket.head(imageKey)) === null ? "unknown" : "unavailable";
  const image = await bucket.get(imageKey);
  if (image === null) return "unknown";
  try {
    const result = await transform
      .input(image.body)
      .transform({ width: edge, height: edge, fit: "scale-down" })
      .output({ format: "image/webp", quality: QUALITY });
    const stored = await storeImage(bucket, result.image(), {
      keyFor: () => key,
      bytesMax: RENDITION_BYTES_MAX,
    });
    if (stored.kind !== "stored") return "unavailable";
  } catch (error) {
    log("rendition_failed", { key, error: describe(error) });
    return "unavailable";
  }
  // The image may have been deleted meanwhile.
  if ((await bucket.head(imageKey)) !== null) return "made";
  await bucket.delete(key);
  return "unknown";
}
