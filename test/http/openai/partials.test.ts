import { env } from "cloudflare:workers";
import OpenAI, { toFile } from "openai";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { GenerationRunner } from "../../../src/generations/runner.ts";
import { PARTIAL_BYTES_MAX, type PartialPictures, ProviderError } from "../../../src/providers/provider.ts";
import { sketch } from "../../../src/providers/sketch/index.ts";
import { png } from "../../images/samples.ts";
import { call, creditsOf, newTestKey, newUser, respond, type TestUser } from "../../support/http.ts";

const GENERATIONS = "/openai/v1/images/generations";
const ASKED = { model: "gpt-image-2", prompt: "a lighthouse at dusk", stream: true };
const PARTIAL = "image_generation.partial_image";
const COMPLETED = "image_generation.completed";

let user: TestUser;

beforeEach(async () => {
  user = await newUser(100);
});

afterEach(() => vi.restoreAllMocks());

const Event = z.looseObject({
  type: z.string(),
  b64_json: z.base64().optional(),
  partial_image_index: z.int().optional(),
  size: z.string().optional(),
});

/** The events of a stream, as their types with the index of partial pictures. */
function eventsOf(text: string) {
  return [...text.matchAll(/^event: (.+)\ndata: (.+)$/gm)].map(([, name, data]) => {
    const event = Event.parse(JSON.parse(data ?? "null"));
    expect(event.type).toBe(name);
    return event;
  });
}

const namesOf = (text: string) =>
  eventsOf(text).map(({ type, partial_image_index: index }) =>
    index === undefined ? type : `${type} ${index}`,
  );

/** The official client, over the test's own requests. */
function client(): OpenAI {
  return new OpenAI({
    apiKey: user.key,
    baseURL: "https://hub.test/openai/v1",
    maxRetries: 0,
    fetch: async (url, init) => {
      const request = new Request(url instanceof Request ? url : String(url), init);
      const { pathname } = new URL(request.url);
      const headers = Object.fromEntries(request.headers);
      const { body } = request;
      return await respond(request.method, pathname, { key: user.key, headers, ...(body && { body }) });
    },
  });
}

/** Makes the embedded provider send these, then this many images. */
function provide(work: (partials: PartialPictures | undefined) => Promise<void>, images = 1) {
  return vi.spyOn(sketch, "generate").mockImplementation(async function* (_, { partials }) {
    await work(partials);
    for (let index = 0; index < images; index++) yield { body: new Blob([png(1024, 1024)]).stream() };
  });
}

const keysOf = async () => (await env.IMAGES.list()).objects.map(({ key }) => key);

