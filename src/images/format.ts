/**
 * Detects PNG, JPEG and WebP from their bytes, reads width and height, and checks that an image is complete. File names
 * and declared types are never used.
 */

export type ImageHeader = {
  contentType: "image/png" | "image/jpeg" | "image/webp";
  /** Pixels, at least 1. */
  width: number;
  height: number;
};

/** File name extensions, as the keys of stored images have them. */
export const EXTENSIONS = { "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp" } as const;

/** The next step of a walk over an image: read that many bytes, skip that many, or find the next JPEG marker. */
type Want = { read: number } | { skip: number } | "marker";

/**
 * Walks one format. Yields its next step and gets the bytes that it asked to read (for a marker: its code). Returns
 * whether the image is complete; bytes after a complete image are ignored.
 */
type Walk = Generator<Want, boolean, DataView>;

/** The most bytes that a format reads in one step. */
const READ_BYTES_MAX = 32;
const NOTHING = new DataView(new ArrayBuffer(0));

/**
 * Reads an image from chunks of any size, in constant memory: it skips the segments of a file by their lengths and
 * buffers at most {@link READ_BYTES_MAX} bytes. It does not decode pixels or verify checksums.
 */
export class ImageScanner {
  readonly #held = new Uint8Array(READ_BYTES_MAX);
  #heldBytes = 0;
  #walk: Walk = this.#start();
  #want: Want;
  #skipped = 0;
  #afterFF = false;
  #ended = false;
  #contentType: ImageHeader["contentType"] | null = null;
  #header: ImageHeader | null = null;
  #complete = false;

  constructor() {
    const first = this.#walk.next();
    this.#want = first.done ? { skip: 0 } : first.value;
  }

  /** Known after the first 12 bytes; null before that, and for anything but PNG, JPEG and WebP. */
  get contentType(): ImageHeader["contentType"] | null {
    return this.#contentType;
  }

  /** Known once the bytes with the size have arrived. In a JPEG, megabytes of metadata may come first. */
  get header(): ImageHeader | null {
    return this.#header;
  }

  /** Whether the image has ended and has pixel data. */
  get complete(): boolean {
    return this.#complete;
  }

