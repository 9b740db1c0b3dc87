/**
 * Tells PNG, JPEG and WebP, and their width and height, from their bytes. Names and declared types are never asked.
 */

export type ImageHeader = {
  contentType: "image/png" | "image/jpeg" | "image/webp";
  /** Pixels, at least 1. */
  width: number;
  height: number;
};

/**
 * With this many bytes at hand, more cannot be asked for. PNG and WebP need 30; a JPEG says its size only after its
 * metadata (EXIF, colour profile, thumbnails), which may be megabytes long.
 */
export const IMAGE_HEADER_BYTES_MAX = 5 * 1024 * 1024;

/** File name extensions, as the keys of stored images have them. */
export const EXTENSIONS = { "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp" } as const;

/** The header of a whole image, or of a beginning long enough to tell; null for anything else. */
export function readImageHeader(bytes: Uint8Array): ImageHeader | null {
  const header = inspectImageStart(bytes);
  return header === "incomplete" ? null : header;
}

/**
 * What the first bytes of a stream say: the header, null (no image that we take, whatever follows), or `incomplete`
 * (ask again with more bytes, at most {@link IMAGE_HEADER_BYTES_MAX}).
 */
export function inspectImageStart(bytes: Uint8Array): ImageHeader | "incomplete" | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (startsLike(bytes, PNG_SIGNATURE)) return readPng(view, bytes);
  if (startsLike(bytes, JPEG_SIGNATURE)) return readJpeg(view);
  if (startsLike(bytes, RIFF)) return readWebp(view, bytes);
  return null;
}

const ascii = (text: string) => new TextEncoder().encode(text);
const PNG_SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const JPEG_SIGNATURE = Uint8Array.of(0xff, 0xd8, 0xff);
const RIFF = ascii("RIFF");
const WEBP = ascii("WEBP");
/** An IHDR chunk of 13 bytes comes first in every PNG (PNG, third edition, 5.6). */
const IHDR = Uint8Array.of(0, 0, 0, 13, ...ascii("IHDR"));
const VP8_LOSSY = ascii("VP8 ");
const VP8_LOSSLESS = ascii("VP8L");
const VP8_EXTENDED = ascii("VP8X");
const VP8_START_CODE = Uint8Array.of(0x9d, 0x01, 0x2a);

/** Whether the bytes from `at` on agree with `expected` as far as they go: a short beginning may still become it. */
function startsLike(bytes: Uint8Array, expected: Uint8Array, at = 0): boolean {
  return expected.every((byte, i) => at + i >= bytes.length || bytes[at + i] === byte);
}

function header(contentType: ImageHeader["contentType"], width: number, height: number): ImageHeader | null {
  return width > 0 && height > 0 ? { contentType, width, height } : null;
}

function readPng(view: DataView, bytes: Uint8Array): ImageHeader | "incomplete" | null {
  if (!startsLike(bytes, IHDR, 8)) return null;
  if (view.byteLength < 24) return "incomplete";
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  return width > PNG_EDGE_MAX || height > PNG_EDGE_MAX ? null : header("image/png", width, height);
}

const PNG_EDGE_MAX = 2 ** 31 - 1;

/**
 * Walks the marker segments (ITU-T T.81, B.1 and B.2) to the frame header. Whole segments are stepped over, so a
 * thumbnail inside EXIF is never taken for the picture. Image data or the end before a frame header: not a picture.
 */
function readJpeg(view: DataView): ImageHeader | "incomplete" | null {
  let at = 2;
  while (at < view.byteLength) {
    if (view.getUint8(at) !== 0xff) return null;
    // Any number of fill bytes 0xFF may stand before a marker.
    while (at < view.byteLength && view.getUint8(at) === 0xff) at += 1;
    if (at + 3 > view.byteLength) return "incomplete";
    const marker = view.getUint8(at);
    if (!hasSegment(marker)) return null;
    const length = view.getUint16(at + 1);
    if (isFrame(marker)) {
      if (length < 8) return null;
      if (at + 8 > view.byteLength) return "incomplete";
      return header("image/jpeg", view.getUint16(at + 6), view.getUint16(at + 4));
    }
    if (length < 2) return null;
    at += 1 + length;
  }
  return "incomplete";
}

/** SOF0 to SOF15, without DHT, JPG and DAC, which lie among them. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

/** Segments that may stand before the frame header: tables, application data and comments, and the frame header. */
function hasSegment(marker: number): boolean {
  const isTable = marker === 0xdb || marker === 0xdd || marker === 0xc4 || marker === 0xcc;
  const isComment = (marker >= 0xe0 && marker <= 0xef) || marker === 0xfe;
  return isTable || isComment || isFrame(marker);
}

/** The three kinds of WebP (RFC 9649): lossy, lossless, and extended, which gives the size of its canvas. */
function readWebp(view: DataView, bytes: Uint8Array): ImageHeader | "incomplete" | null {
  if (!startsLike(bytes, WEBP, 8)) return null;
  const isKind = (kind: Uint8Array) => startsLike(bytes, kind, 12);
  if (!isKind(VP8_LOSSY) && !isKind(VP8_LOSSLESS) && !isKind(VP8_EXTENDED)) return null;
  if (view.byteLength < 30) return "incomplete";
  if (isKind(VP8_EXTENDED)) {
    const uint24 = (at: number) => view.getUint16(at, true) + view.getUint8(at + 2) * 0x10000;
    return header("image/webp", uint24(24) + 1, uint24(27) + 1);
  }
  if (isKind(VP8_LOSSLESS)) {
    if (view.getUint8(20) !== 0x2f) return null;
    const packed = view.getUint32(21, true);
    // Fourteen bits each, then one for alpha; the last three are the version, of which only 0 is defined.
    if (packed >>> 29 !== 0) return null;
    return header("image/webp", (packed & 0x3fff) + 1, ((packed >>> 14) & 0x3fff) + 1);
  }
  const isKeyFrame = (view.getUint8(20) & 1) === 0;
  if (!isKeyFrame || !startsLike(bytes, VP8_START_CODE, 23)) return null;
  return header("image/webp", view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff);
}
