import { describe, expect, it, onTestFailed } from "vitest";
import {
  MULTIPART_LIMITS,
  type MultipartLimits,
  readMultipart,
  type UploadedFile,
} from "../../src/http/multipart.ts";
import { mutate, seeded } from "../images/samples.ts";
import {
  BOUNDARY,
  bytesOf,
  cut,
  END,
  expectNoEscapedErrors,
  file,
  formRequest,
  type Piece,
  streamed,
  text,
} from "./forms.ts";

const limits: MultipartLimits = { ...MULTIPART_LIMITS, filesMax: 3 };
const MIB = 1024 * 1024;
expectNoEscapedErrors();

/** Reads a form and keeps its files, which only a test may do. */
async function read(body: BodyInit | null, changed: Partial<MultipartLimits> = {}, contentType?: string) {
  const files: string[] = [];
  const onFile = async ({ position, content }: UploadedFile) => {
    let received = "";
    for await (const chunk of content) received += Buffer.from(chunk).toString("latin1");
    files[position - 1] = received;
    return received === "bad" ? "is bad." : null;
  };
  const outcome = await readMultipart(formRequest(body, contentType), { ...limits, ...changed }, onFile);
  return { outcome, files };
}

const form = (fields: Record<string, string>) => ({ kind: "form", fields: new Map(Object.entries(fields)) });
const refused = (param: string | null, message: RegExp, status = 400) => ({
  kind: "refused",
  status,
  code: status === 400 ? "invalid_request" : status === 413 ? "payloadTooLarge" : "unsupportedMediaType",
  param,
  message: expect.stringMatching(message),
});

