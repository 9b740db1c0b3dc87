import { env } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { checkLimits, type LimitSettings } from "../../src/account/limits.ts";
import { newId } from "../../src/id.ts";
import { aCommand, aRequest } from "../support/account.ts";
import { call, creditsOf, limitedUser, newUser, type TestUser } from "../support/http.ts";
import { provide } from "../support/tiny-provider.ts";

const request = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };
const NOW = 1_800_000_000_000;

describe("checkLimits", () => {
  const ages = (...seconds: number[]) => seconds.map((second) => NOW - second * 1000);
  it.each<[string, LimitSettings, number[], number, object]>([
    ["nothing, while all is off", { perMinute: 0, concurrent: 0 }, [], 9, { kind: "within" }],
    ["one below the rate", { perMinute: 3, concurrent: 0 }, ages(1, 40), 0, { kind: "within" }],
    [
      "what has reached the rate, until the oldest leaves the window",
      { perMinute: 3, concurrent: 0 },
      ages(1, 2, 40.5),
      0,
      { kind: "limited", by: "rate", retryAfterSeconds: 20 },
    ],
    ["one below the concurrency", { perMinute: 0, concurrent: 2 }, [], 1, { kind: "within" }],
    [
      "what has reached the concurrency",
      { perMinute: 0, concurrent: 2 },
      [],
      2,
      { kind: "limited", by: "concurrency" },
    ],
    [
      "the rate before the concurrency",
      { perMinute: 1, concurrent: 1 },
      ages(30),
      1,
      { kind: "limited", by: "rate", retryAfterSeconds: 30 },
    ],
  ])("judges %s", (_, settings, accepted, unfinished, verdict) => {
    expect(checkLimits(settings, { accepted, unfinished }, NOW)).toMatchObject(verdict);
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function post(user: TestUser, json: object = request) {
  return call("POST", "/api/v1/images/generations", { key: user.key, json });
}

const refused = { status: 429, body: { error: { code: "rateLimited" } } };

describe("RATE_LIMIT_PER_MINUTE", () => {
  it("accepts exactly the limit within a minute, reports what is left, and charges nothing beyond it", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: NOW });
    provide();
    const user = await limitedUser(100, { RATE_LIMIT_PER_MINUTE: "2" });
    const first = await post(user);
    expect(first.headers.get("RateLimit-Policy")).toBe('"default";q=2;w=60');
    expect(first.headers.get("RateLimit")).toBe('"default";r=1;t=60');
    vi.setSystemTime(NOW + 20_000);
    expect((await post(user)).headers.get("RateLimit")).toBe('"default";r=0;t=40');
    vi.setSystemTime(NOW + 59_999);
    const third = await post(user);
    expect(third).toMatchObject(refused);
    expect(third.headers.get("Retry-After")).toBe("1");
    expect(third.headers.get("RateLimit")).toBe('"default";r=0;t=1');
    expect(await creditsOf(user)).toBe(84);
    vi.setSystemTime(NOW + 60_000);
    expect((await post(user)).status).toBe(200);
  });

  it("counts accepted requests of many parallel ones, and neither 400 nor 402", async () => {
    provide();
    const user = await limitedUser(48, { RATE_LIMIT_PER_MINUTE: "5" });
    expect((await post(user, { ...request, size: "1x1" })).status).toBe(400);
    const poor = await post(user, { ...request, n: 4, quality: "4K", size: "auto", aspect_ratio: "1:1" });
    expect(poor.status).toBe(200);
    const short = await post(user);
    expect(short.status).toBe(402);
    expect(short.headers.get("RateLimit")).toMatch(/^"default";r=4;t=\d+$/);
    const rich = await limitedUser(1000, { RATE_LIMIT_PER_MINUTE: "5" });
    const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await post(rich)).status));
    expect(statuses.filter((status) => status === 200)).toHaveLength(5);
    expect(statuses.filter((status) => status === 429)).toHaveLength(15);
    expect(await creditsOf(rich)).toBe(960);
  });

  it("is checked before a form is uploaded", async () => {
    provide();
    const user = await limitedUser(100, { RATE_LIMIT_PER_MINUTE: "1" });
    expect((await post(user)).status).toBe(200);
    const answer = await call("POST", "/api/v1/images/generations", {
      key: user.key,
      headers: { "Content-Type": "multipart/form-data; boundary=x" },
      body: "not even a form",
    });
    expect(answer).toMatchObject(refused);
  });

  it("neither counts nor refuses a repeated request", async () => {
    provide();
    const user = await limitedUser(100, { RATE_LIMIT_PER_MINUTE: "1" });
    const again = () =>
      call("POST", "/api/v1/images/generations", {
        key: user.key,
        headers: { "Idempotency-Key": "k" },
        json: request,
      });
    expect([(await again()).status, (await again()).status, (await again()).status]).toEqual([200, 200, 200]);
  });
});

