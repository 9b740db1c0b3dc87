import type { Config } from "../config.ts";
import { invalidReference } from "../generations/references.ts";
import { referenceKey } from "../images/references.ts";
import { mayCallInsecureUrls } from "../origin.ts";
import { type ReferenceEntry, type ReferenceNames, readEntries } from "../references/entries.ts";
import { discardReferences, type StoredReference, storeReference, tooLarge } from "../references/store.ts";
import { readJsonWithDataUrls } from "./dataUrls.ts";
import { ApiError, invalidRequest } from "./errors.ts";
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

/**
 * The same for a JSON body with data URLs, which {@link readJsonWithDataUrls} replaces by placeholders.
 * @param admit called before the first image is stored; what it throws ends the reading
 */
export async function receiveDataUrls(
  request: Request,
  bucket: R2Bucket,
  uploadId: string,
  filesMax: number,
  names: ReferenceNames,
  admit: () => Promise<void> = async () => {},
): Promise<ReceivedJson> {
  const limits = { ...MULTIPART_LIMITS, filesMax };
  return await storing(bucket, uploadId, limits.fileBytesMax, (store) => {
    let isFirst = true;
    const onFile: FileHandler = async (file) => {
      if (isFirst) await admit();
      isFirst = false;
      return await store(file);
    };
    return readJsonWithDataUrls(request, limits, onFile, names);
  });
}

/**
 * The same without storing anything: each image is only counted. Its content is not looked at.
 * @returns stand-ins for the references that {@link receiveDataUrls} would have stored
 */
export async function countDataUrls(
  request: Request,
  filesMax: number,
  names: ReferenceNames,
): Promise<ReceivedJson> {
  const references: StoredReference[] = [];
  const count = async ({ content }: UploadedFile): Promise<FileRefusal | null> => {
    let bytes = 0;
    for await (const chunk of content) {
      bytes += chunk.length;
      if (bytes > MULTIPART_LIMITS.fileBytesMax) return `${tooLarge(MULTIPART_LIMITS.fileBytesMax)}.`;
    }
    references.push({ key: "", contentType: "image/png", bytes, width: 0, height: 0, sha256: "" });
    return null;
  };
  const body = await readJsonWithDataUrls(request, { ...MULTIPART_LIMITS, filesMax }, count, names);
  return isRefusal(body) ? body : { ...body, references };
}

async function storing<Read extends { kind: string }>(
  bucket: R2Bucket,
  uploadId: string,
  bytesMax: number,
  read: (store: FileHandler) => Promise<Read | MultipartRefusal>,
): Promise<(Read & { references: StoredReference[] }) | MultipartRefusal> {
  const references: StoredReference[] = [];
  const store = async ({ position, content }: UploadedFile): Promise<FileRefusal | null> => {
    const outcome = await storeReference(bucket, referenceKey(uploadId, position), content, bytesMax);
    if (outcome.kind === "refused") return `${outcome.reason}.`;
    references.push(outcome.reference);
    return null;
  };
  try {
    const body = await read(store);
    if (!isRefusal(body)) return { ...body, references };
    await discardReferences(bucket, references);
    return body;
  } catch (error) {
    await discardReferences(bucket, references);
    throw error;
  }
}

function isRefusal(body: { kind: string }): body is MultipartRefusal {
  return body.kind === "refused";
}

/** The body that was read. @throws {ApiError} when it was refused */
export function accepted<Body extends { kind: string }>(body: Body | MultipartRefusal): Body {
  if (isRefusal(body)) throw new ApiError(body.code, body.message, { param: body.param });
  return body;
}

export function asEntry(reference: StoredReference): ReferenceEntry {
  return { kind: "stored", reference };
}

/**
 * The entries of a list in a JSON body.
 * @param stored the data URLs of the body
 * @throws {ApiError} 400 that names the entry that cannot be used
 */
export function listedReferences(
  list: readonly unknown[],
  stored: readonly StoredReference[],
  names: ReferenceNames,
  config: Config,
): ReferenceEntry[] {
  const read = readEntries(list, stored, mayCallInsecureUrls(config));
  if (read.kind === "entries") return read.entries;
  const { message, param } = invalidReference(read, names);
  throw invalidRequest(message, param);
}
