import { expect, it } from "vitest";
import { readAnswer, readErrorAnswer } from "../../../src/providers/openai/answer.ts";
import type { UpstreamError } from "../../../src/providers/openai/failure.ts";
import { ProviderError } from "../../../src/providers/provider.ts";
import { JsonReader, NESTING_MAX } from "../../../src/providers/wire/json.ts";

type Result = { images: string[]; error: UpstreamError | null; failure: unknown };

it.each([
  ['{"data":[{"b64_json":"QUJD"}]}', ["ABC"]],
  ['{"data":[{"b64_json":"QUJDRA=="},{"b64_json":"QUJDREU="}],"created":1}', ["ABCD", "ABCDE"]],
  [' {"created" : -1.5e+3 ,\r\n"data" :\t[ { "b64_json" : "QUJD" } ] } \n', ["ABC"]],
  [String.raw`{"d\u0061ta":[{"b64\u005Fjson":"\u0051UJD"}]}`, ["ABC"]],
  [String.raw`{"data":[{"b64_json":"\/\/8\u003d"}]}`, ["\xff\xff"]],
  [
    '{"b64_json":"QUJD","a":{"b64_json":"QUJD","data":[{"b64_json":"QUJD"}]},"data":[{"b64_json":"REVG"}]}',
    ["DEF"],
  ],
  [
    '{"data":[{"a":{"b64_json":"QUJD"},"b64_json":"REVG","b":[{"b64_json":"QUJD"}]},null,7,[{"b64_json":"QUJD"}]]}',
    ["DEF"],
  ],
  ['{"data":[{"b64_json":null,"url":null},{"b64_json":"QUJD"}],"error":null}', ["ABC"]],
  ['{"data":[{"b64_json":null,"url":"https://x"},{"b64_json":"QUJD"}],"error":null}', ["https://x", "ABC"]],
  ['{"data":[{"url":"https://x","b64_json":"QUJD"},{"b64_json":"REVG","url":"https://y"}]}', ["ABC", "DEF"]],
  ['{"data":[{"url":"data:image/png;base64,QUJD"}]}', ["ABC"]],
  [`{"data":[{"url":"${"x".repeat(8_192)}"}]}`, ["x".repeat(8_192)]],
  [String.raw`{"data":[{"b64_json":"data:image\/png;charset=x;BASE64,QUJD"}]}`, ["ABC"]],
  ['{"data":[{"b64_json":"QUI"}]}', ["AB"]],
  ['{"data":[{"b64_json":"QUJDRA"}]}', ["ABCD"]],
  ['{"data":[{"b64_json":"QUJD QUJD"}]}', ["ABCABC"]],
  ['{"data":[{"b64_json":"QU\nJD\r\nQUJDRA==\n"}]}', ["ABCABCD"]],
  [String.raw`{"data":[{"b64_json":"QUJD\r\nQUJDRA==\n"}]}`, ["ABCABCD"]],
  ['{"data":[{"b64_json":"__8-_v7-"}]}', ["\xff\xff\x3e\xfe\xfe\xfe"]],
  ['\ufeff {"data":[{"b64_json":"QUJD"}]}', ["ABC"]],
  ['data: {"b64_json":"QUJD","type":"image_generation.completed"}\n\ndata: [DONE]\n\n', ["ABC"]],
  ['event: image_edit.completed\r\ndata:{"url":"https://x"}\r\n\r\n', ["https://x"]],
  [
    ': hello\n\nid: 1\nretry: 5\ndata: {"data":[{"b64_json":"QUJD"},{"b64_json":"REVG"}]}\n\n',
    ["ABC", "DEF"],
  ],
  [
    'event: image_generation.partial_image\ndata: {"b64_json":"REVG"}\n\nevent: image_generation.completed\ndata: {"b64_json":"QUJD"}',
    ["ABC"],
  ],
  [`{"x":${"[".repeat(NESTING_MAX)}${"]".repeat(NESTING_MAX)},"data":[{"b64_json":"QUJD"}]}`, ["ABC"]],
])("reads %s", async (text, images) => {
  for (const size of [1, 2, 3, 7, text.length]) {
    expect(await read(text, size)).toEqual({ images, error: null, failure: null });
  }
});

