import { TimeoutError, within } from "../time.ts";
import { JSON_BYTES_MAX } from "./body.ts";
import type { FileHandler, MultipartLimits, MultipartRefusal } from "./multipart.ts";

/** The body's value, in which each data URL has become `data:,` and its position from 1. */
export type JsonWithDataUrls = { kind: "json"; value: unknown };

/** Whose value may be an image: the member itself, or the elements of a list of that name. */
const IMAGE_MEMBERS = ["image_url", "images"];
/** RFC 2397, as far as it is used for images: a media type, perhaps with parameters, in base64. */
const DATA_URL_START = /^data:[\w.+-]{1,40}\/[\w.+-]{1,40}(;[\w.+=-]{1,40})?;base64,$/i;
const START_LENGTH_MAX = 128;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const QUOTE = 0x22;
const COMMA = 0x2c;
const SLASH = 0x2f;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/**
 * Reads JSON whose images are data URLs, and hands each image, decoded, to `onFile` as it arrives, so that none is ever
 * held whole. What is left of the text is held against the limit of every JSON body. A refusal stops the reading.
 * @throws whatever `onFile` throws; nothing else.
 */
export async function readJsonWithDataUrls(
  request: Request,
  limits: MultipartLimits,
  onFile: FileHandler,
): Promise<JsonWithDataUrls | MultipartRefusal> {
  if (request.headers.has("Content-Encoding")) {
    return refusal(415, "unsupportedMediaType", "The body must not be compressed.");
  }
  if (request.body === null) return refusal(400, "invalid_request", "The body is empty.");
  const reader = request.body.getReader();
  try {
    const text = await new Lifting(reader, limits, onFile).read();
    return { kind: "json", value: JSON.parse(text) };
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    if (error instanceof SyntaxError) return refusal(400, "invalid_request", "The body is not valid JSON.");
    throw error;
  } finally {
    await reader.cancel().catch(() => null);
  }
}

/** Travels inside this file only. */
class Refused extends Error {
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

function invalid(message: string, param: string | null = null): Refused {
  return new Refused(400, "invalid_request", message, param);
}

/** Copies the text, strings that are data URLs aside. It need not know JSON's grammar beyond where strings end. */
class Lifting {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #limits: MultipartLimits;
  readonly #onFile: FileHandler;
  readonly #until: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  #text = "";
  #textBytes = 0;
  /** The last string, if it was short, and the member that the text is in: the last string before a colon. */
  #lastString = "";
  #member = "";
  #files = 0;

  constructor(reader: ReadableStreamDefaultReader<Uint8Array>, limits: MultipartLimits, onFile: FileHandler) {
    this.#reader = reader;
    this.#limits = limits;
    this.#onFile = onFile;
    this.#until = Date.now() + limits.durationMsMax;
  }

  async read(): Promise<string> {
    while (await this.#more()) {
      const quote = this.#chunk.indexOf(QUOTE, this.#at);
      const between = this.#chunk.subarray(this.#at, quote === -1 ? undefined : quote + 1);
      if (between.includes(COLON)) this.#member = this.#lastString;
      this.#keep(between);
      this.#at += between.length;
      if (quote !== -1) await this.#readString();
    }
    return this.#text + this.#decode(undefined);
  }

