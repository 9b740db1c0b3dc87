import { env, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { ProviderError, type ProviderFailure } from "../../../src/providers/provider.ts";
import { sketch } from "../../../src/providers/sketch/index.ts";
import { frame, jpeg, png, webpLossy } from "../../images/samples.ts";
import {
  type Answer,
  call,
  creditsOf,
  limitedUser,
  newKey,
  newUser,
  operate,
  respond,
  storedReferences,
  type TestUser,
} from "../../support/http.ts";

const GENERATIONS = "/openai/v1/images/generations";
const EDITS = "/openai/v1/images/edits";
const ASKED = { model: "gpt-image-2", prompt: "a lighthouse at dusk" };
const UNAVAILABLE: ProviderFailure = { reason: "unavailable", retryAfterMs: null };

const Images = z.strictObject({
  created: z.int(),
  data: z.array(z.strictObject({ b64_json: z.base64() })),
  size: z.string(),
  quality: z.enum(["low", "medium", "high"]).optional(),
  background: z.literal("opaque"),
  output_format: z.enum(["png", "jpeg", "webp"]),
  usage: z.looseObject({ total_tokens: z.literal(0), credits: z.int() }),
});

let user: TestUser;

const LOST: ProviderFailure = { reason: "undelivered" };

/** The provider's next calls return these images, or fail with this. */
function provide(...calls: (Uint8Array[] | ProviderFailure)[]) {
  const spy = vi.spyOn(sketch, "generate");
  for (const made of calls) {
    spy.mockImplementationOnce(async function* () {
      if (!Array.isArray(made)) throw new ProviderError(made, "as the test has it");
      for (const bytes of made) yield { body: new Blob([bytes]).stream() };
    });
  }
  return spy;
}

function post(path: string, json: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return call("POST", path, { key: user.key, json, headers });
}

const dataUrl = (bytes: Uint8Array, type = "image/png") =>
  `data:${type};base64,${Buffer.from(bytes).toString("base64")}`;

function form(fields: Record<string, string>, files: [string, Uint8Array][]): FormData {
  const data = new FormData();
  for (const [name, bytes] of files) data.append(name, new Blob([bytes]), "upload");
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  return data;
}

const edit = (fields: Record<string, string>, files: [string, Uint8Array][]) =>
  call("POST", EDITS, { key: user.key, body: form(fields, files) });

/** The error of a response, which must have all members. */
function errorOf(answer: Answer) {
  const shape = z.strictObject({
    error: z.strictObject({
      message: z.string().min(1),
      type: z.string().min(1),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  });
  expect(answer.headers.get("x-request-id")).toMatch(/^req_/);
  const { type, param, code, message } = shape.parse(answer.body).error;
  return [answer.status, type, code, param, answer.headers.get("x-should-retry"), message];
}

beforeEach(async () => {
  user = await newUser(100);
});

afterEach(() => vi.restoreAllMocks());

describe("an answer", () => {
  it("returns the images in base64, in order, with Content-Length, and is charged like any other", async () => {
    const pictures = [png(1024, 1024), png(1024, 1536)];
    provide(pictures);
    const response = await respond("POST", GENERATIONS, {
      key: user.key,
      json: { ...ASKED, n: 2, quality: "high" },
    });
    const text = await response.text();
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("content-length")).toBe(String(text.length));
    const { data, usage, ...shown } = Images.parse(JSON.parse(text));
    expect(data.map(({ b64_json }) => b64_json)).toEqual(
      pictures.map((bytes) => Buffer.from(bytes).toString("base64")),
    );
    expect(shown).toMatchObject({ size: "1024x1024", quality: "high", output_format: "png" });
    expect(usage.credits).toBe(16);
    expect(await creditsOf(user)).toBe(84);

    const id = response.headers.get("x-generation-id");
    const native = await call("GET", `/api/v1/generations/${id}`, { key: user.key });
    expect(native.body).toMatchObject({
      id,
      status: "succeeded",
      images: [{ height: 1024 }, { height: 1536 }],
    });
  });

  it.each([0, 1, 2, 3 * 16_384 - 1, 3 * 16_384, 3 * 16_384 + 1, 1_000_003])(
    "returns an image of a header and %i bytes complete",
    async (more) => {
      const picture = new Uint8Array([...png(1024, 1024), ...new Uint8Array(more).fill(0xa5)]);
      provide([picture]);
      const { data } = Images.parse((await post(GENERATIONS, ASKED)).body);
      expect(Buffer.from(data[0]?.b64_json ?? "", "base64").equals(picture)).toBe(true);
    },
  );

  it("returns and charges only the delivered images when the provider returns fewer", async () => {
    provide([png(1024, 1024)]);
    const { data, usage } = Images.parse((await post(GENERATIONS, { ...ASKED, n: 3 })).body);
    expect([data.length, usage.credits, await creditsOf(user)]).toEqual([1, 8, 92]);
  });

  it("accepts the extra fields of common clients", async () => {
    const spy = provide([png(1024, 1024)]);
    const answer = await post(GENERATIONS, {
      ...ASKED,
      response_format: "b64_json",
      mask: null,
      input_fidelity: null,
      style: "vivid",
      user: "u".repeat(300),
      safety_identifier: "s",
      moderation: "low",
      background: "opaque",
      partial_images: 2,
      output_format: null,
      size: null,
      n: null,
      stream: false,
    });
    expect(answer.status).toBe(200);
    expect(spy.mock.calls[0]?.[0]).toMatchObject({ size: "auto", n: 1, moderation: "low" });
  });

  it("returns URLs instead of base64 on request, also in a stream", async () => {
    const picture = png(1024, 1024);
    provide([picture], [picture]);
    const asked = { ...ASKED, response_format: "url" };
    const answer = await post(GENERATIONS, asked);
    const { data } = z.object({ data: z.array(z.strictObject({ url: z.url() })) }).parse(answer.body);
    const [{ url } = { url: "" }] = data;
    const bytes = new Uint8Array(await (await respond("GET", new URL(url).pathname)).arrayBuffer());
    expect(bytes).toEqual(new Uint8Array(picture));
    expect(answer.headers.get("content-length")).toBe(String(answer.text.length));
    const { text } = await post(GENERATIONS, { ...asked, stream: true });
    const event: unknown = JSON.parse(/^data: (.+)$/m.exec(text)?.[1] ?? "null");
    expect(event).toMatchObject({ type: "image_generation.completed", url: expect.stringMatching(/\.png$/) });
    expect(event).not.toHaveProperty("b64_json");
  });

  it("reports the format of the bytes", async () => {
    provide([jpeg(frame(1024, 1024))]);
    expect((await post(GENERATIONS, ASKED)).body).toMatchObject({ output_format: "jpeg" });
  });

  it.each([
    ["standard", "auto", undefined],
    ["hd", "high", "high"],
  ])("takes quality %s for %s", async (quality, renderQuality, told) => {
    const spy = provide([png(1024, 1024)]);
    const { body } = await post(GENERATIONS, { ...ASKED, quality });
    expect(spy.mock.calls[0]?.[0]).toMatchObject({ renderQuality });
    expect(Images.parse(body).quality).toBe(told);
  });

  it.each(["openai/gpt-image-2", "gpt-image-2-2026-04-21"])("accepts %s as the model", async (model) => {
    provide([png(1024, 1024)], [png(1024, 1024)]);
    const made = await post(GENERATIONS, { ...ASKED, model });
    const id = made.headers.get("x-generation-id");
    const native = await post("/api/v1/images/generations", { ...ASKED, model });
    expect(native.body).toMatchObject({ model: "gpt-image-2" });
    const { key } = user;
    expect((await call("GET", `/api/v1/generations/${id}`, { key })).body).toMatchObject({
      model: "gpt-image-2",
    });
    for (const base of ["/openai/v1", "/api/v1"]) {
      const shown = await call("GET", `${base}/models/${encodeURIComponent(model)}`, { key });
      expect(shown.body).toMatchObject({ id: "gpt-image-2" });
    }
    const listed = await call("GET", `/api/v1/generations?model=${encodeURIComponent(model)}`, { key });
    expect(listed.body).toMatchObject({ data: [{}, {}] });
  });

  it("uses the only model when none is named", async () => {
    provide([png(1024, 1024)]);
    expect((await post(GENERATIONS, { prompt: "a harbour" })).status).toBe(200);
  });
});

describe("an edit", () => {
  const references = () => vi.mocked(sketch.generate).mock.calls[0]?.[1].references.map((r) => r.contentType);

  it.each([
    ["image", [["image", png(8, 8)]], ["image/png"]],
    [
      "image[]",
      [
        ["image[]", jpeg(frame(8, 8))],
        ["image[]", webpLossy(8, 8)],
      ],
      ["image/jpeg", "image/webp"],
    ],
    [
      "indexes",
      [
        ["image[0]", jpeg(frame(8, 8))],
        ["image[1]", png(9, 9)],
      ],
      ["image/jpeg", "image/png"],
    ],
    [
      "image, repeated",
      [
        ["image", png(8, 8)],
        ["image", png(9, 9)],
      ],
      ["image/png", "image/png"],
    ],
  ] as const)("takes a form with %s", async (_, files, types) => {
    provide([png(1024, 1024)]);
    const answer = await edit(
      { ...ASKED, n: "1", stream: "false" },
      files.map(([name, bytes]) => [name, bytes]),
    );
    expect([answer.status, references()]).toEqual([200, types]);
    expect(await storedReferences()).toEqual([]);
  });

  it("accepts JSON with data URLs, as objects or strings, with escaped slashes", async () => {
    provide([png(1024, 1024)]);
    const big = new Uint8Array([...png(8, 8), ...new Uint8Array(300_001).fill(0xff)]);
    const json = JSON.stringify({
      images: [{ image_url: dataUrl(big) }, dataUrl(jpeg(frame(8, 8)), "image/jpeg")],
      prompt: 'data:image/png;base64,AAAA is a text here, with \\ and " in it: \u00fc',
      model: "gpt-image-2",
    }).replaceAll("/", "\\/");
    const answer = await call("POST", EDITS, {
      key: user.key,
      body: json,
      headers: { "Content-Type": "application/json" },
    });
    expect([answer.status, references()]).toEqual([200, ["image/png", "image/jpeg"]]);
    expect(vi.mocked(sketch.generate).mock.calls[0]?.[1].references[0]?.bytes).toBe(big.length);
    expect(vi.mocked(sketch.generate).mock.calls[0]?.[0].prompt).toContain(
      'base64,AAAA is a text here, with \\ and " in it: ü',
    );
    expect(await storedReferences()).toEqual([]);
  });

  it.each([
    [
      "an inner address",
      { images: [{ image_url: "https://10.0.0.1/a.png" }] },
      /^image 1 must not name a private/,
    ],
    ["a file's id", { images: [{ file_id: "file_1" }] }, /^image 1 must be .* a data URL/],
    ["a place that only we write", { images: [{ image_url: "data:,1" }] }, /^image 1 must be .* a data URL/],
    ["no picture", { images: [{ image_url: dataUrl(new Uint8Array(9)) }] }, /^image 1 is not a PNG/],
    [
      "broken base64",
      { images: [{ image_url: "data:image/png;base64,AB=A" }] },
      /^image 1 is not valid base64/,
    ],
    ["no image at all", { images: [] }, /at least 1/],
    ["seventeen", { images: Array(17).fill({ image_url: dataUrl(png(8, 8)) }) }, /at most 16/],
  ])("refuses JSON with %s, and keeps nothing", async (_, images, message) => {
    const error = errorOf(await post(EDITS, { ...ASKED, ...images }));
    expect(error).toEqual([
      400,
      "invalid_request_error",
      "invalid_value",
      "images",
      "false",
      expect.stringMatching(message),
    ]);
    expect([await storedReferences(), await creditsOf(user)]).toEqual([[], 100]);
  });

  it("limits JSON without its images like all JSON", async () => {
    const room = 1024 * 1024 - JSON.stringify({ ...ASKED, images: ["data:,1"], user: "" }).length;
    provide([png(1024, 1024)]);
    const asked = (user: string) => ({ ...ASKED, images: [dataUrl(png(8, 8))], user });
    expect((await post(EDITS, asked("u".repeat(room)))).status).toBe(200);
    const [status, , code] = errorOf(await post(EDITS, asked("u".repeat(room + 1))));
    expect([status, code]).toEqual([413, "payload_too_large"]);
    expect(await storedReferences()).toEqual([]);
  });

  it.each([
    ["a mask in brackets", { image: png(8, 8), "mask[]": png(8, 8) }, "mask[]", /^mask is not supported/],
    ["numbered images", { image1: png(8, 8) }, "image1", /^image1 is not a field .* as image or image\[\]/],
    ["images", { images: png(8, 8) }, "images", /^images is not a field .* as image or image\[\]/],
    ["a mask", { image: png(8, 8), mask: png(8, 8) }, "mask", /^mask is not supported/],
    [
      "a file of another name",
      { picture: png(8, 8) },
      "picture",
      /^picture is not a field for files here: send each file as image or image\[\]\.$/,
    ],
    ["a file that is not an image", { image: new Uint8Array(20) }, "image", /^image 1 is not a PNG/],
    ["no file", {}, "image", /^image is required/],
  ])("refuses a form with %s", async (_, files, param, message) => {
    const error = errorOf(await edit(ASKED, Object.entries(files)));
    expect(error.slice(0, 4)).toEqual([400, "invalid_request_error", "invalid_value", param]);
    expect(error[5]).toMatch(message);
    expect([await storedReferences(), await creditsOf(user)]).toEqual([[], 100]);
  });
});

describe("a refusal", () => {
  it.each([
    ["mask", { mask: { image_url: "x" } }, "mask"],
    ["input_fidelity", { input_fidelity: "high" }, "input_fidelity"],
    ["a transparent background", { background: "transparent" }, "background"],
    ["more images than are made", { n: 5 }, "n"],
    ["an unknown field", { propmt: "a" }, "propmt"],
    ["another size", { size: "512x512" }, "size"],
    ["another quality", { quality: "ultra" }, "quality"],
    ["another response format", { response_format: "b64" }, "response_format"],
    ["an input fidelity of null and a mask", { input_fidelity: null, mask: "x" }, "mask"],
    ["a format that is not made here", { output_format: "webp" }, "output_format"],
    ["no prompt", { prompt: undefined }, "prompt"],
  ])("of %s names the field and charges nothing", async (_, asked, param) => {
    const error = errorOf(await post(GENERATIONS, { ...ASKED, ...asked }));
    expect(error.slice(0, 5)).toEqual([400, "invalid_request_error", "invalid_value", param, "false"]);
    expect(error[5]).toMatch(new RegExp(`^${param}`));
    expect(await creditsOf(user)).toBe(100);
  });

  it.each([
    [{ ...ASKED, model: "dall-e-3" }, [404, "invalid_request_error", "model_not_found", "model", "false"]],
    ["[", [400, "invalid_request_error", null, null, "false"]],
  ])("of %j has its own code", async (json, expected) => {
    const body = typeof json === "string" ? json : JSON.stringify(json);
    const headers = { "Content-Type": "application/json" };
    const answer = await call("POST", GENERATIONS, { key: user.key, body, headers });
    expect(errorOf(answer).slice(0, 5)).toEqual(expected);
  });

  it("for insufficient credits is not retried by clients", async () => {
    user = await newUser(7);
    expect(errorOf(await post(GENERATIONS, ASKED)).slice(0, 5)).toEqual([
      402,
      "insufficient_quota",
      "credit_balance_exhausted",
      null,
      "false",
    ]);
  });

  it.each([
    ["GET", "/openai/v1/models", undefined, "missing_api_key"],
    ["GET", "/openai/v1/models/gpt-image-2", "gih_live_x", "invalid_api_key"],
    ["POST", GENERATIONS, undefined, "missing_api_key"],
    ["POST", EDITS, undefined, "missing_api_key"],
  ])("of %s %s without a valid key is a 401", async (method, path, key, code) => {
    const answer = await call(method, path, { key });
    expect(errorOf(answer).slice(0, 5)).toEqual([401, "invalid_request_error", code, null, "false"]);
    expect(answer.headers.get("www-authenticate")).toBe("Bearer");
  });

  it.each([
    ["GET", "/openai/v1/chat/completions", 404, "not_found"],
    ["GET", "/openai/v1/models/dall-e-3", 404, "model_not_found"],
    ["GET", GENERATIONS, 405, "method_not_allowed"],
  ])("of %s %s is in OpenAI's shape too", async (method, path, status, code) => {
    const [actual, , actualCode] = errorOf(await call(method, path, { key: user.key }));
    expect([actual, actualCode]).toEqual([status, code]);
  });

  it("by the provider is a 400 that is not retried; a failure is a 500 that may be retried", async () => {
    provide({ reason: "refused" }, { reason: "invalid" }, LOST, LOST);
    const refused = await post(GENERATIONS, ASKED);
    expect(errorOf(refused).slice(0, 5)).toEqual([
      400,
      "image_generation_user_error",
      "moderation_blocked",
      null,
      "false",
    ]);
    const inVain = await post(GENERATIONS, ASKED);
    expect([errorOf(inVain)[0], errorOf(inVain)[4]]).toEqual([500, "false"]);
    const failed = await post(GENERATIONS, ASKED);
    expect(errorOf(failed).slice(0, 5)).toEqual([
      500,
      "image_generation_server_error",
      "image_generation_failed",
      null,
      null,
    ]);
    expect(failed.headers.get("x-generation-id")).toMatch(/^gen_/);
    expect(await creditsOf(user)).toBe(100);
  });
});

describe("models", () => {
  it("are listed and shown in OpenAI's shape", async () => {
    const model = { id: "gpt-image-2", object: "model", created: 1_776_729_600, owned_by: "openai" };
    const list = await call("GET", "/openai/v1/models", { key: user.key });
    expect(list.body).toMatchObject({ object: "list", data: expect.arrayContaining([model]) });
    expect((await call("GET", "/openai/v1/models/gpt-image-2", { key: user.key })).body).toEqual(model);
  });
});

describe("a stream", () => {
  const eventsOf = (text: string) =>
    text
      .split("\n\n")
      .filter((block) => block.startsWith("event: "))
      .map((block) => {
        const [, name, data] = /^event: (.+)\ndata: (.+)$/.exec(block) ?? [];
        return { name, data: JSON.parse(data ?? "null") };
      });

  it.each([
    [GENERATIONS, "image_generation.completed"],
    [EDITS, "image_edit.completed"],
  ])("of %s gives one whole event an image, in order", async (path, type) => {
    const pictures = [png(1024, 1024), png(1024, 1536)];
    provide(pictures);
    const json = { ...ASKED, n: 2, stream: true, ...(path === EDITS && { images: [dataUrl(png(8, 8))] }) };
    const answer = await post(path, json);
    expect(answer.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(answer.headers.get("x-generation-id")).toMatch(/^gen_/);
    expect(eventsOf(answer.text)).toEqual(
      pictures.map((bytes, index) => ({
        name: type,
        data: {
          type,
          b64_json: Buffer.from(bytes).toString("base64"),
          created_at: expect.any(Number),
          size: index === 0 ? "1024x1024" : "1024x1536",
          quality: "auto",
          background: "opaque",
          output_format: "png",
          usage: expect.objectContaining({ credits: 8, total_tokens: 0 }),
        },
      })),
    );
  });

  it("that fails at once has its status; one that has begun ends with an error event", async () => {
    provide({ reason: "refused" });
    expect((await post(GENERATIONS, { ...ASKED, stream: true })).status).toBe(400);

    vi.spyOn(sketch, "generate").mockImplementationOnce(async function* () {
      await new Promise((resolve) => setTimeout(resolve, 3_500));
      yield await Promise.reject(new ProviderError({ reason: "invalid" }, "as the test has it"));
    });
    const late = await post(GENERATIONS, { ...ASKED, stream: true });
    expect([late.status, late.headers.get("x-generation-id")]).toEqual([200, expect.stringMatching(/^gen_/)]);
    expect(eventsOf(late.text)).toEqual([
      {
        name: "error",
        data: {
          type: "error",
          error: {
            message: expect.stringContaining("could not be generated"),
            type: "image_generation_server_error",
            param: null,
            code: "image_generation_failed",
          },
        },
      },
    ]);
    expect(await creditsOf(user)).toBe(100);
  });
});

describe("a retry by an SDK", () => {
  const sdk = (count: number) => ({ "X-Stainless-Retry-Count": String(count) });
  const idOf = ({ headers }: Answer) => headers.get("x-generation-id");
  const one = () => [png(1024, 1024)];
  /** A call whose response is lost because the connection broke. */
  const lost = async (path: string, json: object, headers: Record<string, string>) => {
    const answer = await respond("POST", path, { key: user.key, json, headers });
    await answer.body?.cancel();
    return answer.headers.get("x-generation-id");
  };
  /** Delivery is recorded in the background. */
  const isDelivered = (id: string | null) =>
    vi.waitUntil(() =>
      runInDurableObject(env.ACCOUNT.getByName(user.id), (_, { storage }) => {
        const rows = storage.sql.exec("SELECT 1 FROM generations WHERE id = ? AND delivered = 1", id);
        return rows.toArray().length === 1;
      }),
    );

  it("joins the call whose response was lost, however often, and is charged once", async () => {
    const spy = provide(one());
    const first = await lost(GENERATIONS, ASKED, sdk(0));
    expect(await lost(GENERATIONS, ASKED, sdk(1))).toBe(first);
    const third = await post(GENERATIONS, ASKED, sdk(2));
    expect([idOf(third), third.status, third.headers.get("idempotent-replayed")]).toEqual([
      first,
      200,
      "true",
    ]);
    expect([spy.mock.calls.length, await creditsOf(user)]).toEqual([1, 92]);
  });

  it.each([
    ["one object", GENERATIONS, {}],
    ["a stream", GENERATIONS, { stream: true }],
    ["an edit", EDITS, { images: [dataUrl(png(8, 8))] }],
  ])("never joins an answer that was written to its end: %s", async (_, path, fields) => {
    const spy = provide(one(), one());
    const json = { ...ASKED, ...fields };
    const first = await post(path, json, sdk(0));
    await isDelivered(idOf(first));
    const second = await post(path, json, sdk(1));
    expect([second.status, idOf(second) === idOf(first)]).toEqual([200, false]);
    expect([spy.mock.calls.length, await creditsOf(user)]).toEqual([2, 84]);
  });

  it.each([
    ["429", { MAX_CONCURRENT_GENERATIONS: "1" }, 100, 429],
    ["402", { MAX_CONCURRENT_GENERATIONS: "9" }, 8, 402],
  ])("is a new call after a %s, beside an equal call under way", async (_, limits, credits, status) => {
    user = await limitedUser(credits, limits);
    const held = Promise.withResolvers<void>();
    const spy = vi.spyOn(sketch, "generate").mockImplementation(async function* () {
      await held.promise;
      yield { body: new Blob([png(1024, 1024)]).stream() };
    });
    const call = (count: number) => post(GENERATIONS, ASKED, sdk(count));
    const running = call(0);
    await vi.waitUntil(() => spy.mock.calls.length === 1);
    expect((await call(0)).status).toBe(status);
    expect((await call(1)).status).toBe(status);
    held.resolve();
    const first = await running;
    await operate("POST", `/users/${user.id}/credits`, { id: crypto.randomUUID(), credits: 8 });
    const retry = await call(2);
    expect([first.status, retry.status, idOf(retry) === idOf(first)]).toEqual([200, 200, false]);
    expect(spy.mock.calls.length).toBe(2);
  });

  it("uses up the record of a refusal: the next retry joins its own attempt", async () => {
    user = await limitedUser(100, { RATE_LIMIT_PER_MINUTE: "1" });
    const spy = provide(one(), one(), one());
    const clock = vi.spyOn(Date, "now");
    const laterBy = (milliseconds: number) => clock.mockReturnValue(Date.now() + milliseconds);
    await post(GENERATIONS, { ...ASKED, prompt: "a harbour" }, sdk(0));
    expect((await post(GENERATIONS, ASKED, sdk(0))).status).toBe(429);
    laterBy(60_000);
    const retry = await lost(GENERATIONS, ASKED, sdk(1));
    laterBy(60_000);
    const other = await lost(GENERATIONS, ASKED, sdk(0));
    expect(idOf(await post(GENERATIONS, ASKED, sdk(1)))).toBe(other);
    expect([retry === other, spy.mock.calls.length]).toEqual([false, 3]);
  });

  it("of an upload that was refused before it was read is also a new call", async () => {
    user = await limitedUser(100, { MAX_CONCURRENT_GENERATIONS: "1" });
    const held = Promise.withResolvers<void>();
    const spy = vi.spyOn(sketch, "generate").mockImplementation(async function* () {
      await held.promise;
      yield { body: new Blob([png(1024, 1024)]).stream() };
    });
    const json = { ...ASKED, images: [dataUrl(png(8, 8))] };
    const length = { "Content-Length": String(JSON.stringify(json).length) };
    const call = (count: number) => post(EDITS, json, { ...sdk(count), ...length });
    const running = call(0);
    await vi.waitUntil(() => spy.mock.calls.length === 1);
    expect((await call(0)).status).toBe(429);
    expect((await call(1)).status).toBe(429);
    held.resolve();
    const first = await running;
    const retry = await call(2);
    expect([retry.status, idOf(retry) === idOf(first)]).toEqual([200, false]);
  });

  it("of many equal calls, some of them refused, gives each caller its own image", async () => {
    user = await limitedUser(100, { MAX_CONCURRENT_GENERATIONS: "2" });
    const spy = vi.spyOn(sketch, "generate").mockImplementation(async function* () {
      yield { body: new Blob([png(1024, 1024)]).stream() };
    });
    const call = async () => {
      for (let count = 0; ; count++) {
        const answer = await post(GENERATIONS, ASKED, sdk(count));
        if (answer.status === 200) return idOf(answer);
        expect(answer.status).toBe(429);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const ids = await Promise.all(Array.from({ length: 6 }, call));
    expect([new Set(ids).size, spy.mock.calls.length, await creditsOf(user)]).toEqual([6, 6, 52]);
  });

  it("joins a running generation", async () => {
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const spy = vi.spyOn(sketch, "generate").mockImplementationOnce(async function* () {
      await held;
      yield { body: new Blob([png(1024, 1024)]).stream() };
    });
    const first = post(GENERATIONS, ASKED, sdk(0));
    await vi.waitUntil(() => spy.mock.calls.length === 1);
    const second = post(GENERATIONS, ASKED, sdk(1));
    go();
    expect(idOf(await second)).toBe(idOf(await first));
    expect([spy.mock.calls.length, await creditsOf(user)]).toEqual([1, 92]);
  });

  it("of two equal calls joins one each, newest first, and a third is charged", async () => {
    const spy = provide(one(), one(), one());
    const a = await lost(GENERATIONS, ASKED, sdk(0));
    const b = await lost(GENERATIONS, ASKED, sdk(0));
    const retries = [await lost(GENERATIONS, ASKED, sdk(1)), await lost(GENERATIONS, ASKED, sdk(1))];
    expect(retries).toEqual([b, a]);
    expect([a, b]).not.toContain(idOf(await post(GENERATIONS, ASKED, sdk(1))));
    expect([spy.mock.calls.length, await creditsOf(user)]).toEqual([3, 76]);
  });

  it.each([
    ["a failure", { reason: "invalid" }],
    ["a refusal", { reason: "refused" }],
    ["an outage", UNAVAILABLE],
  ] as const)("of %s tries again", async (_, failure) => {
    const outage = failure === UNAVAILABLE ? [failure, failure] : [];
    const spy = provide(failure, ...outage, one());
    const first = await post(GENERATIONS, ASKED, sdk(0));
    const second = await post(GENERATIONS, ASKED, sdk(1));
    expect([first.status === 200, second.status]).toEqual([false, 200]);
    expect([spy.mock.calls.length, await creditsOf(user)]).toEqual([2 + outage.length, 92]);
  });

  it("joins even if the first attempt used the last credits, also with an upload", async () => {
    user = await newUser(8);
    provide(one());
    const json = { ...ASKED, images: [dataUrl(png(8, 8))] };
    const first = await lost(EDITS, json, sdk(0));
    expect(idOf(await post(EDITS, json, sdk(1)))).toBe(first);
    expect((await post(EDITS, json, sdk(0))).status).toBe(402);
    expect(await storedReferences()).toEqual([]);
  });

  it.each([
    ["another prompt", GENERATIONS, { ...ASKED, prompt: "a harbour" }, 1],
    ["another image", EDITS, { ...ASKED, images: [dataUrl(png(9, 9))] }, 1],
    ["no retry", GENERATIONS, ASKED, 0],
  ])("is none with %s", async (_, path, json, count) => {
    const spy = provide(one(), one());
    const first = { ...ASKED, ...(path === EDITS && { images: [dataUrl(png(8, 8))] }) };
    const before = await post(path, first, sdk(0));
    expect(idOf(await post(path, json, sdk(count)))).not.toBe(idOf(before));
    expect([spy.mock.calls.length, await creditsOf(user)]).toEqual([2, 84]);
  });

  it("does not join calls of another key or of the native API", async () => {
    const spy = provide(one(), one(), one());
    await post("/api/v1/images/generations", ASKED, sdk(0));
    const first = await post(GENERATIONS, ASKED, sdk(1));
    user = { ...user, ...(await newKey(user.id)) };
    expect(idOf(await post(GENERATIONS, ASKED, sdk(1)))).not.toBe(idOf(first));
    expect([spy.mock.calls.length, await creditsOf(user)]).toEqual([3, 76]);
  });

  it("does not join after 15 minutes", async () => {
    const spy = provide(one(), one());
    const now = Date.now();
    const clock = vi.spyOn(Date, "now").mockReturnValue(now - 15 * 60_000 - 1);
    const first = await post(GENERATIONS, ASKED, sdk(0));
    clock.mockRestore();
    expect(first.status).toBe(200);
    expect(idOf(await post(GENERATIONS, ASKED, sdk(1)))).not.toBe(idOf(first));
    expect(spy.mock.calls.length).toBe(2);
  });

  it("is ignored if there is an idempotency key", async () => {
    const spy = provide(one());
    const headers = { "Idempotency-Key": "mine" };
    const first = await post(GENERATIONS, ASKED, headers);
    expect(idOf(await post(GENERATIONS, ASKED, { ...headers, ...sdk(0) }))).toBe(idOf(first));
    const other = await post(GENERATIONS, { ...ASKED, prompt: "a harbour" }, headers);
    expect(errorOf(other).slice(0, 3)).toEqual([422, "invalid_request_error", "idempotency_mismatch"]);
    expect([spy.mock.calls.length, await creditsOf(user)]).toEqual([1, 92]);
  });
});
