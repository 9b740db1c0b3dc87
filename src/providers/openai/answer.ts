import type { ProvidedImage } from "../provider.ts";
import { type UpstreamError, unavailable } from "./failure.ts";
import { type JsonReader, OPEN_BRACE, OPEN_BRACKET, STRING } from "./json.ts";

/** No name that means anything to us is longer. */
export const NAME_LENGTH_MAX = 128;

/** How far an answer came: its whole images, and what broke a body, which only the body's reader is told otherwise. */
export type Progress = { images: number; broken: unknown };

/**
 * Reads the upstream's answer, `{"data":[{"b64_json":"…"},…],…}` with its fields in any order, and yields each image
 * as its first bytes are decoded. Returns the error object that the answer carries, or null. Stops at the end of
 * image `imagesMax`: nothing that follows could take it back.
 * @throws {ProviderError} `unavailable` when the answer breaks off, is not such JSON, or holds neither image nor error.
 */
export async function* readAnswer(
  json: JsonReader,
  imagesMax: number,
  progress: Progress,
): AsyncGenerator<ProvidedImage, UpstreamError | null> {
  let error: UpstreamError | null = null;
  let dataSeen = false;
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    if (key === "error") error = await readError(json);
    else if (key !== "data") await json.skip();
    else {
      if (dataSeen) throw unavailable("a broken answer: two data fields");
      dataSeen = true;
      if ((await json.peek()) !== OPEN_BRACKET) {
        await json.skip();
        continue;
      }
      for await (const _ of json.elements()) {
        progress.images += yield* readEntry(json, progress);
        if (progress.images === imagesMax) return null;
      }
    }
  }
  await json.end();
  if (progress.images === 0 && error === null) throw unavailable("a broken answer: no image in it");
  return error;
}

/** Reads an error body, `{"error":{…}}`, as far as its error object; null when there is none that says anything. */
export async function readErrorAnswer(json: JsonReader): Promise<UpstreamError | null> {
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    if (key === "error") return readError(json);
    await json.skip();
  }
  return null;
}

async function* readEntry(json: JsonReader, progress: Progress): AsyncGenerator<ProvidedImage, number> {
  if ((await json.peek()) !== OPEN_BRACE) {
    await json.skip();
    return 0;
  }
  let images = 0;
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    if (key !== "b64_json" || (await json.peek()) !== STRING) {
      await json.skip();
      continue;
    }
    if (images > 0) throw unavailable("a broken answer: two images in one entry");
    yield* readImage(await json.base64(), progress);
    images = 1;
  }
  return images;
}

/** Yields the image as a stream that decodes only what is read from it, and comes back at the end of its text. */
async function* readImage(
  piece: () => Promise<Uint8Array | null>,
  progress: Progress,
): AsyncGenerator<ProvidedImage, void> {
  let first = await piece();
  if (first === null) throw unavailable("a broken answer: an empty image");
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
  // What the reader left is passed over. A failure of the last pull, which the body has told, ends the iteration too.
  while ((await pulled) !== null) pulled = piece();
}

async function readError(json: JsonReader): Promise<UpstreamError | null> {
  const first = await json.peek();
  if (first === STRING) return (await json.text(NAME_LENGTH_MAX)) === "" ? null : { code: null, type: null };
  if (first !== OPEN_BRACE) {
    await json.skip();
    return null;
  }
  const error: UpstreamError = { code: null, type: null };
  let says = false;
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    if ((key !== "code" && key !== "type" && key !== "message") || (await json.peek()) !== STRING) {
      await json.skip();
      continue;
    }
    const text = await json.text(NAME_LENGTH_MAX);
    says ||= text !== "";
    if (key !== "message") error[key] = text;
  }
  return says ? error : null;
}