it.each([
  ['event: image_edit.partial_image\ndata: {"b64_json":"REVG","partial_image_index":1}', [[1, "DEF"]]],
  ['data: {"type":"image_edit.partial_image","partial_image_index":0,"b64_json":"REVG"}', [[0, "DEF"]]],
  ['event: image_edit.partial_image\ndata: {"b64_json":"REVG"}', []],
  ['event: image_edit.partial_image\ndata: {"b64_json":"REVG","partial_image_index":"1"}', []],
  ['event: image_edit.partial_image\ndata: {"b64_json":null,"partial_image_index":[1]}', []],
  ['event: image_edit.partial_image\ndata: {"url":"https://x","partial_image_index":1}', []],
])("passes on the partial picture of %s", async (event, expected) => {
  const text = `${event}\n\nevent: image_edit.completed\ndata: {"b64_json":"QUJD"}\n\n`;
  for (const hasRoom of [true, false]) {
    const sent: unknown[] = [];
    const send = (index: number, picture: Uint8Array) => sent.push([index, String.fromCharCode(...picture)]);
    const partials = { count: 3, hasRoom: async () => hasRoom, send };
    const progress = { images: 0, broken: null };
    const answer = readAnswer(new JsonReader(chunks(text, 7)), 1, progress, openUrl, partials);
    const images: string[] = [];
    for await (const { body } of answer) images.push(await new Response(body).text());
    expect([images, sent]).toEqual([["ABC"], hasRoom ? expected : []]);
  }
});

it.each([
  ["", [], "ends early|expected {"],
  ["null", [], "expected {"],
  ["<html>", [], "expected {"],
  ["{}", [], "no image"],
  ['{"data":[]}', [], "no image"],
  ['{"data":null}', [], "no image"],
  ['{"data":{"b64_json":"QUJD"}}', [], "no image"],
  ['{"data":[{"url":""}]}', [], "no image"],
  ['{"data":[{"url":"https://gone"}]}', [], "gone"],
  [`{"data":[{"url":"${"x".repeat(8_193)}"}]}`, [], "no image"],
  ['{"data":[{"url":"https://gone"},{"b64_json":"QUJD"}]}', ["ABC"], "gone"],
  ['{"data":[{"b64_json":"data:image/png;base64"}]}', [], "data URL"],
  ['{"data":[{"b64_json":"data:image/png,QUJD"}]}', [], "data URL"],
  [`{"data":[{"b64_json":"data:${"x".repeat(257)};base64,QUJD"}]}`, [], "data URL"],
  ['{"data":[{"b64_json":"QUJDR"}]}', [], "padding"],
  ['{"data":[{"b64_json":"QUJDRB"}]}', [], "padding"],
  ["data: [DONE]\n\n", [], "no image"],
  ['event: image_generation.partial_image\ndata: {"b64_json":"QUJD"}\n\n', [], "no image"],
  ['data: {"type":"image_edit.partial_image","b64_json":"QUJD"}\n\n', [], "no image"],
  ['data: {"b64_json":"QUJD', [], "ends early"],
  ["\ufeff\ufeff{}", [], "expected {"],
  ['{"data":[{"b64_json":5}]}', [], "no image"],
  ['{"data":[{"b64_json":""}]}', [], "empty image"],
  ['{"data":[{"b64_json":"QUJD"}]', ["ABC"], "expected }"],
  ['{"data":[{"b64_json":"QUJD"}]}x', ["ABC"], "data after"],
  ['{"data":[{"b64_json":"QUJD"}]}{}', ["ABC"], "data after"],
  ['{"data":[{"b64_json":"QUJD"},]}', ["ABC"], "not a JSON value|expected {"],
  ['{"data":[{"b64_json":"QUJD"}],"data":[{"b64_json":"QUJD"}]}', ["ABC"], "two data"],
  ['{"data":[{"b64_json":"QUJD","b64_json":"QUJD"}]}', ["ABC"], "two images"],
  ['{"data":[{"b64_json":"QUJD"},{"b64_json":"QUJDRE', ["ABC"], "ends early"],
  ['{"data":[{"b64_json":"QUJDRA="}]}', [], "ends early"],
  ['{"data":[{"b64_json":"QUJDRA==="}]}', [], "padding"],
  ['{"data":[{"b64_json":"QUJDRB=="}]}', [], "padding"],
  ['{"data":[{"b64_json":"QUJDREV="}]}', [], "padding"],
  ['{"data":[{"b64_json":"QUJDRA==QUJD"}]}', [], "not base64"],
  ['{"data":[{"b64_json":"===="}]}', [], "padding"],
  [String.raw`{"data":[{"b64_json":"QUJD\u0141"}]}`, [], "not base64"],
  [String.raw`{"data":[{"b64_json":"QUJD\x"}]}`, [], "escape"],
  [String.raw`{"a":"\u00g0","data":[{"b64_json":"QUJD"}]}`, [], "escape"],
  ['{"a":"\u0001","data":[{"b64_json":"QUJD"}]}', [], "control character"],
  ['{"a":01,"data":[{"b64_json":"QUJD"}]}', [], "not a JSON value"],
  ['{"a":tru,"data":[{"b64_json":"QUJD"}]}', [], "not a JSON value"],
  [`{"a":${"1".repeat(65)},"data":[{"b64_json":"QUJD"}]}`, [], "too long"],
  [`{"x":${"[".repeat(NESTING_MAX + 1)}${"]".repeat(NESTING_MAX + 1)}}`, [], "nested"],
])("rejects %s", async (text, images, reason) => {
  for (const size of [1, 2, 3, 7, text.length]) {
    const result = await read(text, size);
    // With small chunks, an image may have yielded its first bytes; it is never delivered as complete.
    expect(result.images).toEqual(images);
    expect(result.failure).toMatchObject({ failure: { reason: "undelivered" } });
    expect(String(result.failure)).toMatch(new RegExp(reason));
  }
});

