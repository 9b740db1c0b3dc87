import { afterAll, beforeAll, expect, vi } from "vitest";

/** Handmade multipart bodies, whole or produced as they are read. */

export type Piece = string | Uint8Array | AsyncIterable<Uint8Array>;

export const BOUNDARY = "----formboundary42";

/** A text field. `type` is the part's own Content-Type. */
export function text(name: string, value: Piece, type?: string): Piece[] {
  const typeLine = type === undefined ? "" : `Content-Type: ${type}\r\n`;
  return [
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n${typeLine}\r\n`,
    value,
    "\r\n",
  ];
}

export function file(content: Piece, name = "reference_image", fileName = "a.png"): Piece[] {
  const disposition = `form-data; name="${name}"; filename="${fileName}"`;
  return [
    `--${BOUNDARY}\r\nContent-Disposition: ${disposition}\r\nContent-Type: image/png\r\n\r\n`,
    content,
    "\r\n",
  ];
}

export const END: Piece[] = [`--${BOUNDARY}--\r\n`];

async function* chunks(pieces: Iterable<Piece>): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    if (typeof piece === "string") yield new TextEncoder().encode(piece);
    else if (piece instanceof Uint8Array) yield piece;
    else yield* piece;
  }
}

/** A stream that is produced as it is read, and records whether its reader cancelled it. */
export function streamed(pieces: Iterable<Piece>) {
  const iterator = chunks(pieces);
  const state = { cancelled: false, bytes: 0 };
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await iterator.next();
        if (done) return controller.close();
        state.bytes += value.length;
        controller.enqueue(value);
      },
      cancel() {
        state.cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, state };
}

export function formRequest(
  body: BodyInit | null,
  contentType = `multipart/form-data; boundary=${BOUNDARY}`,
) {
  return new Request("https://api.test/", { method: "POST", body, headers: { "Content-Type": contentType } });
}

/** The body as one array, cut into chunks of `chunkBytes` when it is read. */
export async function bytesOf(pieces: Iterable<Piece>): Promise<Uint8Array> {
  return new Response(streamed(pieces).stream).bytes();
}

export function* cut(bytes: Uint8Array, chunkBytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.slice(at, at + chunkBytes);
}

/** Fails the file's tests on an unhandled error or rejection. */
export function expectNoEscapedErrors(): void {
  const scope: EventTarget<Record<string, Event>> = self;
  const escaped = vi.fn();
  beforeAll(() => {
    scope.addEventListener("error", escaped);
    scope.addEventListener("unhandledrejection", escaped);
  });
  afterAll(() => {
    scope.removeEventListener("error", escaped);
    scope.removeEventListener("unhandledrejection", escaped);
    expect(escaped).not.toHaveBeenCalled();
  });
}
