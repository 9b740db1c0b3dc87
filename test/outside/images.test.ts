import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { ImageScanner } from "../../src/images/format.ts";

/** Checks the format scanner with images from the encoders that callers and providers use. */
const [WIDTH, HEIGHT] = [320, 240];

/** An image that no codec compresses well, so that its file is large. */
const noise = () => {
  let state = 1;
  const pixels = Buffer.alloc(WIDTH * HEIGHT * 3);
  for (let at = 0; at < pixels.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    pixels[at] = state >>> 24;
  }
  return sharp(pixels, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } });
};

const frames = async () => {
  const pages = await Promise.all([noise().png().toBuffer(), noise().negate().png().toBuffer()]);
  return sharp(pages, { join: { animated: true } });
};

const FILES: [what: string, () => Promise<Buffer>][] = [
  ["PNG", () => noise().png().toBuffer()],
  ["interlaced PNG", () => noise().png({ progressive: true }).toBuffer()],
  ["PNG with a palette", () => noise().png({ palette: true }).toBuffer()],
  [
    "PNG with metadata",
    () =>
      noise()
        .withExif({ IFD0: { Copyright: "x".repeat(70_000) } })
        .png()
        .toBuffer(),
  ],
  ["APNG", async () => animated(await noise().png().toBuffer())],
  ["baseline JPEG", () => noise().jpeg().toBuffer()],
  ["progressive JPEG", () => noise().jpeg({ progressive: true }).toBuffer()],
  ["JPEG by mozjpeg's settings", () => noise().jpeg({ mozjpeg: true }).toBuffer()],
  ["grey JPEG", () => noise().greyscale().jpeg().toBuffer()],
  ["JPEG in CMYK", () => noise().toColourspace("cmyk").jpeg().toBuffer()],
  [
    "JPEG with EXIF and a colour profile",
    () =>
      noise()
        .withExif({ IFD0: { Copyright: "me" } })
        .withIccProfile("p3")
        .jpeg()
        .toBuffer(),
  ],
  ["JPEG with a thumbnail in its metadata", withThumbnail],
  ["lossy WebP", () => noise().webp().toBuffer()],
  ["lossless WebP", () => noise().webp({ lossless: true }).toBuffer()],
  ["WebP with transparency", () => noise().ensureAlpha(0.5).webp().toBuffer()],
  [
    "WebP with metadata",
    () =>
      noise()
        .withExif({ IFD0: { Copyright: "me" } })
        .webp()
        .toBuffer(),
  ],
  ["animated WebP", async () => (await frames()).webp().toBuffer()],
];

describe.each(FILES)("%s", (_what, encode) => {
  it("is complete in chunks of any size", async () => {
    const file = await encode();
    const { width, height, pageHeight } = await sharp(file).metadata();
    for (const chunkBytes of [1, 1000, 65_536, file.length]) {
      const scanner = scan(file, chunkBytes);
      expect(scanner.header).toMatchObject({ width, height: pageHeight ?? height });
      expect(scanner.complete).toBe(true);
    }
  });

  it("is incomplete when cut, and complete with trailing bytes", async () => {
    const file = await encode();
    for (const end of [20, 100, file.length >> 2, file.length >> 1, file.length - 3, file.length - 1]) {
      expect(scan(file.subarray(0, end)).complete, `${end} of ${file.length} bytes`).toBe(false);
    }
    expect(scan(Buffer.concat([file, Buffer.from("more")])).complete).toBe(true);
  });
});

it("takes a few milliseconds for a photograph of 16 MB", async () => {
  const file = await noise().resize(3_840, 2_880, { kernel: "nearest" }).jpeg({ quality: 100 }).toBuffer();
  const times = Math.ceil((16 * 1024 * 1024) / file.length);
  const entropy = file.subarray(file.length >> 1, -2);
  const started = process.cpuUsage();
  const scanner = new ImageScanner();
  scanner.write(file.subarray(0, file.length >> 1));
  for (let count = 0; count < 2 * times; count++) {
    for (let at = 0; at < entropy.length; at += 65_536) scanner.write(entropy.subarray(at, at + 65_536));
  }
  const { user } = process.cpuUsage(started);
  // A machine under load may take many times as long; a walk byte by byte takes longer still.
  expect(user / 1000).toBeLessThan(250);
});

function scan(file: Buffer, chunkBytes = file.length): ImageScanner {
  const scanner = new ImageScanner();
  for (let at = 0; at < file.length; at += chunkBytes) scanner.write(file.subarray(at, at + chunkBytes));
  return scanner;
}

/** The PNG as the first frame of an animation: chunks of APNG before and after its data. */
function animated(png: Buffer): Buffer {
  const chunk = (type: string, bytes: number) => {
    const framed = Buffer.alloc(12 + bytes);
    framed.writeUInt32BE(bytes, 0);
    framed.write(type, 4, "latin1");
    return framed;
  };
  const [start, end] = [33, png.length - 12];
  return Buffer.concat([
    png.subarray(0, start),
    chunk("acTL", 8),
    chunk("fcTL", 26),
    png.subarray(start, end),
    chunk("fcTL", 26),
    chunk("fdAT", 5_000),
    png.subarray(end),
  ]);
}

/** As cameras write it: a small JPEG inside the metadata of the large one. */
async function withThumbnail(): Promise<Buffer> {
  const file = await noise().jpeg().toBuffer();
  const thumbnail = await noise().resize(32, 24).jpeg().toBuffer();
  const head = Buffer.from([0xff, 0xe1, 0, 0]);
  head.writeUInt16BE(thumbnail.length + 2, 2);
  return Buffer.concat([file.subarray(0, 2), head, thumbnail, file.subarray(2)]);
}