const says = (error: Partial<UpstreamError>): UpstreamError => ({
  code: null,
  type: null,
  status: null,
  wrapped: null,
  ...error,
});

it.each([
  ['{"data":[],"error":{"message":"m","code":"c","type":"t"}}', { code: "c", type: "t" }],
  ['{"error":{"code":"c","extra":{"code":"d"}}}', { code: "c" }],
  ['{"error":{"message":"m","code":17,"type":null}}', {}],
  ['{"error":{"code":429}}', { status: 429 }],
  ['{"error":{"code":"503"}}', { code: "503", status: 503 }],
  [`{"error":{"code":"${"c".repeat(128)}"}}`, { code: "c".repeat(128) }],
  [`{"error":{"code":"${"c".repeat(129)}"}}`, {}],
  ['{"error":"text"}', {}],
  ['{"error":"litellm.ContentPolicyViolationError: text"}', { wrapped: "refused" }],
  [`{"error":{"message":"${"x".repeat(4_072)}content_policy_violation"}}`, { wrapped: "refused" }],
  [`{"error":{"message":"${"x".repeat(4_073)}content_policy_violation"}}`, {}],
  ['{"error":{"innererror":{"code":"ResponsibleAIPolicyViolation"}}}', { wrapped: "refused" }],
  ['{"error":{"code":403,"metadata":{"reasons":["x"]}}}', { status: 403, wrapped: "refused" }],
  ['{"error":{"code":403,"message":"m","reasons":["x"]}}', { status: 403 }],
  ['{"error":{"code":"c","param":"content_filter"}}', { code: "c" }],
  ['{"error":{"a":{"b":{"c":{"code":"invalid_image_file"}}}}}', { wrapped: "unreadable" }],
] as const)("takes %s for an error", async (text, error) => {
  expect(await read(text, 5)).toEqual({ images: [], error: says(error), failure: null });
  expect(await readErrorAnswer(new JsonReader(chunks(text, 5)))).toEqual(says(error));
});

it("reads at most four levels of an error", async () => {
  const text = '{"error":{"code":"c","a":{"b":{"c":{"d":{"code":"content_filter"}}}}}}';
  expect(await readErrorAnswer(new JsonReader(chunks(text, 5)))).toEqual(says({ code: "c" }));
});

it("reads the error of an event stream", async () => {
  const text = 'event: error\ndata: {"type":"error","error":{"code":"moderation_blocked","message":"m"}}\n\n';
  expect(await read(text, 5)).toEqual({
    images: [],
    error: says({ code: "moderation_blocked", wrapped: "refused" }),
    failure: null,
  });
});

it.each([
  '{"error":null}',
  '{"error":{}}',
  '{"error":{"message":""}}',
  '{"error":""}',
  '{"error":false}',
  "{}",
])("takes %s for no error", async (text) => {
  expect(await readErrorAnswer(new JsonReader(chunks(text, 5)))).toBeNull();
});

