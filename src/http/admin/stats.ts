import { Hono } from "hono";
import * as z from "zod";
import { pointKinds, recentPoints } from "../../metrics.ts";
import { readStats, type Stats, WINDOWS, type Window } from "../../watch/stats.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { count, isoTime, isoTimeOrNull, named, time } from "../fields.ts";

const POINTS_LISTED = 50;

const StatsQuery = z.strictObject({
  window: z
    .enum(["hour", "day", "month"], { message: "window must be hour, day or month." })
    .default("day")
    .meta({ description: "How far the report goes back. A month is 30 days." }),
});

const StatsAnswer = named("Stats", () =>
  z.strictObject({
    object: z.literal("stats"),
    window: z.enum(["hour", "day", "month"]),
    from: time,
    to: time,
    step_seconds: count.meta({ description: "The length of the steps in `generations`." }),
    generations: z
      .array(
        z.strictObject({
          starts_at: time,
          model: z.string(),
          status: z.enum(["succeeded", "failed", "canceled"]),
          error: z.string().nullable(),
          generations: count,
          images: count,
          credits_charged: count,
          credits_refunded: count,
          mean_ms: count.meta({ description: "From acceptance to end, on average, in milliseconds." }),
        }),
      )
      .meta({ description: "Live generations that ended, by step, model and outcome. At most 2,000 rows." }),
    purchases: z
      .array(z.strictObject({ currency: z.string(), purchases: count, amount: count, credits: count }))
      .meta({ description: "What was paid, by currency. Refunds are not taken off." }),
    incidents: z
      .array(z.strictObject({ kind: z.string(), count }))
      .meta({ description: "Dead letters, refused events of Stripe, and payments of another price." }),
    accounts: z
      .strictObject({
        at: time,
        checked: count,
        unreachable: count,
        alarms_lost: count,
        unfinished: count,
        oldest_queued_at: time.nullable(),
        interrupted: count.meta({ description: "Generations of the last hour whose run died." }),
        webhooks_failing: count,
      })
      .nullable()
      .meta({
        description: "What the last sweep of accounts found. It asks at most 500. Null: none has run.",
      }),
    alerts: z
      .array(z.strictObject({ id: z.string(), summary: z.string(), since: time }))
      .meta({ description: "The alerts that fire now." }),
    recent: z
      .array(
        z.strictObject({
          at: time,
          kind: z.enum(pointKinds),
          labels: z.record(z.string(), z.string()),
          values: z.record(z.string(), z.number()),
        }),
      )
      .meta({
        description:
          "The latest data points in the memory of the isolate that answers, newest first: of requests, " +
          "generations, webhooks and purchases. In production, an isolate sees a small part of the traffic.",
      }),
  }),
);

const EXAMPLE: z.input<typeof StatsAnswer> = {
  object: "stats",
  window: "hour",
  from: "2026-04-30T07:05:00.000Z",
  to: "2026-04-30T08:01:12.000Z",
  step_seconds: 300,
  generations: [
    {
      ...{ starts_at: "2026-04-30T07:55:00.000Z", model: "gpt-image-2", status: "succeeded", error: null },
      ...{ generations: 118, images: 130, credits_charged: 1040, credits_refunded: 0, mean_ms: 61_400 },
    },
  ],
  purchases: [{ currency: "usd", purchases: 2, amount: 1000, credits: 10_000 }],
  incidents: [{ kind: "dead_letter", count: 1 }],
  accounts: {
    ...{ at: "2026-04-30T08:00:02.000Z", checked: 212, unreachable: 0, alarms_lost: 0, unfinished: 9 },
    ...{ oldest_queued_at: "2026-04-30T07:59:31.000Z", interrupted: 0, webhooks_failing: 0 },
  },
  alerts: [
    {
      id: "dead_letters",
      summary: "Messages that the queue gave up on in the last hour: 1.",
      since: "2026-04-30T07:40:00.000Z",
    },
  ],
  recent: [
    {
      at: "2026-04-30T08:01:11.000Z",
      kind: "request",
      labels: { method: "GET", route: "/api/v1/credits", status: "200", code: "" },
      values: { ms: 9 },
    },
  ],
};

export const stats = new Hono<AppEnv>();

stats.get(
  "/stats",
  contract({
    id: "getStats",
    summary: "Report generations, purchases and the state of the service",
    description:
      "From the service's own databases. A generation appears once it has been logged, usually within seconds of its " +
      "end. Test keys are not counted. Totals are kept for 62 days, and begin with the release that introduced them.",
    tag: "operations",
    security: "operator",
    query: StatsQuery,
    answers: { 200: json("The report.", StatsAnswer, EXAMPLE) },
  }),
  async (c) => {
    const { window } = c.req.valid("query");
    const now = Date.now();
    return c.json(render(window, await readStats(c.env, window, now), now));
  },
);

function render(window: Window, stats: Stats, now: number): z.input<typeof StatsAnswer> {
  const { accounts } = stats;
  return {
    object: "stats",
    ...{ window, from: isoTime(stats.from), to: isoTime(now) },
    step_seconds: WINDOWS[window].stepMs / 1000,
    generations: stats.generations.map((row) => ({
      ...{ starts_at: isoTime(row.startsAt), model: row.model, status: row.status },
      error: row.error === "" ? null : row.error,
      ...{ generations: row.count, images: row.images },
      ...{ credits_charged: row.creditsCharged, credits_refunded: row.creditsRefunded },
      mean_ms: Math.round(row.milliseconds / row.count),
    })),
    purchases: stats.purchases.map((row) => ({
      ...{ currency: row.currency, purchases: row.count, amount: row.amount, credits: row.credits },
    })),
    incidents: stats.incidents,
    accounts: accounts && {
      ...{ at: isoTime(accounts.at), checked: accounts.accounts, unreachable: accounts.unreachable },
      ...{ alarms_lost: accounts.alarmsLost, unfinished: accounts.unfinished },
      oldest_queued_at: isoTimeOrNull(accounts.oldestQueuedAt),
      ...{ interrupted: accounts.interrupted, webhooks_failing: accounts.webhooksFailing },
    },
    alerts: stats.alerts.map(({ id, summary, since }) => ({ id, summary, since: isoTime(since) })),
    recent: recentPoints(POINTS_LISTED).map(({ at, kind, labels, values }) => ({
      ...{ at: isoTime(at), kind, labels: { ...labels }, values: { ...values } },
    })),
  };
}
