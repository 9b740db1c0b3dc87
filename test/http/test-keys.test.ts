import { createMessageBatch, env, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import * as z from "zod";
import { consume } from "../../src/generations/consume.ts";
import { png } from "../images/samples.ts";
import {
  type Answer,
  type CallOptions,
  call,
  creditsOf,
  eventually,
  limitedUser,
  newTestKey,
  newUser,
  operate,
  respond,
  type TestUser,
} from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";
import { invalid, refusal } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";
import type { ReceivedCall } from "../support/webhook-receiver.ts";

const NATIVE = "/api/v1/images/generations";
const OPENAI = "/openai/v1/images/generations";
const EDITS = "/openai/v1/images/edits";
const SCENARIO = "X-Test-Scenario";
const ASKED = { model: "gpt-image-2", prompt: "a hill" };
const Made = z.looseObject({ id: z.string() });
const Listed = z.object({ data: z.array(Made), has_more: z.boolean(), next_cursor: z.string().nullable() });
/** OpenAI is chosen, and has no key. */
const UNCONFIGURED = { IMAGE_PROVIDER: "openai", OPENAI_API_KEY: undefined };

let user: TestUser;
let testKey: string;

beforeEach(async () => {
  spyOnLog();
  user = await newUser();
  testKey = await newTestKey(user.id);
});

afterEach(() => {
  vi.restoreAllMocks();
});

const generate = (json: object = {}, scenario?: string, options: CallOptions = {}) =>
  call("POST", NATIVE, {
    key: testKey,
    json: { ...ASKED, ...json },
    ...options,
    headers: { ...(scenario === undefined ? {} : { [SCENARIO]: scenario }), ...options.headers },
  });
const get = (path: string, key = testKey) => call("GET", path, { key });
const idOf = ({ body }: Answer) => Made.parse(body).id;
const entriesOf = async () => (await get("/api/v1/credits/entries", user.key)).body;

function formOf(fields: Record<string, string>, field: string): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries({ ...ASKED, ...fields })) form.set(name, value);
  form.set(field, new File([png(8, 8)], "a.png"));
  return form;
}

async function deliver(generationId: string, bindings: object = {}): Promise<void> {
  const body = { userId: user.id, generationId };
  const messages = [{ id: "1", timestamp: new Date(), attempts: 1, body }];
  await consume(createMessageBatch("generations", messages), { ...env, ...bindings });
}

/** Leaves the generation only in the log, as a day after its end. */
async function forget(id: string): Promise<void> {
  await runInDurableObject(env.ACCOUNT.getByName(user.id), (_, { storage }) => {
    storage.sql.exec("DELETE FROM generations WHERE id = ?", id);
  });
}

