import { describe, expect, it } from "vitest";
import { ImageScanner } from "../../src/images/format.ts";
import * as make from "./samples.ts";

/** The scanner's result for the bytes, in chunks of that size. */
function scan(bytes: Uint8Array, chunkBytes = bytes.length) {
  const scanner = new ImageScanner();
  let invalid = false;
  for (let at = 0; at < bytes.length && !invalid; at += Math.max(1, chunkBytes)) {
    invalid = scanner.write(bytes.subarray(at, at + chunkBytes)) === "invalid";
  }
  const { contentType, header, complete } = scanner;
  return { invalid, contentType, header, complete };
}

const { segment, frame, jpeg, jpegOf, SCAN } = make;
const exif = segment(0xe1, [...jpeg(frame(160, 120))]);
const CHUNKS = [1, 2, 3, 7, 1000];
const TEXT = new TextEncoder();

const WHOLE: [what: string, Uint8Array, string, number, number][] = [
  ["PNG", make.png(1024, 768), "image/png", 1024, 768],
  ["PNG of the largest edge", make.png(2 ** 31 - 1, 1), "image/png", 2 ** 31 - 1, 1],
  ["JPEG", jpeg(frame(640, 480)), "image/jpeg", 640, 480],
  ["progressive JPEG", jpegOf(frame(640, 480, 0xc2), SCAN.slice(0, -2), SCAN), "image/jpeg", 640, 480],
  [
    "JPEG with restart markers",
    jpegOf(frame(9, 8), SCAN.slice(0, -2), [0xff, 0xd0, 1, 0xff, 0xd7, 2], [0xff, 0xd9]),
    "image/jpeg",
    9,
    8,
  ],
  ["JPEG with a thumbnail in EXIF", jpeg(exif, frame(640, 480)), "image/jpeg", 640, 480],
  [
    "JPEG with tables, comment and fill bytes",
    jpeg(segment(0xdb, [1]), segment(0xc4, [1]), [0xff, 0xff], segment(0xfe, [65]), frame(9, 8)),
    "image/jpeg",
    9,
    8,
  ],
  [
    "JPEG with stray bytes between segments",
    jpeg(segment(0xe0, [1]), [0, 0, 17, 0xff, 0], frame(9, 8), [1, 2]),
    "image/jpeg",
    9,
    8,
  ],
  [
    "JPEG with more after its end",
    Uint8Array.of(...jpeg(frame(9, 8)), 0xff, 0xd8, 1, 2, 3),
    "image/jpeg",
    9,
    8,
  ],
  ["lossy WebP", make.webpLossy(320, 200), "image/webp", 320, 200],
  ["lossy WebP with scaling bits", make.webpLossy(320 | 0x4000, 200 | 0x8000), "image/webp", 320, 200],
  ["lossless WebP", make.webpLossless(16384, 12345), "image/webp", 16384, 12345],
  ["extended, animated WebP", make.webpExtended(70000, 300), "image/webp", 70000, 300],
];

const cutOf = (bytes: Uint8Array, end: number) => bytes.subarray(0, end);
const png = make.png(10, 10);
const webp = make.webpLossy(10, 10);
const withRiffSize = (size: number) => {
  const changed = Uint8Array.from(webp);
  new DataView(changed.buffer).setUint32(4, size, true);
  return changed;
};

const BROKEN: [what: string, Uint8Array][] = [
  ["PNG of no width", make.png(0, 10)],
  ["PNG of no height", make.png(10, 0)],
  ["PNG over the largest edge", make.png(2 ** 31, 1)],
  ["PNG with an IHDR of another length", make.png(10, 10, 14)],
  ["PNG of its header alone", cutOf(png, 33)],
  ["PNG without IEND", cutOf(png, png.length - 12)],
  ["PNG without IDAT", Uint8Array.of(...cutOf(png, 33), ...png.subarray(-12))],
  ["PNG with a chunk that is no chunk", Uint8Array.of(...cutOf(png, 34), ...png.subarray(33))],
  ["JPEG of no height", jpeg(frame(10, 0))],
  ["JPEG of no width", jpeg(frame(0, 10))],
  ["JPEG with only a thumbnail", jpegOf(exif, [0xff, 0xd9])],
  ["JPEG without a scan", jpegOf(frame(1, 1), [0xff, 0xd9])],
  ["JPEG without its end", jpegOf(frame(1, 1), SCAN.slice(0, -2))],
  ["JPEG with half of its end", jpegOf(frame(1, 1), SCAN.slice(0, -1))],
  ["JPEG with image data before a frame", jpegOf(SCAN, frame(1, 1))],
  ["JPEG with two frames", jpeg(frame(1, 1), frame(1, 1))],
  ["JPEG with a segment of length 0", jpeg([0xff, 0xe0, 0, 0], frame(1, 1))],
  ["JPEG with a segment of length 1", jpeg([0xff, 0xe0, 0, 1], frame(1, 1))],
  ["JPEG with a frame too short for a size", jpeg([0xff, 0xc0, 0, 7, 8, 0, 1, 0, 1, 1])],
  ["JPEG with a frame beyond the end", jpeg([0xff, 0xe0, 0xff, 0xff, 1, 2, 3])],
  ["JPEG within a JPEG", jpeg([0xff, 0xd8], frame(1, 1))],
  ["JPEG that is all fill bytes", jpegOf(Array.from({ length: 999 }, () => 0xff))],
  ["lossy WebP that begins with no key frame", make.webpLossy(10, 10, 1)],
  ["lossy WebP of no width", make.webpLossy(0, 10)],
  ["lossless WebP of an unknown version", make.webpLossless(10, 10, 1)],
  ["WebP shorter than its RIFF size", withRiffSize(webp.length - 8 + 1)],
  ["WebP with a RIFF size that ends inside a chunk", withRiffSize(webp.length - 8 - 1)],
  ["WebP of its canvas alone", make.webpCanvas(10, 10)],
];

