import { expect, inject, it, vi } from "vitest";
import { createOpenAI } from "../../../src/providers/openai/index.ts";
import { type ImageRequest, ProviderError, type Reference } from "../../../src/providers/provider.ts";
import { ERROR_BYTES_MAX } from "../../../src/providers/wire/call.ts";

const url = inject("openaiDouble");

type Result = {
  images: Uint8Array[];
  error: unknown;
  lines: Record<string, unknown>[];
  partials: [index: number, picture: Uint8Array][];
};
type Options = {
  baseUrl?: string;
  apiKey?: string;
  signal?: AbortSignal;
  references?: Reference[];
  partials?: number;
};

const plain: ImageRequest = {
  generationId: "gen_plain",
  providerModel: "gpt-image-2",
  prompt: "a lighthouse",
  size: "auto",
  aspectRatio: "auto",
  tier: "1K",
  renderQuality: "auto",
  outputFormat: "png",
  outputCompression: null,
  background: "auto",
  moderation: "auto",
  endUser: null,
  n: 1,
  offset: 0,
};

const START = {
  png: [0x89, 0x50, 0x4e, 0x47],
  jpeg: [0xff, 0xd8, 0xff, 0xe0],
  webp: [0x52, 0x49, 0x46, 0x46],
};

it.each(["png", "jpeg", "webp"] as const)(
  "delivers %s images complete and in order",
  async (outputFormat) => {
    const { images, error } = await run({ outputFormat, n: 3, prompt: "three [bytes:70000]" });
    expect(error).toBeNull();
    expect(images.map((image) => image.length)).toEqual([70_000, 70_000, 70_000]);
    for (const image of images) expect([...image.subarray(0, 4)]).toEqual(START[outputFormat]);
    expect(new Set(images.map((image) => image.join())).size).toBe(3);
  },
);

it("sends only the requested fields, without defaults", async () => {
  const id = `gen_${crypto.randomUUID()}`;
  await run({ generationId: id });
  expect(await callOf(id)).toMatchObject({
    path: "/v1/images/generations",
    headers: {
      "content-type": "application/json",
      accept: "application/json",
      authorization: "Bearer sk-test",
    },
    fields: {
      model: "gpt-image-2",
      prompt: "a lighthouse",
      n: 1,
      size: "auto",
      quality: "auto",
      output_format: "png",
    },
  });
  expect(Object.keys((await callOf(id)).fields)).toHaveLength(6);
});

const full = {
  prompt: 'ışık 灯台 "quoted"\r\nsecond line',
  size: { width: 1536, height: 1024 },
  renderQuality: "high",
  outputFormat: "webp",
  outputCompression: 0,
  background: "opaque",
  moderation: "low",
  endUser: "5e884898da28047151d0e56f8dc62927",
  n: 2,
} as const;

const fullFields = {
  model: "gpt-image-2",
  prompt: full.prompt,
  n: 2,
  size: "1536x1024",
  quality: "high",
  output_format: "webp",
  output_compression: 0,
  background: "opaque",
  moderation: "low",
  safety_identifier: full.endUser,
};

it("sends every field that upstream accepts", async () => {
  const id = `gen_${crypto.randomUUID()}`;
  expect((await run({ ...full, generationId: id })).error).toBeNull();
  expect((await callOf(id)).fields).toEqual(fullFields);
});

it("leaves out the compression for png", async () => {
  expect((await run({ outputFormat: "png", outputCompression: 50 })).error).toBeNull();
});