it("returns an error that comes with images, after the images", async () => {
  const text = '{"error":{"code":"c"},"data":[{"b64_json":"QUJD"}]}';
  expect(await read(text, 3)).toEqual({ images: ["ABC"], error: says({ code: "c" }), failure: null });
});

it("stops at the last requested image", async () => {
  const text = '{"data":[{"b64_json":"QUJD"},{"b64_json":"REVG"},{"b64_json":"QUJD"}]}';
  expect(await read(text, 3, 2)).toEqual({ images: ["ABC", "DEF"], error: null, failure: null });
  expect(await read(`${text.slice(0, 50)} rubbish`, 3, 1)).toEqual({
    images: ["ABC"],
    error: null,
    failure: null,
  });
});

it("continues with the next image when a body is cancelled or left", async () => {
  const text = `{"data":[{"b64_json":"${"QUJD".repeat(99)}"},{"b64_json":"${"QUJD".repeat(99)}"},{"b64_json":"REVG"}]}`;
  const answer = readAnswer(new JsonReader(chunks(text, 16)), 3, { images: 0, broken: null }, openUrl);
  const first = (await answer.next()).value;
  if (first === null || !("body" in first)) throw new Error("no image");
  const reader = first.body.getReader();
  await reader.read();
  // Cancelled with a read under way: the iteration must wait for it, not read beside it.
  const pending = reader.read();
  await Promise.all([reader.cancel(), pending, answer.next()]);
  const last = (await answer.next()).value;
  if (last === null || !("body" in last)) throw new Error("no image");
  expect(await new Response(last.body).text()).toBe("DEF");
});

it("decodes only what is read", async () => {
  const text = `{"data":[{"b64_json":"${"QUJD".repeat(10_000)}"}]}`;
  const next = chunks(text, 100);
  let taken = 0;
  const counting = () => {
    taken++;
    return next();
  };
  const answer = readAnswer(new JsonReader(counting), 1, { images: 0, broken: null }, openUrl);
  const image = (await answer.next()).value;
  if (image === null || !("body" in image)) throw new Error("no image");
  expect(taken).toBe(1);
  const reader = image.body.getReader();
  for (const expected of [1, 2, 3]) {
    await reader.read();
    expect(taken).toBe(expected);
  }
  await reader.cancel();
  await answer.return(null);
});

async function read(text: string, chunkSize: number, imagesMax = 10): Promise<Result> {
  return readAll(chunks(text, chunkSize), imagesMax);
}

/** The image at a URL is the URL's text, except for `gone`. */
async function openUrl(url: string): Promise<ReadableStream<Uint8Array>> {
  if (url === "https://gone") throw new ProviderError({ reason: "undelivered" }, "gone");
  return new Blob([url]).stream();
}

async function readAll(next: () => Promise<Uint8Array | null>, imagesMax: number): Promise<Result> {
  const result: Result = { images: [], error: null, failure: null };
  const answer = readAnswer(new JsonReader(next), imagesMax, { images: 0, broken: null }, openUrl);
  try {
    for (let step = await answer.next(); ; step = await answer.next()) {
      if (step.done) {
        result.error = step.value;
        return result;
      }
      const bytes = new Uint8Array(await new Response(step.value.body).arrayBuffer());
      result.images.push(latin1(bytes));
    }
  } catch (failure) {
    result.failure = failure;
    return result;
  }
}

/** Returns each chunk in the same buffer, like the real source. */
function chunks(text: string, size: number): () => Promise<Uint8Array | null> {
  const bytes = new TextEncoder().encode(text);
  return cut(bytes, () => size);
}

function cut(bytes: Uint8Array, size: () => number): () => Promise<Uint8Array | null> {
  let at = 0;
  const buffer = new Uint8Array(bytes.length + 1);
  return async () => {
    buffer.fill(0x21);
    if (at >= bytes.length) return null;
    const piece = bytes.subarray(at, at + Math.max(1, size()));
    at += piece.length;
    buffer.set(piece);
    return buffer.subarray(0, piece.length);
  };
}

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

const seed = Date.now() % 1_000_000;

