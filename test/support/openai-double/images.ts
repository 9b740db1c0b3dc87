import { crc32, deflateSync } from "node:zlib";

export type ImageSpec = {
  format: "png" | "jpeg" | "webp";
  width: number;
  height: number;
  /** The size wanted; a picture that cannot be so small is as small as it can be, and webp comes in even sizes. */
  bytes: number;
  /** Another seed, another picture, and other bytes throughout. */
  seed: number;
};

const NOISE_BYTES = 65_536;
/** What a PNG chunk has around its data, and how long a padding chunk may be with that. */
const CHUNK_BYTES_MIN = 12;
const CHUNK_BYTES_MAX = 1 << 20;
/** The same of a JPEG comment, whose length is a number of 16 bits. */
const COMMENT_BYTES_MIN = 4;
const COMMENT_BYTES_MAX = 65_537;

/** A valid picture of one colour, padded in the way its format allows, in pieces of at most 64 KiB. */
export function* drawImage(spec: ImageSpec): Generator<Buffer> {
  if (spec.format === "png") yield* drawPng(spec);
  else if (spec.format === "jpeg") yield* drawJpeg(spec);
  else yield* drawWebp(spec);
}

/** One bit a pixel with a palette of one seeded colour, padded with private ancillary chunks. */
function* drawPng({ width, height, bytes, seed }: ImageSpec): Generator<Buffer> {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([1, 3, 0, 0, 0], 8);
  const palette = Buffer.from([seed & 255, (seed >> 8) & 255, (seed >> 16) & 255, 0, 0, 0]);
  const pixels = deflateSync(Buffer.alloc((Math.ceil(width / 8) + 1) * height), { level: 9 });
  const start = Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("PLTE", palette),
  ]);
  const end = Buffer.concat([chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))]);
  yield start;
  for (const part of cut(bytes - start.length - end.length, CHUNK_BYTES_MIN, CHUNK_BYTES_MAX)) {
    yield* padChunk(part - CHUNK_BYTES_MIN, seed);
  }
  yield end;
}

function chunk(type: string, data: Buffer): Buffer {
  const framed = Buffer.alloc(data.length + 12);
  framed.writeUInt32BE(data.length, 0);
  framed.write(type, 4, "latin1");
  framed.set(data, 8);
  framed.writeUInt32BE(crc32(framed.subarray(4, data.length + 8)), data.length + 8);
  return framed;
}

function* padChunk(bytes: number, seed: number): Generator<Buffer> {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(bytes, 0);
  head.write("paDd", 4, "latin1");
  yield head;
  let sum = crc32(head.subarray(4));
  for (const piece of noise(bytes, seed)) {
    sum = crc32(piece, sum);
    yield piece;
  }
  const tail = Buffer.alloc(4);
  tail.writeUInt32BE(sum, 0);
  yield tail;
}

/** Baseline, one grey component, two bits a block: Huffman tables whose only code says "nothing changes". */
function* drawJpeg({ width, height, bytes, seed }: ImageSpec): Generator<Buffer> {
  const frame = Buffer.from([8, 0, 0, 0, 0, 1, 1, 0x11, 0]);
  frame.writeUInt16BE(height, 1);
  frame.writeUInt16BE(width, 3);
  const oneCode = [1, ...Array.from({ length: 15 }, () => 0), 0];
  const start = Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    segment(0xe0, Buffer.from("JFIF\0\x01\x01\0\0\x01\0\x01\0\0", "latin1")),
    segment(0xdb, Buffer.from([0, ...Array.from({ length: 64 }, () => 1)])),
    segment(0xc0, frame),
    segment(0xfe, Buffer.from(`picture ${seed}`)),
    segment(0xc4, Buffer.from([0x00, ...oneCode, 0x10, ...oneCode])),
  ]);
  const bits = Math.ceil(width / 8) * Math.ceil(height / 8) * 2;
  const blocks = Buffer.alloc(Math.ceil(bits / 8));
  if (bits % 8 > 0) blocks[blocks.length - 1] = (1 << (8 - (bits % 8))) - 1;
  const end = Buffer.concat([
    segment(0xda, Buffer.from([1, 1, 0, 0, 63, 0])),
    blocks,
    Buffer.from([0xff, 0xd9]),
  ]);
  yield start;
  for (const part of cut(bytes - start.length - end.length, COMMENT_BYTES_MIN, COMMENT_BYTES_MAX)) {
    yield segment(0xfe, Buffer.concat([...noise(part - COMMENT_BYTES_MIN, seed)]));
  }
  yield end;
}

