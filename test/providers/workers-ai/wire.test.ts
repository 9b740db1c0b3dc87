import { afterEach, expect, it, vi } from "vitest";
import { type ImageRequest, ProviderError, type Reference } from "../../../src/providers/provider.ts";
import { createWorkersAI } from "../../../src/providers/workers-ai/index.ts";
import {
  DATA_URL_REFERENCE_BYTES_MAX,
  KLEIN_REFERENCE_EDGE,
} from "../../../src/providers/workers-ai/models.ts";
import { png } from "../../images/samples.ts";
import { type WorkersAIDouble, workersAIDouble } from "../../support/workers-ai-double.ts";
import { refused, unavailable, undelivered, WORKERS_AI_FAULTS } from "../faults.ts";

const SCHNELL = "@cf/black-forest-labs/flux-1-schnell";
const KLEIN = "@cf/black-forest-labs/flux-2-klein-4b";
const GPT = "openai/gpt-image-2";
const BANANA = "google/nano-banana-2";
const PRO = "google/nano-banana-pro";
const FLUX = "black-forest-labs/flux-2-pro-preview";

type Result = { images: Uint8Array[]; error: unknown; lines: Record<string, unknown>[] };

const plain: ImageRequest = {
  generationId: "gen_plain",
  providerModel: SCHNELL,
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

afterEach(() => {
  vi.restoreAllMocks();
});

const wide = { width: 1536, height: 1024 };
const prompt = "a lighthouse";

it.each([
  [SCHNELL, {}, { prompt, steps: 4 }],
  [KLEIN, { size: wide }, { prompt, width: 1536, height: 1024 }],
  [KLEIN, { size: "auto" }, { prompt, width: 1024, height: 1024 }],
  [
    GPT,
    { size: wide, renderQuality: "high", outputFormat: "webp", background: "opaque" },
    { prompt, size: "1536x1024", quality: "high", output_format: "webp", background: "opaque" },
  ],
  [
    GPT,
    { size: "auto" },
    { prompt, size: "auto", quality: "auto", output_format: "png", background: "auto" },
  ],
  [BANANA, { aspectRatio: "16:9", tier: "4K" }, { prompt, aspect_ratio: "16:9", resolution: "4K" }],
  [PRO, { aspectRatio: "auto", tier: "2K" }, { prompt, aspect_ratio: "1:1", image_size: "2K" }],
  [FLUX, { size: wide, outputFormat: "jpeg" }, { prompt, width: 1536, height: 1024, output_format: "jpeg" }],
  [FLUX, { size: "auto" }, { prompt, output_format: "png" }],
] as const)("sends %s exactly its own input: %j", async (providerModel, options, input) => {
  const ai = workersAIDouble();
  const { images, error } = await run(ai, { providerModel, ...options });
  expect(error).toBeNull();
  expect(images.map(({ length }) => length)).toEqual([20_000]);
  const gateway = { id: "default", skipCache: true, collectLog: false, retries: { maxAttempts: 1 } };
  const isThirdParty = !providerModel.startsWith("@cf/");
  expect(ai.calls).toMatchObject([{ model: providerModel, input }]);
  expect(Object.keys(ai.calls[0]?.input ?? {}).toSorted()).toEqual(Object.keys(input).toSorted());
  expect(ai.calls[0]?.options).toEqual({
    returnRawResponse: true,
    signal: expect.any(AbortSignal),
    ...(isThirdParty && { gateway }),
  });
});

it.each([
  [GPT, "images"],
  [BANANA, "image_input"],
  [PRO, "image_input"],
  [FLUX, "input_images"],
])("sends the references of %s as data URLs", async (providerModel, field) => {
  const ai = workersAIDouble();
  const references = [reference(png(900, 900), "image/png"), reference(new Uint8Array(20), "image/webp")];
  const { error, images } = await run(ai, { providerModel, n: 2 }, references);
  expect([error, images.length]).toEqual([null, 2]);
  const files = [
    { type: "image/png", bytes: png(900, 900).length },
    { type: "image/webp", bytes: 20 },
  ];
  expect(ai.calls.map(({ input }) => input[field])).toEqual([files, files]);
});

it("sends the references of FLUX.2 [klein] in a form, with every call", async () => {
  const ai = workersAIDouble();
  const references = [reference(png(511, 300), "image/png"), reference(png(300, 511), "image/png")];
  const { error, images } = await run(ai, { providerModel: KLEIN, n: 2 }, references);
  expect([error, images.length]).toEqual([null, 2]);
  const file = { type: "image/png", bytes: png(511, 300).length };
  const input = { prompt, width: 1024, height: 1024, input_image_0: file, input_image_1: file };
  expect(ai.calls.map((call) => call.input)).toEqual([input, input]);
});

it.each([
  [KLEIN, reference(png(KLEIN_REFERENCE_EDGE - 1, 8), "image/png"), null],
  [KLEIN, reference(png(KLEIN_REFERENCE_EDGE, 8), "image/png"), "unreadable"],
  [KLEIN, reference(png(8, KLEIN_REFERENCE_EDGE), "image/png"), "unreadable"],
  [KLEIN, reference(new Uint8Array(100), "image/png"), "unreadable"],
  [GPT, reference(new Uint8Array(DATA_URL_REFERENCE_BYTES_MAX), "image/png"), null],
  [GPT, reference(new Uint8Array(DATA_URL_REFERENCE_BYTES_MAX + 1), "image/png"), "unreadable"],
])("refuses a reference of %s that is too large before any call", async (providerModel, file, reason) => {
  const ai = workersAIDouble();
  const { error } = await run(ai, { providerModel }, [file]);
  expect(reasonOf(error)).toBe(reason);
  expect(ai.calls).toHaveLength(reason === null ? 1 : 0);
});

it("fails as unavailable when a reference cannot be opened", async () => {
  const open = () => Promise.reject(new Error("storage is away"));
  for (const providerModel of [KLEIN, GPT]) {
    const references = [{ ...reference(png(8, 8), "image/png"), open }];
    const { error } = await run(workersAIDouble(), { providerModel }, references);
    expect(reasonOf(error)).toBe("unavailable");
  }
});

it.each([
  [SCHNELL, {}, 0, true],
  [SCHNELL, {}, 1, false],
  [SCHNELL, { size: wide }, 0, false],
  [SCHNELL, { size: "auto" }, 0, true],
  [KLEIN, { size: { width: 256, height: 1920 } }, 4, true],
  [KLEIN, {}, 5, false],
  [KLEIN, { size: { width: 240, height: 1024 } }, 0, false],
  [KLEIN, { size: { width: 1936, height: 1024 } }, 0, false],
  [KLEIN, { renderQuality: "low" }, 0, false],
  [GPT, { size: "auto", renderQuality: "low" }, 16, true],
  [GPT, {}, 17, false],
  [GPT, {}, 4, true, DATA_URL_REFERENCE_BYTES_MAX / 4],
  [GPT, {}, 4, false, DATA_URL_REFERENCE_BYTES_MAX / 4 + 1],
  [KLEIN, {}, 4, true, DATA_URL_REFERENCE_BYTES_MAX],
  [GPT, { size: { width: 1024, height: 1536 } }, 0, true],
  [GPT, { size: { width: 1280, height: 720 } }, 0, false],
  [GPT, { moderation: "low" }, 0, false],
  [GPT, { outputFormat: "jpeg", outputCompression: 50 }, 0, false],
  [BANANA, { aspectRatio: "21:9", tier: "4K" }, 3, true],
  [BANANA, {}, 4, false],
  [BANANA, { aspectRatio: "1:8" }, 0, false],
  [PRO, { renderQuality: "high" }, 0, false],
  [FLUX, { size: { width: 2048, height: 2048 } }, 8, true],
  [FLUX, {}, 9, false],
  [FLUX, { size: { width: 2064, height: 2048 } }, 0, false],
  ["google/imagen-4", {}, 0, false],
] as const)(
  "says whether %s can express %j with %i references: %s",
  (model, options, count, accepted, bytes = 1) => {
    const provider = createWorkersAI({ ai: workersAIDouble(), log: () => undefined });
    const references = Array.from({ length: count }, () => ({ bytes }));
    expect(provider.accepts?.({ ...plain, ...options }, references, model)).toBe(accepted);
  },
);

it("fails as misconfigured for a model that it does not know", async () => {
  const { error } = await run(workersAIDouble(), { providerModel: "google/imagen-4" });
  expect(reasonOf(error)).toBe("misconfigured");
});

it.each(WORKERS_AI_FAULTS)("tells %s apart", async (fault, failure, status, code) => {
  for (const providerModel of [SCHNELL, GPT]) {
    const generationId = `gen_${crypto.randomUUID()}`;
    const request = { providerModel, generationId, prompt: `secret words [fault:${fault}]` };
    const { images, error, lines } = await run(workersAIDouble(), request);
    expect(images).toEqual([]);
    expect(error).toBeInstanceOf(ProviderError);
    expect(error).toMatchObject({ failure });
    const lost = "provider_undelivered";
    const events = { misconfigured: "provider_misconfigured", undelivered: lost, timeout: lost };
    expect(lines).toEqual([
      {
        event: new Map(Object.entries(events)).get(failure.reason) ?? "provider_call",
        provider: "workers-ai",
        outcome: failure.reason,
        status,
        code,
        detail: expect.any(String),
        images: 0,
        upstream_request_id: status === null ? null : "req-1234",
        generation_id: generationId,
      },
    ]);
    expect(`${error}${JSON.stringify(lines)}`).not.toMatch(/secret|Free text|flagged/);
  }
});

it.each(["bad-input", "too-large"])("reports %s as unreadable when there are references", async (fault) => {
  const request = { providerModel: KLEIN, prompt: `[fault:${fault}]` };
  const { error } = await run(workersAIDouble(), request, [reference(png(8, 8), "image/png")]);
  expect(reasonOf(error)).toBe("unreadable");
});

it.each([
  ["capacity", unavailable],
  ["flagged", refused],
  ["truncated", undelivered],
])("delivers the good images of several calls, then fails as one did: %s", async (fault, failure) => {
  const whole: number[] = [];
  const provider = createWorkersAI({ ai: workersAIDouble(), log: () => undefined });
  const request = { ...plain, n: 3, prompt: `[fault:${fault}*1]` };
  const read = async () => {
    for await (const { body } of provider.generate(request, { references: [], signal: never })) {
      const bytes = await new Response(body).arrayBuffer().catch(() => null);
      if (bytes !== null) whole.push(bytes.byteLength);
    }
  };
  await expect(read()).rejects.toMatchObject({ failure });
  expect(whole).toEqual([20_000, 20_000]);
});

it("passes on a response that is an image itself", async () => {
  const { images, error } = await run(workersAIDouble(), { prompt: "[fault:raw-image] [bytes:70000]" });
  expect([error, images.map(({ length }) => length)]).toEqual([null, [70_000]]);
});

it("fetches the images of third-party models from their URLs, in order", async () => {
  const ai = workersAIDouble({ urls: true });
  const fetching = vi.spyOn(globalThis, "fetch").mockImplementation(async (url) => ai.picture(String(url)));
  const { images, error } = await run(ai, { providerModel: GPT, n: 3, prompt: "[bytes:70000]" });
  expect(error).toBeNull();
  expect(images.map(({ length }) => length)).toEqual([70_000, 70_000, 70_000]);
  expect(new Set(images.map((image) => image.join())).size).toBe(3);
  expect(fetching).toHaveBeenCalledTimes(3);
});

it.each(["url-gone", "url-http"])(
  "fails as undelivered when an image cannot be fetched: %s",
  async (fault) => {
    const ai = workersAIDouble();
    vi.spyOn(globalThis, "fetch").mockImplementation(async (url) => ai.picture(String(url)));
    const { error } = await run(ai, { providerModel: GPT, prompt: `[fault:${fault}]` });
    expect(error).toMatchObject({ failure: undelivered });
  },
);

it("stops at once when aborted, before and during the response", async () => {
  const early = await run(workersAIDouble(), {}, [], AbortSignal.abort());
  expect(reasonOf(early.error)).toBe("unavailable");
  for (const fault of ["stall-headers", "stall-body"]) {
    const ai = workersAIDouble();
    const stop = new AbortController();
    const running = run(ai, { prompt: `[fault:${fault}]`, n: 2 }, [], stop.signal, 30_000);
    await expect.poll(() => ai.calls.length).toBe(2);
    stop.abort();
    expect(["unavailable", "undelivered"]).toContain(reasonOf((await running).error));
  }
});

it("reads no further than its reader", async () => {
  const ai = workersAIDouble();
  const provider = createWorkersAI({ ai, log: () => undefined });
  const request = { ...plain, n: 2, prompt: "[bytes:20000000]" };
  let largest = 0;
  for await (const { body } of provider.generate(request, { references: [], signal: never })) {
    for await (const piece of body) {
      largest = Math.max(largest, piece.byteLength);
      // Each response may have a piece on its way, of 400 in all.
      expect(ai.pieces).toBeLessThan(20);
      if (ai.pieces > 10) break;
    }
    break;
  }
  expect(largest).toBeLessThanOrEqual(65_536);
});

const never = new AbortController().signal;

async function run(
  ai: WorkersAIDouble,
  request: Partial<ImageRequest>,
  references: Reference[] = [],
  signal: AbortSignal = never,
  idleMs = 500,
): Promise<Result> {
  const result: Result = { images: [], error: null, lines: [] };
  const log = (event: string, fields: Record<string, string | number | null>) =>
    result.lines.push({ event, ...fields });
  const provider = createWorkersAI({ ai, log, idleMs });
  try {
    for await (const { body } of provider.generate({ ...plain, ...request }, { references, signal })) {
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

function reference(content: Uint8Array, contentType: Reference["contentType"]): Reference {
  return { contentType, bytes: content.length, open: async () => new Blob([content]).stream() };
}