describe("a test key", () => {
  it("is made by the operator, and shows its mode", async () => {
    const issued = await operate("POST", `/users/${user.id}/api_keys`, { name: "ci", mode: "test" });
    expect(issued).toMatchObject({ status: 201, body: { mode: "test" } });
    const { api_key, display } = z.object({ api_key: z.string(), display: z.string() }).parse(issued.body);
    expect(api_key).toMatch(/^gih_test_[0-9A-Za-z]{32}$/);
    expect(display).toBe(`gih_test_${api_key.slice(-4)}`);
    const listed = await operate("GET", `/users/${user.id}/api_keys`);
    expect(listed.body).toMatchObject({ data: [{ mode: "test" }, { mode: "test" }, { mode: "live" }] });
    const { body } = await operate("POST", `/users/${user.id}/api_keys`, { name: "a", mode: "sandbox" });
    expect(body).toMatchObject({ error: { code: "invalid_request", param: "mode" } });
  });

  it("is not a live key with another prefix", async () => {
    for (const key of [user.key.replace("live", "test"), testKey.replace("test", "live")])
      expect(refusal(await get("/api/v1/credits", key))).toMatchObject({
        status: 401,
        code: "invalidApiKey",
      });
  });

  it("is live where an older release made the key", async () => {
    await env.DB.prepare(
      `INSERT INTO api_keys (id, user_id, name, hash, display, created_at)
       SELECT 'key_old', user_id, name, 'old', display, 1 FROM api_keys WHERE id = ?`,
    )
      .bind(user.keyId)
      .run();
    const row = await env.DB.prepare("SELECT mode FROM api_keys WHERE id = 'key_old'").first();
    expect(row).toEqual({ mode: "live" });
  });

  it("generates without credits, and writes nothing to the ledger", async () => {
    const answer = await generate({ n: 2, size: "1024x1024" });
    expect(answer).toMatchObject({
      status: 200,
      body: {
        ...{ object: "image_generation", livemode: false, status: "succeeded", quality: "1K" },
        images: [{ content_type: "image/png", width: 1024 }, { content_type: "image/png" }],
        usage: { credits: 0, credits_requested: 16, credits_charged: 0, credits_refunded: 0 },
        balance: { credits: 0 },
      },
    });
    expect(await entriesOf()).toMatchObject({ data: [] });
    const read = await get(`/api/v1/generations/${idOf(answer)}`);
    const { balance: _, ...generation } = z.looseObject({ balance: z.unknown() }).parse(answer.body);
    expect(read.body).toEqual(generation);
    await forget(idOf(answer));
    expect((await get(`/api/v1/generations/${idOf(answer)}`)).body).toEqual(generation);
  });

  it("leaves the balance of an account with credits alone", async () => {
    provide();
    await operate("POST", `/users/${user.id}/credits`, { id: crypto.randomUUID(), credits: 100 });
    const before = await entriesOf();
    await generate({ n: 4 });
    await generate({ n: 2 }, "partial=1");
    await generate({}, "fail");
    expect(await creditsOf(user)).toBe(100);
    expect(await creditsOf({ key: testKey })).toBe(100);
    expect(await entriesOf()).toEqual(before);
    const usage = async () => (await call("GET", "/api/v1/usage", user)).body;
    expect(await usage()).toEqual({ object: "list", data: [] });
    const live = await call("POST", NATIVE, { key: user.key, json: ASKED });
    expect(live.body).toMatchObject({ livemode: true, usage: { credits: 8 }, balance: { credits: 92 } });
    expect(await usage()).toMatchObject({ data: [{ credits: 8, images: 1 }] });
  });

  it("has only PNG, whatever the provider of live keys makes", async () => {
    const message = /^output_format must be one of png: the built-in provider of test keys makes no other\.$/;
    for (const settings of [{}, { ...UNCONFIGURED, OPENAI_API_KEY: "sk-x" }]) {
      const answer = await generate({ output_format: "webp" }, undefined, { settings });
      expect(refusal(answer)).toEqual(invalid("output_format", message));
    }
  });

  it("uses the built-in provider whatever is configured, and where nothing is", async () => {
    holdQueue();
    const refused = await call("POST", NATIVE, { key: user.key, json: ASKED, settings: UNCONFIGURED });
    expect(refused.status).toBe(503);
    const fetched = vi.spyOn(globalThis, "fetch");
    const form = formOf({ async: "true" }, "reference_image");
    for (const options of [{}, { json: undefined, body: form }]) {
      for (const OPENAI_API_KEY of [undefined, "sk-x"]) {
        const settings = { ...UNCONFIGURED, OPENAI_API_KEY };
        const answer = await generate({ async: true }, undefined, { settings, ...options });
        expect(answer).toMatchObject({ status: 202, body: { livemode: false, status: "queued" } });
        await deliver(idOf(answer), settings);
        const { body } = await get(`/api/v1/generations/${idOf(answer)}`);
        expect(body).toMatchObject({ status: "succeeded", images: [{}] });
      }
    }
    expect(fetched).not.toHaveBeenCalled();
  });

  it("waits, lists, follows and cancels as a live key does", async () => {
    holdQueue();
    const queued = await generate({ async: true });
    const id = idOf(queued);
    const canceled = await call("POST", `/api/v1/generations/${id}/cancel`, { key: testKey });
    expect(canceled).toMatchObject({
      status: 200,
      body: { livemode: false, status: "canceled", usage: { credits: 0, credits_refunded: 0 } },
    });
    expect((await call("POST", `/api/v1/generations/${id}/cancel`, { key: testKey })).body).toEqual(
      canceled.body,
    );
    expect((await get("/api/v1/generations?status=canceled")).body).toMatchObject({ data: [{ id }] });
    const events = await respond("GET", `/api/v1/generations/${id}/events`, { key: testKey });
    expect(await events.text()).toContain('"livemode":false,"status":"canceled"');
    const waited = await get(`/api/v1/generations/${id}`);
    expect(waited.body).toEqual(canceled.body);
    expect(await entriesOf()).toMatchObject({ data: [] });
  });

  it("is waited for by Prefer", async () => {
    provide();
    const answer = await generate({}, undefined, { headers: { Prefer: "wait=20" } });
    expect(answer).toMatchObject({ status: 200, body: { livemode: false, status: "succeeded" } });
  });

  it("works at /openai/v1", async () => {
    provide();
    const options = { key: testKey, json: { ...ASKED, n: 3 }, headers: { [SCENARIO]: "partial=2" } };
    const made = await call("POST", OPENAI, options);
    expect(made).toMatchObject({ status: 200, body: { data: [{}, {}], usage: { credits: 0 } } });
    const id = made.headers.get("X-Generation-Id") ?? "";
    expect((await get(`/api/v1/generations/${id}`)).body).toMatchObject({ livemode: false });
    const edited = await call("POST", EDITS, { key: testKey, body: formOf({}, "image") });
    expect(edited).toMatchObject({ status: 200, body: { data: [{}] } });
  });
});