describe("an accepted form", () => {
  const mixed = [
    text("prompt", "a café ☕"),
    file("first"),
    text("n", "2"),
    file("", "reference_image[]"),
    file("th\r\n--ird\r\n"),
    END,
  ];

  it.each([1, 2, 3, 7, 64, 100_000])("is read the same in chunks of %i bytes", async (chunkBytes) => {
    const bytes = await bytesOf(mixed.flat());
    const { outcome, files } = await read(streamed(cut(bytes, chunkBytes)).stream);
    expect(outcome).toEqual(form({ prompt: "a café ☕", n: "2" }));
    expect(files).toEqual(["first", "", "th\r\n--ird\r\n"]);
  });

  it("is what FormData makes", async () => {
    const data = new FormData();
    data.append("prompt", "naïve “quotes”\r\nand lines");
    data.append("reference_image", new File(["abc"], 'odd " name — é.png'));
    const request = new Request("https://api.test/", { method: "POST", body: data });
    const { outcome, files } = await read(request.body, {}, request.headers.get("content-type") ?? "");
    expect([outcome, files]).toEqual([form({ prompt: "naïve “quotes”\r\nand lines" }), ["abc"]]);
  });

  it.each<[string, Piece[], Record<string, string>]>([
    ["no part", [`--${BOUNDARY}--`], {}],
    ["a preamble and an epilogue", ["hello\r\n", ...text("n", "1"), ...END, "bye"], { n: "1" }],
    ["an empty value", [...text("n", ""), ...END], { n: "" }],
    ["a field called __proto__", [...text("__proto__", "1"), ...END], { ["__proto__"]: "1" }],
    ["text declared as UTF-8", [...text("n", "é", "text/plain; charset=UTF-8"), ...END], { n: "é" }],
    ["a name of 100 characters", [...text("n".repeat(100), "1"), ...END], { ["n".repeat(100)]: "1" }],
    ["a file name of 10 kB", [...file("x", "reference_image", "n".repeat(10_000)), ...END], {}],
    [
      "what resembles a boundary",
      [...text("n", `${BOUNDARY}\r\n--${BOUNDARY.slice(0, -1)}\r\n`), ...END],
      { n: `${BOUNDARY}\r\n--${BOUNDARY.slice(0, -1)}\r\n` },
    ],
  ])("may have %s", async (_name, pieces, fields) => {
    const { outcome } = await read(streamed(pieces).stream);
    expect(outcome).toEqual({ kind: "form", fields: new Map(Object.entries(fields)) });
  });

  it.each<[string, string, string]>([
    ["as browsers send it", "reference_image", "Content-Type: application/octet-stream\r\n"],
    ["without a type", "reference_image[]", ""],
    ["in a field that takes no files", "mask", "Content-Type: application/octet-stream\r\n"],
  ])("has no file where a file input was left empty, %s", async (_name, field, type) => {
    const disposition = `Content-Disposition: form-data; name="${field}"; filename=""`;
    const empty = [`--${BOUNDARY}\r\n${disposition}\r\n${type}\r\n\r\n`];
    const { outcome, files } = await read(
      streamed([...empty, ...file("a"), ...empty, ...file("b"), ...file("c"), ...END]).stream,
    );
    expect([outcome, files]).toEqual([form({}), ["a", "b", "c"]]);
  });

  it("treats bytes without a file name as a file", async () => {
    const nameless = [
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="reference_image"; filename=""\r\n`,
      "Content-Type: application/octet-stream\r\n\r\nbytes\r\n",
    ];
    const { outcome, files } = await read(streamed([...nameless, ...END]).stream);
    expect([outcome, files]).toEqual([form({}), ["bytes"]]);
    const four = Array.from({ length: 4 }, () => nameless).flat();
    expect((await read(streamed([...four, ...END]).stream)).outcome).toEqual(
      refused("reference_image", /at most 3 times/),
    );
  });

  it("treats an index in brackets as part of the field's name", async () => {
    const parts = ["[0]", "[1]", "[]"].flatMap((index) => file(index, `reference_image${index}`));
    expect((await read(streamed([...parts, ...END]).stream)).files).toEqual(["[0]", "[1]", "[]"]);
  });

  it.each([
    ["exactly 3 files", Array.from({ length: 3 }, () => file("x"))],
    ["exactly 64 parts", Array.from({ length: 64 }, (_, i) => text(`f${i}`, "x"))],
    ["exactly 1 MiB of text", [text("a", "x".repeat(MIB - 5)), text("b", "é".repeat(2)), text("c", "x")]],
  ])("may have %s", async (_name, parts) => {
    expect((await read(streamed([...parts.flat(), ...END]).stream)).outcome).toMatchObject({ kind: "form" });
  });

  it("may have a quoted boundary of 70 characters and an upper-case type", async () => {
    const boundary = "b".repeat(70);
    const body = `--${boundary}\r\ncontent-disposition: form-data; name=n\r\n\r\n1\r\n--${boundary}--`;
    const contentType = `Multipart/Form-Data; charset=utf-8; boundary="${boundary}"`;
    expect((await read(body, {}, contentType)).outcome).toEqual(form({ n: "1" }));
  });
});

describe("a refused form", () => {
  const part = (headers: string) => [`--${BOUNDARY}\r\n${headers}\r\n\r\nx\r\n`, ...END];
  it.each<[string, Piece[], ReturnType<typeof refused>]>([
    ["a field twice", [...text("n", "1"), ...text("n", "1"), ...END], refused("n", /^n is given twice/)],
    [
      "a file of another name",
      [...file("x", "mask"), ...END],
      refused("mask", /^mask is not a field for files here: send each file as reference_image or/),
    ],
    [
      "reference_image as text",
      [...text("reference_image", "x"), ...END],
      refused("reference_image", /must be a file/),
    ],
    [
      "reference_image[] as text",
      [...text("reference_image[]", "x"), ...END],
      refused("reference_image", /must be a file/),
    ],
    [
      "a refused file",
      [...file("good"), ...file("bad"), ...END],
      refused("reference_image", /^reference_image 2 is bad\.$/),
    ],
    [
      "a fourth file",
      [...file("1"), ...file("2"), ...file("3"), ...file("4"), ...END],
      refused("reference_image", /at most 3 times/),
    ],
    [
      "a 65th part",
      [...Array.from({ length: 65 }, (_, i) => text(`f${i}`, "x")).flat(), ...END],
      refused(null, /more than 64 parts/),
    ],
    [
      "10,000 parts",
      [...Array.from({ length: 10_000 }, (_, i) => text(`f${i}`, "x")).flat(), ...END],
      refused(null, /more than 64 parts/),
    ],
    [
      "10,000 parts without names",
      [...Array.from({ length: 10_000 }, () => part("A: b").slice(0, 1)).flat(), ...END],
      refused(null, /more than 64 parts/),
    ],
    [
      "a byte over 1 MiB of text",
      [...text("n", "x".repeat(MIB + 1)), ...END],
      refused(null, /larger than 1048576 bytes/, 413),
    ],
    [
      "a byte over 1 MiB in two fields",
      [...text("a", "x".repeat(MIB - 1)), ...text("b", "é"), ...END],
      refused(null, /larger than 1048576 bytes/, 413),
    ],
    [
      "a part without a name",
      [...part("Content-Disposition: form-data"), ...END],
      refused(null, /without a name/),
    ],
    ["a name of 101 characters", [...text("n".repeat(101), "1"), ...END], refused(null, /longer than 100/)],
    [
      "a part without a disposition",
      part("Content-Type: text/plain"),
      refused(null, /without a readable Content-Disposition/),
    ],
    [
      "a part of another disposition",
      part('Content-Disposition: attachment; name="n"'),
      refused(null, /without a readable/),
    ],
    [
      "a part with a broken disposition",
      part('Content-Disposition: form-data; name="n'),
      refused(null, /without a readable/),
    ],
    ["a part header without a colon", part("Content-Disposition"), refused(null, /malformed/)],
    ["a part header of 20 kB", part(`A: ${"b".repeat(20_000)}`), refused(null, /malformed/)],
    [
      "a file name of 20 kB",
      [...file("x", "reference_image", "n".repeat(20_000)), ...END],
      refused(null, /malformed/),
    ],
    [
      "bytes that are no text",
      [...text("n", Uint8Array.of(0x61, 0xff)), ...END],
      refused("n", /not valid UTF-8/),
    ],
    ["half a character", [...text("n", Uint8Array.of(0xc3)), ...END], refused("n", /not valid UTF-8/)],
    [
      "text in an unknown charset",
      [...text("n", "x", "text/plain; charset=klingon"), ...END],
      refused("n", /not valid UTF-8/),
    ],
    ["a body that ends in a field", [...text("n", "1")], refused(null, /ends early/)],
    ["a body that ends in a file", [...file("x")], refused(null, /ends early/)],
    ["a body that ends in a header", ["--", BOUNDARY, "\r\nContent-Dis"], refused(null, /ends early/)],
    ["a body that ends after a boundary", ["--", BOUNDARY], refused(null, /ends early/)],
    [
      "lines that end in LF alone",
      [`--${BOUNDARY}\nContent-Disposition: form-data; name="n"\n\n1\n--${BOUNDARY}--\n`],
      refused(null, /ends early/),
    ],
    ["no boundary at all", ["x".repeat(100_000)], refused(null, /ends early/)],
    ["an empty body", [], refused(null, /ends early/)],
  ])("has %s", async (_name, pieces, outcome) => {
    const { stream, state } = streamed(pieces);
    expect((await read(stream)).outcome).toEqual(outcome);
    expect(state.cancelled || state.bytes === (await bytesOf(pieces)).length).toBe(true);
  });

  it("has no body", async () => {
    expect((await read(null)).outcome).toEqual(refused(null, /body is empty/));
  });

  it.each([
    ["", 415, /must be/],
    ["application/json", 415, /must be/],
    ["multipart/mixed; boundary=x", 415, /must be/],
    ["multipart/form-datas; boundary=x", 415, /must be/],
    ["multipart/form-data", 400, /no valid multipart boundary/],
    ["multipart/form-data; boundary=", 400, /no valid multipart boundary/],
    ['multipart/form-data; boundary=""', 400, /no valid multipart boundary/],
    [`multipart/form-data; boundary=${"b".repeat(71)}`, 400, /no valid multipart boundary/],
    [`multipart/form-data; boundary=${"b".repeat(9000)}`, 400, /no valid multipart boundary/],
    ['multipart/form-data; boundary="a\\"b"', 400, /no valid multipart boundary/],
    ['multipart/form-data; boundary="a b"', 400, /no valid multipart boundary/],
    [`multipart/form-data; boundary=${BOUNDARY}; charset=iso-8859-1`, 400, /UTF-8/],
  ])("declares %j", async (contentType, status, message) => {
    const { stream, state } = streamed([...text("n", "1"), ...END]);
    expect((await read(stream, {}, contentType)).outcome).toEqual(refused(null, message, status));
    expect(state.bytes).toBe(0);
  });
});

/** A body that continues as long as it is read. */
async function* endless(piece: Uint8Array = new Uint8Array(64 * 1024)) {
  for (;;) yield piece;
}

describe("a body without an end", () => {
  const small = { filesMax: 1, fileBytesMax: 4 * MIB };
  it.each<[string, Piece[], number]>([
    ["in a field", text("n", endless()), 413],
    ["in a file that nobody bounds", file(endless()), 413],
    ["before the first boundary", [endless()], 413],
    ["after the last boundary", [...END, endless()], 413],
    ["of headers", [`--${BOUNDARY}\r\n`, endless(new TextEncoder().encode("A: b\r\n"))], 400],
    ["of parts", [endless(new TextEncoder().encode(`--${BOUNDARY}\r\n\r\n`))], 400],
  ])("is refused %s", async (_name, pieces, status) => {
    const { stream, state } = streamed(pieces);
    const { outcome } = await read(stream, small);
    expect(outcome).toMatchObject({ kind: "refused", status });
    expect(state.cancelled).toBe(true);
    expect(state.bytes).toBeLessThan(8 * MIB);
  });

  it("is refused unread when its declared length is too long", async () => {
    const { stream, state } = streamed([endless()]);
    const request = formRequest(stream);
    request.headers.set("Content-Length", String(MIB * (4 + 1 + 2) + 1));
    const outcome = await readMultipart(request, { ...limits, ...small }, async () => null);
    expect([outcome, state.bytes]).toEqual([refused(null, /too large/, 413), 0]);
  });

  async function* stall() {
    await new Promise(() => undefined);
    yield new Uint8Array(0);
  }
  async function* drip() {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      yield Uint8Array.of(97);
    }
  }
  it.each<[string, Piece[], RegExp]>([
    ["that stalls at once", [stall()], /stalled/],
    ["that stalls in a field", text("n", stall()), /stalled/],
    ["that stalls in a file", file(stall()), /stalled/],
    ["that drips in a file", file(drip()), /took too long/],
    ["that drips in a field", text("n", drip()), /took too long/],
  ])("is refused %s", async (_name, pieces, message) => {
    const { stream, state } = streamed(pieces);
    const { outcome } = await read(stream, { stallMsMax: 60, durationMsMax: 200 });
    expect([outcome, state.cancelled]).toEqual([refused(null, message), true]);
  });

  it("is refused when it breaks off", async () => {
    async function* broken() {
      yield new Uint8Array(10);
      throw new Error("the client hung up");
    }
    expect((await read(streamed(file(broken())).stream)).outcome).toEqual(refused(null, /could not be read/));
  });
});

describe("files", () => {
  it("pause the body while their handler is busy", async () => {
    const { stream, state } = streamed([...file(endless()), ...END]);
    const ahead: number[] = [];
    let taken = 0;
    const outcome = await readMultipart(formRequest(stream), limits, async ({ content }) => {
      for await (const chunk of content) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        taken += chunk.length;
        ahead.push(state.bytes - taken);
        if (taken > 2 * MIB) return "is enough.";
      }
      return null;
    });
    expect([outcome, state.cancelled]).toEqual([refused("reference_image", /1 is enough/), true]);
    expect(ahead.length).toBeGreaterThan(20);
    expect(Math.max(...ahead)).toBeLessThan(300 * 1024);
  });

  it("are handed over one at a time, in order", async () => {
    const log: string[] = [];
    const { stream } = streamed([...file("1"), ...file("2"), ...file("3"), ...END]);
    await readMultipart(formRequest(stream), limits, async ({ position, content }) => {
      log.push(`begin ${position}`);
      for await (const _ of content) await new Promise((resolve) => setTimeout(resolve, 5));
      log.push(`end ${position}`);
      return null;
    });
    expect(log).toEqual(["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]);
  });

  it("stop the form at the first byte beyond their number", async () => {
    const { stream, state } = streamed([...file("1"), ...file(endless())]);
    expect((await read(stream, { filesMax: 1 })).outcome).toEqual(
      refused("reference_image", /at most 1 times/),
    );
    expect(state.bytes).toBeLessThan(100_000);
  });

  it("rethrow the handler's error after all handlers have ended, and cancel the body", async () => {
    const { stream, state } = streamed([...file("1"), ...file(endless())]);
    const failure = new Error("storage is down");
    const read = readMultipart(formRequest(stream), limits, async ({ position, content }) => {
      for await (const _ of content) if (position === 2) throw failure;
      return null;
    });
    await expect(read).rejects.toBe(failure);
    expect(state.cancelled).toBe(true);
  });

  it("fail inside a handler when reading stops, and wait for the handler", async () => {
    let ended = "";
    const { stream } = streamed([...file("x".repeat(200_000))]);
    const outcome = await readMultipart(formRequest(stream), limits, async ({ content }) => {
      try {
        for await (const _ of content) ended = "reading";
      } catch (error) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        ended = "told";
        throw error;
      }
      return null;
    });
    expect([outcome, ended]).toEqual([refused(null, /ends early/), "told"]);
  });

  it("must be read by their handler: otherwise the rest of the form would never be reached", async () => {
    const { stream } = streamed([...file("x".repeat(200_000)), ...END]);
    await expect(readMultipart(formRequest(stream), limits, async () => null)).rejects.toThrow(
      /without being read/,
    );
  });

  it("work with the runtime's own streams", async () => {
    const { readable, writable } = new IdentityTransformStream();
    const pieces = [...text("prompt", "x"), ...file("y".repeat(300_000)), ...END];
    const [{ outcome, files }] = await Promise.all([
      read(readable),
      streamed(pieces).stream.pipeTo(writable),
    ]);
    expect([outcome, files[0]?.length]).toEqual([form({ prompt: "x" }), 300_000]);
  });
});

it("parses or refuses 3,000 damaged forms", async () => {
  const valid = await bytesOf(
    [
      text("prompt", "a cat"),
      file("file one"),
      text("n", "2", "text/plain; charset=utf-8"),
      file("two"),
      END,
    ].flat(),
  );
  let seed = 0;
  onTestFailed(() => console.error(`seed ${seed}`));
  const kinds = new Set<string>();
  for (; seed < 3000; seed += 1) {
    const random = seeded(seed);
    const { stream } = streamed(cut(mutate(valid, random), 1 + random(valid.length)));
    const { outcome } = await read(stream);
    kinds.add(outcome.kind === "form" ? "form" : String(outcome.status));
  }
  expect([...kinds].sort()).toEqual(["400", "form"]);
});