it("sends references as a form with a known length, in order and unchanged", async () => {
  const id = `gen_${crypto.randomUUID()}`;
  const references = [
    reference("image/png", 300_000),
    reference("image/jpeg", 20),
    reference("image/webp", 4_000_000),
  ];
  const { error, images } = await run({ ...full, generationId: id }, { references });
  expect(error).toBeNull();
  expect(images).toHaveLength(2);
  const call = await callOf(id);
  expect(call.path).toBe("/v1/images/edits");
  expect(call.fields).toEqual(fullFields);
  expect(call.headers["transfer-encoding"]).toBeUndefined();
  expect(Number(call.headers["content-length"])).toBeGreaterThan(4_300_020);
  expect(call.uploads).toEqual([
    await upload("reference-1.png", "image/png", 300_000),
    await upload("reference-2.jpg", "image/jpeg", 20),
    await upload("reference-3.webp", "image/webp", 4_000_000),
  ]);
});

it.each([
  ["is shorter than it says", 10],
  ["is longer than it says", -10],
])("fails as unavailable when a reference %s", async (_, more) => {
  const honest = reference("image/png", 1000);
  const { error, images } = await run({}, { references: [{ ...honest, bytes: honest.bytes + more }] });
  expect(images).toEqual([]);
  expect(error).toMatchObject({ failure: { reason: "unavailable" } });
});

it("fails as unavailable when a reference cannot be opened", async () => {
  const broken = {
    ...reference("image/png", 1000),
    open: () => Promise.reject(new Error("storage is away")),
  };
  const { error } = await run({}, { references: [broken] });
  expect(error).toMatchObject({ failure: { reason: "unavailable" } });
});

it("gets the refusal of a wrong key before a large form is sent", async () => {
  const { error } = await run({}, { apiKey: "sk-wrong", references: [reference("image/png", 8_000_000)] });
  expect(error).toMatchObject({ failure: { reason: "misconfigured" } });
});

const unavailable = { reason: "unavailable", retryAfterMs: null };
const limited = { reason: "limited", by: "rate", retryAfterMs: null };
const timeout = { reason: "timeout" };
const undelivered = { reason: "undelivered" };

