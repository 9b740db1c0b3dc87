import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { JSON_LIMITS } from "../../src/http/body.ts";
import { parseJson } from "../../src/http/json.ts";
import { readBodyText } from "../../src/text.ts";
import { sleep } from "../../src/time.ts";
import { filled, png } from "../images/samples.ts";
import {
  type CallOptions,
  call,
  creditsOf,
  newUser,
  storedReferences,
  type TestUser,
} from "../support/http.ts";
import { Generated, Pending, refusal } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";
import { BOUNDARY, END, file, type Piece, streamed, text } from "./forms.ts";

/** Hostile requests. Each gets a clear 4xx, charges nothing, and leaves nothing in storage. */
const PATH = "/api/v1/images/generations";
const DEEP = 100_000;
const MIB = 1024 * 1024;
const plain = [text("model", "gpt-image-2"), text("prompt", "a hill")];

let user: TestUser;
let provider: ReturnType<typeof provide>;

beforeEach(async () => {
  user = await newUser(100);
  provider = provide();
});

afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  expect(await storedReferences()).toEqual([]);
});

const postText = (body: BodyInit, headers: Record<string, string> = {}) =>
  call("POST", PATH, { key: user.key, body, headers: { "Content-Type": "application/json", ...headers } });

const postForm = (parts: Iterable<Piece>, headers: Record<string, string> = {}) =>
  call("POST", PATH, {
    key: user.key,
    body: streamed(parts).stream,
    headers: { "Content-Type": `multipart/form-data; boundary=${BOUNDARY}`, ...headers },
  });

/** The error of a response, which must be a 4xx of a request that cost nothing. */
async function refusedFreely(answer: Awaited<ReturnType<typeof call>>) {
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(answer.status).toBeLessThan(500);
  expect(await creditsOf(user)).toBe(100);
  expect(provider).not.toHaveBeenCalled();
  const error = refusal(answer);
  expect(error.message.length).toBeLessThan(300);
  return error;
}

const withField = (name: string, value: string) =>
  `{"model":"gpt-image-2","prompt":"a hill",${JSON.stringify(name)}:${value}}`;

