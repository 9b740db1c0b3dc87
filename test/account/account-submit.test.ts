import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, it, vi } from "vitest";
import { LEASE_MS } from "../../src/account/lifecycle.ts";
import { LedgerStore } from "../../src/account/store/ledger.ts";
import { aCommand, aRequest, newUser } from "../support/account.ts";

import {
  ALL,
  alarmOf,
  DAY,
  entriesOf,
  errorOf,
  FAILED,
  HOUR,
  holdTimeAndQueue,
  linesOf,
  loggedEntries,
  newRun,
  newUserWith,
  pass,
  passWithAlarms,
  RUN_DEADLINE_MS,
  SECOND,
  sent,
} from "./harness.ts";

holdTimeAndQueue();

describe("submit", () => {
  it("charges, accepts, leases and arms the alarm for a sync generation", async () => {
    const { account } = await newUserWith(20);
    const request = aRequest({ n: 2 });
    const now = Date.now();
    expect(await account.submit(aCommand("gen_1", "sync", request, 16))).toEqual({
      kind: "accepted",
      quota: { rate: null, concurrency: null },
      generation: {
        id: "gen_1",
        status: "processing",
        model: "gpt-image-2",
        aspectRatio: "1:1",
        tier: "1K",
        createdAt: now,
        endedAt: null,
        creditsCharged: 16,
        creditsRefunded: 0,
        error: null,
        images: [],
        origin: "https://hub.example",
      },
      job: {
        generationId: "gen_1",
        interrupted: false,
        queueUntil: now + 3_600 * SECOND,
        task: null,
        fence: 1,
        request,
        workUntil: now + RUN_DEADLINE_MS * 0.9,
        mayCall: true,
      },
    });
    expect(await account.balance()).toEqual({ credits: 4, nextExpiration: null });
    expect(await linesOf(account)).toEqual(["grant 20", "charge -16"]);
    expect(await alarmOf(account)).toBe(now + LEASE_MS);
    expect(sent).toEqual([]);
  });

  it("charges and accepts an async generation, sends a message, and arms the alarm", async () => {
    const { userId, account } = await newUserWith(20);
    const outcome = await account.submit(aCommand("gen_1", "async", aRequest(), 8));
    expect(outcome).toMatchObject({ kind: "accepted", generation: { status: "queued" }, job: null });
    expect(sent).toEqual([{ userId, generationId: "gen_1" }]);
    expect(await account.balance()).toEqual({ credits: 12, nextExpiration: null });
    expect(await alarmOf(account)).toBe(Date.now() + 30 * SECOND);
  });

  it.each(["sync", "async"] as const)(
    "returns the same answer for the same id, and charges once: %s",
    async (mode) => {
      const { account } = await newUserWith(20);
      const first = await account.submit(aCommand("gen_1", mode, aRequest(), 8));
      pass(SECOND);
      await evictDurableObject(account);
      expect(await account.submit(aCommand("gen_1", mode, aRequest(), 8))).toEqual(first);
      expect(await linesOf(account)).toEqual(["grant 20", "charge -8"]);
    },
  );

  it("returns no job for a generation that has ended or lost its lease", async () => {
    const { account, id, all } = await newRun();
    const again = () => account.submit(aCommand(id, "sync", aRequest({ n: 2 }), 16));
    await passWithAlarms(account, LEASE_MS);
    expect(await again()).toMatchObject({
      kind: "accepted",
      generation: { status: "processing" },
      job: null,
    });
    await account.finish(id, 1, all);
    expect(await again()).toMatchObject({ kind: "accepted", generation: { status: "succeeded" }, job: null });
  });

  it("refuses when credits are insufficient, and changes nothing", async () => {
    const { account } = await newUserWith(7);
    expect(await account.submit(aCommand("gen_1", "sync", aRequest(), 8))).toMatchObject({
      kind: "insufficient",
      available: 7,
    });
    expect(await account.generation("gen_1")).toBeNull();
    expect(await linesOf(account)).toEqual(["grant 7"]);
    expect(await alarmOf(account)).toBeNull();
    expect(sent).toEqual([]);
    expect(await account.submit(aCommand("gen_1", "sync", aRequest(), 7))).toMatchObject({
      kind: "accepted",
    });
  });

  it("accepts exactly 50 of 200 parallel submissions on a balance for 50", async () => {
    const { account } = await newUserWith(50 * 8);
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        account.submit(aCommand(`gen_${index}`, "async", aRequest(), 8)),
      ),
    );
    expect(outcomes.filter(({ kind }) => kind === "accepted")).toHaveLength(50);
    expect(outcomes.filter(({ kind }) => kind === "insufficient")).toHaveLength(150);
    expect(await account.balance()).toEqual({ credits: 0, nextExpiration: null });
    expect(sent).toHaveLength(50);
  });

  it("does not count expired credits, from the exact millisecond", async () => {
    const { account } = newUser();
    await account.grant("soon", 8, Date.now() + HOUR, null);
    pass(HOUR - 1);
    expect(await account.admit(8, null)).toEqual({ kind: "admitted" });
    expect(await account.admit(9, null)).toMatchObject({ kind: "insufficient", available: 8 });
    pass(1);
    expect(await account.admit(8, null)).toMatchObject({ kind: "insufficient", available: 0 });
    expect(await account.submit(aCommand("gen_1", "sync", aRequest(), 8))).toMatchObject({
      kind: "insufficient",
      available: 0,
    });
  });

  it("does not spend expired credits when no other call came in between", async () => {
    const { account } = newUser();
    await account.grant("soon", 8, Date.now() + HOUR, null);
    await account.grant("never", 7, null, null);
    pass(HOUR);
    expect(await account.submit(aCommand("gen_1", "sync", aRequest(), 8))).toMatchObject({
      kind: "insufficient",
      available: 7,
    });
    expect(await linesOf(account)).toEqual(["grant 8", "grant 7", "expiry -8"]);
  });

  it("books credits that expired during the run before it refunds", async () => {
    const { account } = newUser();
    await account.grant("soon", 20, Date.now() + HOUR, null);
    await account.submit(aCommand("gen_1", "sync", aRequest(), 8));
    pass(HOUR);
    await account.finish("gen_1", 1, { images: [], failure: "contentPolicyViolation" });
    expect(await linesOf(account)).toEqual(["grant 20", "charge -8", "expiry -12", "refund 8", "expiry -8"]);
  });

  it("throws, and posts nothing, when the sum of the grants differs from the balance", async () => {
    const { account } = await newUserWith(20);
    await runInDurableObject(account, (_, { storage }) => {
      storage.sql.exec("UPDATE grants SET credits = 30, remaining = 30");
    });
    expect(
      await errorOf(account, (instance) => instance.submit(aCommand("gen_1", "sync", aRequest(), 8))),
    ).toContain("the balance equals what the grants have left");
    expect(await linesOf(account)).toEqual(["grant 20"]);
    expect(await account.generation("gen_1")).toBeNull();
  });

  it("records the paying key with the charge and the refund", async () => {
    const { account } = await newUserWith(20);
    await account.submit({ ...aCommand("gen_1", "sync", aRequest(), 8), keyId: "key_1" });
    await account.finish("gen_1", 1, FAILED);
    const keys = await runInDurableObject(account, (_, { storage }) =>
      storage.sql.exec("SELECT kind, key_id, livemode FROM entries ORDER BY seq").toArray(),
    );
    expect(keys).toEqual([
      { kind: "grant", key_id: null, livemode: 1 },
      { kind: "charge", key_id: "key_1", livemode: 1 },
      { kind: "refund", key_id: "key_1", livemode: 1 },
    ]);
  });

  it("keeps the accounts of two users apart", async () => {
    const one = await newUserWith(8);
    const other = await newUserWith(8);
    await one.account.submit(aCommand("gen_1", "sync", aRequest(), 8));
    expect(await other.account.generation("gen_1")).toBeNull();
    expect(await other.account.balance()).toEqual({ credits: 8, nextExpiration: null });
  });

  it("posts nothing when an invariant of the ledger is violated", async () => {
    const { account } = await newUserWith(20);
    expect(
      await errorOf(account, (instance) =>
        instance.submit(aCommand("gen_1", "sync", aRequest({ n: 3 }), 16)),
      ),
    ).toContain("same whole price");
    expect(await account.generation("gen_1")).toBeNull();
    expect(await linesOf(account)).toEqual(["grant 20"]);
    expect(await alarmOf(account)).toBeNull();
  });
});