it.each([
  ["moderation-input", { reason: "refused" }, 400, "moderation_blocked"],
  ["moderation-output", { reason: "refused" }, 400, "moderation_blocked"],
  ["content-policy", { reason: "refused" }, 400, "content_policy_violation"],
  ["error-in-200", { reason: "refused" }, 200, "moderation_blocked"],
  ["azure-content-filter", { reason: "refused" }, 400, "content_filter"],
  ["azure-camel-case", { reason: "refused" }, 400, "contentFilter"],
  ["azure-inner-error", { reason: "refused" }, 400, "invalid_request"],
  ["litellm-policy", { reason: "refused" }, 400, "400"],
  ["litellm-policy-500", { reason: "refused" }, 500, "500"],
  ["openrouter-moderation", { reason: "refused" }, 403, null],
  ["openrouter-raw", { reason: "refused" }, 400, null],
  ["bad-image", { reason: "unreadable" }, 400, "invalid_image_file"],
  ["litellm-bad-image", { reason: "unreadable" }, 400, "400"],
  ["bad-size", { reason: "invalid" }, 400, "invalid_value"],
  ["unknown-parameter", { reason: "invalid" }, 400, "unknown_parameter"],
  ["400-billing", { reason: "misconfigured" }, 400, "billing_hard_limit_reached"],
  ["401", { reason: "misconfigured" }, 401, "invalid_api_key"],
  ["403", { reason: "misconfigured" }, 403, "invalid_request_error"],
  ["404-model", { reason: "misconfigured" }, 404, "model_not_found"],
  ["429-quota", { reason: "misconfigured" }, 429, "insufficient_quota"],
  ["429-credit-balance", { reason: "misconfigured" }, 429, "credit_balance_exhausted"],
  ["429-project-limit", { reason: "misconfigured" }, 429, "project_spend_limit_exceeded"],
  ["429-organization-limit", { reason: "misconfigured" }, 429, "organization_spend_limit_exceeded"],
  ["429-usage-limit", { reason: "misconfigured" }, 429, "organization_usage_limit_exceeded"],
  ["redirect", { reason: "misconfigured" }, 307, null],
  ["429-rate-limit", { ...limited, retryAfterMs: 2000 }, 429, "rate_limit_exceeded"],
  ["429-rate-limit-ms", { ...limited, retryAfterMs: 350 }, 429, "rate_limit_exceeded"],
  ["429-slow-down", limited, 429, "slow_down"],
  ["503", { ...limited, retryAfterMs: 1000 }, 503, "slow_down"],
  ["408", unavailable, 408, "server_error"],
  ["409", unavailable, 409, "server_error"],
  ["500", unavailable, 500, "server_error"],
  ["502-html", unavailable, 502, null],
  ["504", timeout, 504, "server_error"],
  ["522-html", timeout, 522, null],
  ["524-html", timeout, 524, null],
  ["status-in-200", undelivered, 200, null],
  ["reset-headers", unavailable, null, null],
  ["truncated", undelivered, 200, null],
  ["bad-base64", undelivered, 200, null],
  ["empty-image", undelivered, 200, null],
  ["empty-data", undelivered, 200, null],
  ["no-data", undelivered, 200, null],
  ["null-image", undelivered, 200, null],
  ["reset-body", undelivered, 200, null],
  ["stall-body", undelivered, 200, null],
] as const)("tells %s apart", async (fault, failure, status, code) => {
  const generationId = `gen_${crypto.randomUUID()}`;
  const { images, error, lines } = await run({ generationId, prompt: `secret words [fault:${fault}]` });
  expect(images).toEqual([]);
  expect(error).toBeInstanceOf(ProviderError);
  expect(error).toMatchObject({ failure });
  const requestId = status === null ? null : expect.stringMatching(/^req_/);
  const undelivered = "provider_undelivered";
  const events = { misconfigured: "provider_misconfigured", undelivered, timeout: undelivered };
  const event = new Map(Object.entries(events)).get(failure.reason) ?? "provider_call";
  expect(lines).toEqual([
    {
      event,
      provider: "openai",
      outcome: failure.reason,
      status,
      code,
      detail: expect.any(String),
      images: 0,
      upstream_request_id: requestId,
      generation_id: generationId,
    },
  ]);
  expect(`${error}${JSON.stringify(lines)}`).not.toMatch(/secret|sk-test|Free text/);
});

it("reads a date in Retry-After", async () => {
  const { error } = await run({ prompt: "[fault:429-rate-limit-date]" });
  const failure = error instanceof ProviderError ? error.failure : null;
  const wait = failure?.reason === "limited" ? (failure.retryAfterMs ?? 0) : 0;
  expect(wait).toBeGreaterThan(25_000);
  expect(wait).toBeLessThanOrEqual(30_000);
});

it.each([
  ["reset-after-1", 4, 1],
  ["reset-after-3", 4, 3],
  ["malformed", 1, 1],
  ["trailing-garbage", 1, 1],
])("keeps the complete images of a response that breaks off: %s of %i", async (fault, n, whole) => {
  const { images, error, lines } = await run({ n, prompt: `[fault:${fault}]` });
  expect(images.map((image) => image.length)).toEqual(Array(whole).fill(20_000));
  // Nothing is read after the last requested image.
  if (whole === n) expect(error).toBeNull();
  else expect(error).toMatchObject({ failure: undelivered });
  expect(lines).toMatchObject([{ images: whole, outcome: whole === n ? "succeeded" : "undelivered" }]);
});

it("ends when a complete response has fewer images than requested, and drops surplus images", async () => {
  const few = await run({ n: 3, prompt: "[fault:too-few]" });
  expect([few.images.length, few.error]).toEqual([2, null]);
  const many = await run({ n: 3, prompt: "[fault:too-many]" });
  expect([many.images.length, many.error]).toEqual([3, null]);
});

