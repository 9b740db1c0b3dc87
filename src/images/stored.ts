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

/** What runs have stored whole for a generation, in the order in which it came. */
export async function storedImages(bucket: R2Bucket, generationId: string): Promise<StoredImage[]> {
  const { objects } = await bucket.list({
    prefix: `${generationId}/`,
    limit: LISTED_MAX,
    include: ["httpMetadata", "customMetadata"],
  });
  // Ids of images begin with their time, and R2 lists in the order of keys.
  return objects.map((object) => ({
    id: object.key.slice(generationId.length + 1).replace(/\.\w+$/, ""),
    key: object.key,
    contentType: object.httpMetadata?.contentType ?? "application/octet-stream",
    width: Number(object.customMetadata?.["width"]),
    height: Number(object.customMetadata?.["height"]),
    bytes: object.size,
    createdAt: object.uploaded.getTime(),
  }));
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
