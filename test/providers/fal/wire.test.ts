import { expect, inject, it } from "vitest";
import { createFal } from "../../../src/providers/fal/index.ts";
import { type ImageRequest, ProviderError, type Reference } from "../../../src/providers/provider.ts";
import {
  abortAtPoll,
  collect,
  Notebook,
  type PolledResult,
  plain,
  reference,
  sha256Of,
  submissionsOf,
} from "../../support/polled.ts";
import { FAL_FAULTS, refused, timeout, unavailable, undelivered } from "../faults.ts";

const url = inject("falDouble");
const NANO = "google/nano-banana-2.1";
const FLUX = "fal-ai/flux-2-pro";

type Options = {
  baseUrl?: string;
  apiKey?: string;
  signal?: AbortSignal;
  references?: Reference[];
  task?: Notebook;
  imagesMax?: number;
};

it.each([NANO, FLUX])("delivers the images of %s complete, each by a request of its own", async (model) => {
  const prompt = `three ${crypto.randomUUID()} [bytes:70000]`;
  const { images, error, lines } = await run({ providerModel: model, outputFormat: "jpeg", n: 3, prompt });
  expect(error).toBeNull();
  expect(images.map((image) => image.length)).toEqual([70_000, 70_000, 70_000]);
  for (const image of images) expect([...image.subarray(0, 4)]).toEqual([0xff, 0xd8, 0xff, 0xe0]);
  expect(new Set(images.map((image) => image.join())).size).toBe(3);
  const submissions = await submissionsOf(url, prompt);
  expect(submissions).toMatchObject(
    Array(3).fill({ path: `/${model}`, status: 200, results: 1, downloads: 1 }),
  );
  expect(lines).toMatchObject([{ event: "provider_call", outcome: "succeeded", status: 200, images: 3 }]);
  expect(submissions.map(({ id }) => id)).toContain(lines[0]?.["upstream_request_id"]);
});

it("sends a ratio and a tier to Nano Banana, and pixels to FLUX", async () => {
  const prompt = `fields ${crypto.randomUUID()} ışık "quoted"`;
  const size = { width: 1376, height: 768 };
  expect((await run({ prompt, size, aspectRatio: "16:9", tier: "2K" })).error).toBeNull();
  const [nano] = await submissionsOf(url, prompt);
  expect(nano?.fields).toEqual({
    ...{ prompt, aspect_ratio: "16:9", resolution: "2K", num_images: 1 },
    ...{ limit_generations: true, output_format: "png" },
  });
  expect(nano?.headers).toMatchObject({
    "content-type": "application/json",
    "content-length": String(new TextEncoder().encode(JSON.stringify(nano?.fields)).length),
    authorization: "Key fal:test",
    "x-fal-object-lifecycle-preference": '{"expiration_duration_seconds":3600}',
  });
  const sized = `sized ${crypto.randomUUID()}`;
  await run({ providerModel: FLUX, prompt: sized, size });
  await run({ providerModel: FLUX, prompt: sized, size: "auto" });
  expect((await submissionsOf(url, sized)).map(({ fields }) => fields)).toEqual([
    { prompt: sized, image_size: size, output_format: "png" },
    { prompt: sized, output_format: "png" },
  ]);
});

it("streams references as data URIs to the edit app, in order and unchanged", async () => {
  const prompt = `references ${crypto.randomUUID()}`;
  const types = ["image/png", "image/jpeg", "image/webp"] as const;
  const sizes = [4_000_000, 65_537, 20];
  const references = types.map((type, index) => reference(type, sizes[index] ?? 0));
  expect((await run({ prompt }, { references })).error).toBeNull();
  const [edit] = await submissionsOf(url, prompt);
  expect(edit?.path).toBe(`/${NANO}/edit`);
  expect(edit?.headers["transfer-encoding"]).toBeUndefined();
  const digests = await Promise.all(sizes.map(sha256Of));
  expect(edit?.references).toEqual(
    types.map((contentType, index) => ({ contentType, bytes: sizes[index], sha256: digests[index] })),
  );
});

it("accepts what both families of apps can express", () => {
  const provider = createFal({ apiKey: "fal:test", baseUrl: url, log: () => undefined });
  expect(provider.accepts?.(plain, [], plain.providerModel)).toBe(true);
  expect(provider.accepts?.({ ...plain, outputFormat: "webp" }, [], plain.providerModel)).toBe(false);
});

it.each(FAL_FAULTS)("tells %s apart", async (fault, failure, status, code) => {
  const generationId = `gen_${crypto.randomUUID()}`;
  const { images, error, lines } = await run({ generationId, prompt: `secret words [fault:${fault}]` });
  expect(images).toEqual([]);
  expect(error).toBeInstanceOf(ProviderError);
  expect(error).toMatchObject({ failure });
  const events = new Map([
    ["misconfigured", "provider_misconfigured"],
    ["undelivered", "provider_undelivered"],
    ["timeout", "provider_undelivered"],
  ]);
  expect(lines).toEqual([
    {
      event: events.get(failure.reason) ?? "provider_call",
      provider: "fal",
      outcome: failure.reason,
      status,
      code,
      detail: expect.any(String),
      images: 0,
      upstream_request_id: lines[0]?.["upstream_request_id"],
      generation_id: generationId,
    },
  ]);
  expect(`${error}${JSON.stringify(lines)}`).not.toMatch(/secret|fal:test|Free text|http/);
});