  /**
   * Reads the next bytes.
   * @returns `invalid` as soon as no further bytes could complete the image
   */
  write(chunk: Uint8Array): "invalid" | null {
    for (let at = 0; at < chunk.length && !this.#ended; ) at = this.#advance(chunk, at);
    return this.#ended && !this.#complete ? "invalid" : null;
  }

  /** Takes the current step's bytes from the chunk. Returns the new position in the chunk. */
  #advance(chunk: Uint8Array, at: number): number {
    if (this.#want === "marker") return this.#seekMarker(chunk, at);
    if ("skip" in this.#want) {
      const end = Math.min(chunk.length, at + this.#want.skip - this.#skipped);
      this.#skipped += end - at;
      if (this.#skipped === this.#want.skip) this.#resume(NOTHING);
      return end;
    }
    const end = Math.min(chunk.length, at + this.#want.read - this.#heldBytes);
    this.#held.set(chunk.subarray(at, end), this.#heldBytes);
    this.#heldBytes += end - at;
    if (this.#heldBytes === this.#want.read)
      this.#resume(new DataView(this.#held.buffer, 0, this.#heldBytes));
    return end;
  }

  /**
   * Finds the next marker of a JPEG: one or more 0xFF, then its code. Skips everything else, as decoders do:
   * entropy-coded data with its stuffed zeros and restart markers, and stray bytes between segments.
   */
  #seekMarker(chunk: Uint8Array, from: number): number {
    let at = from;
    while (at < chunk.length) {
      if (!this.#afterFF) {
        const place = chunk.indexOf(0xff, at);
        if (place < 0) return chunk.length;
        at = place + 1;
        this.#afterFF = true;
        continue;
      }
      const code = chunk[at++] ?? 0;
      if (code === 0xff) continue;
      this.#afterFF = false;
      if (!isMarker(code)) continue;
      this.#held[0] = code;
      this.#resume(new DataView(this.#held.buffer, 0, 1));
      break;
    }
    return at;
  }

  #resume(bytes: DataView): void {
    this.#heldBytes = 0;
    this.#skipped = 0;
    let step = this.#walk.next(bytes);
    while (!step.done && typeof step.value === "object" && "skip" in step.value && step.value.skip === 0) {
      step = this.#walk.next(NOTHING);
    }
    if (step.done) {
      this.#ended = true;
      this.#complete = step.value;
    } else {
      this.#want = step.value;
    }
  }

  *#start(): Walk {
    const start = yield* read(3);
    if (start.getUint8(0) === 0xff && start.getUint8(1) === 0xd8 && start.getUint8(2) === 0xff) {
      this.#contentType = "image/jpeg";
      // The third byte belongs to the first marker.
      this.#afterFF = true;
      return yield* this.#walkJpeg();
    }
    if (start.getUint8(0) === 0x89 && textOf(start, 1, 2) === "PN") {
      const rest = yield* read(5);
      if (textOf(rest, 0, 5) !== "G\r\n\x1a\n") return false;
      this.#contentType = "image/png";
      return yield* this.#walkPng();
    }
    if (textOf(start, 0, 3) === "RIF") {
      const rest = yield* read(9);
      if (textOf(rest, 0, 1) !== "F" || textOf(rest, 5, 4) !== "WEBP") return false;
      const bytes = rest.getUint32(1, true);
      this.#contentType = "image/webp";
      return yield* this.#walkWebp(bytes);
    }
    return false;
  }

  /** PNG, third edition, 5.2 to 5.6: IHDR first, then chunks with their lengths, including IDAT, and IEND last. */
  *#walkPng(): Walk {
    const start = yield* read(16);
    if (start.getUint32(0) !== 13 || textOf(start, 4, 4) !== "IHDR") return false;
    const [width, height] = [start.getUint32(8), start.getUint32(12)];
    if (Math.max(width, height) > PNG_NUMBER_MAX || !this.#setHeader(width, height)) return false;
    yield { skip: 5 + 4 };
    for (let hasPixels = false; ; ) {
      const chunk = yield* read(8);
      const [length, type] = [chunk.getUint32(0), textOf(chunk, 4, 4)];
      if (length > PNG_NUMBER_MAX || !/^[A-Za-z]{4}$/.test(type)) return false;
      hasPixels ||= type === "IDAT" && length > 0;
      // The checksum follows the data.
      yield { skip: length + 4 };
      if (type === "IEND") return hasPixels;
    }
  }

  /**
   * ITU-T T.81, B.1 and B.2: marker segments, including a frame header, then scans, then the end marker. Skips whole
   * segments, so that a thumbnail inside EXIF is never taken for the image.
   */
  *#walkJpeg(): Walk {
    for (let hasScan = false; ; ) {
      const marker = (yield "marker").getUint8(0);
      if (marker === EOI) return hasScan;
      if (!hasSegment(marker)) return false;
      const length = (yield* read(2)).getUint16(0);
      if (length < 2) return false;
      if (isFrame(marker)) {
        if (this.#header !== null || length < 8) return false;
        const frame = yield* read(5);
        if (!this.#setHeader(frame.getUint16(3), frame.getUint16(1))) return false;
        yield { skip: length - 2 - 5 };
        continue;
      }
      if (marker === SOS) {
        if (this.#header === null) return false;
        hasScan = true;
      }
      yield { skip: length - 2 };
    }
  }

  /**
   * RFC 9649: `bytes` is the length of everything after the RIFF size. The chunks must fit into it, and one must have
   * pixel data. The first chunk has the size: lossy, lossless, or extended, which states its canvas.
   */
  *#walkWebp(bytes: number): Walk {
    let left = bytes - 4;
    for (let hasPixels = false, first = true; ; first = false) {
      if (left < 8) {
        // Shorter than a chunk's header: nothing, or padding.
        yield { skip: Math.max(0, left) };
        return hasPixels;
      }
      const chunk = yield* read(8);
      const [kind, length] = [textOf(chunk, 0, 4), chunk.getUint32(4, true)];
      left -= 8;
      if (length > left) return false;
      let rest = length;
      if (first) {
        const needed = kind === "VP8L" ? 5 : 10;
        if (length < needed) return false;
        const size = sizeOfWebp(kind, yield* read(needed));
        if (size === null || !this.#setHeader(size.width, size.height)) return false;
        rest -= needed;
      }
      hasPixels ||= WEBP_PIXELS.includes(kind) && length > 0;
      // Chunks are padded to even lengths. The last chunk may lack its padding.
      const padded = Math.min(left, length + (length % 2));
      yield { skip: rest + padded - length };
      left -= padded;
    }
  }

  /** Stores the header. Returns false for an image without pixels. */
  #setHeader(width: number, height: number): boolean {
    if (this.#contentType === null || width === 0 || height === 0) return false;
    this.#header = { contentType: this.#contentType, width, height };
    return true;
  }
}

function* read(bytes: number): Generator<Want, DataView, DataView> {
  return yield { read: bytes };
}

function textOf(view: DataView, at: number, length: number): string {
  return String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, length));
}

const PNG_NUMBER_MAX = 2 ** 31 - 1;

const EOI = 0xd9;
const SOS = 0xda;

/** False for codes that mean nothing between segments: a stuffed zero, TEM, and restart markers. */
function isMarker(code: number): boolean {
  return code !== 0 && code !== 0x01 && !(code >= 0xd0 && code <= 0xd7);
}

/** SOF0 to SOF15, without DHT, JPG and DAC, which are in the same range. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

/** Frame headers, tables, scans, DNL, application data and comments. Decoders stop at every other marker. */
function hasSegment(marker: number): boolean {
  const isTable = marker === 0xc4 || marker === 0xcc || (marker >= 0xda && marker <= 0xdd);
  const isComment = (marker >= 0xe0 && marker <= 0xef) || marker === 0xfe;
  return isTable || isComment || isFrame(marker);
}

/** `ANMF` is a frame of an animation. */
const WEBP_PIXELS = ["VP8 ", "VP8L", "ANMF"];

/** Width and height from the start of a WebP's first chunk (5 bytes if lossless, else 10); null if it is not a WebP. */
function sizeOfWebp(kind: string, start: DataView): { width: number; height: number } | null {
  switch (kind) {
    case "VP8 ": {
      const isKeyFrame = (start.getUint8(0) & 1) === 0;
      if (!isKeyFrame || textOf(start, 3, 3) !== "\x9d\x01\x2a") return null;
      return { width: start.getUint16(6, true) & 0x3fff, height: start.getUint16(8, true) & 0x3fff };
    }
    case "VP8L": {
      if (start.getUint8(0) !== 0x2f) return null;
      const packed = start.getUint32(1, true);
      // 14 bits each, then one for alpha; the last three are the version, of which only 0 is defined.
      if (packed >>> 29 !== 0) return null;
      return { width: (packed & 0x3fff) + 1, height: ((packed >>> 14) & 0x3fff) + 1 };
    }
    case "VP8X": {
      const uint24 = (at: number) => start.getUint16(at, true) + start.getUint8(at + 2) * 0x10000;
      return { width: uint24(4) + 1, height: uint24(7) + 1 };
    }
    default:
      return null;
  }
}
