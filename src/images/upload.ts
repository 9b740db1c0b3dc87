import { describe, log } from "../log.ts";
import { sleep } from "../time.ts";
import { type ImageHeader, ImageScanner } from "./format.ts";

export type StoreOptions = {
  /** Returns the key to store it under. Called once, when the format is known. */
  keyFor: (contentType: ImageHeader["contentType"]) => string;
  bytesMax: number;
  cacheControl?: string;
  /** Stored together with `width` and `height`. */
  customMetadata?: Record<string, string>;
};

export type StoreOutcome =
  | {
      kind: "stored";
      key: string;
      contentType: ImageHeader["contentType"];
      width: number;
      height: number;
      bytes: number;
    }
  | { kind: "not_an_image" }
  /** The image is cut off or damaged. */
  | { kind: "not_whole" }
  | { kind: "too_large" };

/** R2 failed {@link STORAGE_ATTEMPTS} times in a row. The source did not fail. */
export class StorageError extends Error {
  override readonly name = "StorageError";
}

/**
 * Writes one image of unknown length to R2 as it arrives, and buffers at most {@link PART_BYTES}. Uses one put up to
 * that size, and a multipart upload beyond it. Refuses anything but a complete PNG, JPEG or WebP of at most `bytesMax`,
 * and then cancels the source. Retries a failed R2 operation from the buffer. After a refusal or an error, nothing is
 * left in the bucket.
 * @throws {StorageError} when all attempts of an R2 operation fail; otherwise the error of the source
 */
export async function storeImage(
  bucket: R2Bucket,
  source: AsyncIterable<Uint8Array>,
  options: StoreOptions,
): Promise<StoreOutcome> {
  const upload = new ImageUpload(bucket, options);
  try {
    for await (const chunk of source) {
      const refusal = await upload.write(chunk);
      if (refusal !== null) {
        await upload.abort();
        return { kind: refusal };
      }
    }
    const outcome = await upload.finish();
    if (outcome.kind !== "stored") await upload.abort();
    return outcome;
  } catch (error) {
    await upload.abort();
    throw error;
  }
}

/** R2 accepts parts of at least 5 MiB, all of one size except the last. */
export const PART_BYTES = 5 * 1024 * 1024;
const BUFFER_BYTES_MIN = 64 * 1024;
/** How often an R2 operation is tried. */
export const STORAGE_ATTEMPTS = 3;
/** The wait before the second attempt. Doubles with each further one. */
const STORAGE_AGAIN_MS = 300;

type Refusal = Exclude<StoreOutcome["kind"], "stored">;

class ImageUpload {
  readonly #bucket: R2Bucket;
  readonly #options: StoreOptions;
  readonly #scanner = new ImageScanner();
  readonly #parts: R2UploadedPart[] = [];
  #buffer = new Uint8Array(BUFFER_BYTES_MIN);
  #buffered = 0;
  #bytes = 0;
  #key: string | null = null;
  #multipart: R2MultipartUpload | null = null;
  /** The object's key, once the write that completes it has started. */
  #lastWriteOf: string | null = null;

  constructor(bucket: R2Bucket, options: StoreOptions) {
    this.#bucket = bucket;
    this.#options = options;
  }

