import { expect, inject, it } from "vitest";
import { createBlackForestLabs } from "../../../src/providers/black-forest-labs/index.ts";
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
import {
  BLACK_FOREST_LABS_FAULTS,
  misconfigured,
  tasksLimited,
  timeout,
  unavailable,
  undelivered,
} from "../faults.ts";

const url = inject("bflDouble");

type Options = {
  baseUrl?: string;
  apiKey?: string;
  signal?: AbortSignal;
  references?: Reference[];
  task?: Notebook;
  imagesMax?: number;
};

const START = {
  png: [0x89, 0x50, 0x4e, 0x47],
  jpeg: [0xff, 0xd8, 0xff, 0xe0],
  webp: [0x52, 0x49, 0x46, 0x46],
};

it.each(["png", "jpeg", "webp"] as const)(
  "delivers %s images complete, each by a task of its own",
  async (outputFormat) => {
    const prompt = `three ${crypto.randomUUID()} [bytes:70000]`;
    const { images, error, lines } = await run({ outputFormat, n: 3, prompt });
    expect(error).toBeNull();
    expect(images.map((image) => image.length)).toEqual([70_000, 70_000, 70_000]);
    for (const image of images) expect([...image.subarray(0, 4)]).toEqual(START[outputFormat]);
    expect(new Set(images.map((image) => image.join())).size).toBe(3);
    const submissions = await submissionsOf(url, prompt);
    expect(submissions).toMatchObject(Array(3).fill({ status: 200, downloads: 1 }));
    expect(lines).toMatchObject([{ event: "provider_call", outcome: "succeeded", status: 200, images: 3 }]);
    expect(submissions.map(({ id }) => id)).toContain(lines[0]?.["upstream_request_id"]);
  },
);

it("sends only the requested fields, with a known length and the key", async () => {
  const prompt = `fields ${crypto.randomUUID()} ışık 灯台 "quoted"\r\nsecond line`;
  expect((await run({ prompt, outputFormat: "jpeg" })).error).toBeNull();
  const [auto] = await submissionsOf(url, prompt);
  expect(auto).toMatchObject({ path: "/v1/flux-2-pro", fields: { prompt, output_format: "jpeg" } });
  expect(Object.keys(auto?.fields ?? {})).toHaveLength(2);
  expect(auto?.headers).toMatchObject({
    "content-type": "application/json",
    "content-length": String(new TextEncoder().encode(JSON.stringify(auto?.fields)).length),
    accept: "application/json",
    "x-key": "bfl-test",
  });
  const sized = `sized ${crypto.randomUUID()}`;
  await run({ prompt: sized, size: { width: 1536, height: 1024 } });
  const fields = { prompt: sized, width: 1536, height: 1024, output_format: "png" };
  expect(await submissionsOf(url, sized)).toMatchObject([{ fields }]);
});

it("streams references in base64, in order and unchanged, into each task", async () => {
  const prompt = `references ${crypto.randomUUID()}`;
  const sizes = [1, 2, 3, 65_536, 65_537, 65_538, 4_000_000, 20];
  const references = sizes.map((bytes) => reference("image/png", bytes));
  const { error, images } = await run({ prompt, n: 2 }, { references });
  expect([error, images.length]).toEqual([null, 2]);
  const submissions = await submissionsOf(url, prompt);
  expect(submissions).toHaveLength(2);
  for (const submission of submissions) {
    expect(submission.headers["transfer-encoding"]).toBeUndefined();
    const sent = await Promise.all(
      sizes.map(async (bytes) => ({ contentType: null, bytes, sha256: await sha256Of(bytes) })),
    );
    expect(submission.references).toEqual(sent);
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
  const broken = { ...reference("image/png", 9), open: () => Promise.reject(new Error("storage is away")) };
  expect((await run({}, { references: [broken] })).error).toMatchObject({
    failure: { reason: "unavailable" },
  });
});

it.each(BLACK_FOREST_LABS_FAULTS)("tells %s apart", async (fault, failure, status, code) => {
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
      provider: "black-forest-labs",
      outcome: failure.reason,
      status,
      code,
      detail: expect.any(String),
      images: 0,
      upstream_request_id: lines[0]?.["upstream_request_id"],
      generation_id: generationId,
    },
  ]);
  expect(`${error}${JSON.stringify(lines)}`).not.toMatch(/secret|bfl-test|Free text|http/);
});

