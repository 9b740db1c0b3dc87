/** A multiple of three, so that each piece but the last encodes without padding. */
const PIECE_BYTES = 3 * 16_384;

/** The length of the base64 (RFC 4648, section 4) of that many bytes. */
export function base64Length(bytes: number): number {
  return 4 * Math.ceil(bytes / 3);
}

/** Encodes bytes as base64, in ASCII pieces. */
export function* encodeBytes(bytes: Uint8Array): Generator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    const piece = bytes.subarray(at, at + PIECE_BYTES);
    const { buffer, byteOffset, byteLength } = piece;
    yield Buffer.from(Buffer.from(buffer, byteOffset, byteLength).toString("base64"), "latin1");
  }
}

/** Encodes a stream as base64, in ASCII pieces. Cancels the stream when its reader stops early. */
export async function* encodeBase64(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const reader = body.getReader({ mode: "byob" });
  // A read detaches the buffer and returns it.
  let buffer: ArrayBufferLike = new ArrayBuffer(PIECE_BYTES);
  try {
    for (;;) {
      const view: Uint8Array = new Uint8Array(buffer, 0, PIECE_BYTES);
      const { done, value }: ReadableStreamReadResult<Uint8Array> = await reader.readAtLeast(
        PIECE_BYTES,
        view,
      );
      if (value !== undefined && value.length > 0) {
        const { byteOffset, byteLength } = value;
        yield Buffer.from(Buffer.from(value.buffer, byteOffset, byteLength).toString("base64"), "latin1");
        buffer = value.buffer;
      }
      if (done || value === undefined) return;
    }
  } finally {
    await reader.cancel().catch(() => null);
  }
}
