import { unavailable } from "./failure.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD = 0x3d;
/** Negative for a byte outside the alphabet, so that one sign test covers four characters. */
const SEXTETS = new Int32Array(256).fill(-1);
for (let value = 0; value < ALPHABET.length; value++) SEXTETS[ALPHABET.charCodeAt(value)] = value;

/**
 * Decodes base64 (RFC 4648 section 4) in pieces cut anywhere. Strict: padding is required, no white space, and the
 * bits that padding leaves over must be zero, so that damage shows. As fast here as `Uint8Array.fromBase64`, which
 * needs each piece as a string first.
 */
export class Base64Decoder {
  #bits = 0;
  #held = 0;
  #pads = 0;

  /** Whether the characters so far are a whole text. */
  get complete(): boolean {
    return this.#pads > 0 ? this.#held + this.#pads === 4 : this.#held === 0;
  }

  /** The most bytes that this many further characters can give. */
  bytesAtMost(characters: number): number {
    return Math.ceil((characters + 3) / 4) * 3;
  }

  /** Decodes from `at` while whole groups of four characters of the alphabet follow. */
  decodeRun(
    input: Uint8Array,
    at: number,
    output: Uint8Array,
    written: number,
  ): { at: number; written: number } {
    if (this.#held > 0 || this.#pads > 0) return { at, written };
    let from = at;
    let to = written;
    for (const last = input.length - 4; from <= last; from += 4) {
      const group =
        (sextet(input, from) << 18) |
        (sextet(input, from + 1) << 12) |
        (sextet(input, from + 2) << 6) |
        sextet(input, from + 3);
      if (group < 0) break;
      output[to] = group >> 16;
      output[to + 1] = group >> 8;
      output[to + 2] = group;
      to += 3;
    }
    return { at: from, written: to };
  }

  /** Decodes one character, and returns how much of `output` is written. */
  decodeUnit(unit: number, output: Uint8Array, written: number): number {
    if (unit === PAD) return this.#pad(output, written);
    const value = SEXTETS[unit] ?? -1;
    if (value < 0 || this.#pads > 0) throw unavailable("a broken answer: not base64");
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

function sextet(input: Uint8Array, at: number): number {
  return SEXTETS[input[at] ?? 0] ?? -1;
}
