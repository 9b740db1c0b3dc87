import { expect, it } from "vitest";
import { readAnswer, type Verdict } from "../../../src/providers/google/answer.ts";
import type { ProvidedImage } from "../../../src/providers/provider.ts";
import { JsonReader } from "../../../src/providers/wire/json.ts";

type Result = { images: string[]; verdict: Verdict | null; counted: number; failure: unknown };

const NONE: Verdict = { blockReason: null, finishReason: null, responseId: null };
const parts = (...all: string[]) => `{"candidates":[{"content":{"parts":[${all.join(",")}]}}]}`;
const picture = (base64: string, more = "") =>
  `{"inlineData":{"mimeType":"image/png","data":"${base64}"}${more}}`;

it.each([
  [parts(picture("QUJD")), ["ABC"], NONE],
  [parts('{"text":"hi"}', picture("QUJDRA==", ',"thoughtSignature":"eA=="')), ["ABCD"], NONE],
  [parts('{"inlineData":{"data":"QUJD","mimeType":"image/png"}}'), ["ABC"], NONE],
  [parts(`{"thought":true,${picture("REVG").slice(1)}`, picture("QUJD")), ["ABC"], NONE],
  [parts(picture("QUJD", ',"thought":false')), ["ABC"], NONE],
  [
    `{"responseId":"r1","promptFeedback":{"safetyRatings":[]},"candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[${picture("QUJD")}]}}],"usageMetadata":{}}`,
    ["ABC"],
    { blockReason: null, finishReason: "STOP", responseId: "r1" },
  ],
  [
    '{"promptFeedback":{"blockReason":"SAFETY"},"responseId":"r2"}',
    [],
    { blockReason: "SAFETY", finishReason: null, responseId: "r2" },
  ],
  [
    '{"candidates":[{"finishReason":"NO_IMAGE","finishMessage":"…","index":0}]}',
    [],
    { ...NONE, finishReason: "NO_IMAGE" },
  ],
  ["{}", [], NONE],
  ['{"candidates":null,"promptFeedback":[],"responseId":7}', [], NONE],
  ['{"candidates":[null,{"content":[]},{"content":{"parts":{}}},{"content":{"parts":[1,[]]}}]}', [], NONE],
  [parts('{"inlineData":null}', '{"inlineData":{"data":5}}', '{"thought":"true","text":"x"}'), [], NONE],
  [`{"candidates":[{"finishReason":"${"X".repeat(129)}"}]}`, [], NONE],
] as const)("reads %s", async (text, images, verdict) => {
  for (const size of [1, 2, 3, 7, text.length]) {
    expect(await read(text, size)).toEqual({ images, verdict, counted: images.length, failure: null });
  }
});

it.each([
  [parts(picture("QUJDREVG", ',"thought":true'), picture("QUJD")), 1],
  [parts(picture("QUJDREVG"), picture("QUJD")), 1],
  [parts(picture("QUJDREVG", ',"thought":true')), 0],
])("ends a draft before its last piece: %s", async (text, counted) => {
  for (const size of [1, 2, 3, 7, text.length]) {
    const result = await read(text, size);
    expect(result.counted).toBe(counted);
    expect("ABCDEF".startsWith(result.images[0] ?? "")).toBe(true);
    expect(result.images[0]).not.toBe("ABCDEF");
    expect(result.images.slice(1)).toEqual(counted === 1 ? ["ABC"] : []);
  }
});

it.each(['"}', '"},,', '"},"thoughtSignature":"', '"}}]}}],"usageMetadata":{"promptTokenCount":0'])(
  "keeps a picture when the response breaks off after it: %s",
  async (rest) => {
    const text = parts(picture("QUJDREVG"));
    const cut = text.slice(0, text.indexOf('"}}')) + rest;
    for (const size of [1, 5, cut.length]) {
      expect(await read(cut, size)).toMatchObject({ images: ["ABCDEF"], counted: 1, failure: null });
    }
  },
);