it(`reads any valid response in chunks of any size, and never accepts a broken one (seed ${seed})`, async () => {
  const random = randomFrom(seed);
  let broken = 0;
  for (let round = 0; round < 1500; round++) {
    const { text, images } = randomAnswer(random);
    const at = `seed ${seed}, round ${round}`;
    const valid = new TextEncoder().encode(text);
    expect(
      await readAll(
        cut(valid, () => random(40)),
        10,
      ),
      at,
    ).toEqual({ images, error: null, failure: null });
    const damaged = damage(valid, random);
    const result = await readAll(
      cut(damaged, () => random(40)),
      10,
    );
    const shown = new TextDecoder().decode(damaged);
    if (result.failure === null) {
      expect(result.images, `${at}: ${shown}`).toEqual(
        imagesOf(JSON.parse(shown.replaceAll(/[\n\r\t]/g, " "))),
      );
    } else {
      broken++;
      expect(result.failure, at).toBeInstanceOf(ProviderError);
      expect(result.failure, at).toMatchObject({ failure: { reason: "undelivered" } });
      for (const image of result.images)
        expect(normal(unescaped(shown)), at).toContain(`"${normal(btoa(image))}"`);
    }
  }
  expect(broken).toBeGreaterThan(500);
});

/** Numbers below a bound, the same for the same seed (mulberry32). */
function randomFrom(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function randomAnswer(random: (below: number) => number): { text: string; images: string[] } {
  const images = Array.from({ length: 1 + random(3) }, () =>
    Array.from({ length: 1 + random(60) }, () => String.fromCharCode(random(256))).join(""),
  );
  const space = () => ["", "", " ", "\n\t", " \r\n "][random(5)] ?? "";
  const joined = (parts: string[]) => parts.map((part) => space() + part + space()).join(",");
  const shuffled = (parts: string[]) => parts.sort(() => random(3) - 1);
  const member = (key: string, value: string) => `${escapedText(key, random)}${space()}:${space()}${value}`;
  const noise = () =>
    ["1", "-0.5e3", "true", "null", '"é\\n"', '{"b64_json":"QUJD"}', '[[],{"data":[{}]}]'][random(7)] ?? "0";
  const entries = images.map((image) => {
    const others = Array.from({ length: random(3) }, (_, index) => member(`k${index}`, noise()));
    return `{${joined(shuffled([member("b64_json", escapedText(btoa(image), random)), ...others]))}}`;
  });
  const others = Array.from({ length: random(4) }, (_, index) => member(`m${index}`, noise()));
  const data = member("data", `[${joined(entries)}]`);
  return { text: `${space()}{${joined(shuffled([data, ...others]))}}${space()}`, images };
}

/** A JSON string of the text with some of its characters escaped in one of the ways there are. */
function escapedText(text: string, random: (below: number) => number): string {
  const rate = [2, 20, 1000][random(3)] ?? 2;
  const escapeOne = (character: string) => {
    if (character === "/" && random(2) === 0) return "\\/";
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  };
  return `"${[...text].map((character) => (random(rate) === 0 ? escapeOne(character) : character)).join("")}"`;
}

function damage(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const at = random(bytes.length);
  const [before, after] = [[...bytes.subarray(0, at)], [...bytes.subarray(at)]];
  const how = random(5);
  if (how === 0) return Uint8Array.from(before);
  if (how === 1) return Uint8Array.from([...before, ...after.slice(1 + random(4))]);
  if (how === 2) return Uint8Array.from([...before, random(256), ...after]);
  if (how === 3) return Uint8Array.from([...before, ...bytes.subarray(random(at + 1), at), ...after]);
  return Uint8Array.from([...before, (after[0] ?? 0) ^ (1 << random(8)), ...after.slice(1)]);
}

/** The result of a plain parser of the whole JSON, with which the stream is compared. */
function imagesOf(json: unknown): string[] {
  const data = isRecord(json) && Array.isArray(json["data"]) ? json["data"] : [];
  return data.flatMap((entry) =>
    isRecord(entry) && typeof entry["b64_json"] === "string" ? [atob(normal(entry["b64_json"]))] : [],
  );
}

/** Base64 in canonical form. */
function normal(text: string): string {
  return text.replaceAll("-", "+").replaceAll("_", "/").replaceAll(/[\s=]/g, "");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unescaped(text: string): string {
  return text
    .replace(/\\u00([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replaceAll("\\/", "/")
    .replace(/\\[nrt]/g, " ");
}
