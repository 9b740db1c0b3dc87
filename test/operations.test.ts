import {
  createExecutionContext,
  createMessageBatch,
  getQueueResult,
  runDurableObjectAlarm,
  runInDurableObject,
  waitOnExecutionContext,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { consume } from "../src/generations/consume.ts";
import { lowestGenerationId, newId } from "../src/id.ts";
import worker from "../src/index.ts";
import type { KeyMode } from "../src/keys/manage.ts";
import { sketch } from "../src/providers/sketch/index.ts";
import { png } from "./images/samples.ts";
import { imagesOf } from "./support/account.ts";
import { type Operations, startCounting } from "./support/count.ts";
import { spyOnLog } from "./support/log.ts";
import { scripted } from "./support/provider.ts";
import { holdQueue } from "./support/queue.ts";
import { newUser } from "./support/user.ts";

const DAY_MS = 86_400_000;

beforeEach(() => {
  spyOnLog();
  vi.spyOn(sketch, "generate").mockImplementation((request, options) =>
    scripted([png(1, 1), png(2, 1)]).generate(request, options),
  );
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** What the work asks of the platform. */
async function counted(work: () => Promise<unknown>): Promise<Operations> {
  const counter = await startCounting();
  try {
    await work();
    return counter.taken();
  } finally {
    counter.stop();
  }
}

async function send(request: Request): Promise<Response> {
  const context = createExecutionContext();
  const response = await worker.fetch(request, env, context);
  await waitOnExecutionContext(context);
  return response;
}

async function get(key: string, path: string): Promise<Response> {
  return await send(
    new Request(`https://hub.example${path}`, { headers: { Authorization: `Bearer ${key}` } }),
  );
}

async function postJson(key: string, path: string, json: object): Promise<Response> {
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(json) };
  return await send(new Request(`https://hub.example${path}`, init));
}

const ASKED = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };

async function generate(key: string, body: BodyInit): Promise<{ id: string; images: { url: string }[] }> {
  const headers = new Headers({ Authorization: `Bearer ${key}` });
  if (typeof body === "string") headers.set("Content-Type", "application/json");
  const url = "https://hub.example/api/v1/images/generations";
  const response = await send(new Request(url, { method: "POST", headers, body }));
  return await response.json();
}

const generateJson = (key: string, fields: object = {}) =>
  generate(key, JSON.stringify({ ...ASKED, ...fields }));

async function deliver(userId: string, generationId: string): Promise<void> {
  const body = { userId, generationId };
  const batch = createMessageBatch("generations", [{ id: "1", timestamp: new Date(), attempts: 1, body }]);
  await consume(batch, env);
  await getQueueResult(batch, createExecutionContext());
}

/** A user whose account has nothing left to do. */
async function idleUser(credits = 100, mode?: KeyMode): Promise<{ id: string; key: string }> {
  const user = await newUser(credits, mode);
  await runDurableObjectAlarm(env.ACCOUNT.getByName(user.id));
  return user;
}

const SYNC = {
  "d1.query": 1,
  "object.submit": 1,
  "object.run": 1,
  "r2.put": 1,
  "object.finish": 1,
  "d1.batch": 1,
  "d1.rows": 3,
  "object.rows": 8,
  "object.alarms": 1,
};

describe("what each request asks of the platform", () => {
  it.each<[what: string, (key: string) => Promise<unknown>, Operations]>([
    ["models", (key) => get(key, "/api/v1/models"), {}],
    ["a mistyped key", () => get("gih_live_x", "/api/v1/credits"), {}],
    ["credits", (key) => get(key, "/api/v1/credits"), { "d1.query": 1, "object.balance": 1 }],
    [
      "ledger entries",
      (key) => get(key, "/api/v1/credits/entries"),
      { "d1.query": 1, "object.statement": 1 },
    ],
    ["usage", (key) => get(key, "/api/v1/usage"), { "d1.query": 1, "object.usage": 1 }],
    ["the key itself", (key) => get(key, "/api/v1/key"), { "d1.query": 2, "object.spentByKeys": 1 }],
    [
      "an estimate",
      (key) => postJson(key, "/api/v1/images/estimate", ASKED),
      { "d1.query": 1, "object.balance": 1 },
    ],
    [
      "a list by metadata",
      (key) => get(key, "/api/v1/generations?metadata[a]=b"),
      { "d1.query": 3, "object.generations": 1 },
    ],
    ["credit grants", (key) => get(key, "/api/v1/credits/grants"), { "d1.query": 1, "object.grants": 1 }],
    [
      "an unknown generation",
      (key) => get(key, `/api/v1/generations/${newId("gen")}`),
      { "d1.query": 2, "object.detail": 1 },
    ],
    [
      "an unknown generation of an earlier day",
      (key) => get(key, `/api/v1/generations/${lowestGenerationId(Date.now() - 2 * DAY_MS)}`),
      { "d1.query": 2, "object.detail": 1 },
    ],
    ["what is no id", (key) => get(key, "/api/v1/generations/x"), { "d1.query": 1 }],
    ["a list", (key) => get(key, "/api/v1/generations"), { "d1.query": 2, "object.generations": 1 }],
    [
      "a list of what has not ended",
      (key) => get(key, "/api/v1/generations?status=queued"),
      { "d1.query": 1, "object.generations": 1 },
    ],
    ["a wrong request", (key) => generateJson(key, { size: "1x1" }), { "d1.query": 1 }],
    [
      "too few credits",
      (key) => generateJson(key, { n: 4, quality: "4K", size: "auto" }),
      { "d1.query": 1, "object.submit": 1 },
    ],
    ["a sync generation", (key) => generateJson(key), SYNC],
    ["a sync generation of two images", (key) => generateJson(key, { n: 2 }), { ...SYNC, "r2.put": 2 }],
    [
      "an async generation, accepted",
      (key) => generateJson(key, { async: true }),
      { "d1.query": 1, "object.submit": 1, "queue.sendBatch": 1, "object.rows": 4, "object.alarms": 1 },
    ],
  ])("%s", async (_, request, operations) => {
    const { key } = await idleUser(40);
    expect(await counted(() => request(key))).toEqual(operations);
  });

  it("a sync generation by a test key: the same round trips, and fewer rows", async () => {
    const { key } = await idleUser(100, "test");
    expect(await counted(() => generateJson(key))).toEqual({ ...SYNC, "d1.rows": 1, "object.rows": 5 });
  });

  it("a sync generation by a key with scopes, models and a limit: nothing more", async () => {
    const { id, key } = await idleUser();
    await env.DB.prepare(
      `UPDATE api_keys SET scopes = '["generate"]', models = '["gpt-image-2"]', credit_limit = 100,
         credit_limit_period = 'month' WHERE user_id = ?`,
    )
      .bind(id)
      .run();
    expect(await counted(() => generateJson(key))).toEqual(SYNC);
  });

  it("a stream with partial images: nothing more than the image itself", async () => {
    vi.mocked(sketch.generate).mockImplementation(async function* (_, { partials }) {
      for (let index = 0; index < 3; index++) {
        if (await partials?.hasRoom()) partials?.send(index, png(8, 8));
      }
      yield { body: new Blob([png(1, 1)]).stream() };
    });
    const stream = async (key: string, partial_images: number) => {
      const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
      const body = JSON.stringify({ ...ASKED, stream: true, partial_images });
      const init = { method: "POST", headers, body };
      const request = new Request("https://hub.example/openai/v1/images/generations", init);
      const context = createExecutionContext();
      const text = await (await worker.fetch(request, env, context)).text();
      await waitOnExecutionContext(context);
      expect(text.split("event: image_generation.partial_image").length - 1).toBe(partial_images);
    };
    for (const count of [0, 3]) {
      const { key } = await idleUser();
      expect(await counted(() => stream(key, count))).toEqual({ ...SYNC, "r2.get": 1 });
    }
  });

  it("the events of a generation that has ended: one read of the account", async () => {
    const { key } = await idleUser();
    const { id } = await generateJson(key);
    const read = async () => await (await get(key, `/api/v1/generations/${id}/events`)).text();
    expect(await counted(read)).toEqual({ "d1.query": 1, "object.detail": 1 });
  });

  it("an async generation whose request waits: one call more than without waiting", async () => {
    const { key } = await idleUser();
    const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json", Prefer: "wait=1" };
    const init = { method: "POST", headers, body: JSON.stringify(ASKED) };
    const request = new Request("https://hub.example/api/v1/images/generations", init);
    expect(await counted(() => send(request))).toEqual({
      ...{ "d1.query": 1, "object.submit": 1, "queue.sendBatch": 1, "object.wait": 1 },
      ...{ "object.rows": 4, "object.alarms": 1 },
    });
  });

  it("a cancellation: the log is written, and no alarm is moved", async () => {
    const { key } = await idleUser();
    holdQueue();
    const { id } = await generateJson(key, { async: true });
    const path = `https://hub.example/api/v1/generations/${id}/cancel`;
    const headers = { Authorization: `Bearer ${key}` };
    const cancel = () => send(new Request(path, { method: "POST", headers }));
    expect(await counted(cancel)).toEqual({
      "d1.query": 1,
      "object.cancel": 1,
      "d1.batch": 1,
      "d1.rows": 4,
      "object.rows": 6,
    });
    expect(await counted(cancel)).toEqual({ "d1.query": 1, "object.cancel": 1 });
  });

  it("a sync generation with a reference image: what is uploaded is looked at first, and removed after", async () => {
    const { key } = await idleUser();
    const form = new FormData();
    for (const [name, value] of Object.entries(ASKED)) form.set(name, value);
    form.set("reference_image", new File([png(1, 1)], "a.png"));
    expect(await counted(() => generate(key, form))).toMatchObject({
      "d1.query": 1,
      "object.admit": 1,
      "object.submit": 1,
      "r2.put": 2,
      "r2.delete": 1,
      "d1.batch": 1,
      "d1.rows": 3,
    });
  });

  it("an async generation, from the queue to the pictures", async () => {
    const { id, key } = await idleUser();
    const counter = await startCounting();
    const generation = await generateJson(key, { async: true });
    counter.stop();
    const path = `/api/v1/generations/${generation.id}`;
    expect(await counted(() => get(key, path))).toEqual({ "d1.query": 1, "object.detail": 1 });
    expect(await counted(() => deliver(id, generation.id))).toEqual({
      "object.begin": 1,
      "r2.put": 1,
      "object.finish": 1,
      "d1.batch": 1,
      "d1.rows": 3,
      "object.rows": 6,
    });
    expect(await counted(() => deliver(id, generation.id))).toEqual({ "object.begin": 1 });
    expect(await counted(() => get(key, path))).toEqual({ "d1.query": 1, "object.detail": 1 });
  });

  it("a generation that has ended, and its picture", async () => {
    const { key } = await idleUser();
    const { id, images } = await generateJson(key);
    const { pathname } = new URL(images[0]?.url ?? "");
    const path = `/api/v1/generations/${id}`;
    expect(await counted(() => get(key, path))).toEqual({ "d1.query": 1, "object.detail": 1 });
    expect(await counted(() => get(key, pathname))).toEqual({ "r2.get": 1 });
  });

  it("a generation of an earlier day: the account is not asked", async () => {
    const { key } = await idleUser();
    const { id } = await generateJson(key);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + DAY_MS + 1_000 });
    await get(key, "/api/v1/credits"); // The first request of this day is written down.
    expect(await counted(() => get(key, `/api/v1/generations/${id}`))).toEqual({ "d1.query": 2 });
  });
});

