import { crc32 } from "node:zlib";
import type { KeyMode } from "../db/schema.ts";
import { sha256Hex } from "../hash.ts";

/**
 * The format of an API key: `gih_live_` or `gih_test_`, 26 random characters, and the CRC-32 of those as 6 characters,
 * all in base62.
 * The checksum is no secret: it lets the API refuse a mistyped or invented key without a look-up.
 */

const PREFIXES = { live: "gih_live_", test: "gih_test_" } as const;
const PREFIX_LENGTH = PREFIXES.live.length;
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** 26 characters of base62 are 154 bits. */
const RANDOM_LENGTH = 26;
const CHECKSUM_LENGTH = 6;
const DISPLAYED_LENGTH = 4;
/** The largest multiple of 62 in a byte. Bytes from here on would make the first characters more likely. */
const UNBIASED_BYTES = 256 - (256 % ALPHABET.length);

const KEY_PATTERN = new RegExp(
  `^(${PREFIXES.live}|${PREFIXES.test})[0-9A-Za-z]{${RANDOM_LENGTH + CHECKSUM_LENGTH}}$`,
);
/** RFC 6750, section 2.1; the scheme's name is case-insensitive by RFC 9110, section 11.1. */
const BEARER_PATTERN = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

export type BearerToken = { kind: "missing" } | { kind: "malformed" } | { kind: "key"; key: string };

/** Makes a key. `randomBytes` returns that many bytes from a cryptographic source, and may be called several times. */
export function makeKey(mode: KeyMode, randomBytes: (count: number) => Uint8Array): string {
  let random = "";
  while (random.length < RANDOM_LENGTH) {
    for (const byte of randomBytes(RANDOM_LENGTH - random.length)) {
      if (byte < UNBIASED_BYTES) random += ALPHABET.charAt(byte % ALPHABET.length);
    }
  }
  return PREFIXES[mode] + random + checksumOf(random);
}

/** Whether a key has the right format and checksum. Detects every change of one character. */
export function isWellFormed(key: string): boolean {
  if (!KEY_PATTERN.test(key)) return false;
  const random = key.slice(PREFIX_LENGTH, -CHECKSUM_LENGTH);
  return key.slice(-CHECKSUM_LENGTH) === checksumOf(random);
}

/** The part of a key that is stored to show it on a page: the prefix and the last four characters. */
export function displayOf(key: string): string {
  return key.slice(0, PREFIX_LENGTH) + key.slice(-DISPLAYED_LENGTH);
}

/** SHA-256 of the whole key, in lower-case hex, by which a key is stored and looked up. */
export function hashKey(key: string): Promise<string> {
  return sha256Hex(key);
}

/** Parses an `Authorization` header. A `key` can be any token: check it with {@link isWellFormed}. */
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