describe("a transaction that throws", () => {
  it("rolls back the alarm too, and the next transaction sets it", async () => {
    const { account } = newUser();
    const expiresAt = Date.now() + 10 * SECOND;
    // The settings are read last, when the entry is posted and the alarm set.
    vi.spyOn(LedgerStore.prototype, "nextExpiry").mockImplementationOnce(() => {
      throw new Error("The disk is on fire.");
    });
    expect(await errorOf(account, (instance) => instance.grant("a", 5, expiresAt, null))).toContain(
      "The disk is on fire.",
    );
    expect(await alarmOf(account)).toBeNull();
    expect(await entriesOf(account)).toEqual([]);
    expect(await account.grant("a", 5, expiresAt, null)).toMatchObject({ kind: "granted" });
    expect(await alarmOf(account)).toBe(expiresAt);
  });
});

describe("grant", () => {
  it("adds credits once per id, and refuses the id with other credits or another expiry", async () => {
    const { userId, account } = newUser();
    const expiresAt = Date.now() + DAY;
    const now = Date.now();
    const grant = { id: "a", credits: 10, remaining: 10, expiresAt, reason: "gift", createdAt: now };
    expect(await account.grant("a", 10, expiresAt, "gift")).toEqual({
      kind: "granted",
      grant,
      balance: { credits: 10, nextExpiration: expiresAt },
    });
    await account.submit(aCommand("gen_1", "sync", aRequest(), 8));
    pass(SECOND);
    expect(await account.grant("a", 10, expiresAt, null)).toEqual({
      kind: "repeated",
      grant: { ...grant, remaining: 2 },
      balance: { credits: 2, nextExpiration: expiresAt },
    });
    expect(await account.grant("a", 11, expiresAt, "gift")).toEqual({ kind: "conflict" });
    for (const other of [null, expiresAt + 1]) {
      expect(await account.grant("a", 10, other, "gift")).toEqual({ kind: "conflict" });
    }
    expect(await linesOf(account)).toEqual(["grant 10", "charge -8"]);
    expect(await loggedEntries(userId)).toEqual(await entriesOf(account));
  });

  it("recognizes the id of a spent, year-old grant", async () => {
    const { account } = newUser();
    const expiresAt = Date.now() + DAY;
    await account.grant("a", 10, expiresAt, null);
    await passWithAlarms(account, 365 * DAY);
    expect(await account.grant("a", 10, expiresAt, null)).toMatchObject({
      kind: "repeated",
      grant: { remaining: 0 },
      balance: { credits: 0, nextExpiration: null },
    });
    expect(await account.grant("a", 10, Date.now() + DAY, null)).toEqual({ kind: "conflict" });
  });

  it.each([-1, 0])("refuses a new grant that expired %i ms ago", async (milliseconds) => {
    const { account } = newUser();
    expect(await account.grant("a", 10, Date.now() + milliseconds, null)).toEqual({ kind: "expired" });
    expect(await entriesOf(account)).toEqual([]);
    expect(await account.grant("a", 10, Date.now() + 1, null)).toMatchObject({ kind: "granted" });
  });

  it.each([0, -5, 1.5])("posts nothing for %f credits", async (credits) => {
    const { account } = newUser();
    expect(await errorOf(account, (instance) => instance.grant("a", credits, null, null))).toContain(
      "credits are whole and positive",
    );
    expect(await entriesOf(account)).toEqual([]);
  });
});

