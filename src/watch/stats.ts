import { gte, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { readState } from "../db/job-state.ts";
import { logShards } from "../db/log.ts";
import { generationTotals } from "../db/log-schema.ts";
import { incidents, purchases } from "../db/schema.ts";
import type { Alert } from "./alerts.ts";
import { ALERTS } from "./notify.ts";
import { SWEEP, type Swept } from "./sweep.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** The windows of a report: how far it goes back, and the length of its steps. Milliseconds. */
export const WINDOWS = {
  hour: { lengthMs: 60 * MINUTE_MS, stepMs: 5 * MINUTE_MS },
  day: { lengthMs: DAY_MS, stepMs: 60 * MINUTE_MS },
  month: { lengthMs: 30 * DAY_MS, stepMs: DAY_MS },
} as const;
export type Window = keyof typeof WINDOWS;

const ROWS_MAX = 2_000;

/** Live generations of one step that ended in the same way. Times in milliseconds. */
type GenerationTotal = {
  startsAt: number;
  model: string;
  status: "succeeded" | "failed" | "canceled";
  error: string;
  count: number;
  images: number;
  creditsCharged: number;
  creditsRefunded: number;
  milliseconds: number;
};

export type Stats = {
  from: number;
  generations: GenerationTotal[];
  purchases: { currency: string; count: number; amount: number; credits: number }[];
  incidents: { kind: string; count: number }[];
  accounts: Swept | null;
  alerts: Alert[];
};

/**
 * The figures of our own databases for the window that ends now.
 * @param now milliseconds since 1970
 * @throws when a database does not respond
 */
export async function readStats(env: Env, window: Window, now: number): Promise<Stats> {
  const { lengthMs, stepMs } = WINDOWS[window];
  const from = Math.floor((now - lengthMs) / stepMs + 1) * stepMs;
  const [totals, bought, counted, sweep, alerts] = await Promise.all([
    Promise.all(logShards(env).map(({ d1 }) => readTotals(d1, from, stepMs))),
    readPurchases(env.DB, from),
    readIncidents(env.DB, from),
    readState(env.DB, SWEEP),
    readState(env.DB, ALERTS),
  ]);
  return {
    ...{ from, generations: addUp(totals.flat()), purchases: bought, incidents: counted },
    accounts: sweep?.swept ?? null,
    alerts: (alerts ?? []).filter(({ endedAt }) => endedAt === null),
  };
}

async function readTotals(d1: D1Database, from: number, stepMs: number): Promise<GenerationTotal[]> {
  const { model, status, error, startsAt: at } = generationTotals;
  const startsAt = sql<number>`${at} - ${at} % ${sql.raw(String(stepMs))}`;
  return await drizzle(d1)
    .select({
      ...{ startsAt, model, status, error },
      count: sql<number>`sum(${generationTotals.count})`,
      images: sql<number>`sum(${generationTotals.images})`,
      creditsCharged: sql<number>`sum(${generationTotals.creditsCharged})`,
      creditsRefunded: sql<number>`sum(${generationTotals.creditsRefunded})`,
      milliseconds: sql<number>`sum(${generationTotals.milliseconds})`,
    })
    .from(generationTotals)
    .where(gte(at, from))
    .groupBy(startsAt, model, status, error)
    .orderBy(startsAt, model, status, error)
    .limit(ROWS_MAX);
}

/** One total for each step, model and outcome, in this order: several databases may have a part of it. */
function addUp(parts: readonly GenerationTotal[]): GenerationTotal[] {
  const keyOf = ({ startsAt, model, status, error }: GenerationTotal) =>
    [String(startsAt).padStart(16), model, status, error].join(" ");
  const sums = new Map<string, GenerationTotal>();
  for (const part of parts) {
    const sum = sums.get(keyOf(part));
    sums.set(
      keyOf(part),
      sum === undefined
        ? part
        : {
            ...part,
            ...{ count: sum.count + part.count, images: sum.images + part.images },
            creditsCharged: sum.creditsCharged + part.creditsCharged,
            creditsRefunded: sum.creditsRefunded + part.creditsRefunded,
            milliseconds: sum.milliseconds + part.milliseconds,
          },
    );
  }
  const sorted = [...sums].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([, total]) => total).slice(0, ROWS_MAX);
}

async function readPurchases(d1: D1Database, from: number): Promise<Stats["purchases"]> {
  return await drizzle(d1)
    .select({
      currency: purchases.currency,
      count: sql<number>`count(*)`,
      amount: sql<number>`sum(${purchases.amount})`,
      credits: sql<number>`sum(${purchases.credits})`,
    })
    .from(purchases)
    .where(gte(purchases.paidAt, from))
    .groupBy(purchases.currency)
    .orderBy(purchases.currency);
}

async function readIncidents(d1: D1Database, from: number): Promise<Stats["incidents"]> {
  return await drizzle(d1)
    .select({ kind: incidents.kind, count: sql<number>`sum(${incidents.count})` })
    .from(incidents)
    .where(gte(incidents.startsAt, from))
    .groupBy(incidents.kind)
    .orderBy(incidents.kind);
}