it.each([
  "poll-500",
  "poll-429",
  "poll-html",
  "poll-reset",
  "unknown-status",
  "state",
  "picture-503",
  "picture-slow",
])("delivers the image all the same: %s", async (fault) => {
  const { images, error } = await run({ prompt: `[fault:${fault}] [bytes:9001]` });
  expect(error).toBeNull();
  expect(images.map((image) => image.length)).toEqual([9001]);
});

it.each(["not-image", "cut-image"])("passes on all bytes, for the upload to check: %s", async (fault) => {
  const { images, error } = await run({ prompt: `[fault:${fault}]` });
  expect([images.length, error]).toEqual([1, null]);
});

it("waits for a slow task", async () => {
  const prompt = `slow ${crypto.randomUUID()} [latency:300]`;
  expect((await run({ prompt })).error).toBeNull();
  const [task] = await submissionsOf(url, prompt);
  expect(task?.polls).toBeGreaterThan(2);
});

it.each([
  ["never", "generating"],
  ["unknown-status", "deep_thought"],
])("polls until it is aborted: %s", async (fault, code) => {
  const prompt = `${crypto.randomUUID()} [fault:${fault}] [latency:60000]`;
  const task = new Notebook();
  const { error, lines } = await run({ prompt }, { signal: abortAtPoll(url, prompt, 4), task });
  expect(error).toMatchObject({ failure: timeout });
  expect(lines).toMatchObject([{ event: "provider_undelivered", outcome: "timeout", code }]);
  expect(task.states).toHaveLength(1);
});

it("refuses a wrong key, and does not submit when it is aborted", async () => {
  expect((await run({}, { apiKey: "wrong" })).error).toMatchObject({ failure: misconfigured });
  const early = await run({}, { signal: AbortSignal.abort() });
  expect(early.error).toMatchObject({ failure: unavailable });
});

it("reports an unreachable base URL as unavailable, and accepts one with a slash", async () => {
  expect((await run({}, { baseUrl: "http://127.0.0.1:9" })).error).toMatchObject({ failure: unavailable });
  expect((await run({}, { baseUrl: `${url}/` })).error).toBeNull();
});

it("yields the images of the other tasks before it throws a refusal", async () => {
  const prompt = `partly ${crypto.randomUUID()} [fault:content-moderated*1]`;
  const { images, error, lines } = await run({ n: 3, prompt });
  expect(images).toHaveLength(2);
  expect(error).toMatchObject({ failure: { reason: "refused" } });
  expect(lines).toMatchObject([{ outcome: "refused", code: "content_moderated", images: 2 }]);
});

