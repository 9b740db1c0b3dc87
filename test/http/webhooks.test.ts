import { env } from "cloudflare:test";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import * as z from "zod";
import { newId } from "../../src/id.ts";
import { type CallOptions, call, creditsOf, eventually, newUser, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { provide } from "../support/tiny-provider.ts";
import type { ReceivedCall } from "../support/webhook-receiver.ts";

const RECEIVER = inject("webhookReceiver");
const INSECURE = { ALLOW_INSECURE_URLS: "true" };
const request = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };
const Made = z.looseObject({ id: z.string() });
const Secret = z.object({ secret: z.string(), previous_secret_expires_at: z.string().nullable() });
const Deliveries = z.object({ data: z.array(z.looseObject({ attempt: z.number() })) });

beforeEach(() => {
  spyOnLog();
  provide();
});

afterEach(() => vi.restoreAllMocks());

const post = ({ key }: TestUser, json: object, options: CallOptions = {}) =>
  call("POST", "/api/v1/images/generations", { key, json: { ...request, ...json }, ...options });

const callsTo = async (path: string) =>
  (await fetch(`${RECEIVER}/_calls?path=${path}`)).json<ReceivedCall[]>();

async function deliveriesOf({ key }: TestUser, id: string) {
  const { body } = await call("GET", `/api/v1/generations/${id}/deliveries`, { key });
  return Deliveries.parse(body).data;
}

describe("webhook_url", () => {
  it.each([
    "http://example.com/",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://127.0.0.1/",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest",
    "https://[::1]/",
    "https://[fe80::1]/",
    "https://2130706433/",
    "https://localhost/",
    "ftp://example.com/",
    "example.com",
    "",
    `https://example.com/${"x".repeat(2_029)}`,
  ])("%s is refused before any charge", async (webhook_url) => {
    const user = await newUser(100);
    const answer = await post(user, { webhook_url });
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: { code: "invalid_request", param: "webhook_url" } });
    expect(await creditsOf(user)).toBe(100);
  });

  it("must be text", async () => {
    const user = await newUser(100);
    const answer = await post(user, { webhook_url: 1 });
    expect(answer.body).toMatchObject({ error: { code: "invalid_request", param: "webhook_url" } });
  });

  it("may have 2,048 characters", async () => {
    vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response(null, { status: 204 }));
    const answer = await post(await newUser(100), {
      webhook_url: `https://example.com/${"x".repeat(2_028)}`,
    });
    expect(answer.status).toBe(200);
  });

  it("is refused in a form, too", async () => {
    const user = await newUser(100);
    const form = new FormData();
    for (const [name, value] of Object.entries({ ...request, webhook_url: "https://10.0.0.1/" }))
      form.set(name, value);
    const encoded = new Response(form);
    const headers = { "Content-Type": encoded.headers.get("Content-Type") ?? "" };
    const options = { key: user.key, headers, body: await encoded.arrayBuffer() };
    const answer = await call("POST", "/api/v1/images/generations", options);
    expect(answer.body).toMatchObject({ error: { code: "invalid_request", param: "webhook_url" } });
    expect(await creditsOf(user)).toBe(100);
  });

  it("is part of the request that an idempotency key repeats", async () => {
    vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response(null, { status: 204 }));
    const user = await newUser(100);
    const options = { headers: { "Idempotency-Key": "k" } };
    const json = { webhook_url: "https://example.com/a" };
    expect((await post(user, json, options)).status).toBe(200);
    expect((await post(user, json, options)).headers.get("Idempotent-Replayed")).toBe("true");
    expect((await post(user, { webhook_url: "https://example.com/b" }, options)).status).toBe(422);
    expect((await post(user, {}, options)).status).toBe(422);
  });
});

