import { PARTIAL_BYTES_MAX, type PartialPictures, type ProvidedImage, ProviderError } from "../provider.ts";
import { undelivered } from "../wire/failure.ts";
import { type Progress as ImageProgress, readImage, readImageStream, readSmall } from "../wire/image.ts";
import { COLON, type JsonReader, OPEN_BRACE, OPEN_BRACKET, STRING } from "../wire/json.ts";
import { type UpstreamError, wrappedIn } from "./failure.ts";

/** Longer than every name that this code compares with. */
const NAME_LENGTH_MAX = 128;
/** How many characters of a message are searched for names. */
const MESSAGE_LENGTH_MAX = 4_096;
/** How many levels of objects inside an error are read. */
const ERROR_DEPTH_MAX = 4;

/** `lost`: the error of an image URL that could not be fetched. */
export type Progress = ImageProgress & { lost?: ProviderError };

/** Fetches the image at a URL of the response. @throws {ProviderError} when it cannot be fetched */
export type OpenUrl = (url: string) => Promise<ReadableStream<Uint8Array>>;

type Reading = {
  json: JsonReader;
  imagesMax: number;
  progress: Progress;
  openUrl: OpenUrl;
  /** Left out when partial pictures are skipped. */
  partials: PartialPictures | undefined;
};

/**
 * Reads the upstream's response, and yields each image as its first bytes arrive. The response is
 * `{"data":[{"b64_json":"…"},…],…}` with its fields in any order, or server-sent events with the same content
 * (`image_generation.completed`), which some gateways send unasked. An entry may have a `url` or a data URL instead.
 * Partial pictures of such events go to `partials`. Returns the response's error object, or null. Stops at the end of image `imagesMax`: nothing after it can revoke it.
 * @throws {ProviderError} `undelivered` when the response breaks off, has another form, or lacks an image that it names
 */
export async function* readAnswer(
  json: JsonReader,
  imagesMax: number,
  progress: Progress,
  openUrl: OpenUrl,
  partials?: PartialPictures,
): AsyncGenerator<ProvidedImage, UpstreamError | null> {
  const reading = { json, imagesMax, progress, openUrl, partials };
  const isEvents = EVENT_STARTS.includes(String.fromCharCode(await json.start()));
  const error = isEvents ? yield* readEvents(reading) : yield* readWhole(reading);
  if (progress.images === imagesMax) return null;
  if (progress.lost) throw progress.lost;
  if (progress.images === 0 && error === null) throw undelivered("invalid response: no image");
  return error;
}

/** Reads an error body, `{"error":{…}}`, up to its error object; null when there is none, or an empty one. */
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
  const { json, imagesMax, progress, partials } = reading;
  let event = "";
  for (;;) {
    const field = await json.line(NAME_LENGTH_MAX, COLON);
    if (field === null) return null;
    if (field.end !== COLON) {
      if (field.text === "") event = "";
      continue;
    }
    const first = await json.peekInLine();
    if (field.text === "data" && first === OPEN_BRACE && (partials || !isPartial(event))) {
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

/** A preview. Another event brings the complete image. */
const isPartial = (type: string | null) => type?.endsWith(".partial_image") ?? false;

/** What is known of a partial picture before the end of its event. */
type Partial = { index: number | null; picture: Uint8Array | null };

/** Reads one member of a partial picture's event. */
async function readPartialField({ json, partials }: Reading, key: string | null, partial: Partial) {
  const first = await json.peek();
  if (key === "b64_json" && first === STRING && partial.picture === null && (await partials?.hasRoom())) {
    const picture = await json.picture(false);
    if (typeof picture === "function") partial.picture = await readSmall(picture, PARTIAL_BYTES_MAX);
  } else if (key === "partial_image_index" && ![STRING, OPEN_BRACE, OPEN_BRACKET].includes(first)) {
    partial.index = Number(await json.scalar());
  } else await json.skip();
}

/**
 * Reads one object: the whole response (`event` null), or the content of one event, which may be a single image. May
 * return before the end of the object once all images have arrived.
 */
async function* readMembers(
  reading: Reading,
  event: string | null,
): AsyncGenerator<ProvidedImage, UpstreamError | null> {
  const { json, imagesMax, progress } = reading;
  const entry: Entry = { taken: null, url: null };
  const partial: Partial = { index: null, picture: null };
  let error: UpstreamError | null = null;
  let dataSeen = false;
  let type = event;
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    if (key === "error") error = await readError(json);
    else if (key === "data") {
      if (dataSeen) throw undelivered("invalid response: two data fields");
      dataSeen = true;
      yield* readData(reading);
    } else if (event !== null && key === "type" && (await json.peek()) === STRING) {
      type = await json.text(NAME_LENGTH_MAX);
    } else if (isPartial(type)) await readPartialField(reading, key, partial);
    else if (event !== null) yield* readField(reading, key, entry);
    else await json.skip();
    if (progress.images === imagesMax) return null;
  }
  const { index, picture } = partial;
  if (index !== null && picture !== null) reading.partials?.send(index, picture);
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

/** The state of an entry: the field that had its image, or else the URL of one. */
type Entry = { taken: string | null; url: string | null };

/** Reads one member of an entry. Yields an image at once; a URL is used only if the entry has nothing else. */
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
  if (entry.taken === key) throw undelivered("invalid response: two images in one entry");
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

/** Yields the image at the entry's URL. A failure is recorded, and the other images are still read. */
async function* readUrl(reading: Reading, { taken, url }: Entry): AsyncGenerator<ProvidedImage, void> {
  if (taken !== null || url === null || url === "") return;
  const { progress, openUrl } = reading;
  const opened = await openUrl(url).catch((error: unknown) => {
    if (!(error instanceof ProviderError)) throw error;
    progress.lost = error;
    return null;
  });
  if (opened !== null) yield* readImageStream(opened, progress);
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

/** Members that describe the cause of an error. `raw` is the upstream's own response, as OpenRouter passes it on. */
const CAUSE_MEMBERS = ["code", "type", "message", "error_type", "reason", "raw"];

/**
 * Reads an error object and those inside it. A gateway puts the upstream's error into `innererror` (Azure), `metadata`
 * (OpenRouter) or the message (LiteLLM). Returns whether any member describes the cause.
 */
async function readErrorMembers(json: JsonReader, error: UpstreamError, depth: number): Promise<boolean> {
  let says = false;
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    const first = await json.peek();
    if (first === OPEN_BRACE && depth < ERROR_DEPTH_MAX) {
      says = (await readErrorMembers(json, error, depth + 1)) || says;
    } else if (first === STRING && CAUSE_MEMBERS.includes(key ?? "")) {
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
      // OpenRouter's moderation lists its reasons.
      if (depth > 1 && key === "reasons" && first === OPEN_BRACKET) error.wrapped ??= "refused";
      await json.skip();
    }
  }
  return says;
}

function statusIn(code: string): number | null {
  return /^[45]\d\d$/.test(code) ? Number(code) : null;
}
