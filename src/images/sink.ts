import { describe, log } from "../log.ts";
import { IMAGE_HEADER_BYTES_MAX, type ImageHeader, inspectImageStart } from "./format.ts";

export type StoreOptions = {
  /** Where to store it; asked once, when the first bytes have told what it is. */
  keyFor: (header: ImageHeader) => string;
  bytesMax: number;
  cacheControl?: string;
  /** Kept beside `width` and `height`. */
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
  | { kind: "too_large" };

/**
 * Writes one image of unknown length to R2 as it arrives, holding at most {@link PART_BYTES} of it. Up to that size it
 * is one put, beyond it a multipart upload. Refuses what is no PNG, JPEG or WebP and what is over `bytesMax`, within
 * twice the bytes that show it, and then cancels the source. On a refusal or an error nothing is left in the bucket.
 * @throws whatever the source or R2 throws.
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
    return await upload.finish();
  } catch (error) {
    await upload.abort();
    throw error;
  }
}

/** R2 takes parts of at least 5 MiB, all equal but the last. */
export const PART_BYTES = 5 * 1024 * 1024;
const BUFFER_BYTES_MIN = 64 * 1024;

class ImageUpload {
  readonly #bucket: R2Bucket;
  readonly #options: StoreOptions;
  readonly #parts: R2UploadedPart[] = [];
  #buffer = new Uint8Array(BUFFER_BYTES_MIN);
  #buffered = 0;
  #bytes = 0;
  #header: ImageHeader | null = null;
  /** How many bytes are worth a further look for the header: a long beginning is not walked again for each chunk. */
  #lookAgainAt = 1;
  #multipart: R2MultipartUpload | null = null;
  /** The object's key, once the write is under way that makes it whole. */
  #lastWriteOf: string | null = null;

  constructor(bucket: R2Bucket, options: StoreOptions) {
    this.#bucket = bucket;
    this.#options = options;
  }

  async write(chunk: Uint8Array): Promise<"not_an_image" | "too_large" | null> {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#options.bytesMax) return "too_large";
    for (let offset = 0; offset < chunk.length; ) {
      // A full buffer is sent only when more follows, so that exactly one part's worth is still a single put.
      if (this.#buffered === PART_BYTES) await this.#sendPart();
      const taken = this.#take(chunk.subarray(offset));
      offset += taken;
      const worthALook = this.#buffered >= Math.min(this.#lookAgainAt, IMAGE_HEADER_BYTES_MAX);
      if (this.#header === null && worthALook && !this.#tellHeader()) return "not_an_image";
    }
    return null;
  }

  async finish(): Promise<StoreOutcome> {
    if (this.#header === null) this.#tellHeader();
    const header = this.#header;
    if (header === null) return { kind: "not_an_image" };
    const key = this.#options.keyFor(header);
    if (this.#multipart === null) {
      this.#lastWriteOf = key;
      await this.#bucket.put(key, this.#buffer.subarray(0, this.#buffered), this.#objectOptions(header));
    } else {
      await this.#sendPart();
      this.#lastWriteOf = key;
      await this.#multipart.complete(this.#parts);
    }
    return { kind: "stored", key, ...header, bytes: this.#bytes };
  }

  /** Never throws: the caller has something more important to tell. */
  async abort(): Promise<void> {
    const multipart = this.#multipart;
    // R2 drops an unfinished upload after seven days.
    if (multipart !== null) await attempt("upload_abort_failed", () => multipart.abort());
    const key = this.#lastWriteOf;
    // A write that failed may have been done, and only its answer lost: then nobody would ever name the object.
    if (key !== null) await attempt("upload_remove_failed", () => this.#bucket.delete(key));
  }

  /** False when the bytes so far cannot become an image that we take. */
  #tellHeader(): boolean {
    const told = inspectImageStart(this.#buffer.subarray(0, this.#buffered));
    this.#lookAgainAt = 2 * this.#buffered;
    if (told === "incomplete") return this.#buffered < IMAGE_HEADER_BYTES_MAX;
    this.#header = told;
    return told !== null;
  }

  /** Copies what fits into the part, growing the buffer by doubling: most images are far smaller than a part. */
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
    // The header is known by now: it is refused above once a whole part does not hold it.
    if (this.#header === null) throw new Error("A part is sent before the image's header is known.");
    this.#multipart ??= await this.#bucket.createMultipartUpload(
      this.#options.keyFor(this.#header),
      this.#objectOptions(this.#header),
    );
    const part = this.#buffer.subarray(0, this.#buffered);
    this.#parts.push(await this.#multipart.uploadPart(this.#parts.length + 1, part));
    this.#buffered = 0;
  }

  #objectOptions(header: ImageHeader) {
    const { cacheControl, customMetadata } = this.#options;
    return {
      httpMetadata: {
        contentType: header.contentType,
        ...(cacheControl === undefined ? {} : { cacheControl }),
      },
      customMetadata: { ...customMetadata, width: String(header.width), height: String(header.height) },
    };
  }
}

async function attempt(event: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log(event, { error: describe(error) });
  }
}
