import { unavailable } from "./failure.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD = 0x3d;
/** Negative for a byte outside the alphabet. */
const SEXTETS = new Int8Array(256).fill(-1);
for (let value = 0; value < ALPHABET.length; value++) SEXTETS[ALPHABET.charCodeAt(value)] = value;

/**
 * Decodes base64 (RFC 4648 section 4) in pieces cut anywhere. Strict: padding is required, no white space, and the
 * bits that padding leaves over must be zero, so that damage shows.
 */
export class Base64Decoder {
  #bits = 0;
  #held = 0;
  #pads = 0;

  /** Whether the characters so far are a whole text. */
  get complete(): boolean {
    return this.#pads > 0 ? this.#held + this.#pads === 4 : this.#held === 0;
  }

  get #betweenGroups(): boolean {
    return this.#held === 0 && this.#pads === 0;
  }

  /** The most bytes that this many further characters can give. */
  bytesAtMost(characters: number): number {
    return Math.ceil((characters + 3) / 4) * 3;
  }

  /**
   * Decodes the text between two places, and returns how much of `output` is written. Whole groups of four characters
   * are given to the runtime's own decoder: a loop of ours takes several times as long.
   */
  decode(text: string, from: number, to: number, output: Uint8Array, written: number): number {
    let at = from;
    let end = written;
    while (at < to && !this.#betweenGroups) end = this.decodeUnit(text.charCodeAt(at++), output, end);
    const characters = (to - at) & ~3;
    const bytes = (characters / 4) * 3;
    if (decodesWhole(text.slice(at, at + characters), output.subarray(end, end + bytes))) {
      at += characters;
      end += bytes;
    }
    // What is less than a group, or a piece with padding in it; or damage, which shows here.
    while (at < to) end = this.decodeUnit(text.charCodeAt(at++), output, end);
    return end;
  }

  /** Decodes one character, and returns how much of `output` is written. */
  decodeUnit(unit: number, output: Uint8Array, written: number): number {
    if (unit === PAD) return this.#pad(output, written);
    const value = SEXTETS[unit] ?? -1;
    if (value < 0 || this.#pads > 0) throw notBase64();
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

  #pad(output: Uint8Array, written: number): number {
    this.#pads++;
    const spare = this.#held === 2 ? 4 : 2;
    if (this.#held < 2 || this.#held + this.#pads > 4 || this.#bits & ((1 << spare) - 1)) {
      throw unavailable("a broken answer: bad base64 padding");
    }
    if (!this.complete) return written;
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

/** Whether the text is nothing but whole groups, without padding or white space, and so fills the output. */
function decodesWhole(text: string, output: Uint8Array): boolean {
  try {
    return output.setFromBase64(text).written === output.length;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

function notBase64() {
  return unavailable("a broken answer: not base64");
}
