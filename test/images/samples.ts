/** Little images made by hand, streams of any length, and a bucket that tells what was done to it. */

const ascii = (text: string) => [...new TextEncoder().encode(text)];
const uint16 = (n: number) => [n >>> 8, n & 0xff];
const uint32 = (n: number) => [...uint16(n >>> 16), ...uint16(n & 0xffff)];
const uint24Little = (n: number) => [n & 0xff, (n >>> 8) & 0xff, n >>> 16];

export function png(width: number, height: number, ihdrLength = 13): Uint8Array {
  const signature = [0x89, ...ascii("PNG\r\n"), 0x1a, 0x0a];
  const ihdr = [...uint32(ihdrLength), ...ascii("IHDR"), ...uint32(width), ...uint32(height), 8, 2, 0, 0, 0];
  return Uint8Array.of(...signature, ...ihdr, 1, 2, 3, 4);
}

/** A marker segment with a true length. */
export function segment(marker: number, content: number[]): number[] {
  return [0xff, marker, ...uint16(content.length + 2), ...content];
}

/** A frame header; `marker` is SOF0 unless told. */
export function frame(width: number, height: number, marker = 0xc0): number[] {
  return segment(marker, [8, ...uint16(height), ...uint16(width), 1, 1, 0x11, 0]);
}

export function jpeg(...pieces: number[][]): Uint8Array {
  return Uint8Array.of(0xff, 0xd8, ...pieces.flat());
}

function webp(kind: string, content: number[]): Uint8Array {
  return Uint8Array.of(
    ...ascii("RIFF"),
    100,
    0,
    0,
    0,
    ...ascii("WEBP"),
    ...ascii(kind),
    50,
    0,
    0,
    0,
    ...content,
  );
}

export function webpLossy(width: number, height: number, firstByte = 0): Uint8Array {
  const size = [width & 0xff, width >>> 8, height & 0xff, height >>> 8];
  return webp("VP8 ", [firstByte, 0, 0, 0x9d, 0x01, 0x2a, ...size]);
}

export function webpLossless(width: number, height: number, version = 0): Uint8Array {
  const packed = ((width - 1) | ((height - 1) << 14) | (version << 29)) >>> 0;
  return webp("VP8L", [0x2f, ...uint32(packed).reverse(), 0, 0, 0, 0, 0]);
}

export function webpExtended(width: number, height: number): Uint8Array {
  return webp("VP8X", [0, 0, 0, 0, ...uint24Little(width - 1), ...uint24Little(height - 1)]);
}

/** The bytes of `start`, then filler up to `bytes` in all, made as it is read. */
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

/** Changes, drops, doubles or cuts a few random stretches of bytes. */
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
 * (R2 offers no way to list those). `failOn` names a call that is to fail.
 */
export function watched(bucket: R2Bucket, failOn?: string) {
  const calls: string[] = [];
  const unfinished = new Set<string>();
  const called = (name: string) => {
    calls.push(name);
    if (name === failOn) throw new Error(`R2 fails on ${name}`);
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