it("yields the images of the accepted tasks before it throws the refusal of another one", async () => {
  const task = new Notebook();
  const prompt = `full ${crypto.randomUUID()} [fault:429*2]`;
  const { images, error, lines } = await run({ n: 3, prompt }, { task });
  expect([images.length, task.states.length]).toEqual([1, 1]);
  expect(error).toMatchObject({ failure: tasksLimited });
  expect(lines).toMatchObject([{ outcome: "limited", status: 429, images: 1 }]);
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

it("skips the tasks whose images were stored", async () => {
  const prompt = `stored ${crypto.randomUUID()}`;
  const task = new Notebook();
  const first = await run({ n: 3, prompt }, { task, imagesMax: 1 });
  expect([first.images.length, first.error]).toEqual([1, null]);
  const resumed = new Notebook(task.saved);
  const second = await run({ n: 2, offset: 1, prompt }, { task: resumed });
  expect([second.images.length, second.error]).toEqual([2, null]);
  expect(resumed.states).toEqual([]);
  expect(await submissionsOf(url, prompt)).toHaveLength(3);
  const all = [...first.images, ...second.images].map((image) => image.join());
  expect(new Set(all).size).toBe(3);
});

it("polls on for what did not end, and buys nothing for what did", async () => {
  const prompt = `failed ${crypto.randomUUID()} [fault:task-not-found*1]`;
  const task = new Notebook();
  const first = await run({ n: 3, prompt }, { task });
  expect(first.images).toHaveLength(2);
  expect(first.error).toMatchObject({ failure: undelivered });
  expect(task.states).toHaveLength(2);
  // The second of the two images was not stored.
  const second = await run({ n: 2, offset: 1, prompt }, { task });
  expect(second.images.map((image) => image.join())).toEqual([first.images[1]?.join()]);
  expect(second.error).toMatchObject({ failure: undelivered });
  const third = await run({ n: 1, offset: 2, prompt }, { task });
  expect(third.images).toEqual([]);
  expect(third.error).toMatchObject({ failure: undelivered });
  expect(await submissionsOf(url, prompt)).toHaveLength(3);
});

it("fetches an image again that broke off, and drops one that has expired", async () => {
  const broken = new Notebook();
  const prompt = `broke ${crypto.randomUUID()}`;
  const first = await run({ prompt: `${prompt} [fault:picture-reset]` }, { task: broken });
  expect(first.error).toMatchObject({ failure: undelivered });
  expect(broken.states).toHaveLength(1);
  await run({ prompt }, { task: broken });
  expect(await submissionsOf(url, prompt)).toMatchObject([{ downloads: 2 }]);
  const expired = new Notebook();
  await run({ prompt: "[fault:expired]" }, { task: expired });
  expect(JSON.parse(expired.saved ?? "")).toEqual({ offset: 0, tasks: [] });
});

it.each<[string, (state: string) => string]>([
  ["no JSON", () => "{"],
  ["another shape", () => '{"tasks":7}'],
  ["a later offset", (state) => state.replace('"offset":0', '"offset":1')],
  ["a URL on a foreign host", (state) => state.replaceAll(url, "https://api.bfl.ai.example.com")],
])("loses what is saved as %s, and buys nothing in its place", async (_, change) => {
  const prompt = `unreadable ${crypto.randomUUID()}`;
  const task = new Notebook();
  await run({ prompt }, { task });
  const second = await run({ prompt }, { task: new Notebook(change(task.saved ?? "")) });
  expect(second.images).toEqual([]);
  expect(second.error).toMatchObject({ failure: undelivered });
  expect(await submissionsOf(url, prompt)).toHaveLength(1);
});

it("reads a state without the fields of this release", async () => {
  const prompt = `old ${crypto.randomUUID()}`;
  const task = new Notebook();
  await run({ prompt }, { task, imagesMax: 0 });
  const { tasks } = JSON.parse(task.saved ?? "");
  const old = JSON.stringify({ offset: 0, tasks: [{ id: "x", pollUrl: tasks[0].pollUrl }] });
  expect((await run({ prompt }, { task: new Notebook(old) })).images).toHaveLength(1);
  expect(await submissionsOf(url, prompt)).toHaveLength(1);
});

it("does not poll what it could not save", async () => {
  const prompt = `unsaved ${crypto.randomUUID()}`;
  const task = new Notebook();
  task.isBroken = true;
  expect((await run({ n: 2, prompt }, { task })).error).toMatchObject({ failure: undelivered });
  expect(await submissionsOf(url, prompt)).toMatchObject(Array(2).fill({ polls: 0 }));
});

it("streams a large image in small pieces", async () => {
  const provider = createBlackForestLabs({
    apiKey: "bfl-test",
    baseUrl: url,
    log: () => undefined,
    pollWaitMs: 5,
  });
  const request = { ...plain, prompt: "[bytes:60000000]" };
  const signal = AbortSignal.timeout(20_000);
  let length = 0;
  let largest = 0;
  for await (const { body } of provider.generate(request, { references: [], signal })) {
    for await (const piece of body) {
      largest = Math.max(largest, piece.byteLength);
      length += piece.byteLength;
    }
  }
  expect(length).toBe(60_000_000);
  expect(largest).toBeLessThanOrEqual(65_536);
});

it("stops the download when the image is no longer wanted", async () => {
  const prompt = `unwanted ${crypto.randomUUID()} [bytes:20000000]`;
  const lines: unknown[] = [];
  const log = (event: string) => lines.push(event);
  const provider = createBlackForestLabs({ apiKey: "bfl-test", baseUrl: url, log, pollWaitMs: 5 });
  const options = { references: [], signal: new AbortController().signal };
  for await (const { body } of provider.generate({ ...plain, prompt }, options)) {
    await body.cancel();
    break;
  }
  expect(lines).toEqual(["provider_call"]);
  await expect.poll(async () => (await submissionsOf(url, prompt))[0]?.hungUp).toBe(true);
});

async function run(request: Partial<ImageRequest>, options: Options = {}): Promise<PolledResult> {
  const lines: Record<string, unknown>[] = [];
  const provider = createBlackForestLabs({
    apiKey: options.apiKey ?? "bfl-test",
    baseUrl: options.baseUrl ?? url,
    log: (event, fields) => lines.push({ event, ...fields }),
    idleMs: 1_500,
    pollWaitMs: 5,
  });
  return { ...(await collect(provider, { ...plain, ...request }, options)), lines };
}
