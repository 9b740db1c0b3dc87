import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { filled, frame, jpeg, png, webpLossy } from "../images/samples.ts";
import {
  type CallOptions,
  call,
  creditsOf,
  eventually,
  newUser,
  storedReferences,
  type TestUser,
} from "../support/http.ts";
import { Generated, invalid, Pending, refusal } from "../support/shapes.ts";
import { provide, tinyImage } from "../support/tiny-provider.ts";
import { BOUNDARY, END, file, type Piece, streamed, text } from "./forms.ts";

/** POST /api/v1/images/generations with a form: only differences from JSON, and files. */
const PATH = "/api/v1/images/generations";
const FILE_BYTES_MAX = 50 * 1024 * 1024;
const MIB = 1024 * 1024;
const plain = [text("model", "gpt-image-2"), text("prompt", "a hill")];

let user: TestUser;
let provider: ReturnType<typeof provide>;

beforeEach(async () => {
  user = await newUser(100);
  provider = provide();
});

afterEach(async () => {
  vi.restoreAllMocks();
  // No reference may outlive its request.
  expect(await storedReferences()).toEqual([]);
});

const post = (parts: Piece[][], options: CallOptions = {}) =>
  call("POST", PATH, {
    key: user.key,
    headers: { "Content-Type": `multipart/form-data; boundary=${BOUNDARY}` },
    body: streamed([...parts, END].flat()).stream,
    ...options,
  });

/** Sends a form that must be refused, and checks that it cost nothing and reached no provider. */
async function refused(parts: Piece[][], options: CallOptions = {}) {
  const answer = await post(parts, options);
  expect(await creditsOf(user)).toBe(100);
  expect(provider).not.toHaveBeenCalled();
  return refusal(answer);
}

describe("an accepted form", () => {
  it.each([0, 1, 2, 15, 16])("with %i reference images", async (count) => {
    const answer = await post([...plain, ...Array.from({ length: count }, () => file(png(64, 64)))]);
    expect(answer.status).toBe(200);
    expect(Generated.parse(answer.body).usage).toEqual({
      credits: 8,
      credits_requested: 8,
      credits_charged: 8,
      credits_refunded: 0,
    });
    expect(provider.mock.calls[0]?.[1].references.length).toBe(count);
  });

  it("passes each reference to the provider, in the order of the form, with any name and declared type", async () => {
    const images = [png(64, 64), jpeg(frame(64, 48)), webpLossy(32, 32)];
    const read: [string, number, string][] = [];
    provider.mockImplementation(async function* (_request, { references }) {
      for (const { contentType, bytes, open } of references) {
        const stored = await new Response(await open()).bytes();
        read.push([contentType, bytes, Buffer.from(stored).toString("hex")]);
      }
      yield tinyImage();
    });
    const names = ["a.gif", "../../etc/passwd", "no extension"];
    const fields = ["reference_image", "reference_image[]", "reference_image"];
    const files = images.map((image, at) => file(image, fields[at], names[at]));
    const answer = await post([...plain, ...files]);
    expect(answer.status).toBe(200);
    const types = ["image/png", "image/jpeg", "image/webp"];
    expect(read).toEqual(
      images.map((bytes, at) => [types[at], bytes.length, Buffer.from(bytes).toString("hex")]),
    );
  });

  it("as FormData writes it", async () => {
    const body = new FormData();
    for (const [name, value] of [
      ["model", "gpt-image-2"],
      ["prompt", "naïve ☕"],
      ["n", "2"],
    ] as const) {
      body.append(name, value);
    }
    body.append("reference_image", new Blob([png(8, 8)]), "é.png");
    const answer = await call("POST", PATH, { key: user.key, body });
    expect(Generated.parse(answer.body).images.length).toBe(2);
    expect(provider.mock.calls[0]?.[0].prompt).toBe("naïve ☕");
  });

  it("with every field, numbers and booleans as text", async () => {
    const fields = {
      ...{ size: "auto", quality: "high", aspect_ratio: "16:9", resolution: "2K", n: "2", async: "false" },
      ...{ output_format: "png", background: "opaque", moderation: "low", user: "u", response_format: "url" },
    };
    const answer = await post([
      ...plain,
      ...Object.entries(fields).map(([name, value]) => text(name, value)),
    ]);
    expect(Generated.parse(answer.body)).toMatchObject({
      ...{ aspect_ratio: "16:9", quality: "2K", usage: { credits: 20 } },
    });
    expect(provider.mock.calls[0]?.[0]).toMatchObject({
      ...{
        renderQuality: "high",
        n: 2,
        background: "opaque",
        moderation: "low",
        size: { width: 2560, height: 1440 },
      },
    });
  });

  it("with async keeps its references until the generation ends", async () => {
    const drawing = Promise.withResolvers<void>();
    provider.mockImplementation(async function* () {
      await drawing.promise;
      yield tinyImage();
    });
    const answer = await post([...plain, text("async", "true"), file(png(8, 8)), file(png(9, 9))]);
    expect(answer.status).toBe(202);
    const upload = /^upload_[0-9A-Z]{26}$/;
    const keys = (await storedReferences()).map((key) => key.split("/"));
    expect(keys).toEqual([
      [expect.stringMatching(upload), "1"],
      [keys[0]?.[0], "2"],
    ]);
    drawing.resolve();
    await eventually(async () => (await storedReferences()).length === 0);
    expect(await creditsOf(user)).toBe(92);
  });

  it("with a file of 50 MB, and not a byte more", async () => {
    const image = (bytes: number) => file(filled(png(64, 64), bytes, MIB));
    expect(await refused([...plain, file(png(8, 8)), image(FILE_BYTES_MAX + 1)])).toEqual(
      invalid("reference_image", "reference_image 2 is larger than 50 MB."),
    );
    expect((await post([...plain, image(FILE_BYTES_MAX)])).status).toBe(200);
    expect(provider.mock.calls[0]?.[1].references[0]?.bytes).toBe(FILE_BYTES_MAX);
  }, 30_000);

  it("has no URL for its references", async () => {
    const drawing = Promise.withResolvers<void>();
    provider.mockImplementation(async function* () {
      await drawing.promise;
      yield tinyImage();
    });
    const { id } = Pending.parse((await post([...plain, text("async", "true"), file(png(8, 8))])).body);
    const [key = ""] = await storedReferences();
    const paths = [
      `/images/${key}`,
      `/references/${key}`,
      `/images/${key.replace("/", "%2f")}`,
      `/images/${id}/1`,
    ];
    for (const path of paths) {
      expect((await call("GET", path)).status).toBe(404);
    }
    drawing.resolve();
    await eventually(async () => (await storedReferences()).length === 0);
  });
});

