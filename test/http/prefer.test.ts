import { createMessageBatch } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Account } from "../../src/account/account.ts";
import { consume } from "../../src/generations/consume.ts";
import { parsePrefer } from "../../src/http/prefer.ts";
import { call, newUser, type Settings, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";
import { Generated, Pending, refusal, Succeeded } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

describe("the Prefer header", () => {
  it.each<[string, Record<string, string>]>([
    ["wait=10", { wait: "10" }],
    ["respond-async, wait=10", { "respond-async": "", wait: "10" }],
    ["RESPOND-ASYNC,Wait = 10", { "respond-async": "", wait: "10" }],
    ['wait="10"', { wait: "10" }],
    ['wait="1\\0"', { wait: "10" }],
    ['wait=""', { wait: "" }],
    ["wait=", { wait: "" }],
    ["wait=10; unit=s, respond-async;;", { wait: "10", "respond-async": "" }],
    ['other="a, wait=1; b", wait=2', { other: "a, wait=1; b", wait: "2" }],
    ['other="a\\", wait=1", wait=2', { other: 'a", wait=1', wait: "2" }],
    ["wait=1, wait=2", { wait: "1" }],
    [" , ,wait=3,", { wait: "3" }],
    ["a b, wait=3", { wait: "3" }],
    ["wait=1 2", {}],
    ["wait=1=2", {}],
    ['wait="3', {}],
    ["=3", {}],
    ["", {}],
  ])("%s", (header, preferences) => {
    expect(Object.fromEntries(parsePrefer(header))).toEqual(preferences);
  });

  it("is read in linear time", () => {
    for (const part of ["a;  ", "a=  ", '"\\', 'a="b', ",  ", "= ;"]) {
      const started = performance.now();
      parsePrefer(part.repeat(20_000));
      expect(performance.now() - started, part).toBeLessThan(2_000);
    }
  });
});

let user: TestUser;

beforeEach(async () => {
  spyOnLog();
  user = await newUser(100);
});

afterEach(() => {
  vi.restoreAllMocks();
});

const generate = (prefer: string, json: Record<string, unknown> = {}, settings?: Settings) =>
  call("POST", "/api/v1/images/generations", {
    key: user.key,
    json: { model: "gpt-image-2", prompt: "a hill", ...json },
    headers: { Prefer: prefer },
    ...(settings ? { settings } : {}),
  });
const read = (id: string, prefer: string) =>
  call("GET", `/api/v1/generations/${id}`, { key: user.key, headers: { Prefer: prefer } });
const applied = ({ headers }: { headers: Headers }) => headers.get("Preference-Applied");

async function deliver(generationId: string): Promise<void> {
  const body = { userId: user.id, generationId };
  await consume(
    createMessageBatch("generations", [{ id: "1", timestamp: new Date(), attempts: 1, body }]),
    env,
  );
}

describe("Prefer: wait=N on POST", () => {
  it("answers 200 with the images and the balance when they are made in time", async () => {
    provide();
    const answer = await generate("wait=20");
    expect(answer.status).toBe(200);
    expect(Generated.parse(answer.body)).toMatchObject({ balance: { credits: 92 } });
    expect(applied(answer)).toBe("wait=20");
  });

  it("answers 202, as an async call, when they are not", async () => {
    holdQueue();
    const started = Date.now();
    const answer = await generate("wait=1");
    expect(Date.now() - started).toBeGreaterThanOrEqual(990);
    expect(answer.status).toBe(202);
    const { id, poll_url } = Pending.parse(answer.body);
    expect(answer.headers.get("Location")).toBe(poll_url);
    expect(applied(answer)).toBe("wait=1");
    provide();
    await deliver(id);
    Succeeded.parse((await read(id, "")).body);
  });

  it("answers a failure as a call that waits", async () => {
    provide(0, { reason: "refused" });
    const answer = await generate("wait=20");
    expect(refusal(answer)).toMatchObject({ status: 400, code: "contentPolicyViolation" });
    expect(applied(answer)).toBe("wait=20");
  });

  it("together with respond-async, answers a failure as the state of the generation", async () => {
    provide(0, { reason: "refused" });
    const answer = await generate("respond-async, wait=20");
    expect(answer).toMatchObject({ status: 200, body: { status: "failed" } });
    expect(applied(answer)).toBe("respond-async, wait=20");
  });

  it("waits with the generation of a repeated idempotency key", async () => {
    holdQueue();
    provide();
    const options = { key: user.key, json: { model: "gpt-image-2", prompt: "a hill" } };
    const ask = (Prefer: string) =>
      call("POST", "/api/v1/images/generations", {
        ...options,
        headers: { Prefer, "Idempotency-Key": "a-key" },
      });
    const { id } = Pending.parse((await ask("respond-async")).body);
    const waiting = ask("wait=20");
    await deliver(id);
    const answer = await waiting;
    expect(answer).toMatchObject({ status: 200, body: { id, status: "succeeded" } });
    expect([applied(answer), answer.headers.get("Idempotent-Replayed")]).toEqual(["wait=20", "true"]);
  });

  it.each([
    ["wait=800", "wait=800"],
    ['Wait="800"', "wait=800"],
    ["wait=801", null],
    ["wait=0", null],
    ["wait=-1", null],
    ["wait=1.5", null],
    ["wait=99999999999999999999", null],
    ["wait", null],
    ["wait=soon", null],
    ["wait=soon, wait=5", null],
    ["return=minimal", null],
  ])("%s: applied is %s", async (prefer, expected) => {
    provide();
    const answer = await generate(prefer);
    expect([answer.status, applied(answer)]).toEqual([200, expected]);
  });

  it("waits no longer than the service does", async () => {
    provide();
    const settings = { SYNC_WAIT_SECONDS: "10" };
    expect(applied(await generate("wait=10", {}, settings))).toBe("wait=10");
    expect(applied(await generate("wait=11", {}, settings))).toBeNull();
  });

  it("applies nothing to a request that is refused", async () => {
    const answer = await generate("wait=5", { n: 9 });
    expect([answer.status, applied(answer)]).toEqual([400, null]);
  });
});

describe("Prefer: respond-async on POST", () => {
  it.each([
    ["respond-async", "respond-async"],
    ["Respond-Async", "respond-async"],
    ["respond-async; a=b", "respond-async"],
  ])("%s is async: true", async (prefer, expected) => {
    holdQueue();
    const answer = await generate(prefer);
    expect([answer.status, applied(answer)]).toEqual([202, expected]);
    expect(Pending.parse(answer.body).status).toBe("queued");
  });

  it("has no value", async () => {
    provide();
    const answer = await generate("respond-async=no");
    expect([answer.status, applied(answer)]).toEqual([200, null]);
  });
});

describe("Prefer: wait=N on GET", () => {
  async function queued() {
    holdQueue();
    return Pending.parse((await generate("respond-async")).body).id;
  }

  it("answers as soon as it ends", async () => {
    const id = await queued();
    provide();
    const started = Date.now();
    const waiting = read(id, "wait=60");
    await deliver(id);
    const answer = await waiting;
    expect(Date.now() - started).toBeLessThan(20_000);
    Succeeded.parse(answer.body);
    expect([applied(answer), answer.headers.get("Retry-After")]).toEqual(["wait=60", null]);
  });

  it("answers as it stands after N seconds", async () => {
    const id = await queued();
    const started = Date.now();
    const answer = await read(id, "wait=1");
    expect(Date.now() - started).toBeGreaterThanOrEqual(990);
    Pending.parse(answer.body);
    expect(applied(answer)).toBe("wait=1");
    expect(answer.headers.get("Retry-After")).not.toBeNull();
  });

  it("waits in the account for at most 10 s at a time, so that a client that leaves costs no more", async () => {
    const id = await queued();
    provide();
    const wait = vi.spyOn(Account.prototype, "wait");
    const waiting = read(id, "wait=60");
    await vi.waitUntil(() => wait.mock.calls.length > 0);
    await deliver(id);
    await waiting;
    expect(wait.mock.calls).toEqual([[id, 10_000]]);
  });

  it.each(["wait=61", "wait=0", "wait=soon", "respond-async"])("%s is ignored", async (prefer) => {
    const id = await queued();
    const wait = vi.spyOn(Account.prototype, "wait");
    const answer = await read(id, prefer);
    expect([answer.status, applied(answer)]).toEqual([200, null]);
    expect(wait).not.toHaveBeenCalled();
  });

  it("answers at once when it has ended", async () => {
    provide();
    const { id } = Generated.parse((await generate("")).body);
    const wait = vi.spyOn(Account.prototype, "wait");
    expect(applied(await read(id, "wait=60"))).toBe("wait=60");
    expect(wait).not.toHaveBeenCalled();
  });
});
