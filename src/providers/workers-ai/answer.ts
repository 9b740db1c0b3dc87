import type { ProvidedImage } from "../provider.ts";
import { type Progress, readImage, readImageStream } from "../wire/image.ts";
import { type JsonReader, OPEN_BRACE, OPEN_BRACKET, STRING } from "../wire/json.ts";

/** Longer than every name that this code compares with. */
const NAME_LENGTH_MAX = 128;
/** How many characters of a message are searched for names. */
const MESSAGE_LENGTH_MAX = 4_096;
/** How many levels of objects are read. */
const DEPTH_MAX = 3;

/** Its message is only searched for known words, and never passed on. */
export type UpstreamError = { code: number | null; message: string };

type Reading = {
  json: JsonReader;
  error: UpstreamError;
  progress: Progress;
  /** Opens the image at a URL; null when the image is base64. */
  openUrl: ((url: string) => Promise<ReadableStream<Uint8Array>>) | null;
};

/**
 * Reads a JSON response, and yields its image: `{"image": …}`, also inside `result`. Returns its error, which is empty
 * when it has none. An error is `{"internalCode", "description"}` or `{"errors": [{"code", "message"}]}`, with any
 * status, 200 too.
 * @throws {ProviderError} `undelivered` when the response breaks off, is not JSON, or its image cannot be fetched
 */
export async function* readAnswer(
  json: JsonReader,
  progress: Progress,
  openUrl: Reading["openUrl"],
): AsyncGenerator<ProvidedImage, UpstreamError> {
  const reading = { json, progress, openUrl, error: { code: null, message: "" } };
  await json.start();
  yield* readObject(reading, 1);
  return reading.error;
}

async function* readObject(reading: Reading, depth: number): AsyncGenerator<ProvidedImage, void> {
  const { json, error, progress } = reading;
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    const first = await json.peek();
    if (key === "image" && first === STRING && progress.images === 0) {
      yield* readPicture(reading);
      // Nothing after the image can revoke it.
      if (progress.images > 0) return;
    } else if ((key === "result" || key === "error") && first === OPEN_BRACE && depth < DEPTH_MAX) {
      yield* readObject(reading, depth + 1);
      if (progress.images > 0) return;
    } else if (key === "errors" && first === OPEN_BRACKET && depth < DEPTH_MAX) {
      for await (const _ of json.elements()) {
        if ((await json.peek()) === OPEN_BRACE) yield* readObject(reading, depth + 1);
        else await json.skip();
      }
    } else if (key === "internalCode" || key === "code") {
      const text = first === STRING ? await json.prefix(NAME_LENGTH_MAX) : await scalarOf(json, first);
      error.message += `${text} `;
      if (/^\d{1,9}$/.test(text)) error.code ??= Number(text);
    } else if (["description", "message", "name", "error"].includes(key ?? "") && first === STRING) {
      error.message += `${await json.prefix(MESSAGE_LENGTH_MAX)} `;
    } else await json.skip();
  }
}

async function scalarOf(json: JsonReader, first: number): Promise<string> {
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return json.scalar();
  await json.skip();
  return "";
}

async function* readPicture({ json, progress, openUrl }: Reading): AsyncGenerator<ProvidedImage, void> {
  const picture = await json.picture(openUrl !== null);
  if (typeof picture === "function") yield* readImage(picture, progress);
  else if (picture !== null && openUrl !== null) yield* readImageStream(await openUrl(picture), progress);
}