describe("a refused form", () => {
  const image = file(png(8, 8));

  it.each<[string, Piece[][], string | null, string | RegExp]>([
    ["nothing in it", [], "model", "model is required."],
    ["17 references", [...plain, ...Array(17).fill(image)], "reference_image", "at most 16 times"],
    [
      "a text as reference",
      [...plain, image, file("hello")],
      "reference_image",
      "reference_image 2 is not a PNG",
    ],
    [
      "a GIF as reference",
      [...plain, file("GIF89a")],
      "reference_image",
      "reference_image 1 is not a PNG, JPEG or WebP",
    ],
    ["an empty reference", [...plain, file("")], "reference_image", "reference_image 1 is not a PNG"],
    [
      "a reference given as text",
      [...plain, text("reference_image", "x")],
      "reference_image",
      "must be a file",
    ],
    ["a file in a text field", [file("x", "prompt")], "prompt", "prompt is not a field for files here"],
    [
      "a file of another name",
      [...plain, file(png(8, 8), "image")],
      "image",
      "image is not a field for files here",
    ],
    [
      "a file without a file name",
      [...plain, file(png(8, 8), "reference_image", "")],
      "reference_image",
      "must be a file",
    ],
    [
      "reference_images",
      [...plain, file(png(8, 8), "reference_images")],
      "reference_images",
      "reference_images is not a field for files here",
    ],
    ["a field twice", [...plain, image, text("prompt", "b")], "prompt", "prompt is given twice."],
    ["an equal field twice", [...plain, text("n", "1"), text("n", "1")], "n", "n is given twice."],
    ["an unknown field", [...plain, image, text("foo", "1")], "foo", "foo is not a field of this request."],
    ["a field called __proto__", [...plain, text("__proto__", "1")], "__proto__", "__proto__ is not a field"],
    ["a blank prompt", [plain[0] ?? [], text("prompt", " "), image], "prompt", "prompt must not be blank."],
    [
      "another model",
      [text("model", "dall-e-3"), text("prompt", "a"), image],
      "model",
      "model must be gpt-image-2.",
    ],
    ["n of 5", [...plain, image, text("n", "5")], "n", "n must be a whole number from 1 to 4."],
    ["n as no number", [...plain, text("n", "two")], "n", "n must be a number."],
    ["an empty n", [...plain, text("n", "")], "n", "n must be a number."],
    ["n as a float", [...plain, text("n", "1.0")], "n", "n must be a number."],
    ["a negative n", [...plain, text("n", "-1")], "n", "n must be a number."],
    ["async in capitals", [...plain, text("async", "True")], "async", "async must be a boolean."],
    ["async as 1", [...plain, text("async", "1")], "async", "async must be a boolean."],
    [
      "another format",
      [...plain, image, text("output_format", "webp")],
      "output_format",
      "must be one of png",
    ],
    [
      "output_compression 101",
      [...plain, text("output_compression", "101")],
      "output_compression",
      "at most 100",
    ],
    [
      "a contradiction",
      [...plain, image, text("size", "1024x1024"), text("quality", "4K")],
      "quality",
      "Leave",
    ],
  ])("for %s", async (_name, parts, param, message) => {
    expect(await refused(parts)).toEqual(invalid(param, message));
  });

  it("for more than 1 MiB of text, and not at 1 MiB", async () => {
    const bytes = MIB - "gpt-image-2".length;
    const model = text("model", "gpt-image-2");
    expect(await refused([model, image, text("prompt", "a".repeat(bytes + 1))])).toMatchObject({
      ...{ status: 413, code: "payloadTooLarge", param: null },
    });
    expect(await refused([model, image, text("prompt", "a".repeat(bytes))])).toEqual(invalid("prompt"));
  });

  it.each<[string, string | null]>([
    ["multipart/form-data", "no valid multipart boundary"],
    ["multipart/form-data; boundary=", "no valid multipart boundary"],
    ["multipart/form-data; boundary=another", "malformed or ends early"],
    [`multipart/form-data; boundary=${BOUNDARY}; charset=latin1`, "UTF-8"],
  ])("when declared as %s", async (type, message) => {
    expect(await refused(plain, { headers: { "Content-Type": type } })).toEqual(invalid(null, message ?? ""));
  });

  it.each([`multipart/mixed; boundary=${BOUNDARY}`, "multipart/form-datax"])(
    "with 415 as %s",
    async (type) => {
      expect(await refused(plain, { headers: { "Content-Type": type } })).toMatchObject({ status: 415 });
    },
  );

  it("when it ends early, inside a file that was being stored", async () => {
    const cut = [...plain, file(png(8, 8)), file(filled(png(8, 8), 12 * MIB)).slice(0, 2)];
    const body = streamed(cut.flat()).stream;
    expect(await refused([], { body })).toEqual(invalid(null, "malformed or ends early"));
  });

  it("before its files are read, when the credits do not suffice for the cheapest generation", async () => {
    const poor = await newUser(7);
    const { stream, state } = streamed([...plain, file(filled(png(8, 8), 20 * MIB)), END].flat());
    const settings = { IMAGE_PROVIDER: "openai", OPENAI_API_KEY: "sk-test" };
    const answer = await post([], { key: poor.key, body: stream, settings });
    expect(refusal(answer)).toMatchObject({ status: 402, required: 8, available: 7 });
    expect(state.bytes).toBeLessThan(MIB);
  });

  it("for insufficient credits, once the price is known", async () => {
    const poor = await newUser(8);
    const answer = await post([...plain, image, text("n", "2")], { key: poor.key });
    expect(refusal(answer)).toMatchObject({ status: 402, required: 16, available: 8 });
    expect(await creditsOf(poor)).toBe(8);
  });

  it("before its files are read, when no provider is configured", async () => {
    const settings = { IMAGE_PROVIDER: "openai" };
    expect(await refused([...plain, image], { settings })).toMatchObject({
      ...{ status: 503, code: "serviceUnavailable" },
    });
  });

  it("when storage fails, and nothing was charged", async () => {
    const failing = new Proxy(env.REFERENCES, {
      get: () => async () => {
        throw new Error("storage is down, says 10.0.0.7");
      },
    });
    const answer = await post([...plain, image], { settings: { REFERENCES: failing } });
    expect(refusal(answer).status).toBeGreaterThanOrEqual(500);
    expect(answer.text).not.toContain("10.0.0.7");
    expect(await creditsOf(user)).toBe(100);
  });
});