describe("JSON", () => {
  it.each<[string, string]>([
    ["arrays in arrays", "[".repeat(DEEP) + "]".repeat(DEEP)],
    ["objects in objects", `${'{"a":'.repeat(DEEP)}1${"}".repeat(DEEP)}`],
    ["arrays that are never closed", "[".repeat(DEEP)],
    ["a deep prompt", `{"model":"gpt-image-2","prompt":${"[".repeat(DEEP)}${"]".repeat(DEEP)}}`],
    ["a deep n", withField("n", `${'{"n":'.repeat(DEEP)}1${"}".repeat(DEEP)}`)],
    ["a deep unknown field", withField("x", "[".repeat(DEEP) + "]".repeat(DEEP))],
    ["100,000 unknown fields", `{${Array.from({ length: 70_000 }, (_, at) => `"f${at}":1`).join()}}`],
  ])("of 100,000 levels or fields is refused: %s", async (_name, body) => {
    expect(await refusedFreely(await postText(body))).toMatchObject({ status: 400, code: "invalid_request" });
  });

  it.each([
    ...[
      "1e400",
      "-1e400",
      "9007199254740993",
      "9".repeat(400),
      "-0",
      "0.0",
      "1e-7",
      "1.0000000001",
      "4.5",
      "5",
    ],
    ...["01", "+1", "0x1", ".5", "1.", "1e", "Infinity", "NaN", "--1", "1_0"],
  ])("with n of %s is refused", async (number) => {
    expect(await refusedFreely(await postText(withField("n", number)))).toMatchObject({ status: 400 });
  });

  it.each(["1", "1.0", "1e0", "10e-1", "0.1e1"])("accepts n of %s, which is 1", async (number) => {
    expect(Generated.parse((await postText(withField("n", number))).body).usage.credits).toBe(8);
  });

  it.each(["1e400", "9007199254740993", "-1e-7", "1e-7", "1e308"])(
    "with output_compression of %s is refused",
    async (number) => {
      const body = `{"model":"gpt-image-2","prompt":"a","output_format":"jpeg","output_compression":${number}}`;
      expect(await refusedFreely(await postText(body))).toMatchObject({ param: "output_compression" });
    },
  );

  it.each(["model", "prompt", "size", "quality", "aspect_ratio", "resolution", "output_format", "\\ud800"])(
    "with half of a surrogate pair in %s is refused",
    async (field) => {
      for (const half of ["\\ud800", "\\udc00 and more", "\\udc00\\ud800"]) {
        const rest = { model: "gpt-image-2", prompt: "a hill", [field]: undefined };
        const fields = JSON.stringify(rest).slice(1, -1);
        const body = `{${fields}${fields && ","}"${field}":"${half}"}`;
        expect(await refusedFreely(await postText(body))).toMatchObject({ status: 400 });
      }
    },
  );

  it.each<[string, number[]]>([
    ["a byte that is never UTF-8", [0xff]],
    ["an overlong NUL", [0xc0, 0x80]],
    ["an encoded surrogate", [0xed, 0xa0, 0x80]],
    ["a character cut short", [0xe2, 0x82]],
    ["a character past the last", [0xf4, 0x90, 0x80, 0x80]],
    ["a raw NUL", [0]],
    ["a raw line break", [10]],
  ])("with %s in the prompt is refused", async (_name, bytes) => {
    const body = Buffer.concat([
      Buffer.from('{"model":"gpt-image-2","prompt":"a'),
      Buffer.from(bytes),
      Buffer.from('"}'),
    ]);
    expect(await refusedFreely(await postText(body))).toMatchObject({ status: 400, code: "invalid_request" });
  });

  it.each(["utf16le", "latin1"] as const)("in %s is refused", async (encoding) => {
    const body = Buffer.from('{"model":"gpt-image-2","prompt":"é"}', encoding);
    expect(await refusedFreely(await postText(body))).toMatchObject({ status: 400 });
  });

  it("may begin with one byte order mark, and not with two", async () => {
    const body = '{"model":"gpt-image-2","prompt":"a hill"}';
    expect(await refusedFreely(await postText(`\ufeff\ufeff${body}`))).toMatchObject({ status: 400 });
    expect((await postText(`\ufeff${body}`)).status).toBe(200);
    expect(provider.mock.calls[0]?.[0].prompt).toBe("a hill");
  });

  it.each(["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf", ""])(
    "with a field called %j gets a refusal that names it",
    async (name) => {
      for (const value of ['{"n":4}', "null", '{"prototype":{"async":true}}']) {
        const error = await refusedFreely(await postText(withField(name, value)));
        expect(error).toMatchObject({ param: name, message: `${name} is not a field of this request.` });
      }
    },
  );

  it("with __proto__ instead of fields is refused", async () => {
    const body = '{"__proto__":{"model":"gpt-image-2","prompt":"a hill"}}';
    expect(await refusedFreely(await postText(body))).toMatchObject({ param: "__proto__" });
    expect("model" in {}).toBe(false);
  });

  it.each([
    ["another value", '"n":1,"n":4', "n"],
    ["the same value", '"n":1, "n" :1', "n"],
    ["escapes", '"n":1,"\\u006e":4', "n"],
    ["an unknown field", '"x":{"n":1},"x":{"n":1}', "x"],
    ["a field of an object in it", '"x":[{"k":"n\\"","a":{},"k":2}]', "k"],
    ["__proto__", '"__proto__":1,"__proto__":1', "__proto__"],
  ])("that gives a field twice, with %s, is refused by name", async (_, fields, param) => {
    const error = await refusedFreely(await postText(`{"model":"gpt-image-2","prompt":"a hill",${fields}}`));
    expect(error).toMatchObject({ status: 400, param, message: `${param} is given twice.` });
  });

  it("may have the same name in several objects, and in texts", async () => {
    const body = '{"x":[{"n":1},{"n":1}],"n":{"n":"\\"n\\":1,\\"n\\":2"},"y":"n"}';
    expect(parseJson(body)).toEqual({ kind: "json", value: JSON.parse(body) });
  });

  it.each(["gzip", "br", "deflate", "identity, gzip", "nonsense"])(
    "with Content-Encoding: %s is refused",
    async (coding) => {
      const packed = new Blob([withField("n", "1")]).stream().pipeThrough(new CompressionStream("gzip"));
      const answer = await postText(await new Response(packed).bytes(), { "Content-Encoding": coding });
      expect(await refusedFreely(answer)).toMatchObject({
        status: 415,
        code: "unsupportedMediaType",
        param: "Content-Encoding",
      });
    },
  );

  it.each(["identity", "Identity", " "])("with Content-Encoding: %j is read", async (coding) => {
    const headers = { "Content-Encoding": coding };
    expect((await postText(withField("n", "1"), headers)).status).toBe(200);
    expect((await postForm([...plain.flat(), ...END], headers)).status).toBe(200);
  });

  it("that never ends is cancelled after 1 MiB", async () => {
    const { stream, state } = streamed([endless(`{"model":"gpt-image-2","prompt":"`, "a".repeat(64 * 1024))]);
    const answer = await call("POST", PATH, {
      ...{ key: user.key, body: stream, headers: { "Content-Type": "application/json" }, settings: {} },
    });
    expect(await refusedFreely(answer)).toMatchObject({ status: 413, code: "payloadTooLarge" });
    expect(state.cancelled).toBe(true);
    expect(state.bytes).toBeLessThan(2 * MIB);
  });

  it("that stops arriving is cancelled after 30 s", async () => {
    const started = Promise.withResolvers<void>();
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode('{"model":')),
      pull: () => {
        started.resolve();
        return new Promise(() => undefined);
      },
    });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const options: CallOptions = {
      key: user.key,
      body,
      headers: { "Content-Type": "application/json" },
      settings: {},
    };
    const answer = call("POST", PATH, options);
    await started.promise;
    for (let waited = 0; waited < 100 && vi.getTimerCount() === 0; waited++)
      await crypto.subtle.digest("SHA-1", new Uint8Array());
    await vi.advanceTimersByTimeAsync(30_001);
    vi.useRealTimers();
    expect(await refusedFreely(await answer)).toMatchObject({ message: "The body took too long to arrive." });
  });

  it("that arrives too slowly is cancelled after a minute", async () => {
    let cancelled = false;
    const body = new ReadableStream({
      pull: async (controller) => {
        await sleep(20);
        controller.enqueue(new TextEncoder().encode(" "));
      },
      cancel: () => {
        cancelled = true;
      },
    });
    const request = new Request("https://hub.test/", { method: "POST", body });
    expect(JSON_LIMITS.durationMsMax).toBe(60_000);
    const limits = { ...JSON_LIMITS, durationMsMax: 300 };
    expect(await readBodyText(request, limits)).toEqual({ kind: "too_slow" });
    expect(cancelled).toBe(true);
  });
});

