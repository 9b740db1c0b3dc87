import { crc32 } from "node:zlib";
import { sha256Hex } from "../hash.ts";

/**
 * The form of an API key: `gih_live_`, 26 random characters, and 6 that are the CRC-32 of those 26, all in base62. The
 * checksum keeps no secret: it only lets a mistyped or made-up key be refused without a look-up.
 */

const PREFIX = "gih_live_";
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** 26 characters of base62 are 154 bits. */
const RANDOM_LENGTH = 26;
const CHECKSUM_LENGTH = 6;
const DISPLAYED_LENGTH = 4;
/** The largest multiple of 62 that a byte can hold; bytes from here on would favour the first characters. */
const UNBIASED_BYTES = 256 - (256 % ALPHABET.length);

const KEY_PATTERN = new RegExp(`^${PREFIX}[0-9A-Za-z]{${RANDOM_LENGTH + CHECKSUM_LENGTH}}$`);
/** RFC 6750, section 2.1; the scheme's name is case-insensitive by RFC 9110, section 11.1. */
const BEARER_PATTERN = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

export type BearerToken = { kind: "missing" } | { kind: "malformed" } | { kind: "key"; key: string };

/** A new key. `randomBytes` gives that many bytes from a cryptographic source, and may be called more than once. */
export function makeKey(randomBytes: (count: number) => Uint8Array): string {
  let random = "";
  while (random.length < RANDOM_LENGTH) {
    for (const byte of randomBytes(RANDOM_LENGTH - random.length)) {
      if (byte < UNBIASED_BYTES) random += ALPHABET.charAt(byte % ALPHABET.length);
    }
  }
  return PREFIX + random + checksumOf(random);
}

/** Whether this can be a key that was issued. Every change of one character is caught. */
export function isWellFormed(key: string): boolean {
  if (!KEY_PATTERN.test(key)) return false;
  const random = key.slice(PREFIX.length, -CHECKSUM_LENGTH);
  return key.slice(-CHECKSUM_LENGTH) === checksumOf(random);
}

/** What is kept for telling keys apart on a page: the prefix and the last four characters. */
export function displayOf(key: string): string {
  return PREFIX + key.slice(-DISPLAYED_LENGTH);
}

/** SHA-256 of the whole key, in lower-case hex: all that is stored of it, and what it is looked up by. */
export function hashKey(key: string): Promise<string> {
  return sha256Hex(key);
}

/** Reads the value of an `Authorization` header. A `key` is any one token; {@link isWellFormed} says more. */
export function readBearer(header: string | undefined): BearerToken {
  if (header === undefined || header === "") return { kind: "missing" };
  const key = BEARER_PATTERN.exec(header)?.[1];
  return key === undefined ? { kind: "malformed" } : { kind: "key", key };
}

function checksumOf(random: string): string {
  let rest = crc32(random);
  let digits = "";
  while (digits.length < CHECKSUM_LENGTH) {
    digits = ALPHABET.charAt(rest % ALPHABET.length) + digits;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return digits;
}