describe("X-Test-Scenario", () => {
  beforeEach(() => {
    provide();
  });

  it.each([
    ["partial=1", { n: 3 }, 1],
    ["partial=3", { n: 4 }, 3],
    ["delay=0", { n: 2 }, 2],
    ["partial=1 ,delay=0", { n: 2 }, 1],
  ])("%s of %o: %i images", async (scenario, fields, count) => {
    const answer = await generate(fields, scenario);
    expect(answer).toMatchObject({
      status: 200,
      body: { status: "succeeded", images: { length: count }, usage: { credits: 0 } },
    });
  });

  const FAILURES: [string, number, string, object][] = [
    ["fail", 500, "generationFailed", { code: "image_generation_failed" }],
    ["timeout", 500, "generationFailed", { code: "image_generation_failed" }],
    ["refuse", 400, "contentPolicyViolation", { code: "moderation_blocked" }],
    ["insufficient", 402, "insufficientCredits", { type: "insufficient_quota" }],
    ["delay=0,fail", 500, "generationFailed", { code: "image_generation_failed" }],
  ];

  it.each(FAILURES)("%s: %i %s", async (scenario, status, code) => {
    expect(refusal(await generate({}, scenario))).toMatchObject({ status, code });
  });

  it.each(FAILURES)("%s: %i at /openai/v1, too", async (scenario, status, _, error) => {
    const options = { key: testKey, headers: { [SCENARIO]: scenario } };
    for (const body of [{ json: ASKED }, { body: formOf({}, "image") }]) {
      const path = "json" in body ? OPENAI : EDITS;
      expect(await call("POST", path, { ...options, ...body })).toMatchObject({ status, body: { error } });
    }
  });

  it("can be tried again by an SDK after a failure: it is not permanent", async () => {
    const answer = await call("POST", OPENAI, { key: testKey, json: ASKED, headers: { [SCENARIO]: "fail" } });
    expect(answer.headers.get("X-Should-Retry")).toBeNull();
  });

  it.each([
    ["fail", "generationFailed"],
    ["timeout", "generationFailed"],
    ["refuse", "contentPolicyViolation"],
  ])("%s ends an async generation, in a form, too", async (scenario, code) => {
    holdQueue();
    for (const options of [{}, { json: undefined, body: formOf({ async: "true" }, "reference_image") }]) {
      const queued = await generate({ async: true }, scenario, options);
      expect(queued.status).toBe(202);
      await deliver(idOf(queued));
      const { body } = await get(`/api/v1/generations/${idOf(queued)}`);
      expect(body).toMatchObject({
        ...{ livemode: false, status: "failed", error: { code } },
        usage: { credits: 0, credits_requested: 8, credits_charged: 0, credits_refunded: 0 },
      });
    }
  });

  it("insufficient says what a live key would need, and refuses an async request, too", async () => {
    for (const async of [false, true]) {
      expect(refusal(await generate({ n: 2, async }, "insufficient"))).toMatchObject({
        ...{ status: 402, code: "insufficientCredits", required: 16, available: 0 },
      });
    }
    expect((await get("/api/v1/generations")).body).toMatchObject({ data: [] });
  });

  it("delays the end of a generation", async () => {
    const answer = await generate({}, "delay=1");
    const { created_at, completed_at } = z
      .looseObject({ created_at: z.string(), completed_at: z.string() })
      .parse(answer.body);
    expect(Date.parse(completed_at) - Date.parse(created_at)).toBeGreaterThanOrEqual(1_000);
  });

  it("keeps to the images that are still missing when a run takes over", async () => {
    holdQueue();
    const id = idOf(await generate({ n: 4, async: true }, "partial=2"));
    const account = env.ACCOUNT.getByName(user.id);
    await account.begin(id);
    await env.IMAGES.put(`${id}/img_01KQGQ50AV3YJ7K1S8W4H6XPRF.png`, png(8, 8), {
      httpMetadata: { contentType: "image/png" },
    });
    expect(await account.defer(id, 1, null, 1)).toBe("deferred");
    await deliver(id);
    const { body } = await get(`/api/v1/generations/${id}`);
    expect(body).toMatchObject({ status: "succeeded", images: { length: 2 } });
  });

  it.each([
    ["nonsense", {}],
    ["", {}],
    ["FAIL", {}],
    ["fail,", {}],
    ["fail,refuse", {}],
    ["delay=1,delay=1", {}],
    ["delay=61", {}],
    ["delay=-1", {}],
    ["delay=1.5", {}],
    ["partial=0", { n: 2 }],
    ["partial=2", { n: 2 }],
    ["partial=1", {}],
    ["partial", { n: 2 }],
  ])("%j with %o is a 400", async (scenario, fields) => {
    const answer = await generate(fields, scenario);
    expect(refusal(answer)).toEqual(invalid(SCENARIO, /^X-Test-Scenario/));
    expect((await get("/api/v1/generations")).body).toMatchObject({ data: [] });
  });

  it.each([NATIVE, OPENAI])("is a 400 with a live key at %s, before the body is read", async (path) => {
    const options = { key: user.key, headers: { [SCENARIO]: "fail", "Content-Type": "application/json" } };
    expect(await call("POST", path, { ...options, body: "{" })).toMatchObject({
      status: 400,
      body: { error: { param: SCENARIO, message: "X-Test-Scenario is for test keys: this is a live key." } },
    });
  });
});

