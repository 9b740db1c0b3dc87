import { createHash, type Hash } from "node:crypto";
import type { ImageHeader } from "../images/format.ts";
import { referenceKey, removeReferences } from "../images/references.ts";
import { storeImage } from "../images/upload.ts";
import { describe, log } from "../log.ts";
import { readJsonWithDataUrls } from "./dataUrls.ts";
import {
  type FileFields,
  type FileHandler,
  type FileRefusal,
  MULTIPART_LIMITS,
  type MultipartLimits,
  type MultipartRefusal,
  readMultipart,
  type UploadedFile,
} from "./multipart.ts";

export type StoredReference = {
  key: string;
  contentType: ImageHeader["contentType"];
  bytes: number;
  width: number;
  height: number;
  /** Of the content, hex: what tells whether a repeated request is the same. */
  sha256: string;
};

export type ReceivedReferences =
  | { kind: "form"; fields: Map<string, string>; references: StoredReference[] }
  | MultipartRefusal;

type ReceivedJson = { kind: "json"; value: unknown; references: StoredReference[] } | MultipartRefusal;

/**
 * Reads a form and stores its reference images under the upload's id, in the order in which they came. When the
 * form is refused, or this throws, what was stored has been removed again.
 * @throws when R2 fails.
 */
export async function receiveReferences(
  request: Request,
  bucket: R2Bucket,
  uploadId: string,
  filesMax: number,
  limits: Omit<MultipartLimits, "filesMax"> = MULTIPART_LIMITS,
  files?: FileFields,
): Promise<ReceivedReferences> {
  return await storing(bucket, uploadId, limits.fileBytesMax, (store) =>
    readMultipart(request, { ...limits, filesMax }, store, files),
  );
}

/** The same for a JSON body with data URLs, which {@link readJsonWithDataUrls} replaces by their positions. */
export async function receiveDataUrls(
  request: Request,
  bucket: R2Bucket,
  uploadId: string,
  filesMax: number,
  limits: Omit<MultipartLimits, "filesMax"> = MULTIPART_LIMITS,
): Promise<ReceivedJson> {
  return await storing(bucket, uploadId, limits.fileBytesMax, (store) =>
    readJsonWithDataUrls(request, { ...limits, filesMax }, store),
  );
}

async function storing<Read extends { kind: string }>(
  bucket: R2Bucket,
  uploadId: string,
  bytesMax: number,
  read: (store: FileHandler) => Promise<Read | MultipartRefusal>,
): Promise<(Read & { references: StoredReference[] }) | MultipartRefusal> {
  const references: StoredReference[] = [];
  const store = async ({ position, content }: UploadedFile): Promise<FileRefusal | null> => {
    const key = referenceKey(uploadId, position);
    const hash = createHash("sha256");
    const outcome = await storeImage(bucket, hashed(content, hash), { keyFor: () => key, bytesMax });
    switch (outcome.kind) {
      case "not_an_image":
        return "is not a PNG, JPEG or WebP image.";
      case "not_whole":
        return "is cut off or damaged: it is not a whole PNG, JPEG or WebP image.";
      case "too_large":
        return `is larger than ${bytesMax / (1024 * 1024)} MB.`;
      case "stored":
        break;
    }
    const { kind: _, ...reference } = outcome;
    references.push({ ...reference, sha256: hash.digest("hex") });
    return null;
  };
  try {
    const body = await read(store);
    if (!isRefusal(body)) return { ...body, references };
    await discard(bucket, references);
    return body;
  } catch (error) {
    await discard(bucket, references);
    throw error;
  }
}

async function* hashed(content: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of content) {
    hash.update(chunk);
    yield chunk;
  }
}

export function isRefusal(body: { kind: string }): body is MultipartRefusal {
  return body.kind === "refused";
}

/** Never throws: the outcome that led here is the one to tell, and the bucket's lifecycle rule removes the rest. */
async function discard(bucket: R2Bucket, references: readonly StoredReference[]): Promise<void> {
  try {
    await removeReferences(bucket, references);
  } catch (error) {
    log("discard_failed", { error: describe(error) });
  }
}