describe("a form", () => {
  it.each<[string, Piece[]]>([
    ["no byte", []],
    ["no part", END],
    ["only a preamble", ["hello"]],
    [
      "5,000 text parts",
      [...plain.flat(), ...Array.from({ length: 5_000 }, (_, at) => text(`f${at}`, "1")).flat(), ...END],
    ],
    ["5,000 empty parts", [`--${BOUNDARY}\r\n\r\n\r\n`.repeat(5_000), ...END]],
    ["a part header of 100 kB", [...plain.flat(), ...text("n", "1", "x".repeat(100_000)), ...END]],
    ["a field name of 10 kB", [...plain.flat(), ...text("n".repeat(10_000), "1"), ...END]],
    [
      "a file name with a NUL",
      [...plain.flat(), ...file(png(8, 8), "reference_image", "a\u0000.png"), ...END],
    ],
    [
      "a part without a name",
      [...plain.flat(), `--${BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nx\r\n`, ...END],
    ],
    ["a part without a header", [...plain.flat(), `--${BOUNDARY}\r\n\r\nx\r\n`, ...END]],
    ["broken UTF-8", [...text("model", "gpt-image-2"), ...text("prompt", Uint8Array.of(0x61, 0xff)), ...END]],
    [
      "an encoded surrogate",
      [...text("model", "gpt-image-2"), ...text("prompt", Uint8Array.of(0xed, 0xa0, 0x80)), ...END],
    ],
    ["text in another charset", [...plain.flat(), ...text("user", "x", "text/plain; charset=utf-7"), ...END]],
    [
      "__proto__ and constructor",
      [...plain.flat(), ...text("__proto__", "1"), ...text("constructor", "1"), ...END],
    ],
    ["n of 1e0", [...plain.flat(), ...text("n", "1e0"), ...END]],
    ["n of 400 digits", [...plain.flat(), ...text("n", "1".repeat(400)), ...END]],
    ["n in other digits", [...plain.flat(), ...text("n", "١"), ...END]],
    ["no end", plain.flat()],
    ["a file that is a bomb of zeros", [...plain.flat(), ...file(new Uint8Array(MIB)), ...END]],
    ["a PNG of no size", [...plain.flat(), ...file(png(0, 0)), ...END]],
  ])("of %s is refused", async (_name, pieces) => {
    expect(await refusedFreely(await postForm(pieces))).toMatchObject({
      status: 400,
      code: "invalid_request",
    });
  });

  it("that is compressed is refused", async () => {
    const packed = streamed([...plain.flat(), ...END]).stream.pipeThrough(new CompressionStream("gzip"));
    const answer = await call("POST", PATH, {
      key: user.key,
      body: await new Response(packed).bytes(),
      headers: { "Content-Type": `multipart/form-data; boundary=${BOUNDARY}`, "Content-Encoding": "gzip" },
    });
    expect(await refusedFreely(answer)).toMatchObject({ status: 415, param: "Content-Encoding" });
  });

  it.each<[string, Piece[], number]>([
    ["a text", text("prompt", endless("a", "a".repeat(MIB))), 413],
    ["a file", file(endless(png(8, 8), new Uint8Array(MIB))), 400],
    ["a preamble", [endless("a", "a".repeat(MIB))], 413],
    ["a chain of parts", [endless("", text("n", "1").join(""))], 400],
    ["a part's header", [`--${BOUNDARY}\r\n`, endless("X-Filler: ", "a".repeat(MIB))], 400],
  ])("that never ends, in %s, is given up", async (_name, pieces, status) => {
    expect((await refusedFreely(await postForm(pieces))).status).toBe(status);
  });

  it("that declares too much is refused unread", async () => {
    const { stream, state } = streamed([...plain.flat(), ...END]);
    const answer = await call("POST", PATH, {
      ...{ key: user.key, body: stream, settings: {} },
      headers: { "Content-Type": `multipart/form-data; boundary=${BOUNDARY}`, "Content-Length": "1e15" },
    });
    expect(await refusedFreely(answer)).toMatchObject({ status: 413, code: "payloadTooLarge" });
    expect(state.bytes).toBe(0);
  });

  it.each(["0", "-1", "nonsense", "5"])("that declares a length of %s is read as it is", async (length) => {
    const answer = await call("POST", PATH, {
      ...{ key: user.key, body: streamed([...plain.flat(), ...END]).stream, settings: {} },
      headers: { "Content-Type": `multipart/form-data; boundary=${BOUNDARY}`, "Content-Length": length },
    });
    expect(answer.status).toBe(200);
  });

  it.each([
    ["10 kB", "n".repeat(10_000)],
    ["a path", "../../../../etc/passwd"],
    ["a text turned around", "a\u202egnp.exe"],
    ["a URL", "https://evil.example/x.png"],
  ])("may have a file name of %s, which nobody looks at", async (_name, fileName) => {
    const image = file(png(8, 8), "reference_image", fileName);
    expect((await postForm([...plain.flat(), ...image, ...END])).status).toBe(200);
  });

  it("that breaks off inside a large file leaves nothing", async () => {
    const pieces = [...plain.flat(), ...file(filled(png(8, 8), 12 * MIB)).slice(0, 2)];
    expect(await refusedFreely(await postForm(pieces))).toMatchObject({ status: 400 });
  });
});