it.each([
  ...["odd-json", "gzip", "slow-drip", "picture-url", "data-url", "base64-lines", "base64-unpadded"],
  ...["base64-url", "byte-order-mark", "event-stream"],
])("reads the same images from a response with %s", async (fault) => {
  const { images, error } = await run({ n: 2, prompt: `[fault:${fault}] [bytes:9001]` });
  expect(error).toBeNull();
  expect(images.map((image) => image.length)).toEqual([9001, 9001]);
});

it.each(["gif", "not-image"])("passes on all bytes, for the upload to check: %s", async (fault) => {
  const { images, error } = await run({ prompt: `[fault:${fault}]` });
  expect([images.length, error]).toEqual([1, null]);
});

it("calls upstream once per call", async () => {
  const prompt = `once ${crypto.randomUUID()} [fault:429-slow-down*1]`;
  expect((await run({ prompt })).error).toMatchObject({ failure: limited });
  expect((await run({ prompt })).error).toBeNull();
});

it("stops at once when aborted, before and during the response", async () => {
  const early = await run({}, { signal: AbortSignal.abort() });
  expect(early.error).toMatchObject({ failure: unavailable });
  for (const fault of ["stall-headers", "stall-body"]) {
    const generationId = `gen_${crypto.randomUUID()}`;
    const started = Date.now();
    const signal = AbortSignal.timeout(150);
    const { error } = await run({ generationId, prompt: `[fault:${fault}]` }, { signal }, 10_000);
    expect(error).toMatchObject({ failure: fault === "stall-body" ? undelivered : unavailable });
    expect(Date.now() - started).toBeLessThan(2000);
    await expect.poll(async () => (await callOf(generationId)).hungUp).toBe(true);
  }
});

it("cancels the upstream call when the images are no longer wanted", async () => {
  const generationId = `gen_${crypto.randomUUID()}`;
  const lines: Record<string, unknown>[] = [];
  const provider = createOpenAI({
    name: "openai",
    apiKey: "sk-test",
    baseUrl: url,
    log: (event, fields) => lines.push({ event, ...fields }),
  });
  const request = { ...plain, generationId, n: 4, prompt: "[bytes:20000000]" };
  const options = { references: [], signal: new AbortController().signal };
  for await (const image of provider.generate(request, options)) {
    await image.body.cancel();
    break;
  }
  expect(lines).toMatchObject([{ outcome: "canceled" }]);
  await expect.poll(async () => (await callOf(generationId)).hungUp).toBe(true);
});

it("streams a large response in small pieces", async () => {
  const generationId = `gen_${crypto.randomUUID()}`;
  const provider = createOpenAI({ name: "openai", apiKey: "sk-test", baseUrl: url, log: () => undefined });
  const request = { ...plain, generationId, n: 4, prompt: "[bytes:15000000]" };
  const lengths = [];
  let largest = 0;
  for await (const { body } of provider.generate(request, {
    references: [],
    signal: AbortSignal.timeout(20_000),
  })) {
    let length = 0;
    for await (const piece of body) {
      largest = Math.max(largest, piece.byteLength);
      length += piece.byteLength;
    }
    lengths.push(length);
  }
  expect(lengths).toEqual([15_000_000, 15_000_000, 15_000_000, 15_000_000]);
  expect(largest).toBeLessThanOrEqual(49_152);
});

it.each([
  [ERROR_BYTES_MAX, "refused"],
  [ERROR_BYTES_MAX + 1, "unavailable"],
])("looks for an error in the first bytes of its body only: one that ends at %i", async (end, reason) => {
  const error = '","error":{"code":"moderation_blocked"}';
  const body = `{"pad":"${"x".repeat(end - 8 - error.length)}${error}}`;
  const fetching = vi.spyOn(globalThis, "fetch").mockResolvedValueOnce(new Response(body, { status: 400 }));
  const { error: thrown } = await run({});
  fetching.mockRestore();
  expect(thrown).toMatchObject({ failure: { reason } });
});