it.each([
  ...["poll-500", "poll-html", "poll-reset", "result-500", "result-html", "result-reset", "result-429"],
  ...["unknown-status", "single-image", "picture-503", "picture-slow"],
])("delivers the image all the same: %s", async (fault) => {
  const { images, error } = await run({ prompt: `[fault:${fault}] [bytes:9001]` });
  expect(error).toBeNull();
  expect(images.map((image) => image.length)).toEqual([9001]);
});

it("cancels a request that was not begun when it is aborted, and those behind it", async () => {
  const prompt = `queued ${crypto.randomUUID()} [fault:never]`;
  const { error, lines } = await run({ n: 2, prompt }, { signal: abortAtPoll(url, prompt, 2) });
  expect(error).toMatchObject({ failure: timeout });
  expect(lines).toMatchObject([{ event: "provider_undelivered", outcome: "timeout", code: "in_queue" }]);
  expect(await submissionsOf(url, prompt)).toMatchObject(Array(2).fill({ cancellations: 1 }));
});

it("does not cancel a request that was begun, whose status is unknown, or at a foreign URL", async () => {
  const faults = [
    "[latency:60000]",
    "[fault:unknown-status] [latency:60000]",
    "[fault:foreign-cancel] [latency:60000]",
  ];
  for (const fault of faults) {
    const prompt = `begun ${crypto.randomUUID()} ${fault}`;
    const { error } = await run({ prompt }, { signal: abortAtPoll(url, prompt, 3) });
    expect(error).toMatchObject({ failure: timeout });
    expect(await submissionsOf(url, prompt)).toMatchObject([{ cancellations: 0 }]);
  }
});

it("cancels what it could not save, and does not poll it", async () => {
  const prompt = `unsaved ${crypto.randomUUID()}`;
  const task = new Notebook();
  task.isBroken = true;
  expect((await run({ n: 2, prompt }, { task })).error).toMatchObject({ failure: undelivered });
  const submissions = await submissionsOf(url, prompt);
  expect(submissions).toMatchObject(Array(2).fill({ polls: 0, cancellations: 1 }));
});

it("yields the images of the other requests before it throws a refusal", async () => {
  const { images, error, lines } = await run({ n: 3, prompt: `${crypto.randomUUID()} [fault:nsfw*1]` });
  expect(images).toHaveLength(2);
  expect(error).toMatchObject({ failure: refused });
  expect(lines).toMatchObject([{ outcome: "refused", code: "nsfw", images: 2 }]);
});

it("polls on after a crash, and buys nothing", async () => {
  const prompt = `crash ${crypto.randomUUID()} [latency:1500]`;
  const task = new Notebook();
  const first = await run({ n: 2, prompt }, { task, signal: abortAtPoll(url, prompt, 1) });
  expect(first.images).toEqual([]);
  const second = await run({ n: 2, prompt }, { task: new Notebook(task.saved) });
  expect([second.images.length, second.error]).toEqual([2, null]);
  expect(await submissionsOf(url, prompt)).toMatchObject(Array(2).fill({ downloads: 1 }));
});

it("skips the requests whose images were stored, and buys nothing for what failed", async () => {
  const prompt = `failed ${crypto.randomUUID()} [fault:internal*1]`;
  const task = new Notebook();
  const first = await run({ n: 3, prompt }, { task });
  expect(first.images).toHaveLength(2);
  expect(first.error).toMatchObject({ failure: unavailable });
  const second = await run({ n: 2, offset: 1, prompt }, { task });
  expect(second.images.map((image) => image.join())).toEqual([first.images[1]?.join()]);
  expect(second.error).toMatchObject({ failure: undelivered });
  expect(await submissionsOf(url, prompt)).toHaveLength(3);
});

it("saves a state for four images that is far from its limit", async () => {
  const task = new Notebook();
  expect((await run({ n: 4 }, { task })).error).toBeNull();
  expect(task.saved?.length).toBeLessThan(2_048);
});

async function run(request: Partial<ImageRequest>, options: Options = {}): Promise<PolledResult> {
  const lines: Record<string, unknown>[] = [];
  const provider = createFal({
    apiKey: options.apiKey ?? "fal:test",
    baseUrl: options.baseUrl ?? url,
    log: (event, fields) => lines.push({ event, ...fields }),
    idleMs: 1_500,
    pollWaitMs: 5,
  });
  const asked = { ...plain, providerModel: NANO, ...request };
  return { ...(await collect(provider, asked, options)), lines };
}
