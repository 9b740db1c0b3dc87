import { expect, inject, it, vi } from "vitest";
import { ImageScanner } from "../../../src/images/format.ts";
import { createGoogle } from "../../../src/providers/google/index.ts";
import { type ImageRequest, ProviderError, type Reference } from "../../../src/providers/provider.ts";
import { ERROR_BYTES_MAX } from "../../../src/providers/wire/call.ts";
import type { Call } from "../../support/google-double/index.ts";
import { GOOGLE_FAULTS, misconfigured, refused, unavailable, undelivered } from "../faults.ts";

const url = inject("googleDouble");

type Result = { images: Uint8Array[]; error: unknown; lines: Record<string, unknown>[] };
type Options = { baseUrl?: string; apiKey?: string; signal?: AbortSignal; references?: Reference[] };

const plain: ImageRequest = {
  generationId: "gen_plain",
  providerModel: "gemini-nano-banana-2.1",
  prompt: "a lighthouse",
  size: { width: 1024, height: 1024 },
  aspectRatio: "1:1",
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

it.each([
  ["gemini-nano-banana-2.1", "16:9", "1K", 1376, 768],
  ["gemini-nano-banana-2.1", "8:1", "2K", 6144, 768],
  ["gemini-3-pro-image", "2:3", "2K", 1696, 2528],
  ["gemini-3-pro-image", "1:1", "4K", 4096, 4096],
  ["gemini-3-pro-image", "auto", "1K", 1024, 1024],
] as const)("gets an image of %s at %s and %s", async (providerModel, aspectRatio, tier, width, height) => {
  const prompt = unique("a heron");
  const { images, error } = await run({ providerModel, aspectRatio, tier, prompt });
  expect(error).toBeNull();
  expect(images.map(headerOf)).toMatchObject([{ width, height }]);
  expect(await callsOf(prompt)).toMatchObject([
    {
      path: `/v1beta/models/${providerModel}:generateContent`,
      headers: {
        "content-type": "application/json",
        accept: "application/json",
        "x-goog-api-key": "AIza-test",
      },
      aspectRatio: aspectRatio === "auto" ? "1:1" : aspectRatio,
      imageSize: tier,
      references: [],
    },
  ]);
});

it("makes a call for each image, and delivers complete images in order", async () => {
  const prompt = unique('ışık 灯台 "quoted"\r\nsecond line [bytes:70000]');
  const { images, error, lines } = await run({ n: 4, prompt, generationId: "gen_four" });
  expect(error).toBeNull();
  expect(images.map(({ length }) => length)).toEqual([70_000, 70_000, 70_000, 70_000]);
  expect(new Set(images.map((image) => image.join())).size).toBe(4);
  expect(await callsOf(prompt)).toHaveLength(4);
  expect(lines).toEqual(
    Array.from({ length: 4 }, () => ({
      event: "provider_call",
      provider: "google",
      outcome: "succeeded",
      status: 200,
      code: null,
      detail: null,
      images: 1,
      upstream_request_id: expect.stringMatching(/^resp-\d+$/),
      generation_id: "gen_four",
    })),
  );
});

it("sends references as base64 with a known length, in order and unchanged, with every call", async () => {
  const prompt = unique("edit");
  const references = [
    reference("image/png", 300_000),
    reference("image/jpeg", 20),
    reference("image/webp", 4_000_001),
  ];
  const { error, images } = await run({ n: 2, prompt }, { references });
  expect(error).toBeNull();
  expect(images).toHaveLength(2);
  const calls = await callsOf(prompt);
  expect(calls).toHaveLength(2);
  for (const call of calls) {
    expect(call.headers["transfer-encoding"]).toBeUndefined();
    expect(Number(call.headers["content-length"])).toBeGreaterThan((4_300_021 * 4) / 3);
    expect(call.references).toEqual([
      await sent("image/png", 300_000),
      await sent("image/jpeg", 20),
      await sent("image/webp", 4_000_001),
    ]);
  }
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
  const open = () => Promise.reject(new Error("storage is away"));
  const { error } = await run({}, { references: [{ ...reference("image/png", 1000), open }] });
  expect(error).toMatchObject({ failure: { reason: "unavailable" } });
});

it.each(GOOGLE_FAULTS)("tells %s apart", async (fault, failure, status, code) => {
  const generationId = `gen_${crypto.randomUUID()}`;
  const { images, error, lines } = await run({ generationId, prompt: `secret words [fault:${fault}]` });
  expect(images).toEqual([]);
  expect(error).toBeInstanceOf(ProviderError);
  expect(error).toMatchObject({ failure });
  const lost = "provider_undelivered";
  const events = { misconfigured: "provider_misconfigured", undelivered: lost, timeout: lost };
  const event = new Map(Object.entries(events)).get(failure.reason) ?? "provider_call";
  expect(lines).toMatchObject([
    { event, outcome: failure.reason, status, code, images: 0, generation_id: generationId },
  ]);
  expect(`${error}${JSON.stringify(lines)}`).not.toMatch(/secret|AIza|Free text/);
});

it.each(["bad-image", "not-an-image", "too-large", "413-html"])(
  "reports %s as unreadable when there are references",
  async (fault) => {
    const references = [reference("image/png", 1000)];
    const { error } = await run({ prompt: `[fault:${fault}]` }, { references });
    expect(error).toMatchObject({ failure: { reason: "unreadable" } });
  },
);

it("does not blame the references for other invalid requests", async () => {
  const references = [reference("image/png", 1000)];
  const { error } = await run({ prompt: "[fault:bad-size]" }, { references });
  expect(error).toMatchObject({ failure: { reason: "invalid" } });
});

it("gets the refusal of a wrong key before large references are sent", async () => {
  const { error } = await run({}, { apiKey: "AIza-wrong", references: [reference("image/png", 8_000_000)] });
  expect(error).toMatchObject({ failure: misconfigured });
});

it.each([
  ["quota-minute", { reason: "limited", retryAfterMs: 34_400 }],
  ["block-safety", refused],
  ["internal", unavailable],
  ["finish-no-image", undelivered],
])("delivers the good images of several calls, then fails as one did: %s", async (fault, failure) => {
  const { images, error, lines } = await run({ n: 3, prompt: unique(`[fault:${fault}*1]`) });
  expect(images.map(({ length }) => length)).toEqual([20_000, 20_000]);
  expect(error).toMatchObject({ failure });
  expect(lines.map(({ outcome }) => outcome).toSorted()).toEqual(
    [failure.reason, "succeeded", "succeeded"].toSorted(),
  );
});

it.each(["reset-after-picture", "malformed-after-picture", "odd-json", "slow-drip", "gzip"])(
  "reads a whole image from a response with %s",
  async (fault) => {
    const { images, error } = await run({ n: 2, prompt: `[fault:${fault}] [bytes:9001]` });
    expect(error).toBeNull();
    expect(images.map(({ length }) => length)).toEqual([9001, 9001]);
  },
);

it.each([
  ["draft-marked-first", [true], 1],
  ["two-pictures", [false, true], 1],
  ["draft-first", [false, false, true], 1],
  ["draft-only", [false], 0],
])("delivers only the last picture of a response as a whole image: %s", async (fault, whole, images) => {
  const result = await run({ prompt: `[fault:${fault}] [bytes:200000]` });
  expect(result.images.map(isWhole)).toEqual(whole);
  expect(result.lines).toMatchObject([{ images, outcome: images === 1 ? "succeeded" : "undelivered" }]);
});

it("passes on all bytes, for the upload to check", async () => {
  const { images, error } = await run({ prompt: "[fault:not-image]" });
  expect([images.length, error]).toEqual([1, null]);
});

it("makes no image after it was aborted", async () => {
  const { error, lines } = await run({ n: 2 }, { signal: AbortSignal.abort() });
  expect(error).toMatchObject({ failure: unavailable });
  expect(lines).toMatchObject([{ status: null }, { status: null }]);
});

it.each(["stall-headers", "stall-body"])("stops at once when aborted: %s", async (fault) => {
  const prompt = unique(`[fault:${fault}]`);
  const stop = new AbortController();
  const running = run({ prompt, n: 2 }, { signal: stop.signal }, 30_000);
  await expect.poll(async () => (await callsOf(prompt)).map((call) => call.fault)).toEqual([fault, fault]);
  stop.abort();
  expect(["unavailable", "undelivered"]).toContain(reasonOf((await running).error));
  await expect.poll(async () => (await callsOf(prompt)).map(({ hungUp }) => hungUp)).toEqual([true, true]);
});

it("cancels all calls when the images are no longer wanted", async () => {
  const prompt = unique("[bytes:20000000]");
  const lines: Record<string, unknown>[] = [];
  const provider = createGoogle({
    apiKey: "AIza-test",
    baseUrl: url,
    log: (event, fields) => lines.push({ event, ...fields }),
  });
  const options = { references: [], signal: new AbortController().signal };
  for await (const image of provider.generate({ ...plain, n: 3, prompt }, options)) {
    await image.body.cancel();
    break;
  }
  expect(lines.map(({ outcome }) => outcome)).toEqual(["canceled", "canceled", "canceled"]);
  await expect
    .poll(async () => (await callsOf(prompt)).map(({ hungUp }) => hungUp))
    .toEqual([true, true, true]);
});

it("streams a large response in small pieces", async () => {
  const provider = createGoogle({ apiKey: "AIza-test", baseUrl: url, log: () => undefined });
  const request = { ...plain, n: 4, prompt: "[bytes:15000000]" };
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
  [ERROR_BYTES_MAX, "invalid"],
  [ERROR_BYTES_MAX + 1, "unavailable"],
])("reads an error body of at most so many bytes: %i", async (length, reason) => {
  const end = '","error":{"status":"INVALID_ARGUMENT"}}';
  const body = `{"pad":"${"x".repeat(length - 8 - end.length)}${end}`;
  expect(body.length).toBe(length);
  const fetching = vi.spyOn(globalThis, "fetch").mockResolvedValueOnce(new Response(body, { status: 400 }));
  const { error } = await run({});
  fetching.mockRestore();
  expect(error).toMatchObject({ failure: { reason } });
});

it("reports an unreachable base URL as unavailable", async () => {
  const { error } = await run({}, { baseUrl: "http://127.0.0.1:9/v1beta" });
  expect(error).toMatchObject({ failure: unavailable });
});

it("accepts a base URL with a trailing slash", async () => {
  expect((await run({}, { baseUrl: `${url}/` })).error).toBeNull();
});

async function run(request: Partial<ImageRequest>, options: Options = {}, idleMs = 1_500): Promise<Result> {
  const result: Result = { images: [], error: null, lines: [] };
  const provider = createGoogle({
    apiKey: options.apiKey ?? "AIza-test",
    baseUrl: options.baseUrl ?? url,
    log: (event, fields) => result.lines.push({ event, ...fields }),
    idleMs,
  });
  const signal = options.signal ?? new AbortController().signal;
  const wanted = { ...plain, ...request };
  try {
    for await (const { body } of provider.generate(wanted, {
      references: options.references ?? [],
      signal,
    })) {
      result.images.push(new Uint8Array(await new Response(body).arrayBuffer()));
    }
  } catch (error) {
    result.error = error;
  }
  return result;
}

function reasonOf(error: unknown): string | null {
  return error instanceof ProviderError ? error.failure.reason : null;
}

function unique(prompt: string): string {
  return `${prompt} ${crypto.randomUUID()}`;
}

async function callsOf(prompt: string): Promise<Call[]> {
  const response = await fetch(new URL("/_calls", url));
  const { calls } = await response.json<{ calls: Call[] }>();
  return calls.filter((call) => call.prompt === prompt);
}

function headerOf(image: Uint8Array) {
  const scanner = new ImageScanner();
  scanner.write(image);
  return scanner.header;
}

function isWhole(image: Uint8Array): boolean {
  const scanner = new ImageScanner();
  scanner.write(image);
  return scanner.complete;
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

async function sent(mimeType: Reference["contentType"], bytes: number) {
  const digest = await crypto.subtle.digest("SHA-256", bytesOf(mimeType, bytes));
  return { mimeType, bytes, sha256: Buffer.from(digest).toString("hex") };
}
