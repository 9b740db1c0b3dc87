import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import security from "../../SECURITY.md?raw";
import { displayOf, hashKey, isWellFormed, makeKey, readBearer } from "../../src/keys/format.ts";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX = "gih_live_";

/** Made with another implementation of CRC-32 and base62. The last has a small checksum, padded with zeros. */
const KEYS = [
  "gih_live_000000000000000000000000003vSKjy",
  "gih_live_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38",
  "gih_live_zzzzzzzzzzzzzzzzzzzzzzzzzz3scjkN",
  "gih_live_J7gxR559I49JVJ85qzPJTfgbvV0001Z5",
  "gih_test_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38",
] as const;

const cryptographic = (count: number) => crypto.getRandomValues(new Uint8Array(count));

it("is found by the expression that SECURITY.md gives to secret scanners", () => {
  const [expression = ""] = /^gih_.*$/m.exec(security) ?? [];
  const text = KEYS.map((key) => `Authorization: Bearer ${key}\n`).join("");
  expect(text.match(new RegExp(expression, "g"))).toEqual([...KEYS]);
});

it("has the CRC-32 of the IEEE polynomial in this runtime", () => {
  expect(crc32("123456789").toString(16)).toBe("cbf43926");
});

describe("makeKey", () => {
  it("writes random characters and their checksum", () => {
    expect(makeKey("live", (count) => new Uint8Array(count))).toBe(KEYS[0]);
    expect(makeKey("live", (count) => new Uint8Array(count).fill(61))).toBe(KEYS[2]);
  });

  it("begins with the mode", () => {
    expect(makeKey("test", (count) => new Uint8Array(count))).toBe(KEYS[0].replace("live", "test"));
  });

  it("makes keys that are well-formed and differ", () => {
    const made = Array.from({ length: 200 }, () => makeKey("live", cryptographic));
    expect(made.filter((key) => !isWellFormed(key))).toEqual([]);
    expect(new Set(made).size).toBe(made.length);
  });

  it("has no bias: over 13 rounds of all 256 bytes, each character occurs 13 × 4 times", () => {
    let next = 0;
    const everyByteInTurn = (count: number) => Uint8Array.from({ length: count }, () => next++ % 256);
    const occurrences = new Map<string, number>();
    // 248 of 256 bytes are used: 13 × 248 = 124 × 26.
    for (let made = 0; made < 124; made++) {
      for (const character of makeKey("live", everyByteInTurn).slice(PREFIX.length, -6)) {
        occurrences.set(character, (occurrences.get(character) ?? 0) + 1);
      }
    }
    expect(occurrences).toEqual(new Map([...ALPHABET].map((character) => [character, 52])));
  });
});

describe("isWellFormed", () => {
  it.each(KEYS)("accepts %s", (key) => {
    expect(isWellFormed(key)).toBe(true);
  });

  it.each([
    ["empty", ""],
    ["no prefix", KEYS[1].slice(PREFIX.length)],
    ["another prefix", KEYS[1].replace("live", "prod")],
    ["prefix in capitals", KEYS[1].replace("gih", "GIH")],
    ["one character short", KEYS[1].slice(0, -1)],
    ["one character long", `${KEYS[1]}0`],
    ["a line feed after", `${KEYS[1]}\n`],
    ["a space before", ` ${KEYS[1]}`],
    ["a character outside base62", KEYS[1].replace("ABC", "A-C")],
    ["a letter outside ASCII", KEYS[1].replace("ABC", "AÉC")],
    ["checksum without its padding", KEYS[3].replace("0001Z5", "1Z5000")],
  ])("refuses %s", (_, key) => {
    expect(isWellFormed(key)).toBe(false);
  });

  it("refuses every change of one character", () => {
    const accepted: string[] = [];
    for (const key of KEYS) {
      for (let at = PREFIX.length; at < key.length; at++) {
        for (const character of ALPHABET) {
          const changed = key.slice(0, at) + character + key.slice(at + 1);
          if (changed !== key && isWellFormed(changed)) accepted.push(changed);
        }
      }
    }
    expect(accepted).toEqual([]);
  });

  it("detects every swap of two neighbours", () => {
    const exchanged = new Set<string>();
    for (const key of [...KEYS, ...Array.from({ length: 50 }, () => makeKey("live", cryptographic))]) {
      for (let at = PREFIX.length; at < key.length - 1; at++) {
        const changed = key.slice(0, at) + key.charAt(at + 1) + key.charAt(at) + key.slice(at + 2);
        if (changed !== key) exchanged.add(changed);
      }
    }
    expect(exchanged.size).toBeGreaterThan(1000);
    expect([...exchanged].filter(isWellFormed)).toEqual([]);
  });
});

it("displays the prefix and the last four characters", () => {
  expect(displayOf(KEYS[1])).toBe("gih_live_Fg38");
  expect(displayOf(KEYS[4])).toBe("gih_test_Fg38");
});

it("hashes the whole key with SHA-256, in hex", async () => {
  expect(await hashKey(KEYS[1])).toBe("782ad05c832242406f953172712cc5d31044b21e7e0f689e3ba886e88b0cb4d1");
});

describe("readBearer", () => {
  const key = KEYS[1];
  it.each([
    [undefined, { kind: "missing" }],
    ["", { kind: "missing" }],
    [`Bearer ${key}`, { kind: "key", key }],
    [`bearer ${key}`, { kind: "key", key }],
    [`BEARER   ${key}`, { kind: "key", key }],
    ["Bearer not-ours.at~all+/==", { kind: "key", key: "not-ours.at~all+/==" }],
    ["Bearer", { kind: "malformed" }],
    ["Bearer ", { kind: "malformed" }],
    [key, { kind: "malformed" }],
    [`Bearer${key}`, { kind: "malformed" }],
    [`Bearer\t${key}`, { kind: "malformed" }],
    [`Basic ${key}`, { kind: "malformed" }],
    [`Bearer ${key} ${key}`, { kind: "malformed" }],
    [`Bearer ${key}, Bearer ${key}`, { kind: "malformed" }],
    [`Bearer Bearer ${key}`, { kind: "malformed" }],
    [`Bearer "${key}"`, { kind: "malformed" }],
    [`Bearer ${key}\n`, { kind: "malformed" }],
  ])("reads %j", (header, token) => {
    expect(readBearer(header)).toEqual(token);
  });
});
