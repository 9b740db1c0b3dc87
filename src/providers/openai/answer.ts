import { type ProvidedImage, ProviderError } from "../provider.ts";
import { type UpstreamError, undelivered, wrappedIn } from "./failure.ts";
import { COLON, type JsonReader, OPEN_BRACE, OPEN_BRACKET, type Pieces, STRING } from "./json.ts";

/** No name that means anything to us is longer. */
const NAME_LENGTH_MAX = 128;
/** How much of a message is searched for names, in characters. */
const MESSAGE_LENGTH_MAX = 4_096;
/** How many objects inside an error are looked into. */
const ERROR_DEPTH_MAX = 4;

/**
 * How far an answer came: its whole images, and what broke a body, which only the body's reader is told otherwise.
 * `lost` is why a picture could not be had that others came after.
 */
export type Progress = { images: number; broken: unknown; lost?: ProviderError };

/** Opens the picture at an address that the answer gives. @throws {ProviderError} when it cannot be had */
export type OpenUrl = (url: string) => Promise<ReadableStream<Uint8Array>>;

type Reading = { json: JsonReader; imagesMax: number; progress: Progress; openUrl: OpenUrl };

/**
 * Reads the upstream's answer, and yields each image as its first bytes are there. It is
 * `{"data":[{"b64_json":"…"},…],…}` with its fields in any order, or server-sent events that hold the same
 * (`image_generation.completed`), which some gateways send unasked. An entry may give a `url` or a data URL instead.
 * Returns the error object that the answer carries, or null. Stops at the end of image `imagesMax`: nothing that
 * follows could take it back.
 * @throws {ProviderError} `undelivered` when the answer breaks off, is neither of these, or lacks an image that it names
 */
export async function* readAnswer(
  json: JsonReader,
  imagesMax: number,
  progress: Progress,
  openUrl: OpenUrl,
): AsyncGenerator<ProvidedImage, UpstreamError | null> {
  const reading = { json, imagesMax, progress, openUrl };
  const isEvents = EVENT_STARTS.includes(String.fromCharCode(await json.start()));
  const error = isEvents ? yield* readEvents(reading) : yield* readWhole(reading);
  if (progress.images === imagesMax) return null;
  if (progress.lost) throw progress.lost;
  if (progress.images === 0 && error === null) throw undelivered("a broken answer: no image in it");
  return error;
}

/** Reads an error body, `{"error":{…}}`, as far as its error object; null when there is none that says anything. */
export async function readErrorAnswer(json: JsonReader): Promise<UpstreamError | null> {
  await json.start();
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    if (key === "error") return readError(json);
    await json.skip();
  }
  return null;
}

async function* readWhole(reading: Reading): AsyncGenerator<ProvidedImage, UpstreamError | null> {
  const error = yield* readMembers(reading, null);
  if (reading.progress.images < reading.imagesMax) await reading.json.end();
  return error;
}

/** The first characters of an event stream: of `event`, `data`, `id` and `retry`, and of a comment. */
const EVENT_STARTS = "edir:";

/** Server-sent events (HTML, 9.2.6), each with its JSON in one line. */
async function* readEvents(reading: Reading): AsyncGenerator<ProvidedImage, UpstreamError | null> {
  const { json, imagesMax, progress } = reading;
  let event = "";
  for (;;) {
    const field = await json.line(NAME_LENGTH_MAX, COLON);
    if (field === null) return null;
    if (field.end !== COLON) {
      if (field.text === "") event = "";
      continue;
    }
    const first = await json.peekInLine();
    if (field.text === "data" && first === OPEN_BRACE && !isPartial(event)) {
      const error = yield* readMembers(reading, event);
      if (error !== null || progress.images === imagesMax) return error;
      await json.line(0);
      continue;
    }
    const value = (await json.line(NAME_LENGTH_MAX))?.text ?? "";
    if (field.text === "event") event = value;
    if (field.text === "data" && value.trim() === "[DONE]") return null;
  }
}

/** A sketch of a picture on its way, which an event of its own brings whole. */
const isPartial = (type: string | null) => type?.endsWith(".partial_image") ?? false;

/**
 * Reads one object: the answer as a whole (`event` null), or what one event holds, which may be a single picture. May
 * return with the object half read once all images are there.
 */
async function* readMembers(
  reading: Reading,
  event: string | null,
): AsyncGenerator<ProvidedImage, UpstreamError | null> {
  const { json, imagesMax, progress } = reading;
  const entry: Entry = { taken: null, url: null };
  let error: UpstreamError | null = null;
  let dataSeen = false;
  let type = event;
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    if (key === "error") error = await readError(json);
    else if (key === "data") {
      if (dataSeen) throw undelivered("a broken answer: two data fields");
      dataSeen = true;
      yield* readData(reading);
    } else if (event !== null && key === "type" && (await json.peek()) === STRING) {
      type = await json.text(NAME_LENGTH_MAX);
    } else if (event !== null && !isPartial(type)) yield* readField(reading, key, entry);
    else await json.skip();
    if (progress.images === imagesMax) return null;
  }
  yield* readUrl(reading, entry);
  return error;
}

