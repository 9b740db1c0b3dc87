/**
 * Small handmade images with a valid structure but invalid pixels; streams of any length; and a
 * bucket that records its calls.
 */

const ascii = (text: string) => [...new TextEncoder().encode(text)];
const uint16 = (n: number) => [n >>> 8, n & 0xff];
const uint32 = (n: number) => [...uint16(n >>> 16), ...uint16(n & 0xffff)];
const uint24Little = (n: number) => [n & 0xff, (n >>> 8) & 0xff, n >>> 16];

export function png(width: number, height: number, ihdrLength = 13): Uint8Array {
  const signature = [0x89, ...ascii("PNG\r\n"), 0x1a, 0x0a];
  const ihdr = [...uint32(ihdrLength), ...ascii("IHDR"), ...uint32(width), ...uint32(height), 8, 2, 0, 0, 0];
  const chunk = (type: string, data: number[]) => [
    ...uint32(data.length),
    ...ascii(type),
    ...data,
    1,
    2,
    3,
    4,
  ];
  const rest = [...chunk("IDAT", [0x78, 0x9c, 0x03]), ...chunk("IEND", [])];
  return Uint8Array.of(...signature, ...ihdr, 1, 2, 3, 4, ...rest);
}

/** A marker segment with a correct length. */
export function segment(marker: number, content: number[]): number[] {
  return [0xff, marker, ...uint16(content.length + 2), ...content];
}

/** A frame header; `marker` is SOF0 by default. */
export function frame(width: number, height: number, marker = 0xc0): number[] {
  return segment(marker, [8, ...uint16(height), ...uint16(width), 1, 1, 0x11, 0]);
}

/** A scan of a few bytes, and the end of the image. */
export const SCAN = [...segment(0xda, [1, 1, 0, 0, 63, 0]), 0x55, 0xff, 0x00, 0xaa, 0xff, 0xd9];

/** The start of a JPEG, then the pieces. */
export function jpegOf(...pieces: number[][]): Uint8Array {
  return Uint8Array.from([0xff, 0xd8, ...pieces.flat()]);
}

/** A JPEG with these segments, a scan and its end. */
export function jpeg(...segments: number[][]): Uint8Array {
  return jpegOf(...segments, SCAN);
}

function webp(kind: string, content: number[], ...chunks: number[][]): Uint8Array {
  const body = [...ascii("WEBP"), ...riffChunk(kind, content), ...chunks.flat()];
  return Uint8Array.of(...ascii("RIFF"), ...uint32(body.length).reverse(), ...body);
}

function riffChunk(kind: string, content: number[]): number[] {
  const padding = content.length % 2 === 0 ? [] : [0];
  return [...ascii(kind), ...uint32(content.length).reverse(), ...content, ...padding];
}

export function webpLossy(width: number, height: number, firstByte = 0): Uint8Array {
  const size = [width & 0xff, width >>> 8, height & 0xff, height >>> 8];
  return webp("VP8 ", [firstByte, 0, 0, 0x9d, 0x01, 0x2a, ...size]);
}

export function webpLossless(width: number, height: number, version = 0): Uint8Array {
  const packed = ((width - 1) | ((height - 1) << 14) | (version << 29)) >>> 0;
  return webp("VP8L", [0x2f, ...uint32(packed).reverse(), 0, 0, 0, 0, 0]);
}

/** A WebP whose only chunk states its canvas; more chunks come after it. */
export function webpCanvas(width: number, height: number, ...chunks: number[][]): Uint8Array {
  const canvas = [0, 0, 0, 0, ...uint24Little(width - 1), ...uint24Little(height - 1)];
  return webp("VP8X", canvas, ...chunks);
}

export function webpExtended(width: number, height: number): Uint8Array {
  return webpCanvas(width, height, riffChunk("ANMF", [1, 2, 3]));
}

/** The bytes of `start`, then filler up to `bytes` in total, produced as it is read. */
export async function* filled(start: Uint8Array, bytes: number, chunkBytes = 64 * 1024) {
  yield start;
  const filler = new Uint8Array(chunkBytes).fill(7);
  for (let left = bytes - start.length; left > 0; left -= chunkBytes) {
    yield filler.subarray(0, Math.min(left, chunkBytes));
  }
}

/** A small generator of repeatable numbers below `n` (mulberry32); a failing test prints its seed. */
export function seeded(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
  };
}

/** Changes, drops, doubles or cuts a few random ranges of bytes. */
export function mutate(bytes: Uint8Array, random: (n: number) => number): Uint8Array {
  let mutated = [...bytes];
  for (let times = 1 + random(4); times > 0; times -= 1) {
    const at = random(mutated.length + 1);
    const length = random(8);
    const change = random(5);
    if (change === 0) mutated[at] = random(256);
    else if (change === 1) mutated.splice(at, length);
    else if (change === 2) mutated.splice(at, 0, ...mutated.slice(at, at + length));
    else if (change === 3) mutated = mutated.slice(0, at);
    else mutated.splice(at, 0, ...Array.from({ length }, () => random(256)));
  }
  return Uint8Array.from(mutated);
}

/**
 * The same bucket, with a list of the calls made, and of the multipart uploads begun and neither completed nor aborted
 * (R2 offers no way to list those). `failOn` names a call that is to fail, the first `times` times.
 */
export function watched(bucket: R2Bucket, failOn?: string, times = Number.POSITIVE_INFINITY) {
  const calls: string[] = [];
  let failures = 0;
  const unfinished = new Set<string>();
  const called = (name: string) => {
    calls.push(name);
    if (name === failOn && failures++ < times) throw new Error(`R2 fails on ${name}`);
  };
  const watchUpload = (upload: R2MultipartUpload): R2MultipartUpload => {
    unfinished.add(upload.uploadId);
    return {
      key: upload.key,
      uploadId: upload.uploadId,
      async uploadPart(number, value) {
        called("uploadPart");
        return upload.uploadPart(number, value);
      },
      async abort() {
        called("abort");
        await upload.abort();
        unfinished.delete(upload.uploadId);
      },
      async complete(parts) {
        called("complete");
        const object = await upload.complete(parts);
        unfinished.delete(upload.uploadId);
        return object;
      },
    };
  };
  const proxy = new Proxy(bucket, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return async (...parameters: unknown[]) => {
        called(String(name));
        if (name === "createMultipartUpload") {
          const [key = "", options] = parameters;
          return watchUpload(await target.createMultipartUpload(String(key), options ?? {}));
        }
        return Reflect.apply(member, target, parameters);
      };
    },
  });
  return { bucket: proxy, calls, unfinished };
}
