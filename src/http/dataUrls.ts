import { OPENAI_NAMES, placeholderOf, type ReferenceNames } from "../references/entries.ts";
import { isEncoded } from "../text.ts";
import { TimeoutError, withTimeout } from "../time.ts";
import { ENCODED_MESSAGE, ENCODED_PARAM, FIELD_NAME_SHOWN_MAX, JSON_BYTES_MAX, JSON_LIMITS } from "./body.ts";
import { parseJson } from "./json.ts";
import type { FileHandler, MultipartLimits, MultipartRefusal } from "./multipart.ts";

/** The body's value, in which each data URL has become a placeholder: see {@link placeholderOf}. */
export type JsonWithDataUrls = { kind: "json"; value: unknown };

/** The member whose value may be an image: the member itself, or the elements of a list of that name. */
const IMAGE_MEMBERS: ReadonlyMap<string, readonly string[]> = new Map([
  ["images", ["image_url", "images", "url"]],
  ["reference_images", ["reference_images"]],
]);
/** A data URL of an image (RFC 2397): a media type, perhaps with parameters, in base64. */
const DATA_URL_START = /^data:[\w.+-]{1,40}\/[\w.+-]{1,40}(;[\w.+=-]{1,40})?;base64,$/i;
const START_LENGTH_MAX = 128;
/** Either alphabet of RFC 4648, with or without padding. */
const BASE64 = /^[\w+/-]*={0,2}$/;
/** The bytes that are searched for the next quote or backslash at a time. */
const SCANNED_BYTES = 4096;
/** The bytes of base64 that are decoded at a time. */
const DECODED_BYTES = 64 * 1024;
const QUOTE = 0x22;
const COLON = 0x3a;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Reads JSON whose images are data URLs, and hands each image, decoded, to `onFile` as it arrives, so that no image is
 * held in memory. The rest of the text, and the time until the first image, have the limits of every JSON body. A
 * file's position is its index in the list of references, from 1. A refusal stops the reading.
 * @throws whatever `onFile` throws; nothing else.
 */
export async function readJsonWithDataUrls(
  request: Request,
  limits: MultipartLimits,
  onFile: FileHandler,
  names: ReferenceNames = OPENAI_NAMES,
): Promise<JsonWithDataUrls | MultipartRefusal> {
  if (isEncoded(request)) return refusal(415, "unsupportedMediaType", ENCODED_MESSAGE, ENCODED_PARAM);
  if (request.body === null) return refusal(400, "invalid_request", "The body is empty.");
  const reader = request.body.getReader();
  try {
    const text = await new DataUrlExtractor(reader, limits, onFile, names).read();
    const json = parseJson(text);
    switch (json.kind) {
      case "json":
        return json;
      case "invalid":
        return refusal(400, "invalid_request", "The body is not valid JSON.");
      case "twice":
        return twice(json.name.slice(0, FIELD_NAME_SHOWN_MAX));
    }
  } catch (error) {
    if (error instanceof UploadRejected) return error.refusal;
    throw error;
  } finally {
    await reader.cancel().catch(() => null);
  }
}

function twice(name: string): MultipartRefusal {
  return refusal(400, "invalid_request", `${name} is given twice.`, name);
}

/** Thrown and caught inside this file only. */
class UploadRejected extends Error {
  readonly refusal: MultipartRefusal;

  constructor(...[status, code, message, param]: Parameters<typeof refusal>) {
    super(message);
    this.refusal = refusal(status, code, message, param);
  }
}

function refusal(
  status: MultipartRefusal["status"],
  code: MultipartRefusal["code"],
  message: string,
  param: string | null = null,
): MultipartRefusal {
  return { kind: "refused", status, code, message, param };
}

function invalid(message: string, param: string | null = null): UploadRejected {
  return new UploadRejected(400, "invalid_request", message, param);
}

/** Copies the text without strings that are data URLs. It only needs to know where JSON's strings end. */
class DataUrlExtractor {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #limits: MultipartLimits;
  readonly #onFile: FileHandler;
  readonly #names: ReferenceNames;
  readonly #imageMembers: readonly string[];
  readonly #startedAt = Date.now();
  /** The limits of every JSON body, until the first image. */
  #until: number;
  #stallMsMax: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  #text = "";
  #textBytes = 0;
  /** The last string, if it was short, and the member that the text is in: the last string before a colon. */
  #lastString = "";
  #member = "";
  #files = 0;
  #depth = 0;
  /** The depth of the list of references while the text is in it, and the index in it. */
  #listDepth: number | null = null;
  #index = 0;