function segment(marker: number, data: Buffer): Buffer {
  const framed = Buffer.alloc(data.length + 4);
  framed.set([0xff, marker], 0);
  framed.writeUInt16BE(data.length + 2, 2);
  framed.set(data, 4);
  return framed;
}

/** Lossless, five prefix codes of one symbol each, so that a pixel takes no bits; padded with an unknown chunk. */
function* drawWebp({ width, height, bytes, seed }: ImageSpec): Generator<Buffer> {
  const pixels = losslessOneColour(width, height, [seed & 255, (seed >> 8) & 255, (seed >> 16) & 255]);
  const extended = Buffer.alloc(10);
  extended.writeUIntLE(width - 1, 4, 3);
  extended.writeUIntLE(height - 1, 7, 3);
  const body = Buffer.concat([riffChunk("VP8X", extended), riffChunk("VP8L", pixels)]);
  const pad = Math.max(0, bytes - (bytes % 2) - body.length - 20);
  const head = Buffer.from("RIFF\0\0\0\0WEBP", "latin1");
  head.writeUInt32LE(4 + body.length + 8 + pad, 4);
  const padHead = Buffer.from("PADD\0\0\0\0", "latin1");
  padHead.writeUInt32LE(pad, 4);
  yield Buffer.concat([head, body, padHead]);
  yield* noise(pad, seed);
}

function losslessOneColour(
  width: number,
  height: number,
  [red, green, blue]: [number, number, number],
): Buffer {
  const bits: number[] = [];
  const put = (value: number, count: number) => {
    for (let bit = 0; bit < count; bit++) bits.push((value >> bit) & 1);
  };
  put(0x2f, 8);
  put(width - 1, 14);
  put(height - 1, 14);
  // No alpha, version 0; no transform, no colour cache, no meta prefix codes.
  put(0, 1 + 3 + 1 + 1 + 1);
  // Green, red, blue, alpha, distance: each a simple code of one eight-bit symbol.
  for (const symbol of [green, red, blue, 255, 0]) {
    put(0b101, 3);
    put(symbol, 8);
  }
  const packed = Buffer.alloc(Math.ceil(bits.length / 8));
  for (const [index, bit] of bits.entries())
    packed[index >> 3] = (packed[index >> 3] ?? 0) | (bit << (index & 7));
  return packed;
}

function riffChunk(type: string, data: Buffer): Buffer {
  const head = Buffer.from(`${type}\0\0\0\0`, "latin1");
  head.writeUInt32LE(data.length, 4);
  return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
}

/** Cuts a length into parts within bounds; what is below the lower one is left off. */
function* cut(total: number, low: number, high: number): Generator<number> {
  for (let left = total; left >= low; ) {
    const part = left <= high ? left : Math.min(high, left - low);
    yield part;
    left -= part;
  }
}

/** Bytes that no compression shrinks much, the same for the same seed. */
function* noise(bytes: number, seed: number): Generator<Buffer> {
  const block = Buffer.alloc(Math.min(bytes, NOISE_BYTES));
  let state = Math.imul(seed, 0x9e3779b1) || 1;
  for (let index = 0; index < block.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    block[index] = state;
  }
  for (let left = bytes; left > 0; left -= block.length)
    yield block.subarray(0, Math.min(left, block.length));
}

/** Base64 of a stream of bytes: whole groups of three, and what is left over at the end. */
export function* base64(pieces: Iterable<Buffer>): Generator<Buffer> {
  let held = Buffer.alloc(0);
  for (const piece of pieces) {
    const bytes = Buffer.concat([held, piece]);
    const whole = bytes.length - (bytes.length % 3);
    held = bytes.subarray(whole);
    yield Buffer.from(bytes.toString("base64", 0, whole), "latin1");
  }
  yield Buffer.from(held.toString("base64"), "latin1");
}
