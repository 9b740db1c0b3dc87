import { abortAllDurableObjects, env, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import { KEEP_MS } from "../../src/account/lifecycle.ts";
import { newId } from "../../src/id.ts";
import * as metrics from "../../src/metrics.ts";
import { sleep } from "../../src/time.ts";
import { aCommand, aRequest } from "../support/account.ts";
import type { ReceivedCall } from "../support/webhook-receiver.ts";
import {
  alarmOf,
  DAY,
  FAILED,
  HOUR,
  holdTimeAndQueue,
  loggedGenerations,
  MINUTE,
  newRun,
  newUserWith,
  nextAlarm,
  pass,
  passWithAlarms,
  RUN_DEADLINE_MS,
  SECOND,
  type Stub,
} from "./harness.ts";

const RECEIVER = inject("webhookReceiver");
const UNTRUSTED = inject("untrustedReceiver");
const realTimeout = AbortSignal.timeout.bind(AbortSignal);

holdTimeAndQueue();

beforeEach(() => {
  vi.spyOn(AbortSignal, "timeout");
});

afterEach(() => vi.restoreAllMocks());

/** Shortens the time limit of an attempt, so that a receiver that never answers costs a test less than 15 s. */
function limitAttempts(milliseconds: number): void {
  vi.mocked(AbortSignal.timeout).mockImplementation(() => realTimeout(milliseconds));
}

/** An address at the receiver that no other test uses. */
function receiver(query = ""): { url: string; calls: () => Promise<ReceivedCall[]> } {
  const path = `/${crypto.randomUUID()}`;
  const calls = async () => (await fetch(`${RECEIVER}/_calls?path=${path}`)).json<ReceivedCall[]>();
  return { url: `${RECEIVER}${path}?${query}`, calls };
}

/** Repeats the check until it passes. Unlike `vi.waitFor`, it does not move the clock. */
async function until<T>(check: () => Promise<T>, triesLeft = 800): Promise<T> {
  try {
    return await check();
  } catch (error) {
    if (triesLeft === 0) throw error;
    await sleep(25);
    return await until(check, triesLeft - 1);
  }
}

/** The attempts, once there are that many. */
async function attempts(account: Stub, id: string, count: number) {
  return await until(async () => {
    const deliveries = (await account.deliveries(id)) ?? [];
    expect(deliveries).toHaveLength(count);
    return deliveries;
  });
}

/** Ends a new generation with that webhook. */
async function ended(webhookUrl: string, result: typeof FAILED | "all" = "all") {
  const run = await newRun({ webhookUrl });
  await run.account.finish(run.id, 1, result === "all" ? run.all : result);
  return run;
}

const dueOf = (account: Stub) =>
  runInDurableObject(account, (_, { storage }) =>
    storage.sql.exec<{ due_at: number; ended: number }>("SELECT due_at, ended FROM webhooks").toArray(),
  );

describe("the webhook of a generation", () => {
  it("is sent at its end, signed, with the generation as the API shows it", async () => {
    const { url, calls } = receiver();
    const { account, id, all } = await ended(url);
    const [attempt] = await attempts(account, id, 1);
    const [call] = await calls();
    const { secret } = await account.webhookSecrets(true);
    const headers = call?.headers ?? {};
    expect(new Webhook(secret).verify(call?.body ?? "", headers)).toMatchObject({
      type: "generation.succeeded",
      timestamp: new Date().toISOString(),
      data: {
        object: "image_generation",
        id,
        status: "succeeded",
        images: all.images.map((image) => ({ url: `https://hub.example/images/${image.key}` })),
        usage: { credits: 16 },
      },
    });
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "webhook-id": id.replace("gen_", "msg_"),
    });
    expect(attempt).toEqual({
      ...{ attempt: 1, webhookId: id.replace("gen_", "msg_"), type: "generation.succeeded" },
      ...{ sentAt: Date.now(), status: 204, error: null, nextAttemptAt: null },
    });
  });

  it("reports a failure", async () => {
    const { url, calls } = receiver();
    const { account, id } = await ended(url, FAILED);
    await attempts(account, id, 1);
    const [call] = await calls();
    expect(JSON.parse(call?.body ?? "")).toMatchObject({
      type: "generation.failed",
      data: {
        status: "failed",
        images: [],
        error: { code: "generationFailed" },
        usage: { credits_refunded: 16 },
      },
    });
  });

  it("is sent once for a generation that is canceled", async () => {
    const { url, calls } = receiver();
    const { account } = await newUserWith(100);
    const id = newId("gen");
    await account.submit(aCommand(id, "async", aRequest({ n: 2, webhookUrl: url }), 16));
    for (let count = 0; count < 2; count++)
      expect(await account.cancel(id)).toMatchObject({ kind: "canceled" });
    const [attempt] = await attempts(account, id, 1);
    expect(attempt).toMatchObject({ type: "generation.canceled", status: 204, error: null });
    const [call, ...others] = await calls();
    expect(others).toEqual([]);
    expect(JSON.parse(call?.body ?? "")).toMatchObject({
      type: "generation.canceled",
      data: { id, status: "canceled", images: [], usage: { credits: 0, credits_refunded: 16 } },
    });
  });

  it("is sent for a generation that fails at its deadline", async () => {
    const { url, calls } = receiver();
    const { account, id } = await newRun({ webhookUrl: url });
    await passWithAlarms(account, RUN_DEADLINE_MS);
    const [attempt] = await attempts(account, id, 1);
    expect(attempt).toMatchObject({ type: "generation.failed", status: 204, error: null });
    expect(await calls()).toHaveLength(1);
  });

  it("is retried over 28 hours with the same id and body, then ends", async () => {
    const { url, calls } = receiver("status=500");
    const { account, id } = await ended(url);
    const start = Date.now();
    const sentAt: number[] = [];
    for (let count = 1; count <= 8; count++) {
      const [latest] = await attempts(account, id, count);
      expect(latest).toMatchObject({ attempt: count, status: 500, error: null });
      sentAt.push(((latest?.sentAt ?? 0) - start) / SECOND);
      if (latest?.nextAttemptAt === null) break;
      await passWithAlarms(account, (latest?.nextAttemptAt ?? 0) - Date.now());
    }
    expect(sentAt).toEqual([0, 5, 305, 2_105, 9_305, 27_305, 63_305, 99_305]);
    const received = await calls();
    expect(new Set(received.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    expect(new Set(received.map(({ body }) => body)).size).toBe(1);
    expect(new Set(received.map(({ headers }) => headers["webhook-timestamp"])).size).toBe(8);
    const { secret } = await account.webhookSecrets(true);
    // The last one is verified at its own time.
    expect(() =>
      new Webhook(secret).verify(received.at(-1)?.body ?? "", received.at(-1)?.headers ?? {}),
    ).not.toThrow();
    await passWithAlarms(account, 10 * HOUR);
    expect(await calls()).toHaveLength(8);
  });

  it("is kept a day after its end, and then deleted", async () => {
    const { url } = receiver();
    const { account, id } = await ended(url);
    await attempts(account, id, 1);
    await passWithAlarms(account, KEEP_MS - 1);
    expect(await account.deliveries(id)).toHaveLength(1);
    await passWithAlarms(account, HOUR + MINUTE);
    expect(await account.deliveries(id)).toBeNull();
    expect(await account.generation(id)).toBeNull();
    expect(await alarmOf(account)).toBeNull();
  });

  it("outlives its generation, which the account keeps for a day", async () => {
    const { url, calls } = receiver("status=503&retry_after=31536000");
    const { account, id } = await ended(url);
    await attempts(account, id, 1);
    await passWithAlarms(account, DAY - 1);
    expect(await calls()).toHaveLength(1);
    await passWithAlarms(account, 2);
    await attempts(account, id, 2);
    await passWithAlarms(account, DAY + SECOND);
    await attempts(account, id, 3);
    expect(await account.generation(id)).toBeNull();
    const [first, , third] = await calls();
    expect(third?.body).toBe(first?.body);
  });

  it("is sent after a crash between the commit and the attempt", async () => {
    const { url, calls } = receiver();
    const run = await newRun({ webhookUrl: url });
    // The object dies before the attempt begins: the microtask never runs.
    vi.spyOn(globalThis, "queueMicrotask").mockImplementation(() => {});
    await run.account.finish(run.id, 1, run.all);
    vi.mocked(globalThis.queueMicrotask).mockRestore();
    await evictDurableObject(run.account);
    expect(await calls()).toHaveLength(0);
    expect(await alarmOf(run.account)).toBeLessThanOrEqual(Date.now() + 30 * SECOND);
    await passWithAlarms(run.account, 30 * SECOND);
    await attempts(run.account, run.id, 1);
    expect(await calls()).toHaveLength(1);
  });

  it("is sent again after a crash during the attempt", async () => {
    const { url, calls } = receiver("hang");
    vi.mocked(AbortSignal.timeout).mockImplementation(() => new AbortController().signal);
    const { userId, id } = await ended(url);
    await until(async () => expect(await calls()).toHaveLength(1));
    await abortAllDurableObjects();
    const account = env.ACCOUNT.getByName(userId);
    expect(await account.deliveries(id)).toEqual([]);
    limitAttempts(150);
    await passWithAlarms(account, 30 * SECOND);
    const [attempt] = await attempts(account, id, 1);
    expect(attempt).toMatchObject({ error: "timeout" });
  });
});

describe("a hostile receiver", () => {
  it.each<[what: string, query: string, expected: object, delay: number | null]>([
    ["that never answers", "hang", { status: null, error: "timeout" }, 5 * SECOND],
    ["with an endless body", "endless&status=200", { status: 200, error: null }, null],
    ["with an endless body of a failure", "endless&status=500", { status: 500, error: null }, 5 * SECOND],
    ["that is gone", "status=410&retry_after=60", { status: 410, error: null }, null],
    ["that asks for a year", "status=429&retry_after=31536000", { status: 429, error: null }, DAY],
  ])("%s is answered for", async (_, query, expected, delay) => {
    if (query === "hang") limitAttempts(1_500);
    const { url, calls } = receiver(query);
    const { account, id } = await ended(url);
    const [attempt] = await attempts(account, id, 1);
    expect(attempt).toMatchObject({ ...expected, nextAttemptAt: delay === null ? null : Date.now() + delay });
    expect(vi.mocked(AbortSignal.timeout)).toHaveBeenCalledWith(15_000);
    await until(async () => {
      const [call] = await calls();
      expect(call?.hungUp).toBe(query !== "status=410&retry_after=60" && !query.startsWith("status=429"));
      // What fits into the buffers of the connection.
      expect(call?.sentBytes).toBeLessThan(16 * 1024 * 1024);
    });
  });

  it.each([301, 302, 303, 307, 308])("that redirects with a %i leads nowhere", async (status) => {
    const inner = receiver();
    const outer = receiver(`status=${status}&location=${encodeURIComponent(inner.url)}`);
    const { account, id } = await ended(outer.url);
    const [attempt] = await attempts(account, id, 1);
    expect(attempt).toMatchObject({ status, error: null, nextAttemptAt: Date.now() + 5 * SECOND });
    expect([(await outer.calls()).length, (await inner.calls()).length]).toEqual([1, 0]);
  });

  it.each(["http://127.0.0.1:1/", "https://127.0.0.1:1/"])("that refuses connections: %s", async (url) => {
    const { account, id } = await ended(url);
    const [attempt] = await attempts(account, id, 1);
    expect(attempt).toMatchObject({ status: null, error: "connection_failed" });
  });

  it("with a certificate that is not trusted is sent nothing", async () => {
    const handshakes = async () => (await fetch(`${RECEIVER}/_handshakes`)).json<number>();
    const before = await handshakes();
    const { url, calls } = receiver();
    const { account, id } = await ended(url.replace(RECEIVER, UNTRUSTED));
    const [attempt] = await attempts(account, id, 1);
    expect(attempt).toMatchObject({
      ...{ status: null, error: "connection_failed", nextAttemptAt: Date.now() + 5 * SECOND },
    });
    await until(async () => expect(await handshakes()).toBeGreaterThan(before));
    expect(await calls()).toEqual([]);
  });

  it("delays neither the result, nor the log, nor a lease", async () => {
    limitAttempts(4_000);
    const { url, calls } = receiver("hang");
    const run = await newRun({ webhookUrl: url });
    await run.account.finish(run.id, 1, run.all);
    expect(await loggedGenerations(run.userId)).toHaveLength(1);
    await until(async () => expect(await calls()).toHaveLength(1));
    await nextAlarm(run.account);
    expect(await run.account.balance()).toMatchObject({ credits: 84 });
    expect(await run.account.deliveries(run.id)).toEqual([]);
    await attempts(run.account, run.id, 1);
  });
});

describe("the data point of a webhook", () => {
  const points = () => metrics.recentPoints(200).filter(({ kind }) => kind === "webhook");

  it.each([
    ["status=204", { outcome: "delivered", status: "204" }],
    ["status=410", { outcome: "gone", status: "410" }],
  ])("is written when it ends: %s", async (query, labels) => {
    const before = points().length;
    const { account, id } = await ended(receiver(query).url);
    await attempts(account, id, 1);
    expect(points().length).toBe(before + 1);
    expect(points()[0]).toMatchObject({
      labels: { ...labels, type: "generation.succeeded", error: "", livemode: "true" },
      values: { attempts: 1, ms: 0 },
    });
  });

  it("is written once for all attempts, the last of which failed", async () => {
    vi.spyOn(globalThis, "fetch").mockRejectedValue(new Error("refused"));
    const before = points().length;
    const { account, id } = await ended("https://receiver.example/", FAILED);
    for (let count = 1; count <= 8; count++) {
      const [latest] = await attempts(account, id, count);
      expect(points().length).toBe(before + (count === 8 ? 1 : 0));
      pass((latest?.nextAttemptAt ?? Date.now()) - Date.now());
      await nextAlarm(account);
    }
    expect(points()[0]).toMatchObject({
      labels: { outcome: "failed", type: "generation.failed", status: "", error: "connection_failed" },
      values: { attempts: 8 },
    });
  });
});

describe("several webhooks of an account", () => {
  it("are sent four at a time, and the others as soon as one ends", async () => {
    limitAttempts(4_000);
    const first = await newRun({ webhookUrl: receiver("hang").url });
    const targets = Array.from({ length: 6 }, () => receiver("hang"));
    const { account } = first;
    await account.grant("more", 1_000, null, null);
    const ids: string[] = [];
    for (const { url } of targets) {
      const id = newId("gen");
      const request = { ...(await requestOf(account, first.id)), webhookUrl: url };
      await account.submit({ id, mode: "sync", request, credits: 16, idempotency: null });
      ids.push(id);
    }
    for (const id of ids) await account.finish(id, 1, FAILED);
    const reached = async () =>
      (await Promise.all(targets.map(async ({ calls }) => (await calls()).length))).join("");
    await until(async () => expect(await reached()).toBe("111100"));
    // The alarm neither sends more, nor runs in a loop.
    await nextAlarm(account);
    expect(await reached()).toBe("111100");
    expect(await alarmOf(account)).toBeGreaterThan(Date.now() + SECOND);
    await until(async () => expect(await reached()).toBe("111111"));
    for (const id of ids) await attempts(account, id, 1);
  });
});

async function requestOf(account: Stub, id: string) {
  return await runInDurableObject(account, (_, { storage }) => {
    const { request } = storage.sql
      .exec<{ request: string }>("SELECT request FROM generations WHERE id = ?", id)
      .one();
    return JSON.parse(request);
  });
}

describe("sending a webhook again", () => {
  it("makes one attempt more at once, with the same id and body", async () => {
    const { url, calls } = receiver();
    const { account, id } = await ended(url);
    await attempts(account, id, 1);
    pass(HOUR);
    expect(await account.resendWebhook(id)).toHaveLength(1);
    const [second] = await attempts(account, id, 2);
    expect(second).toMatchObject({ attempt: 2, sentAt: Date.now(), status: 204 });
    const [one, two] = await calls();
    expect([two?.headers["webhook-id"], two?.body]).toEqual([one?.headers["webhook-id"], one?.body]);
  });

  it("makes one attempt for two requests at the same moment", async () => {
    const { url, calls } = receiver();
    const { account, id } = await ended(url);
    await attempts(account, id, 1);
    await Promise.all([account.resendWebhook(id), account.resendWebhook(id)]);
    await attempts(account, id, 2);
    expect(await calls()).toHaveLength(2);
  });

  it("begins the schedule anew, also after the receiver was gone", async () => {
    const { url } = receiver("status=410");
    const { account, id } = await ended(url);
    await attempts(account, id, 1);
    expect(await dueOf(account)).toMatchObject([{ ended: 1 }]);
    await runInDurableObject(account, (_, { storage }) => {
      storage.sql.exec("UPDATE webhooks SET url = ?", receiver("status=500").url);
    });
    await account.resendWebhook(id);
    const [latest] = await attempts(account, id, 2);
    expect(latest).toMatchObject({ status: 500, nextAttemptAt: Date.now() + 5 * SECOND });
  });

  it("lists the latest 50 attempts", async () => {
    vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response(null, { status: 204 }));
    const { account, id } = await ended("https://receiver.example/");
    await attempts(account, id, 1);
    for (let count = 2; count <= 51; count++) {
      await account.resendWebhook(id);
      await until(async () => expect((await account.deliveries(id))?.[0]?.attempt).toBe(count));
    }
    const deliveries = (await account.deliveries(id)) ?? [];
    expect([deliveries.length, deliveries[0]?.attempt, deliveries.at(-1)?.attempt]).toEqual([50, 51, 2]);
  });

  it("does nothing without a webhook, or before the end", async () => {
    const none = await newRun();
    await none.account.finish(none.id, 1, none.all);
    const { account, id } = await newRun({ webhookUrl: receiver().url });
    expect(await none.account.resendWebhook(none.id)).toBeNull();
    expect(await account.resendWebhook(id)).toBeNull();
    expect(await dueOf(account)).toEqual([]);
  });
});