it.each([
  ["", "ends early|expected {"],
  ["null", "expected {"],
  ["<html>", "expected {"],
  ['[{"candidates":[]}]', "expected {"],
  [parts(picture("")), "empty image"],
  [parts(picture("QUJDR")), "padding"],
  [parts(picture("QUJD@@@@")), "not base64"],
  [parts(picture("QUJDREVG")).slice(0, 70), "ends early"],
  ['{"candidates":[{"finishReason":"STOP"', "expected }"],
])("rejects %s", async (text, reason) => {
  for (const size of [1, 3, Math.max(1, text.length)]) {
    const result = await read(text, size);
    expect(result).toMatchObject({ images: [], counted: 0, failure: { failure: { reason: "undelivered" } } });
    expect(String(result.failure)).toMatch(new RegExp(reason));
  }
});

it("reads a response in random splits as in one piece", async () => {
  const image = Array.from({ length: 4000 }, (_, index) => String.fromCharCode((index * 37) & 255)).join("");
  const text = parts('{"text":"first \\u00e9"}', picture(btoa(image).replaceAll("/", "\\/")));
  let state = 7;
  const random = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return 1 + (state % 97);
  };
  for (let round = 0; round < 100; round++) {
    expect(await read(text, random)).toEqual({ images: [image], verdict: NONE, counted: 1, failure: null });
  }
});

it("reads no further than its reader, and a piece ahead", async () => {
  const text = parts(picture("QUJD".repeat(10_000)));
  const next = chunks(text, () => 100);
  let taken = 0;
  const answer = readAnswer(
    new JsonReader(() => {
      taken++;
      return next();
    }),
    { images: 0, broken: null },
  );
  const reader = bodyOf(await answer.next()).getReader();
  const atFirst = taken;
  for (const further of [0, 1, 2]) {
    await reader.read();
    expect(taken).toBe(atFirst + further);
  }
  await reader.cancel();
  await answer.return(NONE);
});

it("goes on after a body that is cancelled", async () => {
  const text = parts(picture("QUJD".repeat(999)), picture("REVG".repeat(999)));
  const progress = { images: 0, broken: null };
  const answer = readAnswer(new JsonReader(chunks(text, () => 16)), progress);
  const reader = bodyOf(await answer.next()).getReader();
  await reader.read();
  const pending = reader.read();
  const [, , next] = await Promise.all([reader.cancel(), pending, answer.next()]);
  expect(await new Response(bodyOf(next)).text()).toBe("DEF".repeat(999));
  expect((await answer.next()).done).toBe(true);
  expect(progress.images).toBe(1);
});

function bodyOf({ value }: IteratorResult<ProvidedImage, Verdict>): ReadableStream<Uint8Array> {
  if (!("body" in value)) throw new Error("no image");
  return value.body;
}

async function read(text: string, size: number | (() => number)): Promise<Result> {
  const progress = { images: 0, broken: null };
  const result: Result = { images: [], verdict: null, counted: 0, failure: null };
  const next = chunks(text, typeof size === "number" ? () => size : size);
  const answer = readAnswer(new JsonReader(next), progress);
  try {
    let step = await answer.next();
    for (; !step.done; step = await answer.next()) {
      const bytes = new Uint8Array(await new Response(step.value.body).arrayBuffer());
      result.images.push(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    }
    result.verdict = step.value;
  } catch (failure) {
    result.failure = failure;
  }
  result.counted = progress.images;
  return result;
}

/** Returns each chunk in the same buffer, like the real source. */
function chunks(text: string, size: () => number): () => Promise<Uint8Array | null> {
  const bytes = new TextEncoder().encode(text);
  const buffer = new Uint8Array(bytes.length + 1);
  let at = 0;
  return async () => {
    buffer.fill(0x21);
    if (at >= bytes.length) return null;
    const piece = bytes.subarray(at, at + size());
    at += piece.length;
    buffer.set(piece);
    return buffer.subarray(0, piece.length);
  };
}
