import { Buffer } from "node:buffer";
import { Base64Decoder } from "./base64.ts";
import { undelivered } from "./failure.ts";

/** The deepest nesting of a value that is skipped. */
export const NESTING_MAX = 32;
/** The prefix of a data URL, and the longest text before its data. */
const DATA_URL = "data:";
const DATA_URL_HEAD_MAX = 256;
/** The longest image URL, in characters. Signed URLs have about 2,000. */
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

/** Returns the next decoded piece of an image; null at its end. */
export type Pieces = () => Promise<Uint8Array | null>;

/**
 * Reads one JSON text (RFC 8259) from bytes as they arrive. It buffers one chunk and never a whole value, so that an
 * image of any size needs constant memory. The caller walks the grammar and reads or skips each value in turn. Every
 * method rejects with an `undelivered` ProviderError when the text breaks off or is not JSON.
 *
 * The streaming parsers on npm return a string only as a whole; here, one string is an image.
 */
export class JsonReader {
  readonly #next: () => Promise<Uint8Array | null>;
  #chunk: Uint8Array = NOTHING;
  #at = 0;

  /** @param next returns the next bytes, or null at the end; it may overwrite the previous chunk */
  constructor(next: () => Promise<Uint8Array | null>) {
    this.#next = next;
  }

  /** Skips a byte order mark, then does the same as {@link peek}. */
  async start(): Promise<number> {
    if ((await this.peek()) !== BYTE_ORDER_MARK[0]) return this.peek();
    for (const byte of BYTE_ORDER_MARK)
      if ((await this.#byte()) !== byte) throw invalidResponse("not a JSON value");
    return this.peek();
  }

  /** The next byte of the line that is not a space or a tab, without consuming it. The line's end counts. */
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
   * Reads text up to and including the end of the line, or the byte `stop` if that comes first; `end` is the byte that
   * ended it. Drops characters beyond `lengthMax`. Null at the end of the stream.
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

  /** The first byte of the next token, without consuming it. */
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

  /** Walks an object: yields each key (null for one longer than `keyLengthMax`). The caller must read its value. */
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

  /** Walks an array: yields each index. The caller must read the element. */
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
   * Reads a string; null when it is longer than `lengthMax`. Each byte outside ASCII becomes one character: that is
   * enough to compare with known names.
   */
  async text(lengthMax: number): Promise<string | null> {
    await this.#expect(QUOTE);
    return await this.#rest("", lengthMax);
  }

  /** Reads a string, and returns at most its first `lengthMax` characters. */
  async prefix(lengthMax: number): Promise<string> {
    await this.#expect(QUOTE);
    let text = "";
    for (let unit = await this.#unit(); unit !== null; unit = await this.#unit()) {
      if (text.length < lengthMax) text += String.fromCharCode(unit);
      else this.#skipPlain();
    }
    return text;
  }

  /** Reads a number or a literal, and returns its text. */
  async scalar(): Promise<string> {
    await this.peek();
    return await this.#scalar();
  }

  /** Skips a value of any kind. */
  async skip(depth = 1): Promise<void> {
    const first = await this.peek();
    if (first === QUOTE) {
      await this.text(0);
    } else if (first === OPEN_BRACE || first === OPEN_BRACKET) {
      if (depth > NESTING_MAX) throw invalidResponse("values nested too deeply");
      const inner = first === OPEN_BRACE ? this.members(0) : this.elements();
      for await (const _ of inner) await this.skip(depth + 1);
    } else {
      await this.#scalar();
    }
  }

  /**
   * Reads the start of a string with an image, in base64 or as a data URL, and returns a reader of its decoded pieces.
   * With `mayBeUrl`, any other text is a URL, which is returned; null if it is too long.
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
      if (unit === null || head.length === DATA_URL_HEAD_MAX) throw invalidResponse("data URL without data");
      head += String.fromCharCode(unit);
    }
    if (!head.toLowerCase().endsWith(";base64")) throw invalidResponse("data URL without base64");
  }

  /** Reads base64 that begins with `start`, which was consumed; `closed` if the string ended there. */
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

  /** Checks that only white space follows. */
  async end(): Promise<void> {
    if ((await this.peek()) !== END) throw invalidResponse("data after the JSON");
  }

  /** Decodes the rest of the chunk, or of the string. Waits for bytes only within an escape. */
  async #decodeChunk(
    decoder: Base64Decoder,
    output: Uint8Array,
    alreadyWritten: number,
  ): Promise<{ written: number; closed: boolean }> {
    const chunk = this.#chunk;
    // One character per byte: a search in text is much faster than in bytes.
    const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString("latin1");
    // An escaped quote is not base64, so the first quote ends the string or is an error.
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
      // The end of an escape may be in a new chunk, for which this output has no room.
      if (this.#chunk !== chunk) break;
    }
    return { written, closed: false };
  }

  /** The rest of a string whose start was consumed, as a whole; null when that is longer than `lengthMax`. */
  async #rest(start: string, lengthMax: number): Promise<string | null> {
    let text = start;
    for (let unit = await this.#unit(); unit !== null; unit = await this.#unit()) {
      if (text.length <= lengthMax) text += String.fromCharCode(unit);
      if (text.length > lengthMax) this.#skipPlain();
    }
    return text.length > lengthMax ? null : text;
  }

  /** The next character of a string, unescaped; null at its end. Base64 may have line breaks. */
  async #unit(isBase64 = false): Promise<number | null> {
    const unit = await this.#byte();
    if (unit === QUOTE) return null;
    if (unit < 0x20 && !isBase64) throw invalidResponse("control character in a string");
    return unit === BACKSLASH ? this.#escape() : unit;
  }

  async #escape(): Promise<number> {
    const letter = await this.#byte();
    if (letter !== LOWER_U) {
      const unit = ESCAPES.get(letter);
      if (unit === undefined) throw invalidResponse("unknown escape");
      return unit;
    }
    let digits = "";
    while (digits.length < 4) digits += String.fromCharCode(await this.#byte());
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw invalidResponse("bad Unicode escape");
    return Number.parseInt(digits, 16);
  }

  async #scalar(): Promise<string> {
    let text = "";
    while (this.#at < this.#chunk.length || (await this.#more())) {
      const character = String.fromCharCode(this.#chunk[this.#at] ?? 0);
      if (!/[-+.0-9A-Za-z]/.test(character)) break;
      text += character;
      this.#at++;
      if (text.length > SCALAR_BYTES_MAX) throw invalidResponse("value too long");
    }
    if (!SCALAR.test(text)) throw invalidResponse("not a JSON value");
    return text;
  }

  /** Skips plain characters, so that a long string that nobody reads needs no allocation. */
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
    if (!(await this.#accept(byte))) throw invalidResponse(`expected ${String.fromCharCode(byte)}`);
  }

  async #byte(): Promise<number> {
    if (this.#at === this.#chunk.length) await this.#mustHaveMore();
    return this.#chunk[this.#at++] ?? END;
  }

  async #mustHaveMore(): Promise<void> {
    if (!(await this.#more())) throw invalidResponse("it ends early");
  }

  async #more(): Promise<boolean> {
    const chunk = await this.#next();
    this.#chunk = chunk ?? NOTHING;
    this.#at = 0;
    return chunk !== null;
  }
}

/** The position of the next such character in the text, or the text's length. */
function placeOf(character: string, text: string, from: number): number {
  const place = text.indexOf(character, from);
  return place < 0 ? text.length : place;
}

function invalidResponse(what: string) {
  return undelivered(`invalid response: ${what}`);
}
