import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { png } from "../images/samples.ts";
import { type CallOptions, call, creditsOf, newUser, type TestUser } from "../support/http.ts";
import { Generated, invalid, Pending, refusal } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

/** POST /api/v1/images/generations with a JSON body. */
const PATH = "/api/v1/images/generations";
const GRINNING = "😀";
const plain = { model: "gpt-image-2", prompt: "a hill" };

let user: TestUser;
let provider: ReturnType<typeof provide>;

beforeEach(async () => {
  user = await newUser(100, "PRO");
  provider = provide();
});

afterEach(() => {
  vi.restoreAllMocks();
});

const post = (json: unknown, options: CallOptions = {}) =>
  call("POST", PATH, { key: user.key, json, ...options });

/** Sends a body that must be refused, and checks that it cost nothing and reached no provider. */
async function refused(json: unknown, options: CallOptions = {}) {
  const answer = await post(json, options);
  expect(await creditsOf(user)).toBe(100);
  expect(provider).not.toHaveBeenCalled();
  return refusal(answer);
}

describe("an accepted request", () => {
  it("returns the generation, its images and the balance", async () => {
    const before = Date.now();
    const answer = await post(plain);
    expect(answer.status).toBe(200);
    const generated = Generated.parse(answer.body);
    expect(generated).toMatchObject({
      model: "gpt-image-2",
      aspect_ratio: "auto",
      quality: "1K",
      images: [{ width: 1024, height: 1024, content_type: "image/png", bytes: png(1024, 1024).length }],
      usage: { credits: 8, credits_requested: 8, credits_charged: 8, credits_refunded: 0 },
      balance: { credits: 92, account_type: "PRO", next_expiration: null },
    });
    const [image] = generated.images;
    expect(image?.url).toBe(`https://hub.test/images/${generated.id}/${image?.id}.png`);
    const times = [before, generated.created_at, image?.created_at ?? "", generated.completed_at, Date.now()];
    expect(times.map((time) => new Date(time).getTime())).toEqual(
      times.map((time) => new Date(time).getTime()).toSorted((a, b) => a - b),
    );
    expect(answer.headers.get("Cache-Control")).toBe("no-store");
    expect(answer.headers.get("Location")).toBe(null);
  });

  it("gives each image of one generation its own id and URL", async () => {
    const { images, usage } = Generated.parse((await post({ ...plain, n: 4 })).body);
    expect(new Set(images.map((image) => image.url)).size).toBe(4);
    expect(new Set(images.map((image) => image.id)).size).toBe(4);
    expect(usage).toEqual({ credits: 32, credits_requested: 32, credits_charged: 32, credits_refunded: 0 });
  });

  it("passes its fields to the provider, with the end user's id hashed", async () => {
    const fields = { size: "1536x1024", quality: "high", n: 2, background: "opaque", moderation: "low" };
    await post({ ...plain, ...fields, output_format: "png", user: "somebody" });
    expect(provider.mock.calls[0]?.[0]).toMatchObject({
      providerModel: "gpt-image-2",
      prompt: "a hill",
      size: { width: 1536, height: 1024 },
      renderQuality: "high",
      n: 2,
      outputFormat: "png",
      outputCompression: null,
      background: "opaque",
      moderation: "low",
      endUser: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it("has defaults for missing fields", async () => {
    await post(plain);
    expect(provider.mock.calls[0]?.[0]).toMatchObject({
      ...{ size: "auto", renderQuality: "auto", n: 1, outputFormat: "png", outputCompression: null },
      ...{ background: "auto", moderation: "auto", endUser: null },
    });
  });

  it("has the same hash only for the same end user of the same client", async () => {
    const other = await newUser(100);
    await post({ ...plain, user: "somebody" });
    await post({ ...plain, user: "somebody" });
    await post({ ...plain, user: "somebody else" });
    await post({ ...plain, user: "somebody" }, { key: other.key });
    const [first, again, another, foreign] = provider.mock.calls.map(([request]) => request.endUser);
    expect(again).toBe(first);
    expect(new Set([first, another, foreign]).size).toBe(3);
  });

  /** The request, the ratio and resolution in the response, the credits, and the size sent to the provider. */
  it.each<[Record<string, unknown>, string, string, number, string]>([
    [{ size: "auto" }, "auto", "1K", 8, "auto"],
    [{ size: "1024x1024" }, "1:1", "1K", 8, "1024x1024"],
    [{ size: "1536x1024" }, "3:2", "1K", 8, "1536x1024"],
    [{ size: "2048x2048" }, "1:1", "2K", 10, "2048x2048"],
    [{ size: "3840x2160" }, "16:9", "4K", 12, "3840x2160"],
    [{ size: "1040x1024" }, "65:64", "1K", 8, "1040x1024"],
    [{ quality: "auto" }, "auto", "1K", 8, "auto"],
    [{ quality: "low", n: 3 }, "auto", "1K", 24, "auto"],
    [{ quality: "1K" }, "auto", "1K", 8, "auto"],
    [{ quality: "2K" }, "1:1", "2K", 10, "2048x2048"],
    [{ quality: "4K", aspect_ratio: "auto" }, "1:1", "4K", 12, "2880x2880"],
    [{ quality: "2K", aspect_ratio: "16:9" }, "16:9", "2K", 10, "2560x1440"],
    [{ aspect_ratio: "9:21" }, "9:21", "1K", 8, "624x1456"],
    [{ aspect_ratio: "16:9", resolution: "4K", quality: "high" }, "16:9", "4K", 12, "3840x2160"],
    [{ resolution: "2K", quality: "2K" }, "1:1", "2K", 10, "2048x2048"],
    [
      { size: "1280x720", aspect_ratio: "16:9", quality: "1K", resolution: "1K" },
      "16:9",
      "1K",
      8,
      "1280x720",
    ],
    [{ size: "1280x720", aspect_ratio: "auto" }, "16:9", "1K", 8, "1280x720"],
    [{ n: 1.0 }, "auto", "1K", 8, "auto"],
  ])("is priced and drawn by its shape: %j", async (fields, ratio, tier, credits, size) => {
    const { aspect_ratio, quality, usage, balance } = Generated.parse(
      (await post({ ...plain, ...fields })).body,
    );
    expect([aspect_ratio, quality, usage.credits, balance.credits]).toEqual([
      ratio,
      tier,
      credits,
      100 - credits,
    ]);
    const asked = provider.mock.calls[0]?.[0].size ?? "none";
    expect(typeof asked === "string" ? asked : `${asked.width}x${asked.height}`).toBe(size);
  });

  it.each<[string, Record<string, unknown>]>([
    ["a prompt of 32,000 characters", { prompt: "a".repeat(32_000) }],
    ["a prompt of 32,000 astral characters", { prompt: GRINNING.repeat(32_000) }],
    ["a prompt with blanks around", { prompt: "  a hill\n" }],
    ["a user of 128 characters", { user: "u".repeat(128) }],
    ["a user of 128 astral characters", { user: GRINNING.repeat(128) }],
    ["an empty user", { user: "" }],
    ["response_format b64_json", { response_format: "b64_json" }],
    ["response_format of any text", { response_format: "whatever" }],
    ["async false", { async: false }],
    ["output_format png", { output_format: "png" }],
  ])("may have %s", async (_name, fields) => {
    expect((await post({ ...plain, ...fields })).status).toBe(200);
    expect(await creditsOf(user)).toBe(92);
  });

  it("passes the prompt to the provider unchanged", async () => {
    const prompt = "  naïve “quotes”\r\n\u0000\u202E {{x}} \\ </script> 😀 ";
    await post({ ...plain, prompt });
    expect(provider.mock.calls[0]?.[0].prompt).toBe(prompt);
  });

  it.each(["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"])(
    "may be declared as %s",
    async (type) => {
      expect((await post(plain, { headers: { "Content-Type": type } })).status).toBe(200);
    },
  );

  it("may be 1 MiB long, and not a byte longer", async () => {
    const json = JSON.stringify(plain);
    const padded = (bytes: number) => ({ json: undefined, body: json + " ".repeat(bytes - json.length) });
    const type = { headers: { "Content-Type": "application/json" } };
    expect(refusal(await post(undefined, { ...type, ...padded(1_048_577) }))).toMatchObject({
      ...{
        status: 413,
        code: "payloadTooLarge",
        param: null,
        message: "The body is larger than 1048576 bytes.",
      },
    });
    expect(await creditsOf(user)).toBe(100);
    expect((await post(undefined, { ...type, ...padded(1_048_576) })).status).toBe(200);
  });

  it("with async returns at once, with poll_url and Retry-After", async () => {
    const answer = await post({ ...plain, async: true, n: 2, aspect_ratio: "3:2" });
    expect(answer.status).toBe(202);
    const pending = Pending.parse(answer.body);
    expect(pending).toMatchObject({
      ...{ status: "queued", aspect_ratio: "3:2", quality: "1K", usage: { credits_requested: 16 } },
      poll_url: `https://hub.test/api/v1/generations/${pending.id}`,
    });
    expect(answer.headers.get("Location")).toBe(pending.poll_url);
    expect(Number(answer.headers.get("Retry-After"))).toBeGreaterThan(0);
    expect(await creditsOf(user)).toBe(84);
  });

  it("uses the configured public URLs", async () => {
    const settings = {
      PUBLIC_BASE_URL: "https://api.example.com/",
      IMAGES_BASE_URL: "https://cdn.example.com/i",
    };
    const pending = Pending.parse((await post({ ...plain, async: true }, { settings })).body);
    expect(pending.poll_url).toBe(`https://api.example.com/api/v1/generations/${pending.id}`);
    const generated = Generated.parse((await post(plain, { settings })).body);
    expect(generated.images[0]?.url).toMatch(/^https:\/\/cdn\.example\.com\/i\/gen_\w+\/img_\w+\.png$/);
  });
});

describe("a refused request", () => {
  it.each<[string, unknown, string | null, string | RegExp]>([
    ["no object", [plain], null, "The body must be a JSON object."],
    ["null", null, null, "The body must be a JSON object."],
    ["nothing in it", {}, "model", "model is required."],
    ["no model", { prompt: "a hill" }, "model", "model is required."],
    ["no prompt", { model: "gpt-image-2" }, "prompt", "prompt is required."],
    [
      "a mistyped prompt",
      { model: "gpt-image-2", promt: "a" },
      "promt",
      "promt is not a field of this request.",
    ],
    ["two unknown fields", { ...plain, foo: 1, bar: 2 }, "foo", "foo is not a field"],
    ["a field in capitals", { ...plain, Size: "auto" }, "Size", "Size is not a field"],
    [
      "an unknown field of 5,000 characters",
      { ...plain, ["f".repeat(5_000)]: 1 },
      "f".repeat(100),
      /^f{100} is not/,
    ],
    [
      "reference_image in JSON",
      { ...plain, reference_image: "x" },
      "reference_image",
      /multipart\/form-data/,
    ],
    ["reference_image null", { ...plain, reference_image: null }, "reference_image", /multipart\/form-data/],
  ])("for %s", async (_name, json, param, message) => {
    expect(await refused(json)).toEqual(invalid(param, message));
  });

  it.each<[string, unknown, string | RegExp]>([
    ["model", "gpt-image-1", "model must be gpt-image-2."],
    ["model", "GPT-IMAGE-2", "model must be gpt-image-2."],
    ["prompt", "", "prompt must not be blank."],
    ["prompt", " \n\t\u00a0\u3000", "prompt must not be blank."],
    ["prompt", "half \ud83d of a pair", "half of a surrogate pair"],
    ["size", "1024x1000", /multiples of 16.*nearest valid size is 1024x1008\./],
    ["size", "3856x1024", /longest edge.*nearest valid size is \d+x\d+\./],
    ["size", "800x800", /at least 655360 pixels.*nearest valid size is 816x816\./],
    ["size", "2896x2896", /at most 8294400 pixels.*nearest valid size is 2880x2880\./],
    ["size", "3200x1056", /3 times.*nearest valid size is \d+x\d+\./],
    ["size", "1024", /^size must be auto or WIDTHxHEIGHT/],
    ["size", "1024X1024", /^size must be auto/],
    ["size", " 1024x1024", /^size must be auto/],
    ["size", "01024x1024", /^size must be auto/],
    ["size", "+1024x1024", /^size must be auto/],
    ["size", "1024.0x1024", /^size must be auto/],
    ["size", "AUTO", /^size must be auto/],
    ["size", "", /^size must be auto/],
    ["quality", "ultra", "quality must be one of auto, low, medium, high, 1K, 2K, 4K."],
    ["quality", "hd", "quality must be one of"],
    ["quality", "1k", "quality must be one of"],
    ["aspect_ratio", "7:3", "aspect_ratio must be one of auto, 1:1"],
    ["aspect_ratio", "", "aspect_ratio must be one of"],
    ["resolution", "8K", "resolution must be one of 1K, 2K, 4K."],
    ["resolution", "auto", "resolution must be one of"],
    ["n", 0, "n must be a whole number from 1 to 4."],
    ["n", 5, "n must be a whole number from 1 to 4."],
    ["n", -1, "n must be a whole number from 1 to 4."],
    ["n", 1.5, "n must be a whole number from 1 to 4."],
    ["output_format", "gif", "output_format must be one of png, jpeg, webp."],
    ["output_format", "jpeg", "output_format must be one of png: this server's provider"],
    ["output_format", "webp", "output_format must be one of png: this server's provider"],
    ["output_compression", 50, "output_compression is for output_format jpeg and webp only."],
    ["output_compression", -1, "output_compression must be at least 0."],
    ["output_compression", 101, "output_compression must be at most 100."],
    ["output_compression", 5.5, "output_compression must be a whole number."],
    ["background", "transparent", "background must be one of auto, opaque."],
    ["moderation", "none", "moderation must be one of auto, low."],
  ])("for %s %j", async (field, value, message) => {
    expect(await refused({ ...plain, [field]: value })).toEqual(invalid(field, message));
  });

  it.each<[string, string, string, string]>([
    [
      "a prompt of 32,001 characters",
      "prompt",
      "a".repeat(32_001),
      "prompt must be at most 32000 characters.",
    ],
    ["32,001 astral ones", "prompt", GRINNING.repeat(32_001), "prompt must be at most 32000 characters."],
    ["70,000 characters", "prompt", "a".repeat(70_000), "prompt must be at most 32000 characters."],
    ["a user of 129 characters", "user", "u".repeat(129), "user must be at most 128 characters."],
    ["129 astral ones", "user", GRINNING.repeat(129), "user must be at most 128 characters."],
    ["a size of 400 digits", "size", `${"9".repeat(400)}x${"9".repeat(400)}`, "longest edge"],
  ])("for what is too long: %s", async (_name, field, value, message) => {
    expect(await refused({ ...plain, [field]: value })).toEqual(invalid(field, message));
  });

  const texts = [
    "model",
    "prompt",
    "size",
    "quality",
    "aspect_ratio",
    "resolution",
    "user",
    "response_format",
  ];
  const wrongTypes: [string, unknown][] = [
    ...texts.flatMap((field): [string, unknown][] => [null, 1, true, [], {}].map((value) => [field, value])),
    ...["n", "output_compression"].flatMap((field): [string, unknown][] =>
      [null, "1", true, [1], {}].map((value) => [field, value]),
    ),
    ...["true", "false", 1, 0, null, []].map((value): [string, unknown] => ["async", value]),
    ...["output_format", "background", "moderation"].flatMap((field): [string, unknown][] =>
      [null, 1, true, ["auto"]].map((value) => [field, value]),
    ),
  ];

  it.each(wrongTypes)("for %s of another type: %j", async (field, value) => {
    expect(await refused({ ...plain, [field]: value })).toEqual(invalid(field, `${field} must be `));
  });

  it.each([0, 100])(
    "not for output_compression %i, but for the format that the provider lacks",
    async (value) => {
      const fields = { output_format: "webp", output_compression: value };
      expect(await refused({ ...plain, ...fields })).toEqual(
        invalid("output_format", "this server's provider"),
      );
    },
  );

  it.each<[Record<string, unknown>, string]>([
    [{ size: "1024x1024", quality: "2K" }, "quality"],
    [{ size: "1024x1024", resolution: "4K" }, "resolution"],
    [{ quality: "1K", resolution: "2K" }, "resolution"],
    [{ size: "2048x2048", quality: "2K", resolution: "1K" }, "resolution"],
    [{ size: "1024x1024", aspect_ratio: "16:9" }, "aspect_ratio"],
    [{ size: "1040x1024", aspect_ratio: "1:1" }, "aspect_ratio"],
  ])("for fields that contradict each other: %j", async (fields, param) => {
    expect(await refused({ ...plain, ...fields })).toEqual(invalid(param, /, but .*Leave /));
  });

  it.each([
    ["text/plain", 415],
    ["application/x-www-form-urlencoded", 415],
    ["application/jsonp", 415],
    ["text/json", 415],
    ["", 415],
  ])("with 415 when declared as %j", async (type, status) => {
    const error = await refused(plain, { headers: { "Content-Type": type } });
    expect(error).toMatchObject({ status, code: "unsupportedMediaType", param: null });
  });

  it.each(["", "{", "nope", "{'model':1}", '{"model":"gpt-image-2",}', '{"prompt":"a"} x', "NaN"])(
    "for a body that is not JSON: %j",
    async (body) => {
      const options = { body, headers: { "Content-Type": "application/json" } };
      expect(await refused(undefined, options)).toEqual(invalid(null, /^The body /));
    },
  );

  it("for insufficient credits, with required and available", async () => {
    const poor = await newUser(23);
    const answer = await post({ ...plain, n: 3 }, { key: poor.key });
    expect(refusal(answer)).toEqual({
      ...{ status: 402, code: "insufficientCredits", param: null, required: 24, available: 23 },
      message: "This takes 24 credits and the account has 23.",
    });
    expect(await creditsOf(poor)).toBe(23);
    expect((await post({ ...plain, n: 2 }, { key: poor.key })).status).toBe(200);
    expect(await creditsOf(poor)).toBe(7);
  });

  it("for an invalid field before insufficient credits", async () => {
    const poor = await newUser(0);
    expect(refusal(await post({ ...plain, n: 9 }, { key: poor.key }))).toEqual(invalid("n"));
    expect(refusal(await post(plain, { key: poor.key }))).toMatchObject({
      status: 402,
      required: 8,
      available: 0,
    });
  });
});
