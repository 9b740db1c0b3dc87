import type { ProvidedImage } from "../provider.ts";
import { undelivered } from "./failure.ts";
import type { Pieces } from "./json.ts";

/** The complete images of a response so far, and the error of a body, which otherwise only the body's reader sees. */
export type Progress = { images: number; broken: unknown };

/** Yields the image as a stream that decodes only what its reader requests, and continues at the end of its text. */
export async function* readImage(piece: Pieces, progress: Progress): AsyncGenerator<ProvidedImage, void> {
  let first = await piece();
  if (first === null) throw undelivered("invalid response: empty image");
  let pulled: Promise<Uint8Array | null> = Promise.resolve(first);
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (first === null) pulled = piece();
        first = null;
        const bytes = await pulled.catch((error: unknown) => {
          progress.broken = error;
          throw error;
        });
        if (bytes === null) controller.close();
        else controller.enqueue(bytes);
      },
    },
    { highWaterMark: 0 },
  );
  yield { body };
  // Skips what the reader left. A failure of the last pull, which the body has reported, ends the iteration too.
  while ((await pulled) !== null) pulled = piece();
  progress.images++;
}

/** The same for an image that comes as a stream. Cancels the stream when its reader stops early. */
export async function* readImageStream(
  stream: ReadableStream<Uint8Array>,
  progress: Progress,
): AsyncGenerator<ProvidedImage, void> {
  const reader = stream.getReader();
  try {
    yield* readImage(async () => (await reader.read()).value ?? null, progress);
  } finally {
    await reader.cancel().catch(() => null);
  }
}

/** The whole picture, if it has at most that many bytes, else null. Reads it to its end in either case. */
export async function readSmall(piece: Pieces, bytesMax: number): Promise<Uint8Array | null> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (let bytes = await piece(); bytes !== null; bytes = await piece()) {
    length += bytes.length;
    if (length <= bytesMax) pieces.push(bytes);
    else pieces.length = 0;
  }
  if (length > bytesMax) return null;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const bytes of pieces) {
    whole.set(bytes, at);
    at += bytes.length;
  }
  return whole;
}
