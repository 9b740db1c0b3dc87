import { Buffer } from "node:buffer";
import { Base64Decoder } from "./base64.ts";
import { undelivered } from "./failure.ts";

/** How many objects and arrays may stand inside each other in a value that is skipped. */
export const NESTING_MAX = 32;
/** What begins a data URL, and how long it may be before its data. */
const DATA_URL = "data:";
const DATA_URL_HEAD_MAX = 256;
/** The longest address of a picture that is read, in characters: signed ones take some 2,000. */
const URL_LENGTH_MAX = 8_192;
/** The longest number or literal, in bytes. */
const SCALAR_BYTES_MAX = 64;
const SCALAR = /^(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)$/;
const QUOTE = 0x22;
const COMMA = 0x2c;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
export const COLON = 0x3a;
const BACKSLASH = 0x5c;
const LOWER_U = 0x75;
export const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
export const STRING = QUOTE;
const END = -1;
const NOTHING = new Uint8Array(0);
const ESCAPES = new Map(
  [...'"\\/bfnrt'].map((letter, index) => [letter.charCodeAt(0), '"\\/\b\f\n\r\t'.charCodeAt(index)]),
);

/** Gives the decoded pieces of a picture in turn; null ends it. */
export type Pieces = () => Promise<Uint8Array | null>;

/**
 * Reads one JSON text (RFC 8259) from bytes as they come, holding one chunk and never a whole value, so that an image
 * of any size passes through constant memory. The caller walks the grammar and takes or skips each value in turn.
 * Every method rejects with an `undelivered` ProviderError when the text breaks off or is not JSON.
 *
 * The streaming parsers on npm hand a string over only once they hold the whole of it; here one string is an image.
 */
export class JsonReader {
  readonly #next: () => Promise<Uint8Array | null>;
  #chunk: Uint8Array = NOTHING;
  #at = 0;

  /** `next` gives the next bytes, or null at the end. A chunk is done with when the next one is asked for. */
  constructor(next: () => Promise<Uint8Array | null>) {
    this.#next = next;
  }