describe("statement", () => {
  it("pages through the entries, newest first", async () => {
    const { account } = newUser();
    for (const id of ["a", "b", "c", "d", "e"]) await account.grant(id, 1, null, null);
    const page = async (before: number, limit: number) => {
      const { entries, hasMore } = await account.statement(before, limit);
      return [entries.map(({ seq }) => seq).join(), hasMore];
    };
    expect(await page(ALL, 2)).toEqual(["5,4", true]);
    expect(await page(4, 2)).toEqual(["3,2", true]);
    expect(await page(2, 2)).toEqual(["1", false]);
    expect(await page(1, 2)).toEqual(["", false]);
    expect(await page(ALL, 4)).toEqual(["5,4,3,2", true]);
    expect(await page(ALL, 5)).toEqual(["5,4,3,2,1", false]);
    expect(await page(ALL, 6)).toEqual(["5,4,3,2,1", false]);
  });

  it("lists grants in the order of charging, then spent ones, newest first", async () => {
    const { account } = newUser();
    const now = Date.now();
    for (const [id, expiresAt] of [
      ["spent first", now + 1],
      ["never", null],
      ["late", now + 2 * DAY],
      ["soon", now + DAY],
    ] as const) {
      await account.grant(id, 5, expiresAt, null);
    }
    pass(1);
    await account.grant("spent last", 5, now + 2, null);
    pass(1);
    const { grants, balance } = await account.statement(ALL, 1);
    expect(grants.map(({ id, remaining }) => `${id} ${remaining}`)).toEqual([
      "soon 5",
      "late 5",
      "never 5",
      "spent last 0",
      "spent first 0",
    ]);
    expect(balance).toEqual({ credits: 15, nextExpiration: now + DAY });
  });

  it("lists at most 200 grants", async () => {
    const { account } = newUser();
    for (let index = 0; index < 200; index++) await account.grant(`grant_${index}`, 1, null, null);
    expect((await account.statement(ALL, 1)).grants).toHaveLength(200);
    await account.grant("one more", 1, null, null);
    expect((await account.statement(ALL, 1)).grants).toHaveLength(200);
  });
});
