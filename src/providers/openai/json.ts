import { Buffer } from "node:buffer";
import { Base64Decoder } from "./base64.ts";
import { unavailable } from "./failure.ts";

/** How many objects and arrays may stand inside each other in a value that is skipped. */
export const NESTING_MAX = 32;
/** The longest number or literal, in bytes. */
const SCALAR_BYTES_MAX = 64;
const SCALAR = /^(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)$/;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
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

/**
 * Reads one JSON text (RFC 8259) from bytes as they come, holding one chunk and never a whole value, so that an image
 * of any size passes through constant memory. The caller walks the grammar and takes or skips each value in turn.
 * Every method rejects with an `unavailable` ProviderError when the text breaks off or is not JSON.
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
    let text = "";
    for (;;) {
      let unit = await this.#byte();
      if (unit === QUOTE) return text.length > lengthMax ? null : text;
      if (unit < 0x20) throw broken("a control character in a string");
      if (unit === BACKSLASH) unit = await this.#escape();
      if (text.length <= lengthMax) text += String.fromCharCode(unit);
      if (text.length > lengthMax) this.#skipPlain();
    }
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

  /** Takes the opening quote of a string of base64 and returns a reader of its decoded pieces; null ends it. */
  async base64(): Promise<() => Promise<Uint8Array | null>> {
    await this.#expect(QUOTE);
    const decoder = new Base64Decoder();
    let ended = false;
    return async () => {
      while (!ended) {
        if (this.#at === this.#chunk.length) await this.#mustHaveMore();
        const output = new Uint8Array(decoder.bytesAtMost(this.#chunk.length - this.#at));
        const { written, closed } = await this.#decodeChunk(decoder, output);
        ended = closed;
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
  ): Promise<{ written: number; closed: boolean }> {
    const chunk = this.#chunk;
    // Text of one character a byte: what is looked for in it is found far sooner than in the bytes.
    const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString("latin1");
    // An escaped quote is no base64, so the first quote ends the string or breaks it.
    const quote = placeOf('"', text, this.#at);
    let written = 0;
    while (this.#at < text.length) {
      const end = Math.min(quote, placeOf("\\", text, this.#at));
      written = decoder.decode(text, this.#at, end, output, written);
      this.#at = end;
      if (end === text.length) break;
      this.#at++;
      if (end === quote) {
        if (!decoder.complete) throw broken("base64 that ends early");
        return { written, closed: true };
      }
      written = decoder.decodeUnit(await this.#escape(), output, written);
      // The rest of an escape may have come with a new chunk, for which this output has no room.
      if (this.#chunk !== chunk) break;
    }
    return { written, closed: false };
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

  async #scalar(): Promise<void> {
    let text = "";
    while (this.#at < this.#chunk.length || (await this.#more())) {
      const character = String.fromCharCode(this.#chunk[this.#at] ?? 0);
      if (!/[-+.0-9A-Za-z]/.test(character)) break;
      text += character;
      this.#at++;
      if (text.length > SCALAR_BYTES_MAX) throw broken("a value that is too long");
    }
    if (!SCALAR.test(text)) throw broken("not a JSON value");
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
  return unavailable(`a broken answer: ${what}`);
}