describe("MAX_CONCURRENT_GENERATIONS", () => {
  it("allows exactly the limit of unfinished generations, and another one when one has ended", async () => {
    const user = await limitedUser(100, { MAX_CONCURRENT_GENERATIONS: "2" });
    const gate = Promise.withResolvers<void>();
    const provider = provide();
    const real = provider.getMockImplementation();
    provider.mockImplementation(async function* (...args) {
      await gate.promise;
      if (real) yield* real(...args);
    });
    const running = [post(user), post(user)];
    await vi.waitUntil(() => provider.mock.calls.length === 2);
    const third = await post(user);
    expect(third).toMatchObject(refused);
    expect(third.headers.get("Retry-After")).toBe("5");
    expect(third.headers.get("RateLimit-Policy")).toBe('"concurrency";q=2;qu="concurrent-requests"');
    expect(third.headers.get("RateLimit")).toBe('"concurrency";r=0');
    gate.resolve();
    for (const answer of await Promise.all(running)) expect(answer.status).toBe(200);
    expect((await post(user)).status).toBe(200);
    expect(await creditsOf(user)).toBe(76);
  });
});

describe("running uploads", () => {
  it.each([
    ["concurrency", { MAX_CONCURRENT_GENERATIONS: "2" }],
    ["rate", { RATE_LIMIT_PER_MINUTE: "2" }],
  ])("count toward the %s like accepted generations", async (by, limits) => {
    const user = await limitedUser(100, limits);
    const account = env.ACCOUNT.getByName(user.id);
    const admit = (id: string) => account.admit(8, null, 0, { id, bytes: null, call: null });
    expect(await admit("upload_1")).toEqual({ kind: "admitted" });
    expect(await account.submit(aCommand(newId("gen"), "async", aRequest(), 8))).toMatchObject({
      kind: "accepted",
    });
    expect(await admit("upload_2")).toMatchObject({ kind: "limited", by });
    await account.uploadEnded("upload_1");
    expect(await admit("upload_2")).toEqual({ kind: "admitted" });
  });
});

describe("a body that stays open", () => {
  it("counts when it is accepted, not when it begins", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: NOW });
    provide();
    const user = await limitedUser(200, { RATE_LIMIT_PER_MINUTE: "3" });
    const held = Array.from({ length: 3 }, () => heldOpen(user));
    await vi.waitUntil(() => held.every(({ isRead }) => isRead()));
    vi.setSystemTime(NOW + 60_000);
    for (let at = 0; at < 3; at++) expect((await post(user)).status).toBe(200);
    vi.setSystemTime(NOW + 61_000);
    expect(await Promise.all(held.map(async ({ end }) => (await end()).status))).toEqual([429, 429, 429]);
    expect(await creditsOf(user)).toBe(200 - 24);
  });

  it("counts by acceptance within the last minute, not by id", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: NOW });
    const user = await limitedUser(200, { RATE_LIMIT_PER_MINUTE: "3" });
    const account = env.ACCOUNT.getByName(user.id);
    const submit = (id: string) => account.submit(aCommand(id, "async", aRequest(), 8));
    const old = Array.from({ length: 6 }, () => newId("gen"));
    vi.setSystemTime(NOW + 1_000);
    for (let at = 0; at < 3; at++) expect(await submit(newId("gen"))).toMatchObject({ kind: "accepted" });
    vi.setSystemTime(NOW + 61_000);
    const kinds = [];
    for (const id of old) kinds.push((await submit(id)).kind);
    expect(kinds).toEqual(["accepted", "accepted", "accepted", "limited", "limited", "limited"]);
  });
});

/** A form whose body has begun, and ends on demand. */
function heldOpen(user: TestUser) {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const part = (name: string, value: string) =>
    `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const write = (text: string) => writer.write(new TextEncoder().encode(text));
  let read = false;
  const first = write(part("model", request.model)).then(() => {
    read = true;
  });
  const headers = { "Content-Type": "multipart/form-data; boundary=b" };
  const answer = call("POST", "/api/v1/images/generations", { key: user.key, body: readable, headers });
  const end = async () => {
    await first;
    await write(`${part("prompt", request.prompt)}--b--\r\n`);
    await writer.close();
    return answer;
  };
  return { end, isRead: () => read };
}

describe("limits that are off", () => {
  it("are not told", async () => {
    provide();
    const { headers } = await post(await newUser(8));
    const told = z.null();
    expect(told.parse(headers.get("RateLimit"))).toBeNull();
    expect(told.parse(headers.get("RateLimit-Policy"))).toBeNull();
  });
});