  /** Passes over a byte order mark; then as {@link peek}. */
  async start(): Promise<number> {
    if ((await this.peek()) !== BYTE_ORDER_MARK[0]) return this.peek();
    for (const byte of BYTE_ORDER_MARK) if ((await this.#byte()) !== byte) throw broken("not a JSON value");
    return this.peek();
  }

  /** The next byte of the line that is no blank, without taking it; the line's end is one, too. */
  async peekInLine(): Promise<number> {
    for (;;) {
      for (; this.#at < this.#chunk.length; this.#at++) {
        const byte = this.#chunk[this.#at];
        if (byte !== undefined && byte !== 0x20 && byte !== 0x09) return byte;
      }
      if (!(await this.#more())) return END;
    }
  }

  /**
   * Takes text up to and with the end of the line, or the byte `stop` before that, and tells at which of them it ended.
   * What is beyond `lengthMax` is dropped. Null at the end of the stream.
   */
  async line(lengthMax: number, stop = LINE_FEED): Promise<{ text: string; end: number } | null> {
    if (this.#at === this.#chunk.length && !(await this.#more())) return null;
    let text = "";
    for (;;) {
      while (this.#at < this.#chunk.length) {
        const byte = this.#chunk[this.#at++] ?? LINE_FEED;
        if (byte === LINE_FEED || byte === stop) return { text, end: byte };
        if (byte !== CARRIAGE_RETURN && text.length < lengthMax) text += String.fromCharCode(byte);
      }
      if (!(await this.#more())) return { text, end: END };
    }
  }

  /** The first byte of the next token, without taking it. */
  async peek(): Promise<number> {
    for (;;) {
      for (; this.#at < this.#chunk.length; this.#at++) {
        const byte = this.#chunk[this.#at];
        if (byte === undefined) break;
        if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
      }
      if (!(await this.#more())) return END;
    }
  }

  /** Walks an object: each key in turn (null for one longer than `keyLengthMax`), whose value the caller must take. */
  async *members(keyLengthMax: number): AsyncGenerator<string | null, void> {
    await this.#expect(OPEN_BRACE);
    if (await this.#accept(CLOSE_BRACE)) return;
    do {
      const key = await this.text(keyLengthMax);
      await this.#expect(COLON);
      yield key;
    } while (await this.#accept(COMMA));
    await this.#expect(CLOSE_BRACE);
  }

  /** Walks an array: its indexes in turn; the caller must take each element. */
  async *elements(): AsyncGenerator<number, void> {
    await this.#expect(OPEN_BRACKET);
    if (await this.#accept(CLOSE_BRACKET)) return;
    let index = 0;
    do {
      yield index++;
    } while (await this.#accept(COMMA));
    await this.#expect(CLOSE_BRACKET);
  }

  /**
   * Takes a string; null when it is longer than `lengthMax`. Bytes outside ASCII come as one unit each: good enough to
   * compare with names we know, and nothing else is done with it.
   */
  async text(lengthMax: number): Promise<string | null> {
    await this.#expect(QUOTE);
    return await this.#rest("", lengthMax);
  }

  /** Takes a string, and returns no more of it than `lengthMax` characters. */
  async prefix(lengthMax: number): Promise<string> {
    await this.#expect(QUOTE);
    let text = "";
    for (let unit = await this.#unit(); unit !== null; unit = await this.#unit()) {
      if (text.length < lengthMax) text += String.fromCharCode(unit);
      else this.#skipPlain();
    }
    return text;
  }

  /** Takes a number or a literal, and returns its text. */
  async scalar(): Promise<string> {
    await this.peek();
    return await this.#scalar();
  }

  /** Takes a value of any kind and forgets it. */
  async skip(depth = 1): Promise<void> {
    const first = await this.peek();
    if (first === QUOTE) {
      await this.text(0);
    } else if (first === OPEN_BRACE || first === OPEN_BRACKET) {
      if (depth > NESTING_MAX) throw broken("values nested too deep");
      const inner = first === OPEN_BRACE ? this.members(0) : this.elements();
      for await (const _ of inner) await this.skip(depth + 1);
    } else {
      await this.#scalar();
    }
  }

  /**
   * Takes the start of a string that holds a picture, in base64 or as a data URL, and returns a reader of its decoded
   * pieces. With `mayBeUrl` any other text is an address, which is returned; null for one that is too long.
   */
  async picture(mayBeUrl: boolean): Promise<Pieces | string | null> {
    await this.#expect(QUOTE);
    let start = "";
    let unit: number | null = 0;
    while (start.length < DATA_URL.length) {
      unit = await this.#unit(true);
      if (unit === null) break;
      start += String.fromCharCode(unit);
    }
    if (start === DATA_URL) {
      await this.#dataUrlHead();
      return this.#pieces("", false);
    }
    if (!mayBeUrl) return this.#pieces(start, unit === null);
    return unit === null ? start : await this.#rest(start, URL_LENGTH_MAX);
  }

  async #dataUrlHead(): Promise<void> {
    let head = "";
    for (let unit = await this.#unit(); unit !== COMMA; unit = await this.#unit()) {
      if (unit === null || head.length === DATA_URL_HEAD_MAX) throw broken("a data URL without data");
      head += String.fromCharCode(unit);
    }
    if (!head.toLowerCase().endsWith(";base64")) throw broken("a data URL that is not base64");
  }

  /** Reads base64 that begins with `start`, which has been taken; `closed` when the string is over with that. */
  #pieces(start: string, closed: boolean): Pieces {
    const decoder = new Base64Decoder();
    let carried = start;
    let ended = false;
    return async () => {
      while (!ended) {
        if (carried === "" && !closed && this.#at === this.#chunk.length) await this.#mustHaveMore();
        const output = new Uint8Array(decoder.bytesAtMost(carried.length + this.#chunk.length - this.#at));
        let written = decoder.decode(carried, 0, carried.length, output, 0);
        carried = "";
        if (closed) {
          written = decoder.finish(output, written);
          ended = true;
        } else {
          ({ written, closed: ended } = await this.#decodeChunk(decoder, output, written));
        }
        if (written > 0) return output.subarray(0, written);
      }
      return null;
    };
  }

  /** Makes sure that nothing but white space follows. */
  async end(): Promise<void> {
    if ((await this.peek()) !== END) throw broken("something follows the JSON");
  }

  /** Decodes what is left of the chunk, or of the string: one piece never waits for bytes, an escape cut in two aside. */
  async #decodeChunk(
    decoder: Base64Decoder,
    output: Uint8Array,
    alreadyWritten: number,
  ): Promise<{ written: number; closed: boolean }> {
    const chunk = this.#chunk;
    // Text of one character a byte: what is looked for in it is found far sooner than in the bytes.
    const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString("latin1");
    // An escaped quote is no base64, so the first quote ends the string or breaks it.
    const quote = placeOf('"', text, this.#at);
    let written = alreadyWritten;
    while (this.#at < text.length) {
      const end = Math.min(quote, placeOf("\\", text, this.#at));
      written = decoder.decode(text, this.#at, end, output, written);
      this.#at = end;
      if (end === text.length) break;
      this.#at++;
      if (end === quote) {
        return { written: decoder.finish(output, written), closed: true };
      }
      written = decoder.decodeUnit(await this.#escape(), output, written);
      // The rest of an escape may have come with a new chunk, for which this output has no room.
      if (this.#chunk !== chunk) break;
    }
    return { written, closed: false };
  }

  /** The rest of a string whose start has been taken; null when the whole is longer than `lengthMax`. */
  async #rest(start: string, lengthMax: number): Promise<string | null> {
    let text = start;
    for (let unit = await this.#unit(); unit !== null; unit = await this.#unit()) {
      if (text.length <= lengthMax) text += String.fromCharCode(unit);
      if (text.length > lengthMax) this.#skipPlain();
    }
    return text.length > lengthMax ? null : text;
  }

  /** The next character of a string, its escapes undone; null at its end. Line breaks of base64 may stand bare. */
  async #unit(isBase64 = false): Promise<number | null> {
    const unit = await this.#byte();
    if (unit === QUOTE) return null;
    if (unit < 0x20 && !isBase64) throw broken("a control character in a string");
    return unit === BACKSLASH ? this.#escape() : unit;
  }

  async #escape(): Promise<number> {
    const letter = await this.#byte();
    if (letter !== LOWER_U) {
      const unit = ESCAPES.get(letter);
      if (unit === undefined) throw broken("an unknown escape");
      return unit;
    }
    let digits = "";
    while (digits.length < 4) digits += String.fromCharCode(await this.#byte());
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw broken("a bad unicode escape");
    return Number.parseInt(digits, 16);
  }

  async #scalar(): Promise<string> {
    let text = "";
    while (this.#at < this.#chunk.length || (await this.#more())) {
      const character = String.fromCharCode(this.#chunk[this.#at] ?? 0);
      if (!/[-+.0-9A-Za-z]/.test(character)) break;
      text += character;
      this.#at++;
      if (text.length > SCALAR_BYTES_MAX) throw broken("a value that is too long");
    }
    if (!SCALAR.test(text)) throw broken("not a JSON value");
    return text;
  }

  /** Passes over bytes that need no look: a long string that nobody reads costs no allocation. */
  #skipPlain(): void {
    for (; this.#at < this.#chunk.length; this.#at++) {
      const byte = this.#chunk[this.#at] ?? QUOTE;
      if (byte === QUOTE || byte === BACKSLASH || byte < 0x20) return;
    }
  }

  async #accept(byte: number): Promise<boolean> {
    if ((await this.peek()) !== byte) return false;
    this.#at++;
    return true;
  }

  async #expect(byte: number): Promise<void> {
    if (!(await this.#accept(byte))) throw broken(`no ${String.fromCharCode(byte)} where one must stand`);
  }

  async #byte(): Promise<number> {
    if (this.#at === this.#chunk.length) await this.#mustHaveMore();
    return this.#chunk[this.#at++] ?? END;
  }

  async #mustHaveMore(): Promise<void> {
    if (!(await this.#more())) throw broken("it breaks off");
  }

  async #more(): Promise<boolean> {
    const chunk = await this.#next();
    this.#chunk = chunk ?? NOTHING;
    this.#at = 0;
    return chunk !== null;
  }
}

/** Where a character next stands in the text; its length where it does not. */
function placeOf(character: string, text: string, from: number): number {
  const place = text.indexOf(character, from);
  return place < 0 ? text.length : place;
}

function broken(what: string) {
  return undelivered(`a broken answer: ${what}`);
}