describe("what the whole life of a sync generation writes", () => {
  it("11 rows in the account, alarms included, and 3 in the log", async () => {
    const { id, key } = await idleUser();
    const account = env.ACCOUNT.getByName(id);
    const now = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now });
    const written: Operations[] = [await counted(() => generateJson(key))];
    for (const later of [151_000, DAY_MS + 1_000]) {
      vi.setSystemTime(now + later);
      written.push(await counted(() => runDurableObjectAlarm(account)));
    }
    expect(written).toEqual([SYNC, { "object.alarms": 1 }, { "object.rows": 1 }]);
    const sum = (kind: string) => written.reduce((total, operations) => total + (operations[kind] ?? 0), 0);
    expect(sum("object.rows") + sum("object.alarms")).toBe(11);
    expect(sum("d1.rows")).toBe(3);
    expect(await runDurableObjectAlarm(account)).toBe(false);
  });
});

describe("what a webhook adds to a sync generation", () => {
  it("4 rows and 1 alarm in the account, and 1 row for its removal a day later", async () => {
    const { id, key } = await idleUser();
    const account = env.ACCOUNT.getByName(id);
    await account.webhookSecrets(true);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response(null, { status: 204 }));
    const made = await counted(async () => {
      const generation = await generateJson(key, { webhook_url: "https://receiver.example/" });
      while ((await account.deliveries(generation.id))?.length !== 1)
        await new Promise((resolve) => setTimeout(resolve, 10));
    });
    expect(made).toMatchObject({ "object.rows": SYNC["object.rows"] + 4, "object.alarms": 2 });
    vi.setSystemTime(Date.now() + DAY_MS + 3_601_000);
    // One for the generation.
    expect(await counted(() => runDurableObjectAlarm(account))).toEqual({ "object.rows": 2 });
    expect(await runDurableObjectAlarm(account)).toBe(false);
  });
});