describe("partial pictures", () => {
  it.each([0, 1, 2, 3])("of the sketch, %i asked: come before the image, finer each time", async (count) => {
    const before = await keysOf();
    const { text, headers } = await call("POST", GENERATIONS, {
      key: user.key,
      json: { ...ASKED, partial_images: count },
    });
    const events = eventsOf(text);
    expect(namesOf(text)).toEqual([
      ...Array.from({ length: count }, (_, index) => `${PARTIAL} ${index}`),
      COMPLETED,
    ]);
    expect(events.map(({ size }) => size)).toEqual([
      ...["128x128", "256x256", "512x512"].slice(0, count),
      "1024x1024",
    ]);
    expect(events[0]).toMatchObject({ quality: "auto", background: "opaque", output_format: "png" });
    const id = headers.get("x-generation-id");
    expect((await keysOf()).filter((key) => !before.includes(key))).toEqual([
      expect.stringMatching(new RegExp(`^${id}/img_[^/]+\\.png$`)),
    ]);
    expect(await creditsOf(user)).toBe(92);
  });

  it.each([-1, 4, 1.5])("are at most 3: not %d", async (count) => {
    const json = { ...ASKED, partial_images: count };
    const { status, body } = await call("POST", GENERATIONS, { key: user.key, json });
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { param: "partial_images" } });
    expect(await creditsOf(user)).toBe(100);
  });

  it.each([
    ["without stream", { ...ASKED, stream: false, partial_images: 2 }],
    ["without partial_images", ASKED],
    ["with null", { ...ASKED, partial_images: null }],
    ["with 0", { ...ASKED, partial_images: 0 }],
  ])("are not made %s", async (_, json) => {
    const asked = vi.fn();
    provide(async (partials) => asked(partials));
    expect((await call("POST", GENERATIONS, { key: user.key, json })).status).toBe(200);
    expect(asked.mock.calls).toEqual([[undefined]]);
  });

  it("reach OpenAI's client, with the image behind them", async () => {
    const stream = await client().images.generate({ ...ASKED, stream: true, partial_images: 2, n: 2 });
    const seen = [];
    for await (const event of stream) {
      expect(Buffer.from(event.b64_json, "base64").subarray(1, 4).toString()).toBe("PNG");
      seen.push(event.type === PARTIAL ? event.partial_image_index : event.type);
    }
    expect(seen).toEqual([0, 1, 0, 1, COMPLETED, COMPLETED]);
    expect(await creditsOf(user)).toBe(84);
  });

  it("of an edit reach OpenAI's client", async () => {
    const { model, prompt } = ASKED;
    const image = await toFile(png(8, 8), "a.png", { type: "image/png" });
    const stream = await client().images.edit({ model, prompt, image, stream: true, partial_images: 1 });
    const seen = [];
    for await (const event of stream) seen.push(event.type);
    expect(seen).toEqual(["image_edit.partial_image", "image_edit.completed"]);
  });

  it("come for test keys, also with a scenario", async () => {
    const key = await newTestKey(user.id);
    const json = { ...ASKED, n: 2, partial_images: 1 };
    const headers = { "X-Test-Scenario": "partial=1" };
    const { text } = await call("POST", GENERATIONS, { key, json, headers });
    expect(namesOf(text)).toEqual([`${PARTIAL} 0`, COMPLETED]);
    expect(await creditsOf(user)).toBe(100);
  });

  it("come only with the first of equal requests", async () => {
    const options = { key: user.key, headers: { "Idempotency-Key": "once" } };
    const first = await call("POST", GENERATIONS, { ...options, json: { ...ASKED, partial_images: 1 } });
    const second = await call("POST", GENERATIONS, { ...options, json: { ...ASKED, partial_images: 3 } });
    expect([namesOf(first.text), namesOf(second.text)]).toEqual([[`${PARTIAL} 0`, COMPLETED], [COMPLETED]]);
    expect(await creditsOf(user)).toBe(92);
  });

  it("begin the stream before the image is there; a failure after them is an error event", async () => {
    vi.spyOn(sketch, "generate").mockImplementation(async function* (_, { partials }) {
      partials?.send(0, png(8, 8));
      yield await Promise.reject(new ProviderError({ reason: "refused" }, "as the test has it"));
    });
    const json = { ...ASKED, partial_images: 1 };
    const { status, text } = await call("POST", GENERATIONS, { key: user.key, json });
    expect([status, namesOf(text)]).toEqual([200, [`${PARTIAL} 0`, "error"]]);
    expect(await creditsOf(user)).toBe(100);
  });

  it("do not begin again with another call of the provider", async () => {
    let calls = 0;
    const given: boolean[] = [];
    vi.spyOn(sketch, "generate").mockImplementation(async function* (_, { partials }) {
      given.push(partials !== undefined);
      partials?.send(0, png(8, 8));
      if (calls++ === 0)
        throw new ProviderError({ reason: "unavailable", retryAfterMs: 0 }, "as the test has it");
      yield { body: new Blob([png(1024, 1024)]).stream() };
    });
    const json = { ...ASKED, partial_images: 3 };
    const { text } = await call("POST", GENERATIONS, { key: user.key, json });
    expect([namesOf(text), given]).toEqual([
      [`${PARTIAL} 0`, COMPLETED],
      [true, false],
    ]);
  });

  it("end with a runner that dies: the run that takes over sends none", async () => {
    const runs = vi.spyOn(GenerationRunner.prototype, "run");
    runs.mockImplementationOnce(async (_, __, asked) => {
      const header = { contentType: "image/png", width: 8, height: 8 } as const;
      await asked?.show({ index: 0, header, bytes: png(8, 8) });
      throw new Error("The runner died.");
    });
    const json = { ...ASKED, partial_images: 3 };
    const { text } = await call("POST", GENERATIONS, { key: user.key, json });
    expect(namesOf(text)).toEqual([`${PARTIAL} 0`, COMPLETED]);
    expect(runs.mock.calls.map(([, , asked]) => asked !== undefined)).toEqual([true, false]);
    expect(await creditsOf(user)).toBe(92);
  });

  it("are dropped when they are no images, too large, or have an index that was not asked for", async () => {
    const padded = (bytes: number) => Buffer.concat([png(8, 8)], bytes);
    provide(async (partials) => {
      for (const [index, picture] of [
        [0, new Uint8Array(100)],
        [0, png(8, 8).subarray(0, 30)],
        [0, padded(PARTIAL_BYTES_MAX + 1)],
        [2, png(8, 8)],
        [-1, png(8, 8)],
        [Number.NaN, png(8, 8)],
        [1, padded(PARTIAL_BYTES_MAX)],
      ] as const) {
        expect(await partials?.hasRoom()).toBe(true);
        partials?.send(index, picture);
      }
    });
    const json = { ...ASKED, partial_images: 2 };
    const { text } = await call("POST", GENERATIONS, { key: user.key, json });
    const [partial] = eventsOf(text);
    expect(namesOf(text)).toEqual([`${PARTIAL} 1`, COMPLETED]);
    expect(Buffer.from(partial?.b64_json ?? "", "base64").length).toBe(PARTIAL_BYTES_MAX);
  });

  it("are as many as were asked for, whatever the provider sends", async () => {
    provide(async (partials) => {
      for (let sent = 0; sent < 6; sent++) if (await partials?.hasRoom()) partials?.send(0, png(8, 8));
    }, 2);
    const json = { ...ASKED, n: 2, partial_images: 2 };
    const { text } = await call("POST", GENERATIONS, { key: user.key, json });
    expect(namesOf(text)).toEqual([...Array(4).fill(`${PARTIAL} 0`), COMPLETED, COMPLETED]);
  });

  it("are dropped while the reader is slow, and the image still comes", async () => {
    const rooms: unknown[] = [];
    provide(async (partials) => {
      partials?.send(0, png(8, 8));
      // Waits once for the reader, and then no more.
      for (let index = 0; index < 3; index++) rooms.push(await partials?.hasRoom());
      partials?.send(1, png(8, 8));
    });
    const json = { ...ASKED, partial_images: 3 };
    const response = await respond("POST", GENERATIONS, { key: user.key, json });
    await vi.waitUntil(() => rooms.length === 3, { timeout: 20_000 });
    const id = response.headers.get("x-generation-id");
    await ended(id);
    expect(rooms).toEqual([false, false, false]);
    expect(namesOf(await response.text())).toEqual([`${PARTIAL} 0`, COMPLETED]);
  });

  it("stop when the client leaves, and the image is still made and charged once", async () => {
    let hasLeft = false;
    const rooms: unknown[] = [];
    provide(async (partials) => {
      partials?.send(0, png(8, 8));
      await vi.waitUntil(() => hasLeft);
      rooms.push(await partials?.hasRoom());
      partials?.send(1, png(8, 8));
      rooms.push(await partials?.hasRoom());
    });
    const json = { ...ASKED, partial_images: 3 };
    const response = await respond("POST", GENERATIONS, { key: user.key, json });
    await response.body?.cancel();
    hasLeft = true;
    await ended(response.headers.get("x-generation-id"));
    expect(rooms.at(-1)).toBe(false);
    expect(await creditsOf(user)).toBe(92);
  });
});

/** Waits for the end of a generation, which must have its image. */
async function ended(id: string | null) {
  const read = () => call("GET", `/api/v1/generations/${id}`, { key: user.key });
  await vi.waitUntil(async () => JSON.stringify((await read()).body).includes('"status":"succeeded"'), {
    timeout: 20_000,
    interval: 200,
  });
  expect((await read()).body).toMatchObject({ images: [{}] });
}
