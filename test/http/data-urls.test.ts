import { describe, expect, it } from "vitest";
import { JSON_BYTES_MAX } from "../../src/http/body.ts";
import { readJsonWithDataUrls } from "../../src/http/dataUrls.ts";
import type { MultipartLimits, UploadedFile } from "../../src/http/multipart.ts";
import { JSON_NAMES } from "../../src/references/entries.ts";
import { sleep } from "../../src/time.ts";
import { seeded } from "../images/samples.ts";
import { bytesOf, cut, streamed } from "./forms.ts";

const LIMITS: MultipartLimits = {
  filesMax: 2,
  fileBytesMax: 1000,
  textBytesMax: 1000,
  partsMax: 10,
  stallMsMax: 100,
  durationMsMax: 5_000,
};

function requestOf(text: string, chunkBytes = 1 << 20, headers: Record<string, string> = {}): Request {
  const { stream } = streamed([...cut(new TextEncoder().encode(text), chunkBytes)]);
  return new Request("https://api.test/", { method: "POST", body: stream, headers });
}

/** The value, and the files as text. */
async function read(request: Request, limits: Partial<MultipartLimits> = {}) {
  const files: string[] = [];
  const outcome = await readJsonWithDataUrls(
    request,
    { ...LIMITS, ...limits },
    async (file: UploadedFile) => {
      files.push(Buffer.from(await bytesOf([file.content])).toString("latin1"));
      return null;
    },
  );
  return outcome.kind === "json" ? { value: outcome.value, files } : { ...outcome, files };
}

const url = (content: string, type = "image/png") => `data:${type};base64,${btoa(content)}`;