  constructor(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    limits: MultipartLimits,
    onFile: FileHandler,
    names: ReferenceNames,
  ) {
    this.#reader = reader;
    this.#limits = limits;
    this.#onFile = onFile;
    this.#names = names;
    this.#imageMembers = IMAGE_MEMBERS.get(names.field) ?? [];
    this.#until = this.#startedAt + Math.min(limits.durationMsMax, JSON_LIMITS.durationMsMax);
    this.#stallMsMax = Math.min(limits.stallMsMax, JSON_LIMITS.stallMsMax);
  }

  async read(): Promise<string> {
    while (await this.#more()) {
      const quote = this.#chunk.indexOf(QUOTE, this.#at);
      const between = this.#chunk.subarray(this.#at, quote === -1 ? undefined : quote + 1);
      if (between.includes(COLON)) this.#member = this.#lastString;
      this.#trackList(between);
      this.#keep(between);
      this.#at += between.length;
      if (quote !== -1) await this.#readString();
    }
    return this.#text + this.#decode(undefined);
  }

  /** Updates the index in the list of references, from text outside of strings. */
  #trackList(text: Uint8Array): void {
    for (const byte of text) {
      if (byte === COMMA && this.#depth === this.#listDepth) this.#index += 1;
      if (byte === OPEN_LIST || byte === OPEN_OBJECT) this.#depth += 1;
      if (byte === OPEN_LIST && this.#listDepth === null && this.#member === this.#names.field) {
        this.#listDepth = this.#depth;
        this.#index = 0;
      }
      if (byte !== CLOSE_LIST && byte !== CLOSE_OBJECT) continue;
      if (this.#depth === this.#listDepth) this.#listDepth = null;
      this.#depth -= 1;
    }
  }

  async #readString(): Promise<void> {
    const raw: number[] = [];
    const mayBeImage = this.#imageMembers.includes(this.#member);
    let text = "";
    while (text.length < START_LENGTH_MAX) {
      const byte = await this.#byte();
      raw.push(byte);
      if (byte === QUOTE) {
        this.#keep(Uint8Array.from(raw));
        this.#lastString = text;
        return;
      }
      if (byte === BACKSLASH) {
        const escaped = await this.#escape();
        raw.push(...escaped.bytes);
        text += escaped.character;
      } else text += String.fromCharCode(byte);
      if (text.endsWith(",") && mayBeImage && DATA_URL_START.test(text)) return await this.#takeImage();
    }
    this.#keep(Uint8Array.from(raw));
    this.#lastString = "";
    await this.#copyToQuote();
  }

