import { applyD1Migrations, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { readConfig } from "../../src/config.ts";
import { logOf, logShards, shardOf } from "../../src/db/log.ts";
import { enforceRetention } from "../../src/generations/retention.ts";
import { lowestUserId } from "../../src/id.ts";
import { collectFacts } from "../../src/watch/facts.ts";
import { ADMIN_TOKEN, call, limitedUser, operate, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { provide } from "../support/tiny-provider.ts";

const DAY = 86_400_000;
const START = Date.parse("2031-03-02T00:00:00Z");
const SHARDED = { LOG_SHARDS: "2031-03-02" };
const { LOG_2 = env.LOG } = env;
const PATH = "/api/v1/images/generations";
const Id = z.object({ id: z.string() });

beforeAll(async () => {
  await applyD1Migrations(LOG_2, env.TEST_LOG_MIGRATIONS);
});

beforeEach(() => {
  spyOnLog();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("the database of a user", () => {
  const databases = { LOG: env.LOG, LOG_2: env.DB, LOG_3: LOG_2 };
  const two = { ...databases, LOG_SHARDS: "2031-03-02, 2032-01-01" };

  it("is LOG without LOG_SHARDS, whatever is bound", () => {
    for (const LOG_SHARDS of ["", " "]) {
      expect(logShards({ ...databases, LOG_SHARDS })).toHaveLength(1);
      expect(shardOf({ ...databases, LOG_SHARDS }, lowestUserId(START))).toEqual({ d1: env.LOG, next: null });
    }
  });

  it("is that of the day on which the user was created, to the millisecond", () => {
    const second = Date.parse("2032-01-01T00:00:00Z");
    const [from2, from3] = [lowestUserId(START), lowestUserId(second)];
    expect(shardOf(two, "")).toEqual({ d1: env.LOG, next: from2 });
    expect(shardOf(two, lowestUserId(START - 1).replace(/0{16}$/, "Z".repeat(16))).d1).toBe(env.LOG);
    expect(shardOf(two, from2)).toEqual({ d1: env.DB, next: from3 });
    expect(shardOf(two, lowestUserId(second - 1)).d1).toBe(env.DB);
    expect(shardOf(two, from3)).toEqual({ d1: LOG_2, next: null });
    expect(logShards(two).map(({ name }) => name)).toEqual(["LOG", "LOG_2", "LOG_3"]);
  });

  it("stays the same when another date is added", () => {
    const one = { ...databases, LOG_SHARDS: "2031-03-02" };
    for (const time of [0, START - 1, START, START + DAY])
      expect(logOf(two, lowestUserId(time))).toBe(logOf(one, lowestUserId(time)));
  });

  it("can be one of eight", () => {
    const all = { ...databases, LOG_4: LOG_2, LOG_5: LOG_2, LOG_6: LOG_2, LOG_7: LOG_2, LOG_8: LOG_2 };
    const dates = Array.from({ length: 8 }, (_, index) => `2031-03-0${index + 1}`);
    expect(logShards({ ...all, LOG_SHARDS: dates.slice(0, 7).join() })).toHaveLength(8);
    const tooMany = { ...all, LOG_SHARDS: dates.join() };
    expect(() => logShards(tooMany)).toThrow("LOG_SHARDS must be dates: ✖ at most 7 dates");
  });

  it.each([
    ["2031-02-30", "LOG_SHARDS must be dates"],
    ["2031-03-02,", "LOG_SHARDS must be dates"],
    ["2031-03-02T00:00:00Z", "LOG_SHARDS must be dates"],
    ["2031-03-02,2031-03-02", "LOG_SHARDS must have each date after the one before."],
    ["2032-01-01,2031-03-02", "LOG_SHARDS must have each date after the one before."],
    ["2031-03-02,2032-01-01,2033-01-01", "LOG_SHARDS begins LOG_4, which is not bound."],
  ])("is an error of the configuration with %j", (LOG_SHARDS, message) => {
    expect(() => logOf({ ...databases, LOG_SHARDS }, "user_1")).toThrow(message);
  });
});

const asOperator = (method: string, path: string) =>
  call(method, `/api/admin${path}`, { key: ADMIN_TOKEN, settings: SHARDED });

/** Sets the clock; the last day begins the second database. */
const at = (time: number) => vi.useFakeTimers({ toFake: ["Date"], now: time });

/** A user who is created at that time, with a generation that the account has logged and pruned. */
async function userOf(time: number) {
  at(time);
  const user = await limitedUser(0, SHARDED);
  await operate("POST", `/users/${user.id}/credits`, { id: "first", credits: 100 });
  provide();
  const json = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };
  const made = await call("POST", PATH, { key: user.key, json, settings: SHARDED });
  return { ...user, generationId: Id.parse(made.body).id };
}

/** Two days later, when the accounts have forgotten what ended. */
async function forget(users: readonly TestUser[]) {
  at(START + 2.5 * DAY);
  for (const { id } of users) {
    const account = env.ACCOUNT.getByName(id);
    await runDurableObjectAlarm(account);
    const left = await runInDurableObject(account, (_, { storage }) =>
      storage.sql.exec("SELECT id FROM generations").toArray(),
    );
    expect(left).toEqual([]);
  }
}

async function count(d1: D1Database, table: string, userId: string): Promise<unknown> {
  return await d1.prepare(`SELECT count(*) AS n FROM ${table} WHERE user_id = ?`).bind(userId).first("n");
}

describe("with two databases", () => {
  let old: TestUser & { generationId: string };
  let recent: TestUser & { generationId: string };
  /** Each user, the database of the user, and the other one. */
  let sides: readonly (readonly [typeof old, D1Database, D1Database])[];

  beforeEach(async () => {
    for (const d1 of [env.LOG, LOG_2])
      for (const table of ["generations", "generation_totals", "credit_entries"])
        await d1.prepare(`DELETE FROM ${table}`).run();
    await env.DB.batch(
      ["api_keys", "users", "job_state"].map((name) => env.DB.prepare(`DELETE FROM ${name}`)),
    );
    // Minutes apart, in one step of the report.
    old = await userOf(START - 1);
    recent = await userOf(START + 1);
    sides = [
      [old, env.LOG, LOG_2],
      [recent, LOG_2, env.LOG],
    ];
  });

  it("writes the rows of a user in one of them", async () => {
    for (const [{ id }, own, other] of sides) {
      expect([await count(own, "generations", id), await count(other, "generations", id)]).toEqual([1, 0]);
      expect([await count(own, "credit_entries", id), await count(other, "credit_entries", id)]).toEqual([
        2, 0,
      ]);
    }
  });

  it("reads, lists and deletes a user's generations in it", async () => {
    await forget([old, recent]);
    for (const [{ key, generationId }, own] of sides) {
      const options = { key, settings: SHARDED };
      const path = `/api/v1/generations/${generationId}`;
      expect(await call("GET", path, options)).toMatchObject({ status: 200, body: { id: generationId } });
      const list = await call("GET", "/api/v1/generations", options);
      expect(list.body).toMatchObject({ data: [{ id: generationId }] });
      expect((await call("DELETE", path, options)).status).toBe(204);
      const row = await own.prepare("SELECT request, deleted_at FROM generations").first();
      expect(row).toMatchObject({
        request: expect.not.stringContaining("lighthouse"),
        deleted_at: Date.now(),
      });
    }
  });

  it("adds up the totals of both", async () => {
    at(START + 60_000);
    const { body } = await asOperator("GET", "/stats?window=month");
    const { generations } = z.object({ generations: z.array(z.looseObject({})) }).parse(body);
    const day = { status: "succeeded", generations: 1, images: 1, credits_charged: 8 };
    expect(generations).toMatchObject([
      { starts_at: "2031-03-01T00:00:00.000Z", ...day },
      { starts_at: "2031-03-02T00:00:00.000Z", ...day },
    ]);
    await env.LOG.prepare("UPDATE generation_totals SET starts_at = ?").bind(START).run();
    const { body: moved } = await asOperator("GET", "/stats?window=month");
    expect(moved).toMatchObject({ generations: [{ generations: 2, images: 2, credits_charged: 16 }] });
  });

  it("reports the margin of both, a page for each", async () => {
    const first = await asOperator("GET", "/margin");
    const next_cursor = lowestUserId(START);
    expect(first.body).toMatchObject({ data: [{ generations: 1 }], has_more: true, next_cursor });
    const second = await asOperator("GET", `/margin?cursor=${next_cursor}`);
    expect(second.body).toMatchObject({ data: [{ generations: 1 }], has_more: false, next_cursor: null });
  });

  it("compares both with the ledgers, and repairs the one that differs", async () => {
    const clean = { checked: { accounts: 2, generations: 2 }, differences: [], has_more: false };
    expect((await asOperator("GET", "/reconcile")).body).toMatchObject(clean);
    for (const [{ id }, own] of sides) {
      await own.prepare("DELETE FROM credit_entries WHERE user_id = ?").bind(id).run();
      const differences = [{ kind: "entries_differ", user_id: id }];
      expect((await asOperator("POST", "/reconcile")).body).toMatchObject({ differences, repaired: 1 });
      expect(await count(own, "credit_entries", id)).toBe(2);
    }
    expect((await asOperator("GET", "/reconcile")).body).toMatchObject(clean);
  });

  it("deletes old generations of both, in as many runs as it takes", async () => {
    await forget([old, recent]);
    const now = START + 100 * DAY;
    at(now);
    const sharded = { ...env, ...SHARDED };
    const config = { ...readConfig({}), RETENTION_DAYS: 30, LOG_RETENTION_DAYS: 30 };
    const left = async () => [
      await count(env.LOG, "generations", old.id),
      await count(LOG_2, "generations", recent.id),
    ];
    const bounds = { pages: 1, rowsAPage: 100, deletionsAPage: 100 };
    await enforceRetention(sharded, config, now, bounds);
    expect(await left()).toEqual([0, 1]);
    await enforceRetention(sharded, config, now, bounds);
    expect(await left()).toEqual([0, 0]);
    await enforceRetention(sharded, config, now, bounds);
    const { objects } = await env.IMAGES.list();
    expect(
      objects.filter(({ key }) => [old, recent].some((user) => key.startsWith(user.generationId))),
    ).toEqual([]);
  });

  it("watches the size and the health of both", async () => {
    const broken = {
      prepare: () => {
        throw new Error("no database");
      },
    };
    const check = (settings: Record<string, unknown>) => call("GET", "/api/health", { settings });
    expect((await check(SHARDED)).body).toMatchObject({ checks: { log: "ok" } });
    expect((await check({ ...SHARDED, LOG_2: broken })).body).toMatchObject({ checks: { log: "failing" } });
    expect((await check({ LOG_2: broken })).body).toMatchObject({ checks: { log: "ok" } });
    await LOG_2.prepare("UPDATE generations SET request = ?").bind("x".repeat(500_000)).run();
    const { database } = await collectFacts({ ...env, ...SHARDED }, Date.now());
    expect(database?.name).toBe("LOG_2");
    const [own, main] = await Promise.all([LOG_2, env.LOG].map((d1) => d1.prepare("SELECT 1").run()));
    expect(database?.bytes).toBe(own?.meta.size_after);
    expect(database?.bytes).toBeGreaterThan(main?.meta.size_after ?? 0);
  });

  it("is a 503 where LOG_SHARDS is invalid", async () => {
    const settings = { LOG_SHARDS: "tomorrow" };
    const answer = await call("GET", "/api/v1/generations", { key: old.key, settings });
    expect(answer.status).toBe(503);
  });
});