it.each([
  [1, []],
  [2, [reference("image/png", 100)]],
])("asks for %i partial pictures of each image, and passes them on", async (count, references) => {
  const generationId = `gen_${crypto.randomUUID()}`;
  const { images, error, partials } = await run(
    { generationId, n: 2, prompt: "[bytes:9000]" },
    { references, partials: count },
  );
  expect([error, images.map(({ length }) => length)]).toEqual([null, [9000, 9000]]);
  expect(partials.map(([index]) => index)).toEqual(count === 1 ? [0, 0] : [0, 1, 0, 1]);
  for (const [, picture] of partials) expect([...picture.subarray(0, 4)]).toEqual(START.png);
  expect(await callOf(generationId)).toMatchObject({
    headers: { accept: "text/event-stream" },
    fields: { stream: true, partial_images: count },
  });
});

it("reads the images of a server that does not stream", async () => {
  const { images, error, partials } = await run({ n: 2, prompt: "[fault:odd-json]" }, { partials: 3 });
  expect([images.length, error, partials]).toEqual([2, null, []]);
});

it("reports an unreachable base URL as unavailable", async () => {
  const { error } = await run({}, { baseUrl: "http://127.0.0.1:9/v1" });
  expect(error).toMatchObject({ failure: unavailable });
});

it("accepts a base URL with a trailing slash", async () => {
  expect((await run({}, { baseUrl: `${url}/` })).error).toBeNull();
});

async function run(request: Partial<ImageRequest>, options: Options = {}, idleMs = 1_500): Promise<Result> {
  const result: Result = { images: [], error: null, lines: [], partials: [] };
  const provider = createOpenAI({
    name: "openai",
    apiKey: options.apiKey ?? "sk-test",
    baseUrl: options.baseUrl ?? url,
    log: (event, fields) => result.lines.push({ event, ...fields }),
    idleMs,
  });
  const signal = options.signal ?? new AbortController().signal;
  const count = options.partials ?? 0;
  const send = (index: number, picture: Uint8Array) => result.partials.push([index, picture]);
  const partials = count > 0 ? { count, hasRoom: async () => true, send } : undefined;
  try {
    const images = provider.generate(
      { ...plain, ...request },
      { references: options.references ?? [], signal, partials },
    );
    for await (const { body } of images)
      result.images.push(new Uint8Array(await new Response(body).arrayBuffer()));
  } catch (error) {
    result.error = error;
  }
  return result;
}

type Seen = {
  path: string;
  headers: Record<string, string>;
  clientRequestId: string;
  fields: Record<string, unknown>;
  uploads: unknown[];
  hungUp: boolean;
};

async function callOf(generationId: string): Promise<Seen> {
  const response = await fetch(new URL("/_calls", url));
  const { calls } = await response.json<{ calls: Seen[] }>();
  const call = calls.findLast(({ clientRequestId }) => clientRequestId === generationId);
  if (call === undefined) throw new Error("no such call");
  return call;
}

const SIGNATURES = {
  "image/png": [0x89, 0x50, 0x4e, 0x47],
  "image/jpeg": [0xff, 0xd8, 0xff],
  "image/webp": [0x52, 0x49, 0x46, 0x46, 0, 0, 0, 0, 0x57, 0x45, 0x42, 0x50],
};

function bytesOf(contentType: Reference["contentType"], length: number): Uint8Array {
  const bytes = new Uint8Array(length).map((_, index) => (index * 31) >> 3);
  bytes.set(SIGNATURES[contentType]);
  return bytes;
}

function reference(contentType: Reference["contentType"], bytes: number): Reference {
  return { contentType, bytes, open: async () => new Blob([bytesOf(contentType, bytes)]).stream() };
}

async function upload(filename: string, contentType: Reference["contentType"], bytes: number) {
  const digest = await crypto.subtle.digest("SHA-256", bytesOf(contentType, bytes));
  const sha256 = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return { field: "image[]", filename, contentType, bytes, sha256 };
}
