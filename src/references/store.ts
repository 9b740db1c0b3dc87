import { createHash, type Hash } from "node:crypto";
import type { ImageHeader } from "../images/format.ts";
import { removeReferences } from "../images/references.ts";
import { storeImage } from "../images/upload.ts";
import { describe, log } from "../log.ts";

/** The most bytes of one reference: 50 MB, in the API's terms. */
export const REFERENCE_BYTES_MAX = 50 * 1024 * 1024;

/** A reference image in the private bucket. */
export type StoredReference = {
  key: string;
  contentType: ImageHeader["contentType"];
  bytes: number;
  width: number;
  height: number;
  /** Of the content, hex. */
  sha256: string;
};

/** `reason` is the rest of a sentence that begins with the name of the reference: `is larger than 50 MB`. */
export type ReferenceRefusal = { kind: "refused"; reason: string };

export type ReferenceOutcome = { kind: "stored"; reference: StoredReference } | ReferenceRefusal;

/**
 * Streams a reference image into the bucket and hashes its content on the way.
 * @throws what the content throws, and StorageError when R2 fails; nothing is left in the bucket then
 */
export async function storeReference(
  bucket: R2Bucket,
  key: string,
  content: AsyncIterable<Uint8Array>,
  bytesMax: number = REFERENCE_BYTES_MAX,
): Promise<ReferenceOutcome> {
  const hash = createHash("sha256");
  const outcome = await storeImage(bucket, hashed(content, hash), { keyFor: () => key, bytesMax });
  switch (outcome.kind) {
    case "not_an_image":
      return refused("is not a PNG, JPEG or WebP image");
    case "not_whole":
      return refused("is cut off or damaged: it is not a whole PNG, JPEG or WebP image");
    case "too_large":
      return refused(tooLarge(bytesMax));
    case "stored": {
      const { kind, ...stored } = outcome;
      return { kind, reference: { ...stored, sha256: hash.digest("hex") } };
    }
  }
}

/** Never throws: the caller reports the outcome that led here, and the bucket's lifecycle rule removes the rest. */
export async function discardReferences(
  bucket: R2Bucket,
  references: readonly { key: string }[],
): Promise<void> {
  try {
    await removeReferences(bucket, references);
  } catch (error) {
    log("discard_failed", { error: describe(error) });
  }
}

export function refused(reason: string): ReferenceRefusal {
  return { kind: "refused", reason };
}

export function tooLarge(bytesMax: number): string {
  return `is larger than ${bytesMax / (1024 * 1024)} MB`;
}

async function* hashed(content: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of content) {
    hash.update(chunk);
    yield chunk;
  }
}