  async #readString(): Promise<void> {
    const start: number[] = [];
    const mayBeImage = IMAGE_MEMBERS.includes(this.#member);
    let closed = false;
    while (!closed && start.length < START_LENGTH_MAX) {
      const byte = await this.#byte();
      start.push(byte);
      closed = byte === QUOTE;
      if (byte === BACKSLASH) start.push(await this.#byte());
      if (byte === COMMA && mayBeImage && isDataUrl(start)) return await this.#takeImage();
    }
    this.#keep(Uint8Array.from(start));
    this.#lastString = closed ? asText(start).slice(0, -1) : "";
    if (!closed) await this.#copyToQuote();
  }

  /** The rest of a string that is no data URL. */
  async #copyToQuote(): Promise<void> {
    while (await this.#mustHaveMore()) {
      const end = this.#endOfPlain();
      this.#keep(this.#chunk.subarray(this.#at, end));
      this.#at = end;
      if (end === this.#chunk.length) continue;
      const byte = await this.#byte();
      this.#keep(Uint8Array.of(byte));
      if (byte === QUOTE) return;
      this.#keep(Uint8Array.of(await this.#byte()));
    }
  }

  async #takeImage(): Promise<void> {
    const { filesMax } = this.#limits;
    if (this.#files === filesMax) throw invalid(`images may hold at most ${filesMax} images.`, "images");
    this.#files += 1;
    const position = this.#files;
    const content = this.#decoded(position);
    const refused = await this.#onFile({ position, content });
    if (refused !== null) throw invalid(`image ${position} ${refused}`, "images");
    this.#keep(new TextEncoder().encode(`data:,${position}"`));
  }

  /** Decodes base64 (RFC 4648, section 4; padding required) up to the quote that ends the string. */
  async *#decoded(position: number): AsyncGenerator<Uint8Array> {
    let held = "";
    let padded = false;
    let ended = false;
    while (!ended && (await this.#mustHaveMore())) {
      const end = this.#endOfPlain();
      held += asText(this.#chunk.subarray(this.#at, end));
      this.#at = end;
      if (end < this.#chunk.length) {
        const byte = await this.#byte();
        ended = byte === QUOTE;
        // PHP writes every slash with a backslash; no other escape has a place in base64.
        if (!ended && (await this.#byte()) !== SLASH) throw notBase64(position);
        if (!ended) held += "/";
      }
      const whole = held.length - (held.length % 4);
      const groups = held.slice(0, whole);
      held = held.slice(whole);
      const late = padded && groups !== "";
      if (late || (ended && held !== "") || !BASE64.test(groups)) throw notBase64(position);
      padded ||= groups.endsWith("=");
      if (groups !== "") yield Buffer.from(groups, "base64");
    }
  }

  /** Where the next quote or backslash of the chunk is, or the chunk's end. */
  #endOfPlain(): number {
    const quote = this.#chunk.indexOf(QUOTE, this.#at);
    const end = quote === -1 ? this.#chunk.length : quote;
    const backslash = this.#chunk.subarray(this.#at, end).indexOf(BACKSLASH);
    return backslash === -1 ? end : this.#at + backslash;
  }

  #keep(bytes: Uint8Array): void {
    this.#textBytes += bytes.length;
    if (this.#textBytes > JSON_BYTES_MAX) {
      const message = `The body, its images aside, is larger than ${JSON_BYTES_MAX} bytes.`;
      throw new Refused(413, "payloadTooLarge", message);
    }
    this.#text += this.#decode(bytes);
  }

  #decode(bytes: Uint8Array | undefined): string {
    try {
      return bytes === undefined ? this.#decoder.decode() : this.#decoder.decode(bytes, { stream: true });
    } catch {
      throw invalid("The body could not be read as UTF-8 text.");
    }
  }

  async #byte(): Promise<number> {
    await this.#mustHaveMore();
    return this.#chunk[this.#at++] ?? 0;
  }

  async #mustHaveMore(): Promise<true> {
    if (!(await this.#more())) throw invalid("The body is not valid JSON.");
    return true;
  }

  /** Whether there is another byte, which is then in the chunk. */
  async #more(): Promise<boolean> {
    while (this.#at === this.#chunk.length) {
      const left = Math.min(this.#limits.stallMsMax, this.#until - Date.now());
      const { done, value } = await within(left, this.#reader.read()).catch((error: unknown) => {
        const stopped = error instanceof TimeoutError;
        throw invalid(stopped ? "The body stopped arriving." : "The body could not be read to its end.");
      });
      if (done) return false;
      this.#chunk = value;
      this.#at = 0;
    }
    return true;
  }
}

function isDataUrl(start: readonly number[]): boolean {
  return DATA_URL_START.test(asText(start).replaceAll("\\/", "/"));
}

/** One character a byte: enough for what is compared with ASCII. */
function asText(bytes: Uint8Array | readonly number[]): string {
  return Buffer.from(bytes).toString("latin1");
}

function notBase64(position: number): Refused {
  return invalid(`image ${position} is not valid base64.`, "images");
}
