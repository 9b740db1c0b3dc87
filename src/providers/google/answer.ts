import { type ProvidedImage, ProviderError } from "../provider.ts";
import { type Progress, readImage } from "../wire/image.ts";
import { type JsonReader, OPEN_BRACE, OPEN_BRACKET, type Pieces, STRING } from "../wire/json.ts";

/** Longer than every name that this code compares with. */
const NAME_LENGTH_MAX = 128;
const NOTHING = new Uint8Array(0);
const END: IteratorReturnResult<void> = { done: true, value: undefined };

/** What a response says beside its picture. */
export type Verdict = {
  /** Why the prompt was blocked. */
  blockReason: string | null;
  /** Why the model stopped. */
  finishReason: string | null;
  responseId: string | null;
};

/**
 * Reads a `GenerateContentResponse`, and yields its picture: the last one that is not a draft. Whether a picture is a
 * draft (`"thought": true`), or is followed by another one, is written after its data. So the last piece of each picture
 * is held back until that is known, and a draft ends without it: its reader finds an incomplete image, and drops it.
 * Drafts come only when a request asks for thoughts, which ours do not.
 * @throws {ProviderError} `undelivered` when the response breaks off before the end of a picture, or is not JSON
 */
export async function* readAnswer(
  json: JsonReader,
  progress: Progress,
): AsyncGenerator<ProvidedImage, Verdict> {
  const verdict: Verdict = { blockReason: null, finishReason: null, responseId: null };
  const pictures = readPictures(json, verdict);
  for (let step = await pictures.next(); !step.done; ) {
    const picture = new HeldPicture(step.value, pictures);
    yield* readImage(picture.next, progress);
    if (picture.isDraft) progress.images--;
    step = picture.following;
  }
  return verdict;
}

/** A picture of a response, whose pieces are read before the rest of the response. */
type Picture = { pieces: Pieces; part: { isThought: boolean } };

class HeldPicture {
  readonly #picture: Picture;
  readonly #pictures: AsyncGenerator<Picture, void>;
  #held: Uint8Array | null = null;
  #following: IteratorResult<Picture, void> | null = null;

  constructor(picture: Picture, pictures: AsyncGenerator<Picture, void>) {
    this.#picture = picture;
    this.#pictures = pictures;
  }

  /** The next picture of the response, once this one has been read. */
  get following(): IteratorResult<Picture, void> {
    return this.#following ?? END;
  }

  get isDraft(): boolean {
    return this.#picture.part.isThought || !this.following.done;
  }

  readonly next: Pieces = async () => {
    if (this.#following !== null) return null;
    const { pieces } = this.#picture;
    for (let piece = await pieces(); piece !== null; piece = await pieces()) {
      const ready = this.#held;
      this.#held = piece;
      if (ready !== null) return ready;
    }
    if (this.#held === null) return null;
    this.#following = await this.#pictures.next().catch((error: unknown) => {
      // The picture is whole, whatever happens to the rest of the response.
      if (error instanceof ProviderError) return END;
      throw error;
    });
    return this.isDraft ? NOTHING : this.#held;
  };
}

/** Yields the pictures. The caller reads all pieces of one before it asks for the next. */
async function* readPictures(json: JsonReader, verdict: Verdict): AsyncGenerator<Picture, void> {
  await json.start();
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    const first = await json.peek();
    if (key === "candidates" && first === OPEN_BRACKET) {
      for await (const _ of json.elements()) yield* readCandidate(json, verdict);
    } else if (key === "promptFeedback" && first === OPEN_BRACE) {
      for await (const name of json.members(NAME_LENGTH_MAX)) {
        if (name === "blockReason") verdict.blockReason = await readName(json);
        else await json.skip();
      }
    } else if (key === "responseId") verdict.responseId = await readName(json);
    else await json.skip();
  }
}

async function* readCandidate(json: JsonReader, verdict: Verdict): AsyncGenerator<Picture, void> {
  if (await skipped(json, OPEN_BRACE)) return;
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    if (key === "content") yield* readContent(json);
    else if (key === "finishReason") verdict.finishReason = await readName(json);
    else await json.skip();
  }
}

async function* readContent(json: JsonReader): AsyncGenerator<Picture, void> {
  if (await skipped(json, OPEN_BRACE)) return;
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    if (key !== "parts") await json.skip();
    else if (!(await skipped(json, OPEN_BRACKET))) {
      for await (const _ of json.elements()) yield* readPart(json);
    }
  }
}

async function* readPart(json: JsonReader): AsyncGenerator<Picture, void> {
  if (await skipped(json, OPEN_BRACE)) return;
  const part = { isThought: false };
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    if (key === "thought") part.isThought = await readFlag(json);
    else if (key === "inlineData" && !part.isThought) yield* readInlineData(json, part);
    else await json.skip();
  }
}

async function* readInlineData(json: JsonReader, part: Picture["part"]): AsyncGenerator<Picture, void> {
  if (await skipped(json, OPEN_BRACE)) return;
  for await (const key of json.members(NAME_LENGTH_MAX)) {
    if (key !== "data") await json.skip();
    else if (!(await skipped(json, STRING))) {
      const pieces = await json.picture(false);
      if (typeof pieces === "function") yield { pieces, part };
    }
  }
}

/** Skips a value that does not begin with this byte, and returns whether it did. */
async function skipped(json: JsonReader, first: number): Promise<boolean> {
  if ((await json.peek()) === first) return false;
  await json.skip();
  return true;
}

async function readName(json: JsonReader): Promise<string | null> {
  return (await skipped(json, STRING)) ? null : json.text(NAME_LENGTH_MAX);
}

async function readFlag(json: JsonReader): Promise<boolean> {
  const first = String.fromCharCode(await json.peek());
  if (first === "t" || first === "f") return (await json.scalar()) === "true";
  await json.skip();
  return false;
}