describe("a webhook", () => {
  it("is what the API returns, in a request with a form or with JSON", async () => {
    const user = await newUser(100);
    const form = new FormData();
    const path = `/${crypto.randomUUID()}`;
    for (const [name, value] of Object.entries({ ...request, webhook_url: RECEIVER + path }))
      form.set(name, value);
    const encoded = new Response(form);
    const headers = { "Content-Type": encoded.headers.get("Content-Type") ?? "" };
    const made = [
      await post(user, { webhook_url: RECEIVER + path }, { settings: INSECURE }),
      await call("POST", "/api/v1/images/generations", {
        ...{ key: user.key, headers, body: await encoded.arrayBuffer(), settings: INSECURE },
      }),
    ];
    const received = await eventually(async () => {
      const calls = await callsTo(path);
      return calls.length === 2 && calls;
    });
    const { secret } = Secret.parse((await call("GET", "/api/v1/webhooks/secret", { key: user.key })).body);
    for (const [at, { body, headers: signed }] of received.entries()) {
      const { id } = Made.parse(made[at]?.body);
      const shown = await call("GET", `/api/v1/generations/${id}`, { key: user.key });
      expect(new Webhook(secret).verify(body, signed)).toMatchObject({ data: shown.body });
    }
  });

  it("is listed with its attempts, and sent again on request", async () => {
    const user = await newUser(100);
    const path = `/${crypto.randomUUID()}`;
    const made = await post(user, { webhook_url: RECEIVER + path }, { settings: INSECURE });
    const { id } = Made.parse(made.body);
    await eventually(async () => (await deliveriesOf(user, id)).length === 1);
    expect(await deliveriesOf(user, id)).toMatchObject([
      {
        object: "webhook_delivery",
        webhook_id: id.replace("gen_", "msg_"),
        ...{
          type: "generation.succeeded",
          attempt: 1,
          response_status: 204,
          error: null,
          next_attempt_at: null,
        },
      },
    ]);
    const again = await call("POST", `/api/v1/generations/${id}/deliveries`, { key: user.key });
    expect([again.status, Deliveries.parse(again.body).data.length]).toEqual([202, 1]);
    await eventually(async () => (await deliveriesOf(user, id)).length === 2);
    expect((await deliveriesOf(user, id)).map(({ attempt }) => attempt)).toEqual([2, 1]);
    expect(await callsTo(path)).toHaveLength(2);
  });

  it("cannot be sent without a webhook_url, or before the end", async () => {
    const user = await newUser(100);
    vi.spyOn(Object.getPrototypeOf(env.GENERATIONS), "sendBatch").mockResolvedValue({
      metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } },
    });
    const none = Made.parse((await post(user, {})).body);
    const waiting = Made.parse((await post(user, { async: true, webhook_url: "https://example.com/" })).body);
    for (const { id } of [none, waiting]) {
      const answer = await call("POST", `/api/v1/generations/${id}/deliveries`, { key: user.key });
      expect([answer.status, answer.body]).toMatchObject([409, { error: { code: "conflict" } }]);
      expect(await deliveriesOf(user, id)).toEqual([]);
    }
  });

  it.each(["x", newId("gen")])("of an unknown generation is a 404: %s", async (id) => {
    const { key } = await newUser();
    for (const method of ["GET", "POST"])
      expect((await call(method, `/api/v1/generations/${id}/deliveries`, { key })).status).toBe(404);
  });
});

it("rotates the secret of one user", async () => {
  const [user, other] = [await newUser(), await newUser()];
  const read = async ({ key }: TestUser) =>
    Secret.parse((await call("GET", "/api/v1/webhooks/secret", { key })).body);
  const before = [await read(user), await read(other)];
  const { body } = await call("POST", "/api/v1/webhooks/secret/rotate", { key: user.key });
  const rotated = Secret.parse(body);
  expect(rotated.secret).not.toBe(before[0]?.secret);
  const remaining = Date.parse(rotated.previous_secret_expires_at ?? "") - Date.now();
  expect(Math.abs(remaining - 86_400_000)).toBeLessThan(60_000);
  expect([await read(user), await read(other)]).toEqual([rotated, before[1]]);
});