describe("a prompt", () => {
  it.each([
    ["control characters", String.fromCharCode(...Array.from({ length: 32 }, (_, at) => at), 127)],
    ["marks that turn the text around", "\u202e\u2066\ufeff\u200b\u0301".repeat(50)],
    ["code", "'; DROP TABLE generations; -- <script>alert(1)</script> {{7*7}} %s%n"],
    ["noncharacters", "\ufffe\uffff\u{10ffff}"],
  ])("may be full of %s: it reaches the provider as it is", async (_name, odd) => {
    const prompt = `a${odd}z`;
    const answer = await postText(JSON.stringify({ model: "gpt-image-2", prompt }));
    const { id } = Generated.parse(answer.body);
    expect(provider.mock.calls[0]?.[0].prompt).toBe(prompt);
    expect((await call("GET", `/api/v1/generations/${id}`, { key: user.key })).status).toBe(200);
  });
});

describe("headers and URLs", () => {
  it("that claim another host change no URL in a response", async () => {
    const headers = {
      ...{
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "gopher",
        Forwarded: "host=evil.example",
      },
      ...{
        "X-Original-URL": "/api/admin/users",
        "X-HTTP-Method-Override": "DELETE",
        Origin: "https://evil.example",
      },
    };
    const body = '{"model":"gpt-image-2","prompt":"a","async":true}';
    const { id, poll_url } = Pending.parse((await postText(body, headers)).body);
    expect(poll_url).toBe(`https://hub.test/api/v1/generations/${id}`);
  });

  it.each<[string, Record<string, string>]>([
    ["200 unknown ones", Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`X-Odd-${at}`, "x"]))],
    ["one of 50 kB", { "X-Odd": "x".repeat(50_000) }],
    ["ranges and conditions", { Range: "bytes=0-1", "If-None-Match": "*", "If-Modified-Since": "never" }],
    [
      "an odd Accept",
      { Accept: "image/*;q=NaN", "Accept-Encoding": "nonsense", "Accept-Language": "\u00e9" },
    ],
    ["cookies", { Cookie: "__proto__=1; key=gih_live_x" }],
  ])("may be absurd: %s", async (_name, headers) => {
    const answer = await call("GET", "/api/v1/credits", { key: user.key, headers });
    expect([answer.status, answer.body]).toMatchObject([200, { credits: 100 }]);
  });

  it.each<[string, string]>([
    ["a media type of 50 kB", `application/${"x".repeat(50_000)}`],
    ["two media types", "application/json, multipart/form-data"],
    ["a boundary of 10 kB", `multipart/form-data; boundary=${"b".repeat(10_000)}`],
    ["a boundary with a line break in it", 'multipart/form-data; boundary="a b"'],
    ["an unclosed quote", 'multipart/form-data; boundary="abc'],
    ["no type", ";"],
  ])("with a Content-Type of %s are refused", async (_name, type) => {
    await refusedFreely(
      await call("POST", PATH, { key: user.key, body: "{}", headers: { "Content-Type": type } }),
    );
  });

  it.each(["PROPFIND", "get", "PURGE", "TRACE", "QUERY"])(
    "with the method %s are refused",
    async (method) => {
      const answer = await call(method, PATH, { key: user.key });
      expect(await refusedFreely(answer)).toMatchObject({ status: 405, code: "methodNotAllowed" });
    },
  );

  it("with manipulated paths lead nowhere", async () => {
    const paths = [
      ...[
        "/api/v1/../admin/users",
        "/api/v1/%2e%2e/admin/users",
        "/api/v1/generations/..%2f..%2fadmin%2fusers",
      ],
      ...[
        "/api/v1/generations/%00",
        "/api/v1/generations/gen_%00",
        "/api/v1/generations/%ff%fe",
        "/api/v1/credits%00",
      ],
      ...["/api/v1/credits;x=1", "/api/v2/credits", "//api/admin/users", "/API/v1/credits"],
      ...[
        "/images/..%2f..%2fx/y",
        "/images/%2e%2e%2f/%00",
        "/images/gen_x/..%5c..%5cy",
        "/%",
        "/%zz",
        "/api/v1/%",
      ],
      ...[
        `/api/v1/generations/${"a".repeat(30_000)}`,
        `/images/${"../".repeat(2_000)}x`,
        `/${"a/".repeat(5_000)}`,
      ],
    ];
    for (const path of paths) {
      const answer = await call("GET", `https://hub.test${path}`, {
        key: user.key,
      });
      expect([path.slice(0, 60), answer.status === 404 || answer.status === 401]).toEqual([
        path.slice(0, 60),
        true,
      ]);
      refusal(answer);
    }
  });

  it("with absurd queries change nothing", async () => {
    const query = `?${"a=b&".repeat(2_000)}__proto__[n]=4&n=4&key=x&%00=%ff&=`;
    expect((await call("GET", `/api/v1/credits${query}`, { key: user.key })).body).toMatchObject({
      credits: 100,
    });
    const answer = await call("POST", `${PATH}${query}`, {
      key: user.key,
      json: { model: "gpt-image-2", prompt: "a" },
    });
    expect(Generated.parse(answer.body).usage.credits).toBe(8);
  });
});

/** A start, and then the same piece repeated as long as it is read. */
async function* endless(start: string | Uint8Array, piece: string | Uint8Array): AsyncGenerator<Uint8Array> {
  const [first, again] = [start, piece].map((part) => Buffer.from(part));
  yield first ?? Buffer.alloc(0);
  for (;;) yield again ?? Buffer.alloc(0);
}