  /** The rest of a string that is no data URL. */
  async #copyToQuote(): Promise<void> {
    while (await this.#mustHaveMore()) {
      const end = this.#endOfPlain(SCANNED_BYTES);
      this.#keep(this.#chunk.subarray(this.#at, end));
      this.#at = end;
      const next = this.#chunk[end];
      if (next !== QUOTE && next !== BACKSLASH) continue;
      const byte = await this.#byte();
      this.#keep(Uint8Array.of(byte));
      if (byte === QUOTE) return;
      this.#keep(Uint8Array.of(await this.#byte()));
    }
  }

  async #takeImage(): Promise<void> {
    const { filesMax, durationMsMax, stallMsMax } = this.#limits;
    const { field, param, label } = this.#names;
    if (this.#files === filesMax) throw invalid(`${field} may hold at most ${filesMax} images.`, field);
    this.#files += 1;
    this.#until = this.#startedAt + durationMsMax;
    this.#stallMsMax = stallMsMax;
    // Outside of the list it is refused once the whole body has been read.
    const index = this.#listDepth === null ? this.#files - 1 : this.#index;
    const refused = await this.#onFile({ position: index + 1, content: this.#decoded(index) });
    if (refused !== null) throw invalid(`${label(index)} ${refused}`, param(index));
    this.#keep(new TextEncoder().encode(`${placeholderOf(this.#files)}"`));
  }

  /**
   * Decodes base64 up to the quote that ends the string: in either alphabet of RFC 4648, with or without padding, with
   * line breaks, and with JSON's escapes, which .NET, Gson and PHP write for some of its characters.
   */
  async *#decoded(index: number): AsyncGenerator<Uint8Array> {
    let cut = "";
    let held = "";
    let padded = false;
    let ended = false;
    while (!ended && (await this.#mustHaveMore())) {
      const piece = this.#chunk.subarray(this.#at, this.#at + DECODED_BYTES);
      const quote = piece.indexOf(QUOTE);
      ended = quote !== -1;
      this.#at += ended ? quote + 1 : piece.length;
      const text = cut + asText(ended ? piece.subarray(0, quote) : piece);
      // An escape of which this piece has only the start.
      cut = ended ? "" : (/\\(u[\da-f]{0,3})?$/i.exec(text)?.[0] ?? "");
      held += unescaped(text.slice(0, text.length - cut.length));
      const length = ended ? held.length : held.length - (held.length % 4);
      const groups = held.slice(0, length);
      held = held.slice(length);
      const broken = length % 4 === 1 || (length % 4 > 0 && groups.endsWith("="));
      if (broken || (padded && groups !== "") || !BASE64.test(groups)) throw this.#notBase64(index);
      padded ||= groups.endsWith("=");
      if (groups !== "") yield Buffer.from(groups, "base64");
    }
  }

  #notBase64(index: number): UploadRejected {
    return invalid(`${this.#names.label(index)} is not valid base64.`, this.#names.param(index));
  }

  /** The character after a backslash, and the character that it stands for. */
  async #escape(): Promise<{ bytes: Uint8Array; character: string }> {
    const kind = await this.#bytes(1);
    const short = SHORT_ESCAPES.get(asText(kind));
    if (short !== undefined) return { bytes: kind, character: short };
    const hex = asText(kind) === "u" ? await this.#bytes(4) : kind;
    if (!/^[\da-f]{4}$/i.test(asText(hex))) throw invalid("The body is not valid JSON.");
    const character = String.fromCharCode(Number.parseInt(asText(hex), 16));
    return { bytes: Uint8Array.of(...kind, ...hex), character };
  }

  /** The position of the next quote or backslash of the chunk, or the end of the searched part. */
  #endOfPlain(bytesMax: number): number {
    const bytes = this.#chunk.subarray(this.#at, this.#at + bytesMax);
    const quote = bytes.indexOf(QUOTE);
    const plain = quote === -1 ? bytes : bytes.subarray(0, quote);
    const backslash = plain.indexOf(BACKSLASH);
    return this.#at + (backslash === -1 ? plain.length : backslash);
  }

  #keep(bytes: Uint8Array): void {
    this.#textBytes += bytes.length;
    if (this.#textBytes > JSON_BYTES_MAX) {
      const aside = this.#files === 0 ? "" : ", its images aside,";
      const message = `The body${aside} is larger than ${JSON_BYTES_MAX} bytes.`;
      throw new UploadRejected(413, "payloadTooLarge", message);
    }
    this.#text += this.#decode(bytes);
  }

  #decode(bytes: Uint8Array | undefined): string {
    try {
      return bytes === undefined ? this.#decoder.decode() : this.#decoder.decode(bytes, { stream: true });
    } catch {
      throw invalid("The body is not valid UTF-8 text.");
    }
  }

  async #byte(): Promise<number> {
    await this.#mustHaveMore();
    return this.#chunk[this.#at++] ?? 0;
  }

  /** A few bytes, which may come in several chunks. */
  async #bytes(count: number): Promise<Uint8Array> {
    if (this.#at + count <= this.#chunk.length) {
      this.#at += count;
      return this.#chunk.subarray(this.#at - count, this.#at);
    }
    const bytes: number[] = [];
    while (bytes.length < count) bytes.push(await this.#byte());
    return Uint8Array.from(bytes);
  }

  async #mustHaveMore(): Promise<true> {
    if (!(await this.#more())) throw invalid("The body is not valid JSON.");
    return true;
  }

  /** Whether there is another byte, which is then in the chunk. */
  async #more(): Promise<boolean> {
    while (this.#at === this.#chunk.length) {
      const left = Math.min(this.#stallMsMax, this.#until - Date.now());
      if (left <= 0) throw tooSlow();
      const { done, value } = await withTimeout(left, this.#reader.read()).catch((error: unknown) => {
        throw error instanceof TimeoutError ? tooSlow() : invalid("The body could not be read to its end.");
      });
      if (done) return false;
      this.#chunk = value;
      this.#at = 0;
    }
    return true;
  }
}

/** RFC 8259, section 7. */
const SHORT_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ["\\", "\\"],
  ["/", "/"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);

/** Base64 without JSON's escapes and white space. A bare line break stays: JSON's strings cannot have one. */
function unescaped(text: string): string {
  const plain = text.replace(
    /\\(?:u([\da-f]{4})|(["\\/bfnrt]))/gi,
    (whole, hex: string | undefined, short: string) => {
      const character =
        hex === undefined ? SHORT_ESCAPES.get(short) : String.fromCharCode(Number.parseInt(hex, 16));
      return character?.trim() ?? whole;
    },
  );
  return plain.replaceAll(" ", "");
}

function tooSlow(): UploadRejected {
  return invalid("The body took too long to arrive.");
}

/** One character per byte: enough to compare with ASCII. */
function asText(bytes: Uint8Array | readonly number[]): string {
  return Buffer.from(bytes).toString("latin1");
}
