import { encodeTime, ulid } from "ulid";

type Prefix = "gen" | "img" | "user" | "key" | "grant" | "req" | "upload" | "ref" | "purchase" | "action";

/**
 * A new id: the prefix, `_`, and a ULID (https://github.com/ulid/spec): 48 bits of time, so that ids sort by age, and
 * 80 random bits, so that ids cannot be guessed.
 */
export function newId<P extends Prefix>(prefix: P): `${P}_${string}` {
  return `${prefix}_${ulid(undefined, random)}`;
}

/** Random bytes, fetched in bulk: one call per byte costs more than the rest of an id. */
const bytes = new Uint8Array(1024);
let used = bytes.length;

/** From 0 to below 1. A ULID uses five bits of it, which a byte gives without bias. */
function random(): number {
  if (used === bytes.length) {
    crypto.getRandomValues(bytes);
    used = 0;
  }
  const byte = bytes[used++] ?? 0;
  return byte / 256;
}

/** The lowest id of a generation created at `time` (milliseconds since 1970) or later. */
export function lowestGenerationId(time: number): string {
  return `gen_${encodeTime(time)}${"0".repeat(16)}`;
}

/** The lowest id of a user created at `time` (milliseconds since 1970) or later. */
export function lowestUserId(time: number): string {
  return `user_${encodeTime(time)}${"0".repeat(16)}`;
}

const ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}";

const GENERATION_ID = new RegExp(`^gen_${ULID}$`);

const KEY_ID = new RegExp(`^key_${ULID}$`);

const REFERENCE_ID = new RegExp(`^ref_${ULID}$`);

/** Whether a text has the form of a generation's id. Anything else need not be looked up. */
export function isGenerationId(text: string): boolean {
  return GENERATION_ID.test(text);
}

/** The same for the id of an API key. */
export function isKeyId(text: string): boolean {
  return KEY_ID.test(text);
}

/** The same for the id of a reference that was uploaded ahead. */
export function isReferenceId(text: string): boolean {
  return REFERENCE_ID.test(text);
}
