import { undelivered } from "./failure.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD = 0x3d;
const MINUS = 0x2d;
const UNDERSCORE = 0x5f;
const FOREIGN = -1;
const WHITE_SPACE = -2;
/** The value of each character of both alphabets; negative for other bytes. */
const SEXTETS = new Int8Array(256).fill(FOREIGN);
for (let value = 0; value < ALPHABET.length; value++) SEXTETS[ALPHABET.charCodeAt(value)] = value;
SEXTETS[MINUS] = 62;
SEXTETS[UNDERSCORE] = 63;
for (const space of " \t\r\n") SEXTETS[space.charCodeAt(0)] = WHITE_SPACE;

/**
 * Decodes base64 (RFC 4648) from pieces of any size, as gateways write it: in either alphabet (sections 4 and 5), with
 * or without padding, with or without line breaks. Other characters, misplaced padding and nonzero unused bits are
 * errors.
 */
export class Base64Decoder {
  #bits = 0;
  #held = 0;
  #pads = 0;
  /** The alphabet of the last character that tells, for the runtime's decoder, which accepts one alphabet. */
  #alphabet: "base64" | "base64url" = "base64";

  get #complete(): boolean {
    return this.#pads > 0 ? this.#held + this.#pads === 4 : this.#held === 0;
  }

  get #betweenGroups(): boolean {
    return this.#held === 0 && this.#pads === 0;
  }

  /** The most bytes that this many further characters can decode to. */
  bytesAtMost(characters: number): number {
    return Math.ceil((characters + 3) / 4) * 3;
  }

  /**
   * Decodes the text between two positions, and returns how much of `output` is written. Whole groups of four
   * characters go to the runtime's decoder, which is several times faster than a loop.
   */
  decode(text: string, from: number, to: number, output: Uint8Array, written: number): number {
    let at = from;
    let end = written;
    while (at < to && !this.#betweenGroups) end = this.decodeUnit(text.charCodeAt(at++), output, end);
    const characters = (to - at) & ~3;
    const bytes = (characters / 4) * 3;
    if (decodesWhole(text.slice(at, at + characters), output.subarray(end, end + bytes), this.#alphabet)) {
      at += characters;
      end += bytes;
    }
    // Less than a group, or text with padding or errors.
    while (at < to) end = this.decodeUnit(text.charCodeAt(at++), output, end);
    return end;
  }

  /** Decodes one character, and returns how much of `output` is written. */
  decodeUnit(unit: number, output: Uint8Array, written: number): number {
    if (unit === PAD) return this.#pad(output, written);
    const value = SEXTETS[unit] ?? FOREIGN;
    if (value === WHITE_SPACE) return written;
    if (value < 0 || this.#pads > 0) throw notBase64();
    if (value >= 62) this.#alphabet = unit === MINUS || unit === UNDERSCORE ? "base64url" : "base64";
    this.#bits = (this.#bits << 6) | value;
    this.#held++;
    if (this.#held < 4) return written;
    output[written] = this.#bits >> 16;
    output[written + 1] = this.#bits >> 8;
    output[written + 2] = this.#bits;
    this.#bits = 0;
    this.#held = 0;
    return written + 3;
  }

  /** Ends the text, whose padding may be missing, and returns how much of `output` is written. */
  finish(output: Uint8Array, written: number): number {
    let end = written;
    if (this.#pads === 0 && this.#held > 0) {
      for (let missing = 4 - this.#held; missing > 0; missing--) end = this.#pad(output, end);
    }
    if (!this.#complete) throw undelivered("invalid response: base64 ends early");
    return end;
  }

  #pad(output: Uint8Array, written: number): number {
    this.#pads++;
    const spare = this.#held === 2 ? 4 : 2;
    if (this.#held < 2 || this.#held + this.#pads > 4 || this.#bits & ((1 << spare) - 1)) {
      throw undelivered("invalid response: bad base64 padding");
    }
    if (!this.#complete) return written;
    const bits = this.#bits >> spare;
    if (this.#held === 2) {
      output[written] = bits;
      return written + 1;
    }
    output[written] = bits >> 8;
    output[written + 1] = bits;
    return written + 2;
  }
}

/** Decodes a text of whole groups without padding or white space. Returns false for any other text. */
function decodesWhole(text: string, output: Uint8Array, alphabet: "base64" | "base64url"): boolean {
  try {
    return output.setFromBase64(text, { alphabet }).written === output.length;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

function notBase64() {
  return undelivered("invalid response: not base64");
}
