import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it, vi } from "vitest";
import { KEEP_MS, LEASE_MS } from "../../src/account/lifecycle.ts";
import { ENTRIES_A_WRITE } from "../../src/account/log.ts";
import { GenerationStore } from "../../src/account/store/generations.ts";
import { aCommand, aRequest, imagesOf, newUser } from "../support/account.ts";

import {
  alarmOf,
  database,
  dueOf,
  entriesOf,
  HOUR,
  holdTimeAndQueue,
  linesOf,
  loggedEntries,
  loggedGenerations,
  MINUTE,
  newRun,
  newUserWith,
  nextAlarm,
  pass,
  passWithAlarms,
  QUEUE_DEADLINE_MS,
  queue,
  RUN_DEADLINE_MS,
  SECOND,
  sent,
  statusOf,
} from "./harness.ts";

holdTimeAndQueue();

describe("the alarm", () => {
  it("queues a generation that has not begun again after 30 s, doubling to 10 min, until it fails", async () => {
    const { userId, account } = await newUserWith(8);
    const submittedAt = Date.now();
    await account.submit(aCommand("gen_1", "async", aRequest(), 8));
    const sentAt = [0];
    while ((await statusOf(account, "gen_1")) === "queued") {
      await nextAlarm(account);
      if (sent.length > sentAt.length) sentAt.push((Date.now() - submittedAt) / SECOND);
    }
    expect(sentAt).toEqual([0, 30, 90, 210, 450, 930, 1530, 2130, 2730, 3330]);
    expect(sent).toEqual(sentAt.map(() => ({ userId, generationId: "gen_1" })));
    expect(await account.generation("gen_1")).toMatchObject({
      status: "failed",
      error: "generationFailed",
      endedAt: submittedAt + QUEUE_DEADLINE_MS,
      creditsRefunded: 8,
    });
    expect(await account.balance()).toEqual({ credits: 8, nextExpiration: null });
    expect(await loggedGenerations(userId)).toMatchObject([{ id: "gen_1", status: "failed" }]);
  });

  it("ends a lapsed lease, raises the fence, and queues the generation", async () => {
    const { userId, account, id } = await newRun();
    await passWithAlarms(account, LEASE_MS - 1);
    expect(sent).toEqual([]);
    expect(await account.begin(id)).toEqual({ kind: "taken" });
    await passWithAlarms(account, 1);
    expect(sent).toEqual([{ userId, generationId: id }]);
    expect(await account.renew(id, 1, 0)).toBe("lost");
    expect(await account.begin(id)).toMatchObject({ kind: "run", job: { fence: 2 } });
    await passWithAlarms(account, LEASE_MS);
    expect(await account.begin(id)).toMatchObject({ kind: "run", job: { fence: 3 } });
  });

  it("fails and refunds a generation at its deadline, and not 1 ms before, even if its lease is renewed", async () => {
    const { account, id } = await newRun();
    const until = Date.now() + RUN_DEADLINE_MS - 1;
    while (Date.now() < until) {
      await passWithAlarms(account, Math.min(MINUTE, until - Date.now()));
      expect(await account.renew(id, 1, 0)).toBe("yours");
    }
    await passWithAlarms(account, 1);
    expect(await account.generation(id)).toMatchObject({
      status: "failed",
      error: "generationFailed",
      endedAt: until + 1,
      creditsRefunded: 16,
    });
    expect(await account.finish(id, 1, { images: imagesOf(id, 2), failure: null })).toMatchObject({
      kind: "settled",
      generation: { status: "failed", images: [] },
      balance: { credits: 100 },
    });
  });

  it("is never set for a time in the past", async () => {
    const { account } = await newUserWith(8);
    await account.submit(aCommand("gen_1", "async", aRequest(), 8));
    pass(QUEUE_DEADLINE_MS);
    await runDurableObjectAlarm(account);
    expect(await statusOf(account, "gen_1")).toBe("failed");
    expect(await alarmOf(account)).toBeGreaterThan(Date.now());
  });

  it("books an expiry that no call reads, and logs it", async () => {
    const { userId, account } = newUser();
    const expiresAt = Date.now() + HOUR;
    await account.grant("soon", 5, expiresAt, null);
    await account.grant("never", 3, null, null);
    await passWithAlarms(account, HOUR - 1);
    expect(await linesOf(account)).toEqual(["grant 5", "grant 3"]);
    await passWithAlarms(account, 1);
    const logged = await loggedEntries(userId);
    expect(logged.at(-1)).toEqual({
      seq: 3,
      kind: "expiry",
      credits: -5,
      balanceAfter: 3,
      generationId: null,
      grantId: "soon",
      createdAt: expiresAt,
    });
    expect(logged).toEqual(await entriesOf(account));
  });

  it("works after an eviction, for the same user", async () => {
    const { userId, account } = await newUserWith(20);
    vi.spyOn(database, "batch").mockRejectedValueOnce(new Error("D1 is down."));
    await account.grant("second", 5, null, null);
    await account.submit(aCommand("gen_1", "async", aRequest(), 8));
    sent.length = 0;
    await evictDurableObject(account);
    await nextAlarm(account);
    expect(sent).toEqual([{ userId, generationId: "gen_1" }]);
    expect(await loggedEntries(userId)).toEqual(await entriesOf(account));
    await evictDurableObject(account);
    expect(await runInDurableObject(account, (_, state) => state.id.name)).toBe(userId);
  });

  it.each([
    ["set again once it is lost: a minute late", MINUTE + 1, MINUTE + 1],
    ["left alone while it may still come", MINUTE, 0],
  ])("is %s", async (_, late, moved) => {
    const { account, id } = await newRun();
    const set = Number(await alarmOf(account));
    pass(LEASE_MS + late);
    await evictDurableObject(account);
    expect(await statusOf(account, id)).toBe("processing");
    expect(await alarmOf(account)).toBe(set + moved);
    await nextAlarm(account);
    expect(sent).toMatchObject([{ generationId: id }]);
  });

  it("keeps an ended generation for 24 hours; the log keeps it after that", async () => {
    const { userId, account, id, all } = await newRun();
    await account.finish(id, 1, all);
    await passWithAlarms(account, KEEP_MS - 1);
    await runDurableObjectAlarm(account);
    expect(await statusOf(account, id)).toBe("succeeded");
    await passWithAlarms(account, 1);
    expect(await account.generation(id)).toBeNull();
    expect(await loggedGenerations(userId)).toHaveLength(1);
    expect(await alarmOf(account)).toBeNull();
  });

  it("keeps a generation that is not logged, however old", async () => {
    const { userId, account, id, all } = await newRun();
    const batch = vi.spyOn(database, "batch").mockRejectedValue(new Error("D1 is down."));
    await account.finish(id, 1, all);
    pass(2 * KEEP_MS);
    await runDurableObjectAlarm(account);
    expect(await statusOf(account, id)).toBe("succeeded");
    batch.mockRestore();
    await passWithAlarms(account, HOUR);
    expect(await loggedGenerations(userId)).toHaveLength(1);
    expect(await account.generation(id)).toBeNull();
  });

  it("does not throw when the ledger cannot be read, and runs again", async () => {
    const { account, id } = await newRun();
    vi.spyOn(GenerationStore.prototype, "prune").mockImplementationOnce(() => {
      throw new Error("The disk is on fire.");
    });
    pass(RUN_DEADLINE_MS);
    expect(await runDurableObjectAlarm(account)).toBe(true);
    expect(await alarmOf(account)).toBe(Date.now() + 30 * SECOND);
    await nextAlarm(account);
    expect(await statusOf(account, id)).toBe("failed");
  });

  it("handles the other generations when one violates an invariant", async () => {
    const { userId, account, id } = await newRun();
    await account.submit(aCommand("gen_sound", "sync", aRequest(), 8));
    // Without its allocations it cannot be refunded.
    await runInDurableObject(account, (_, state) => {
      state.storage.sql.exec("UPDATE generations SET paid = '[]' WHERE id = ?", id);
    });
    await passWithAlarms(account, RUN_DEADLINE_MS);
    expect(await statusOf(account, id)).toBe("processing");
    expect(await statusOf(account, "gen_sound")).toBe("failed");
    expect(await account.balance()).toEqual({ credits: 84, nextExpiration: null });
    expect(await loggedEntries(userId)).toEqual(await entriesOf(account));
    // It is retried, but not in a loop.
    await nextAlarm(account);
    expect(await alarmOf(account)).toBeGreaterThanOrEqual(Date.now() + MINUTE);
  });

  it("handles rows beyond its limit in the next alarm", async () => {
    const { account } = await newUserWith(51);
    const ids = Array.from({ length: 51 }, (_, index) => `gen_${index}`);
    for (const id of ids) await account.submit(aCommand(id, "async", aRequest(), 1));
    sent.length = 0;
    await nextAlarm(account);
    expect(sent).toHaveLength(50);
    expect(await alarmOf(account)).toBe(Date.now());
    await nextAlarm(account);
    expect(sent).toHaveLength(51);
  });
});