describe("the two modes", () => {
  let liveKey: string;

  beforeEach(async () => {
    provide();
    await operate("POST", `/users/${user.id}/credits`, { id: crypto.randomUUID(), credits: 100 });
    liveKey = user.key;
  });

  const made = (key: string, json: object = {}, headers: Record<string, string> = {}) =>
    call("POST", NATIVE, { key, json: { ...ASKED, ...json }, headers });
  const listed = async (key: string, query = "") =>
    Listed.parse((await get(`/api/v1/generations${query}`, key)).body).data.map(({ id }) => id);

  it("list only their own generations, from the account and from the log", async () => {
    const live = [idOf(await made(liveKey)), idOf(await made(liveKey))];
    const test = [idOf(await made(testKey)), idOf(await made(testKey))];
    for (const isForgotten of [false, true]) {
      if (isForgotten) for (const id of [...live, ...test]) await forget(id);
      expect(await listed(liveKey)).toEqual(live.toReversed());
      expect(await listed(testKey)).toEqual(test.toReversed());
      expect(await listed(testKey, "?limit=1&status=succeeded")).toEqual(test.slice(-1));
      for (const [key, ids] of [[liveKey, test] as const, [testKey, live] as const])
        for (const id of ids) expect((await get(`/api/v1/generations/${id}`, key)).status).toBe(404);
    }
  });

  it("have idempotency keys of their own", async () => {
    const headers = { "Idempotency-Key": "order-1" };
    const [live, test] = [await made(liveKey, {}, headers), await made(testKey, {}, headers)];
    expect([live.status, test.status]).toEqual([200, 200]);
    expect(idOf(test)).not.toBe(idOf(live));
    expect(test.headers.get("Idempotent-Replayed")).toBeNull();
    for (const [key, first] of [[liveKey, live] as const, [testKey, test] as const]) {
      const again = await made(key, {}, headers);
      expect([again.headers.get("Idempotent-Replayed"), idOf(again)]).toEqual(["true", idOf(first)]);
      expect(await listed(key, "?idempotency_key=order-1")).toEqual([idOf(first)]);
    }
    const other = await newTestKey(user.id);
    expect(idOf(await made(other, {}, headers)), "shared by the keys of a mode").toBe(idOf(test));
    const scripted = await made(testKey, {}, { ...headers, [SCENARIO]: "fail" });
    expect(refusal(scripted)).toMatchObject({ status: 422, code: "idempotencyMismatch" });
    expect(await creditsOf(user)).toBe(92);
  });

  it("have references of their own", async () => {
    const headers = { "Content-Type": "image/png" };
    const upload = async (key: string) =>
      await call("POST", "/api/v1/references", { key, body: png(8, 8), headers });
    const [live, test] = [await upload(liveKey), await upload(testKey)];
    expect([live.body, test.body]).toMatchObject([{ livemode: true }, { livemode: false }]);
    for (const [key, own, foreign] of [[liveKey, live, test] as const, [testKey, test, live] as const]) {
      const refused = await made(key, { reference_images: [idOf(foreign)] });
      expect(refusal(refused)).toEqual(invalid("reference_images[0]", /names no uploaded reference/));
      expect((await made(key, { reference_images: [idOf(own)] })).status).toBe(200);
    }
  });

  it("upload references ahead without credits with a test key only", async () => {
    const poor = await newUser();
    const options = { body: png(8, 8), headers: { "Content-Type": "image/png" } };
    expect((await call("POST", "/api/v1/references", { key: poor.key, ...options })).status).toBe(402);
    const key = await newTestKey(poor.id);
    expect((await call("POST", "/api/v1/references", { key, ...options })).status).toBe(201);
  });

  it("have limits of their own, which hold", async () => {
    for (const limit of ["RATE_LIMIT_PER_MINUTE", "MAX_CONCURRENT_GENERATIONS"]) {
      holdQueue();
      const limited = await limitedUser(100, { [limit]: "2" });
      const key = await newTestKey(limited.id);
      for (const each of [limited.key, key]) {
        const answers = [];
        for (let at = 0; at < 3; at++) answers.push((await made(each, { async: true })).status);
        expect(answers).toEqual([202, 202, 429]);
      }
    }
  });

  it("have webhooks and secrets of their own", async () => {
    const receiver = inject("webhookReceiver");
    const settings = { ALLOW_INSECURE_URLS: "true" };
    const secretOf = async (key: string) =>
      z.object({ secret: z.string() }).parse((await get("/api/v1/webhooks/secret", key)).body).secret;
    const secrets = { live: await secretOf(liveKey), test: await secretOf(testKey) };
    expect(secrets.live).not.toBe(secrets.test);
    const path = `/test-keys/${user.id}`;
    const answer = await generate({ webhook_url: receiver + path }, "fail", { settings });
    expect(answer.status).toBe(500);
    const received = await eventually(async () => {
      const [first] = await (await fetch(`${receiver}/_calls?path=${path}`)).json<ReceivedCall[]>();
      return first;
    });
    const { body, headers } = received;
    expect(JSON.parse(body)).toMatchObject({ type: "generation.failed", data: { livemode: false } });
    expect(() => new Webhook(secrets.test).verify(body, headers)).not.toThrow();
    expect(() => new Webhook(secrets.live).verify(body, headers)).toThrow();
    const rotated = await call("POST", "/api/v1/webhooks/secret/rotate", { key: testKey });
    expect(rotated.status).toBe(200);
    expect(await secretOf(liveKey)).toBe(secrets.live);
    const { id } = z.looseObject({ data: Made }).parse(JSON.parse(body)).data;
    for (const method of ["GET", "POST"]) {
      const deliveries = `/api/v1/generations/${id}/deliveries`;
      expect((await call(method, deliveries, { key: liveKey })).status).toBe(404);
      expect((await call(method, deliveries, { key: testKey })).status).toBe(method === "GET" ? 200 : 202);
    }
  });

  it("are reconciled each on its own", async () => {
    const test = idOf(await made(testKey));
    await made(liveKey);
    const differences = async (method: "GET" | "POST") => {
      const { body } = await operate(method, "/reconcile");
      return z
        .object({ differences: z.array(z.looseObject({ kind: z.string(), user_id: z.string() })) })
        .parse(body)
        .differences.filter(({ user_id }) => user_id === user.id);
    };
    expect(await differences("GET")).toEqual([]);
    // As an older release, to which the service was rolled back, would have logged it.
    await env.LOG.prepare("INSERT INTO generations SELECT * FROM test_generations WHERE id = ?")
      .bind(test)
      .run();
    await env.LOG.prepare("DELETE FROM test_generations WHERE id = ?").bind(test).run();
    expect(await differences("POST")).toMatchObject([
      { kind: "generation_unknown", generation_id: test },
      { kind: "generation_missing", generation_id: test },
    ]);
    await runDurableObjectAlarm(env.ACCOUNT.getByName(user.id));
    expect(await differences("GET")).toEqual([]);
    const row = await env.LOG.prepare("SELECT credits_charged FROM test_generations WHERE id = ?").bind(test);
    expect(await row.first()).toEqual({ credits_charged: 0 });
  });
});
