import { describe, expect, it } from "vitest";
import { inspectImageStart, readImageHeader } from "../../src/images/format.ts";
import * as make from "./samples.ts";

const exif = make.segment(0xe1, [...make.jpeg(make.frame(160, 120)), 0xff, 0xd9]);

describe("readImageHeader", () => {
  it.each([
    ["PNG", make.png(1024, 768), "image/png", 1024, 768],
    ["PNG of the largest edge", make.png(2 ** 31 - 1, 1), "image/png", 2 ** 31 - 1, 1],
    ["JPEG", make.jpeg(make.frame(640, 480)), "image/jpeg", 640, 480],
    ["progressive JPEG", make.jpeg(make.frame(640, 480, 0xc2)), "image/jpeg", 640, 480],
    ["JPEG with a thumbnail in EXIF", make.jpeg(exif, make.frame(640, 480)), "image/jpeg", 640, 480],
    [
      "JPEG with tables, comment and fill bytes",
      make.jpeg(
        make.segment(0xdb, [1]),
        make.segment(0xc4, [1]),
        [0xff, 0xff],
        make.segment(0xfe, [65]),
        make.frame(9, 8),
      ),
      "image/jpeg",
      9,
      8,
    ],
    ["lossy WebP", make.webpLossy(320, 200), "image/webp", 320, 200],
    ["lossy WebP with scaling bits", make.webpLossy(320 | 0x4000, 200 | 0x8000), "image/webp", 320, 200],
    ["lossless WebP", make.webpLossless(16384, 12345), "image/webp", 16384, 12345],
    ["extended WebP", make.webpExtended(70000, 300), "image/webp", 70000, 300],
  ])("tells %s", (_name, bytes, contentType, width, height) => {
    expect(readImageHeader(bytes)).toEqual({ contentType, width, height });
  });

  it.each([
    ["nothing", new Uint8Array(0)],
    ["text", new TextEncoder().encode("<svg xmlns='http://www.w3.org/2000/svg'/>")],
    ["GIF", new TextEncoder().encode("GIF89a0000000000000000000000000000")],
    ["RIFF that is sound", new TextEncoder().encode("RIFF0000WAVEfmt 0000000000000000000000")],
    ["PNG of no width", make.png(0, 10)],
    ["PNG of no height", make.png(10, 0)],
    ["PNG over the largest edge", make.png(2 ** 31, 1)],
    ["PNG with an IHDR of another length", make.png(10, 10, 14)],
    ["JPEG of no height", make.jpeg(make.frame(10, 0))],
    ["JPEG of no width", make.jpeg(make.frame(0, 10))],
    ["JPEG with only a thumbnail", make.jpeg(exif, [0xff, 0xd9])],
    ["JPEG with image data before a frame", make.jpeg(make.segment(0xda, [1]), make.frame(1, 1))],
    ["JPEG with a segment of length 0", make.jpeg([0xff, 0xe0, 0, 0], make.frame(1, 1))],
    ["JPEG with a segment of length 1", make.jpeg([0xff, 0xe0, 0, 1], make.frame(1, 1))],
    ["JPEG with a frame too short for a size", make.jpeg([0xff, 0xc0, 0, 7, 8, 0, 1, 0, 1, 1])],
    ["JPEG with a frame beyond the end", make.jpeg([0xff, 0xe0, 0xff, 0xff, 1, 2, 3])],
    ["JPEG with noise between segments", make.jpeg(make.segment(0xe0, [1]), [0x00], make.frame(1, 1))],
    ["JPEG within a JPEG", make.jpeg([0xff, 0xd8], make.frame(1, 1))],
    ["JPEG that is all fill bytes", make.jpeg(Array.from({ length: 999 }, () => 0xff))],
    ["lossy WebP that begins with no key frame", make.webpLossy(10, 10, 1)],
    ["lossy WebP of no width", make.webpLossy(0, 10)],
    ["lossless WebP of an unknown version", make.webpLossless(10, 10, 1)],
  ])("refuses %s", (_name, bytes) => {
    expect(readImageHeader(bytes)).toBeNull();
  });
});

describe("inspectImageStart", () => {
  it.each([
    ["PNG", make.png(5, 6), 24],
    ["JPEG", make.jpeg(exif, make.frame(5, 6)), 2 + exif.length + 9],
    ["lossy WebP", make.webpLossy(5, 6), 30],
    ["lossless WebP", make.webpLossless(5, 6), 30],
    ["extended WebP", make.webpExtended(5, 6), 30],
  ])("asks for more until it can tell a %s", (_name, bytes, needed) => {
    for (let length = 0; length < needed; length += 1) {
      expect(inspectImageStart(bytes.subarray(0, length)), `${length} bytes`).toBe("incomplete");
    }
    expect(inspectImageStart(bytes.subarray(0, needed))).toMatchObject({ width: 5, height: 6 });
  });

  it("reads from within a larger buffer", () => {
    const image = make.png(7, 9);
    const buffer = new Uint8Array(100);
    buffer.set(image, 10);
    expect(readImageHeader(buffer.subarray(10, 10 + image.length))).toMatchObject({ width: 7, height: 9 });
  });

  it("gives a sane answer to 20,000 damaged images", () => {
    const samples = [
      make.png(5, 6),
      make.jpeg(exif, make.frame(5, 6)),
      make.webpLossy(5, 6),
      make.webpLossless(5, 6),
      make.webpExtended(5, 6),
    ];
    for (let seed = 0; seed < 20_000; seed += 1) {
      const sample = samples[seed % samples.length] ?? new Uint8Array(0);
      const told = inspectImageStart(make.mutate(sample, make.seeded(seed)));
      if (told === null || told === "incomplete") continue;
      expect(Math.min(told.width, told.height), `seed ${seed}`).toBeGreaterThan(0);
    }
  });
});