  async write(chunk: Uint8Array): Promise<Refusal | null> {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#options.bytesMax) return "too_large";
    if (this.#scanner.write(chunk) === "invalid") return this.#refusal();
    for (let offset = 0; offset < chunk.length; ) {
      // A full buffer is sent only when more follows, so that exactly one part's worth is still a single put.
      if (this.#buffered === PART_BYTES) await this.#sendPart();
      offset += this.#take(chunk.subarray(offset));
    }
    return null;
  }

  async finish(): Promise<StoreOutcome> {
    const { header, complete } = this.#scanner;
    if (header === null || !complete) return { kind: this.#refusal() };
    const key = this.#keyOf(header.contentType);
    const multipart = this.#multipart;
    if (multipart === null) {
      this.#lastWriteOf = key;
      const content = this.#buffer.subarray(0, this.#buffered);
      await persist("put", () => this.#bucket.put(key, content, this.#objectOptions(header.contentType)));
    } else {
      await this.#sendPart();
      this.#lastWriteOf = key;
      await persist("complete", () => this.#complete(multipart, key));
    }
    return { kind: "stored", key, ...header, bytes: this.#bytes };
  }

  /** Never throws, so that the caller can report its own error. */
  async abort(): Promise<void> {
    const multipart = this.#multipart;
    // R2 deletes an unfinished upload after seven days.
    if (multipart !== null) await attempt("upload_abort_failed", () => multipart.abort());
    const key = this.#lastWriteOf;
    // A failed write may have succeeded, with only its response lost. Nothing would ever name that object.
    if (key !== null) await attempt("upload_remove_failed", () => this.#bucket.delete(key));
  }

  #refusal(): Refusal {
    return this.#scanner.contentType === null ? "not_an_image" : "not_whole";
  }

  #keyOf(contentType: ImageHeader["contentType"]): string {
    this.#key ??= this.#options.keyFor(contentType);
    return this.#key;
  }

  /**
   * Copies bytes that fit into the part. The buffer grows by doubling, because most images are far smaller than a part.
   */
  #take(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, PART_BYTES - this.#buffered);
    const needed = this.#buffered + taken;
    if (needed > this.#buffer.length) {
      const grown = new Uint8Array(Math.min(PART_BYTES, Math.max(needed, 2 * this.#buffer.length)));
      grown.set(this.#buffer.subarray(0, this.#buffered));
      this.#buffer = grown;
    }
    this.#buffer.set(bytes.subarray(0, taken), this.#buffered);
    this.#buffered = needed;
    return taken;
  }

  async #sendPart(): Promise<void> {
    const { contentType } = this.#scanner;
    if (contentType === null) throw new Error("A part must not be sent before the image's format is known.");
    const key = this.#keyOf(contentType);
    this.#multipart ??= await persist("createMultipartUpload", () =>
      this.#bucket.createMultipartUpload(key, this.#objectOptions(contentType)),
    );
    const multipart = this.#multipart;
    const part = this.#buffer.subarray(0, this.#buffered);
    const number = this.#parts.length + 1;
    this.#parts.push(await persist("uploadPart", () => multipart.uploadPart(number, part)));
    this.#buffered = 0;
  }

  /** A completion whose response was lost cannot be repeated: the upload is gone, and the object exists. */
  async #complete(multipart: R2MultipartUpload, key: string): Promise<void> {
    try {
      await multipart.complete(this.#parts);
    } catch (error) {
      const object = await this.#bucket.head(key);
      if (object?.size !== this.#bytes) throw error;
    }
  }

  /** A JPEG whose metadata fills the first part is stored without width and height: its header has not arrived. */
  #objectOptions(contentType: ImageHeader["contentType"]) {
    const { cacheControl, customMetadata } = this.#options;
    const { header } = this.#scanner;
    const size = header === null ? {} : { width: String(header.width), height: String(header.height) };
    return {
      httpMetadata: { contentType, ...(cacheControl === undefined ? {} : { cacheControl }) },
      customMetadata: { ...customMetadata, ...size },
    };
  }
}

/** Retries an R2 operation that is safe to repeat. @throws {StorageError} after the last attempt */
async function persist<T>(operation: string, work: () => Promise<T>): Promise<T> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await work();
    } catch (error) {
      log("storage_failed", { operation, attempts, error: describe(error) });
      if (attempts === STORAGE_ATTEMPTS) throw new StorageError(`R2 ${operation} failed`, { cause: error });
      await sleep(STORAGE_AGAIN_MS * 2 ** (attempts - 1));
    }
  }
}

async function attempt(event: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log(event, { error: describe(error) });
  }
}
