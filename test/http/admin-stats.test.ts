import { env, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { writeState } from "../../src/db/job-state.ts";
import { countIncident } from "../../src/incidents.ts";
import { ALERTS } from "../../src/watch/notify.ts";
import { SWEEP } from "../../src/watch/sweep.ts";
import { call, newTestKey, newUser, operate } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { provide } from "../support/tiny-provider.ts";

const PATH = "/api/v1/images/generations";
const asked = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };
const MINUTE = 60_000;

beforeEach(async () => {
  spyOnLog();
  await env.LOG.prepare("DELETE FROM generation_totals").run();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const Row = z.object({ starts_at: z.string(), status: z.string(), generations: z.number() }).loose();
const Stats = z.looseObject({ step_seconds: z.number(), generations: z.array(Row) });

async function report(window: string) {
  const answer = await operate("GET", `/stats?window=${window}`);
  expect(answer.status).toBe(200);
  return Stats.parse(answer.body);
}

/** Writes totals of a generation that ended at that time. */
async function ended(at: number): Promise<void> {
  await env.LOG.prepare("INSERT INTO generation_totals VALUES (?, 'm', 'succeeded', '', 1, 2, 16, 0, 500)")
    .bind(Math.floor(at / (5 * MINUTE)) * 5 * MINUTE)
    .run();
}

describe("GET /api/admin/stats", () => {
  it("adds up what ended, by model and outcome, and leaves out test keys", async () => {
    provide();
    const user = await newUser(100);
    await call("POST", PATH, { key: user.key, json: asked });
    await call("POST", PATH, { key: user.key, json: { ...asked, n: 2 } });
    await call("POST", PATH, { key: await newTestKey(user.id), json: asked });
    provide(0, { reason: "refused" });
    await call("POST", PATH, { key: user.key, json: asked });
    await runDurableObjectAlarm(env.ACCOUNT.getByName(user.id));
    const sums = new Map<string, number[]>();
    for (const row of (await report("hour")).generations) {
      const of = `${row["model"]} ${row.status} ${row["error"]}`;
      const parts = [row.generations, row["images"], row["credits_charged"], row["credits_refunded"]];
      // The test may run across the end of a step.
      sums.set(
        of,
        parts.map((part, index) => Number(part) + (sums.get(of)?.[index] ?? 0)),
      );
    }
    expect(Object.fromEntries(sums)).toEqual({
      "gpt-image-2 succeeded null": [2, 3, 24, 0],
      "gpt-image-2 failed contentPolicyViolation": [1, 0, 8, 8],
    });
  });

  it("counts a generation once, however often the log is written again", async () => {
    provide();
    const user = await newUser(100);
    const { body } = await call("POST", PATH, { key: user.key, json: asked });
    const account = env.ACCOUNT.getByName(user.id);
    await account.tellAgain([z.object({ id: z.string() }).parse(body).id]);
    await env.LOG.prepare("UPDATE generations SET credits_refunded = 1 WHERE user_id = ?")
      .bind(user.id)
      .run();
    await runDurableObjectAlarm(account);
    const rows = (await report("hour")).generations;
    expect(rows.reduce((sum, { generations }) => sum + generations, 0)).toBe(1);
  });

  it.each([
    ["hour", 300, 60 * MINUTE],
    ["day", 3_600, 24 * 60 * MINUTE],
    ["month", 86_400, 30 * 24 * 60 * MINUTE],
  ])("%s has steps of %d s, and begins with a whole one", async (window, step, length) => {
    const now = Date.parse("2031-03-10T10:07:00Z");
    vi.useFakeTimers({ toFake: ["Date"], now });
    await ended(now);
    await ended(now - length + step * 1000);
    await ended(now - length - step * 1000);
    const { step_seconds, generations } = await report(window);
    expect(step_seconds).toBe(step);
    expect(generations.map((row) => [row.generations, row["images"], row["mean_ms"]])).toEqual([
      [1, 2, 500],
      [1, 2, 500],
    ]);
    for (const { starts_at } of generations) expect(Date.parse(starts_at) % (step * 1000)).toBe(0);
  });

  it("has incidents, what the last sweep found, and the alerts that fire", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse("2032-01-01T00:00:00Z") });
    const now = Date.now();
    await countIncident(env, "dead_letter", now);
    await countIncident(env, "dead_letter", now);
    const swept = {
      ...{ at: now, accounts: 3, unreachable: 1, alarmsLost: 0, unfinished: 2 },
      ...{ oldestQueuedAt: null, interrupted: 0, webhooksFailing: 4 },
    };
    await writeState(env.DB, SWEEP, { after: "", swept });
    const alert = { id: "dead_letters", summary: "Two.", since: now, sentAt: null, endedAt: null };
    await writeState(env.DB, ALERTS, [alert, { ...alert, id: "queue_old", sentAt: now, endedAt: now }]);
    expect(await report("hour")).toMatchObject({
      purchases: [],
      incidents: [{ kind: "dead_letter", count: 2 }],
      accounts: { checked: 3, unreachable: 1, unfinished: 2, oldest_queued_at: null, webhooks_failing: 4 },
      alerts: [{ id: "dead_letters", summary: "Two.", since: "2032-01-01T00:00:00.000Z" }],
    });
  });

  it("adds up purchases by currency, when they were paid", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse("2033-01-01T00:00:00Z") });
    const now = Date.now();
    const rows: [string, string, number | null][] = [
      ["p1", "usd", now - MINUTE],
      ["p2", "usd", now - 2 * MINUTE],
      ["p3", "eur", now],
      ["p4", "usd", null],
      ["p5", "usd", now - 120 * MINUTE],
    ];
    for (const [id, currency, paidAt] of rows) {
      await env.DB.prepare(
        `INSERT INTO purchases (id, user_id, pack_id, pack_name, credits, amount, currency, created_at, paid_at)
         VALUES (?, 'user_1', 'starter', 'Starter', 5000, 500, ?, 1, ?)`,
      )
        .bind(id, currency, paidAt)
        .run();
    }
    expect((await report("hour"))["purchases"]).toEqual([
      { currency: "eur", purchases: 1, amount: 500, credits: 5000 },
      { currency: "usd", purchases: 2, amount: 1000, credits: 10_000 },
    ]);
  });

  it.each(["window=year", "window=", "other=1"])("refuses %s", async (query) => {
    expect((await operate("GET", `/stats?${query}`)).status).toBe(400);
  });

  it("is for the operator only", async () => {
    expect((await call("GET", "/api/admin/stats")).status).toBe(401);
  });
});