async function* readData(reading: Reading): AsyncGenerator<ProvidedImage, void> {
  const { json, imagesMax, progress } = reading;
  if ((await json.peek()) !== OPEN_BRACKET) {
    await json.skip();
    return;
  }
  for await (const _ of json.elements()) {
    if ((await json.peek()) !== OPEN_BRACE) {
      await json.skip();
      continue;
    }
    const entry: Entry = { taken: null, url: null };
    for await (const key of json.members(NAME_LENGTH_MAX)) {
      yield* readField(reading, key, entry);
      if (progress.images === imagesMax) return;
    }
    yield* readUrl(reading, entry);
    if (progress.images === imagesMax) return;
  }
}

/** What an entry has given: the field that its picture was in, or else the address of one. */
type Entry = { taken: string | null; url: string | null };

/** Takes one member of an entry: a picture at once, an address only when the entry turns out to hold nothing else. */
async function* readField(
  reading: Reading,
  key: string | null,
  entry: Entry,
): AsyncGenerator<ProvidedImage, void> {
  const { json, progress } = reading;
  if ((key !== "b64_json" && key !== "url") || (await json.peek()) !== STRING) {
    await json.skip();
    return;
  }
  if (entry.taken === key) throw undelivered("a broken answer: two images in one entry");
  if (entry.taken !== null) {
    await json.skip();
    return;
  }
  const picture = await json.picture(key === "url");
  if (typeof picture === "function") {
    entry.taken = key;
    yield* readImage(picture, progress);
  } else {
    entry.url = picture;
  }
}

/** The picture at an address. One that cannot be had is noted, and does not cost the others. */
async function* readUrl(reading: Reading, { taken, url }: Entry): AsyncGenerator<ProvidedImage, void> {
  if (taken !== null || url === null || url === "") return;
  const { progress, openUrl } = reading;
  const opened = await openUrl(url).catch((error: unknown) => {
    if (!(error instanceof ProviderError)) throw error;
    progress.lost = error;
    return null;
  });
  if (opened === null) return;
  const reader = opened.getReader();
  try {
    yield* readImage(async () => (await reader.read()).value ?? null, progress);
  } finally {
    await reader.cancel().catch(() => null);
  }
}

/** Yields the image as a stream that decodes only what is read from it, and comes back at the end of its text. */
async function* readImage(piece: Pieces, progress: Progress): AsyncGenerator<ProvidedImage, void> {
  let first = await piece();
  if (first === null) throw undelivered("a broken answer: an empty image");
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
  progress.images++;
}

async function readError(json: JsonReader): Promise<UpstreamError | null> {
  const error: UpstreamError = { code: null, type: null, status: null, wrapped: null };
  const first = await json.peek();
  if (first === STRING) {
    const text = await json.prefix(MESSAGE_LENGTH_MAX);
    return text === "" ? null : { ...error, wrapped: wrappedIn(text) };
  }
  if (first !== OPEN_BRACE) {
    await json.skip();
    return null;
  }
  return (await readErrorMembers(json, error, 1)) ? error : null;
}

/** Where an error says something about its cause. `raw` is the upstream's own answer, as OpenRouter hands it on. */
const TELLING = ["code", "type", "message", "error_type", "reason", "raw"];

/**
 * Takes an error object and those inside it: what a gateway wraps is in `innererror` (Azure), `metadata` (OpenRouter) or
 * the message (LiteLLM). Returns whether it says anything.
 */
async function readErrorMembers(json: JsonReader, error: UpstreamError, depth: number): Promise<boolean> {
  let says = false;
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    const first = await json.peek();
    if (first === OPEN_BRACE && depth < ERROR_DEPTH_MAX) {
      says = (await readErrorMembers(json, error, depth + 1)) || says;
    } else if (first === STRING && TELLING.includes(key ?? "")) {
      const text = await json.prefix(MESSAGE_LENGTH_MAX);
      says ||= text !== "";
      error.wrapped ??= wrappedIn(text);
      if (depth === 1 && (key === "code" || key === "type") && text.length <= NAME_LENGTH_MAX) {
        error[key] = text;
        error.status ??= statusIn(text);
      }
    } else if (
      depth === 1 &&
      key === "code" &&
      first !== OPEN_BRACKET &&
      first !== OPEN_BRACE &&
      first !== STRING
    ) {
      error.status ??= statusIn(await json.scalar());
      says ||= error.status !== null;
    } else {
      // The reasons of OpenRouter's moderation.
      if (depth > 1 && key === "reasons" && first === OPEN_BRACKET) error.wrapped ??= "refused";
      await json.skip();
    }
  }
  return says;
}

function statusIn(code: string): number | null {
  return /^[45]\d\d$/.test(code) ? Number(code) : null;
}