describe("the secret", () => {
  it("is created once, and each mode has its own", async () => {
    const account = env.ACCOUNT.getByName(newId("user"));
    const live = await account.webhookSecrets(true);
    expect(await account.webhookSecrets(true)).toEqual(live);
    expect((await account.webhookSecrets(false)).secret).not.toBe(live.secret);
    expect(live.previous).toBeNull();
  });

  it("signs beside the new one for 24 hours after a rotation, the new one first", async () => {
    const { url, calls } = receiver();
    const { account, id } = await ended(url);
    await attempts(account, id, 1);
    const old = (await account.webhookSecrets(true)).secret;
    const rotated = await account.rotateWebhookSecret(true);
    expect(rotated.previous).toEqual({ secret: old, expiresAt: Date.now() + DAY });
    pass(HOUR);
    expect(await account.webhookSecrets(true)).toEqual(rotated);
    await account.resendWebhook(id);
    await attempts(account, id, 2);
    const both = (await calls()).at(-1);
    for (const secret of [old, rotated.secret])
      expect(() => new Webhook(secret).verify(both?.body ?? "", both?.headers ?? {})).not.toThrow();
    const [first = ""] = both?.headers["webhook-signature"]?.split(" ") ?? [];
    const firstOnly = { ...both?.headers, "webhook-signature": first };
    expect(() => new Webhook(rotated.secret).verify(both?.body ?? "", firstOnly)).not.toThrow();

    pass(DAY - HOUR);
    expect((await account.webhookSecrets(true)).previous).toBeNull();
    await account.resendWebhook(id);
    await attempts(account, id, 3);
    const last = (await calls()).at(-1);
    expect(() => new Webhook(old).verify(last?.body ?? "", last?.headers ?? {})).toThrow(
      "No matching signature",
    );
    expect(() => new Webhook(rotated.secret).verify(last?.body ?? "", last?.headers ?? {})).not.toThrow();
  });
});