describe("what the whole life of an async generation writes whose provider takes 68 s", () => {
  it("13 rows and 2 alarms in the account, and 3 rows in the log", async () => {
    const { id, key } = await idleUser();
    const account = env.ACCOUNT.getByName(id);
    await runInDurableObject(account, (instance) => {
      Reflect.set(instance, "env", { ...env, QUEUE_REDELIVERY_SECONDS: "600" });
    });
    const now = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now });
    const at = async (later: number, work: () => Promise<unknown>) => {
      vi.setSystemTime(now + later);
      return await counted(work);
    };
    holdQueue();
    let generationId = "";
    const accepted = await at(0, async () => {
      ({ id: generationId } = await generateJson(key, { async: true }));
    });
    let fence = 0;
    const begun = await at(1_000, async () => {
      const work = await account.begin(generationId);
      if (work.kind === "run") ({ fence } = work.job);
    });
    const renewed = await at(61_000, () => account.renew(generationId, fence, 0));
    const finished = await at(69_000, () =>
      account.finish(generationId, fence, { images: imagesOf(generationId, 1), failure: null }),
    );
    const alarms = [];
    for (const later of [150_000, DAY_MS + 70_000])
      alarms.push(await at(later, () => runDurableObjectAlarm(account)));
    expect({ accepted, begun, renewed, finished, alarms }).toEqual({
      accepted: {
        ...{ "d1.query": 1, "object.submit": 1, "queue.sendBatch": 1 },
        ...{ "object.rows": 4, "object.alarms": 1 },
      },
      begun: { "object.rows": 2 },
      renewed: { "object.rows": 2 },
      finished: { "d1.batch": 1, "d1.rows": 3, "object.rows": 4 },
      alarms: [{ "object.alarms": 1 }, { "object.rows": 1 }],
    });
    expect(await runDurableObjectAlarm(account)).toBe(false);
  });
});