const FOREIGN: [what: string, Uint8Array][] = [
  ["nothing", new Uint8Array(0)],
  ["text", TEXT.encode("<svg xmlns='http://www.w3.org/2000/svg'/>")],
  ["GIF", TEXT.encode("GIF89a0000000000000000000000000000")],
  ["RIFF that is sound", TEXT.encode("RIFF0000WAVEfmt 0000000000000000000000")],
];

describe("ImageScanner", () => {
  it.each(WHOLE)("accepts a complete %s", (_name, bytes, contentType, width, height) => {
    for (const chunkBytes of CHUNKS) {
      const told = scan(bytes, chunkBytes);
      expect(told).toEqual({
        invalid: false,
        contentType,
        header: { contentType, width, height },
        complete: true,
      });
    }
  });

  it.each(BROKEN)("rejects a %s, but knows its type", (_name, bytes) => {
    for (const chunkBytes of CHUNKS) {
      const { complete, contentType } = scan(bytes, chunkBytes);
      expect([complete, contentType]).toEqual([false, expect.stringMatching(/^image\//)]);
    }
  });

  it.each(FOREIGN)("does not accept %s as an image", (_name, bytes) => {
    for (const chunkBytes of CHUNKS) {
      const { complete, contentType, header } = scan(bytes, chunkBytes);
      expect([complete, contentType, header]).toEqual([false, null, null]);
    }
  });

  it("rejects an image that is cut at any byte", () => {
    for (const [name, bytes] of WHOLE.filter(([what]) => !what.includes("after its end"))) {
      for (let end = 0; end < bytes.length; end++) {
        expect(scan(cutOf(bytes, end)).complete, `${name}, ${end} of ${bytes.length} bytes`).toBe(false);
      }
      expect(scan(Uint8Array.of(...bytes, 1, 2, 3)).complete, `${name} and more`).toBe(true);
    }
  });

  it("rejects at once what cannot become an image", () => {
    for (const bytes of [TEXT.encode("hel"), TEXT.encode("RIFF0000WAVE"), cutOf(make.png(0, 1), 24)]) {
      expect(scan(bytes).invalid).toBe(true);
    }
  });

  it("skips any amount of metadata without buffering it", () => {
    const scanner = new ImageScanner();
    scanner.write(jpegOf());
    const metadata = Uint8Array.from(
      segment(
        0xe1,
        Array.from({ length: 65_533 }, (_, at) => at & 0xff),
      ),
    );
    for (let count = 0; count < 1_000; count++) expect(scanner.write(metadata)).toBeNull();
    expect([scanner.contentType, scanner.header]).toEqual(["image/jpeg", null]);
    scanner.write(Uint8Array.of(...frame(5, 6), ...SCAN));
    expect([scanner.header?.width, scanner.complete]).toEqual([5, true]);
  });

  it("handles 20,000 damaged images", () => {
    for (let seed = 0; seed < 20_000; seed += 1) {
      const [, sample] = WHOLE[seed % WHOLE.length] ?? ["", png];
      const random = make.seeded(seed);
      const damaged = make.mutate(sample, random);
      const told = scan(damaged, 1 + random(damaged.length));
      expect(told, `seed ${seed}`).toEqual(scan(damaged));
      if (told.complete) expect(told.header, `seed ${seed}`).not.toBeNull();
      if (told.header) expect(Math.min(told.header.width, told.header.height)).toBeGreaterThan(0);
    }
  });
});