describe("readJsonWithDataUrls", () => {
  it.each([1, 2, 3, 5, 7, 64, 1000])("reads the same in pieces of %i bytes", async (chunkBytes) => {
    const asked = {
      prompt: 'say "data:image/png;base64,AAAA", \\ and ü',
      images: [{ image_url: url("first\n/?") }, url("second", "image/svg+xml;charset=utf-8")],
      note: { images: 1, image_urls: url("left alone") },
      long: "x".repeat(500),
    };
    for (const text of [JSON.stringify(asked, null, 1), JSON.stringify(asked).replaceAll("/", "\\/")]) {
      expect(await read(requestOf(text, chunkBytes))).toEqual({
        value: { ...asked, images: [{ image_url: "data:,1" }, "data:,2"] },
        files: ["first\n/?", "second"],
      });
    }
  });

  const content = String.fromCharCode(...Array.from({ length: 256 }, (_, at) => at), 0xfb, 0xff);
  const base64 = btoa(content);
  const escapeAll = (text: string) =>
    text.replace(/./g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const shapes = {
    ".NET's escapes": `data:image/png;base64,${base64.replaceAll("+", "\\u002B")}`,
    "Gson's escapes": `data:image/png;base64,${base64.replaceAll("=", "\\u003d")}`,
    "PHP's escapes": `data:image\\/png;base64,${base64.replaceAll("/", "\\/")}`,
    "an escaped semicolon": `data:image/png\\u003bbase64,${base64}`,
    "every character escaped": escapeAll(`data:image/png;base64,${base64}`),
    "no padding": `data:image/png;base64,${base64.replaceAll("=", "")}`,
    "the URL-safe alphabet": `data:image/png;base64,${base64.replaceAll("+", "-").replaceAll("/", "_")}`,
    "line breaks": `data:image/png;base64,${base64.replace(/.{76}/g, "$&\\r\\n")}\\n`,
    spaces: `data:image/png;base64, ${base64.replace(/.{76}/g, "$& ")}`,
  };

  it.each(Object.entries(shapes))("reads base64 with %s, in pieces of any size", async (_, image) => {
    for (const chunkBytes of [1, 2, 3, 5, 7, 64, 1000]) {
      const text = `{"images":[{"\\u0069mage_url":{"url":"${image}"}}],"x":1}`;
      expect(await read(requestOf(text, chunkBytes))).toEqual({
        value: { images: [{ image_url: { url: "data:,1" } }], x: 1 },
        files: [content],
      });
    }
  });

  it("reads a large image with many escapes in small pieces", async () => {
    const bytes = Buffer.alloc(3_000_000, "\xfb\xef\xbeabc", "latin1");
    const image = bytes.toString("base64").replaceAll("+", "\\u002B");
    const text = `{"images":["data:image/png;base64,${image}"]}`;
    const patient = { ...LIMITS, durationMsMax: 60_000 };
    let largest = 0;
    let total = 0;
    const outcome = await readJsonWithDataUrls(requestOf(text), patient, async ({ content }) => {
      for await (const piece of content) {
        largest = Math.max(largest, piece.length);
        total += piece.length;
      }
      return null;
    });
    expect([outcome.kind, total, largest < 100_000]).toEqual(["json", 3_000_000, true]);
  });

  it.each(["", "a", "ab", "abc", "abcd"])("reads %j", async (content) => {
    expect(await read(requestOf(`{"images":["${url(content)}"]}`))).toMatchObject({ files: [content] });
  });

  const refused = (message: string, code = "invalid_request") => ({ kind: "refused", code, message });

  it.each([
    [
      "a third image",
      `{"images":["${url("a")}","${url("b")}","${url("c")}"]}`,
      "images may hold at most 2 images.",
    ],
    [
      "padding in the middle",
      '{"images":["data:image/png;base64,YQ==YQ=="]}',
      "image 1 is not valid base64.",
    ],
    ["half of the padding", '{"images":["data:image/png;base64,YQ="]}', "image 1 is not valid base64."],
    ["one character too many", '{"images":["data:image/png;base64,YWJjY"]}', "image 1 is not valid base64."],
    ["an escaped quote", '{"images":["data:image/png;base64,YWJj\\""]}', "image 1 is not valid base64."],
    ["a bare line break", '{"images":["data:image/png;base64,YWJj\nYWJj"]}', "image 1 is not valid base64."],
    [
      "an escape that JSON has not",
      '{"images":["data:image/png;base64,\\xYWJj"]}',
      "image 1 is not valid base64.",
    ],
    ["an escape cut short", '{"images":["data:image/png;base64,\\u00"]}', "image 1 is not valid base64."],
    ["an image list given twice", `{"images":["${url("a")}"],"images":[]}`, "images is given twice."],
    ["an image that breaks off", '{"images":["data:image/png;base64,YWJj', "The body is not valid JSON."],
    ["a string that breaks off", '{"images":["data:ima', "The body is not valid JSON."],
    ["text behind", `{"images":["${url("a")}"]}x`, "The body is not valid JSON."],
  ])("refuses %s", async (_, text, message) => {
    expect(await read(requestOf(text))).toMatchObject(refused(message));
  });

  it("accepts as much text as any JSON body, and no more", async () => {
    const text = (length: number) => `{"images":["${url("a")}"],"x":"${"x".repeat(length)}"}`;
    const room = JSON_BYTES_MAX - '{"images":["data:,1"],"x":""}'.length;
    expect(await read(requestOf(text(room)))).toMatchObject({ files: ["a"] });
    expect(await read(requestOf(text(room + 1)))).toMatchObject({ kind: "refused", code: "payloadTooLarge" });
  });

  it("returns why an image is refused, and stops reading", async () => {
    const { stream, state } = streamed(
      cut(new TextEncoder().encode(`{"images":["${url("a".repeat(9_000))}"]}`), 100),
    );
    const request = new Request("https://api.test/", { method: "POST", body: stream });
    const outcome = await readJsonWithDataUrls(request, LIMITS, async () => "is not wanted.");
    expect(outcome).toMatchObject({ ...refused("image 1 is not wanted."), param: "images" });
    expect([state.cancelled, state.bytes < 500]).toEqual([true, true]);
  });

  it("refuses a stalled body and a compressed one", async () => {
    const stalled = new Request("https://api.test/", {
      method: "POST",
      body: new ReadableStream({ pull: () => new Promise(() => undefined) }),
    });
    expect(await read(stalled)).toMatchObject(refused("The body took too long to arrive."));
    const headers = { "Content-Encoding": "gzip" };
    expect(await read(requestOf("{}", 10, headers))).toMatchObject({
      code: "unsupportedMediaType",
      param: "Content-Encoding",
    });
    const identity = { "Content-Encoding": "identity" };
    expect(await read(requestOf("{}", 10, identity))).toEqual({ value: {}, files: [] });
  });

  it("refuses a body that arrives too slowly", async () => {
    const dripping = new ReadableStream({
      pull: async (controller) => {
        await sleep(20);
        controller.enqueue(new TextEncoder().encode(" "));
      },
    });
    const request = new Request("https://api.test/", { method: "POST", body: dripping });
    const outcome = await read(request, { durationMsMax: 300 });
    expect(outcome).toMatchObject(refused("The body took too long to arrive."));
  });

  it("agrees with JSON.parse on 300 damaged bodies", async () => {
    const text = JSON.stringify({ images: [{ image_url: url("picture") }], prompt: 'a "b" \\ c', n: 1 });
    const random = seeded(7);
    let parsed = 0;
    for (let trial = 0; trial < 300; trial++) {
      const at = random(text.length);
      const damaged =
        text.slice(0, at) + ['"', "\\", "{", ",", "=", ""][random(6)] + text.slice(at + random(2));
      const outcome = await read(requestOf(damaged, 1 + random(40)));
      if (!("value" in outcome)) continue;
      parsed += 1;
      expect(() => JSON.parse(damaged), damaged).not.toThrow();
    }
    expect(parsed).toBeGreaterThan(15);
  });

  it.each([1, 7, 1000])(
    "tells the place of each image in the list, in pieces of %i bytes",
    async (chunkBytes) => {
      const positions: number[] = [];
      const body = {
        before: [1, [2, { a: "b,[" }], "c"],
        images: [
          url("a"),
          "https://x.example/,",
          { image_url: url("b") },
          { image_url: { url: url("c"), x: [1, 2] } },
          1,
        ],
        after: [{ images: "d" }],
      };
      const outcome = await readJsonWithDataUrls(
        requestOf(JSON.stringify(body, null, 2), chunkBytes),
        { ...LIMITS, filesMax: 3 },
        async ({ position, content }) => {
          await bytesOf([content]);
          positions.push(position);
          return null;
        },
      );
      expect([outcome.kind, positions]).toEqual(["json", [1, 3, 4]]);
    },
  );

  it("takes the images of the list that the request has, and leaves those of others", async () => {
    const text = JSON.stringify({ reference_images: ["x", url("a")], images: [url("b")], url: url("c") });
    const files: number[] = [];
    const outcome = await readJsonWithDataUrls(
      requestOf(text, 9),
      LIMITS,
      async ({ position, content }) => {
        await bytesOf([content]);
        files.push(position);
        return null;
      },
      JSON_NAMES,
    );
    expect(outcome).toEqual({
      kind: "json",
      value: { reference_images: ["x", "data:,1"], images: [url("b")], url: url("c") },
    });
    expect(files).toEqual([2]);
  });

  it("names the entry in the words of the request", async () => {
    const text = '{"reference_images":["x","data:image/png;base64,YQ="]}';
    const outcome = await readJsonWithDataUrls(
      requestOf(text),
      LIMITS,
      async ({ content }) => {
        await bytesOf([content]);
        return null;
      },
      JSON_NAMES,
    );
    expect(outcome).toMatchObject({
      message: "reference_images[1] is not valid base64.",
      param: "reference_images[1]",
    });
  });
});
