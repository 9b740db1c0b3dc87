import type { ImageHeader } from "../images/format.ts";
import { referenceKey, removeReferences } from "../images/references.ts";
import { storeImage } from "../images/sink.ts";
import { describe, log } from "../log.ts";
import {
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

/**
 * Reads a form and stores its reference images under the generation's id, in the order in which they came. When the
 * form is refused, or this throws, what was stored has been removed again.
 * @throws when R2 fails.
 */
export async function receiveReferences(
  request: Request,
  bucket: R2Bucket,
  generationId: string,
  filesMax: number,
  limits: Omit<MultipartLimits, "filesMax"> = MULTIPART_LIMITS,
): Promise<ReceivedReferences> {
  const references: StoredReference[] = [];
  const store = async ({ position, content }: UploadedFile): Promise<FileRefusal | null> => {
    const { fileBytesMax: bytesMax } = limits;
    const key = referenceKey(generationId, position);
    const outcome = await storeImage(bucket, content, { keyFor: () => key, bytesMax });
    if (outcome.kind === "not_an_image") return "is not a PNG, JPEG or WebP image.";
    if (outcome.kind === "too_large") return `is larger than ${bytesMax / (1024 * 1024)} MB.`;
    const { kind: _, ...reference } = outcome;
    references.push(reference);
    return null;
  };
  try {
    const form = await readMultipart(request, { ...limits, filesMax }, store);
    if (form.kind === "form") return { ...form, references };
    await discard(bucket, references);
    return form;
  } catch (error) {
    await discard(bucket, references);
    throw error;
  }
}

/** Never throws: the outcome that led here is the one to tell, and the bucket's lifecycle rule removes the rest. */
async function discard(bucket: R2Bucket, references: readonly StoredReference[]): Promise<void> {
  try {
    await removeReferences(bucket, references);
  } catch (error) {
    log("discard_failed", { error: describe(error) });
  }
}