describe("when D1 is down", () => {
  it("ends the generation anyway, and logs it later with back-off, without losing anything", async () => {
    const { userId, account, id, all } = await newRun();
    const batch = vi.spyOn(database, "batch").mockRejectedValue(new Error("D1 is down."));
    expect(await account.finish(id, 1, all)).toMatchObject({ kind: "settled" });
    expect(await loggedGenerations(userId)).toEqual([]);
    expect(await account.generation(id)).toMatchObject({ status: "succeeded", images: all.images });
    const waits: number[] = [];
    for (let last: number | null = null; waits.length < 10; await nextAlarm(account)) {
      const due = await dueOf(account, id);
      if (due !== last && due !== null) waits.push((due - Date.now()) / SECOND);
      last = due;
    }
    expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
    batch.mockRestore();
    await passWithAlarms(account, 10 * MINUTE);
    expect(await loggedGenerations(userId)).toMatchObject([{ id, status: "succeeded", images: all.images }]);
    expect(await loggedEntries(userId)).toEqual(await entriesOf(account));
  });

  it("answers after 3 s when D1 does not respond", async () => {
    const { account, id, all } = await newRun();
    vi.spyOn(database, "batch").mockReturnValue(new Promise(() => {}));
    expect(await account.finish(id, 1, all)).toMatchObject({ kind: "settled" });
    expect(await dueOf(account, id)).toBe(Date.now() + 5 * SECOND);
  });

  it(`logs grants later, at most ${ENTRIES_A_WRITE} entries in a batch`, async () => {
    const { userId, account } = newUser();
    const batch = vi.spyOn(database, "batch").mockRejectedValue(new Error("D1 is down."));
    for (let index = 0; index <= ENTRIES_A_WRITE; index++) {
      expect(await account.grant(`grant_${index}`, 1, null, null)).toMatchObject({ kind: "granted" });
    }
    batch.mockRestore();
    const batches = vi.spyOn(database, "batch");
    await nextAlarm(account);
    expect(batches).toHaveBeenCalledTimes(2);
    expect(await loggedEntries(userId)).toEqual(await entriesOf(account));
    await passWithAlarms(account, MINUTE);
    expect(await alarmOf(account)).toBeNull();
  });

  it("repeats a write whose response was lost without harm", async () => {
    const { userId, account, id, all } = await newRun();
    const real = env.LOG.batch.bind(env.LOG);
    vi.spyOn(database, "batch").mockImplementationOnce(async (statements) => {
      await real(statements);
      throw new Error("The answer is lost.");
    });
    await account.finish(id, 1, all);
    await passWithAlarms(account, MINUTE);
    expect(await loggedGenerations(userId)).toHaveLength(1);
    expect(await loggedEntries(userId)).toEqual(await entriesOf(account));
    expect(await dueOf(account, id)).toBeNull();
  });
});

describe("when the queue is down", () => {
  it("accepts anyway, and sends the message later", async () => {
    const { userId, account } = await newUserWith(8);
    const send = vi.spyOn(queue, "sendBatch").mockRejectedValue(new Error("The queue is down."));
    expect(await account.submit(aCommand("gen_1", "async", aRequest(), 8))).toMatchObject({
      kind: "accepted",
    });
    await passWithAlarms(account, 30 * SECOND);
    expect(send).toHaveBeenCalledTimes(2);
    const sent: unknown[] = [];
    send.mockImplementation(async (messages) => {
      for (const { body } of messages) sent.push(body);
      return { metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } } };
    });
    await passWithAlarms(account, 30 * SECOND - 1);
    expect(sent).toEqual([]);
    await passWithAlarms(account, 1);
    expect(sent).toEqual([{ userId, generationId: "gen_1" }]);
    expect(await account.begin("gen_1")).toMatchObject({ kind: "run" });
  });
});
