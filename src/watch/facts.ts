import { and, eq, gt, lt, sum } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { readConfig } from "../config.ts";
import { readState } from "../db/job-state.ts";
import { logShards } from "../db/log.ts";
import { generationTotals } from "../db/log-schema.ts";
import { incidents } from "../db/schema.ts";
import { viewGates } from "../dispatch/client.ts";
import { configuredGates } from "../dispatch/routes.ts";
import type { IncidentKind } from "../incidents.ts";
import { describe, log } from "../log.ts";
import type { Facts } from "./alerts.ts";
import { SAMPLE } from "./sample.ts";
import { SWEEP, type Swept } from "./sweep.ts";

const HOUR_MS = 3_600_000;
/** The result of a sweep is ignored after this time. */
const SWEPT_MS_MAX = HOUR_MS / 2;
/** Longer than the longest report. */
const COUNTS_KEPT_MS = 62 * 24 * HOUR_MS;

/**
 * Measures the state of the service. A part that cannot be read is null, and logged.
 * @param now milliseconds since 1970
 */
export async function collectFacts(env: Env, now: number): Promise<Facts> {
  const [swept, sample, openCircuits, database, stripeRefused, purchasesMismatched, deadLetters] =
    await Promise.all([
      known("sweep", async () => recent((await readState(env.DB, SWEEP))?.swept, now)),
      known("reconcile", () => readState(env.DB, SAMPLE)),
      known("circuits", () => openCircuitsOf(env)),
      known("database", () => largestDatabase(env)),
      known("stripe", () => countIncidents(env.DB, "stripe_refused", now - HOUR_MS)),
      known("purchases", () => countIncidents(env.DB, "purchase_mismatch", now - HOUR_MS)),
      known("dead_letters", () => countIncidents(env.DB, "dead_letter", now - HOUR_MS)),
    ]);
  const oldestMs = swept && now - (swept.oldestQueuedAt ?? now);
  const deadlineMs = readConfig(env).QUEUE_DEADLINE_SECONDS * 1000;
  return {
    booksDiffering: sample?.differing.length ?? null,
    ...{ openCircuits, database, stripeRefused, purchasesMismatched, deadLetters },
    queue: oldestMs === null ? null : { oldestMs, deadlineMs },
    interrupted: swept?.interrupted ?? null,
    webhooksFailing: swept?.webhooksFailing ?? null,
  };
}

async function known<T>(fact: string, read: () => Promise<T | null>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    log("fact_unknown", { fact, error: describe(error) });
    return null;
  }
}

function recent(swept: Swept | undefined, now: number): Swept | null {
  return swept === undefined || now - swept.at > SWEPT_MS_MAX ? null : swept;
}

async function openCircuitsOf(env: Env): Promise<Facts["openCircuits"]> {
  const gates = await viewGates(env, configuredGates(readConfig(env)));
  return gates.flatMap(({ name, state, operator }) =>
    state === "open" && operator === "auto" ? [name] : [],
  );
}

async function largestDatabase(env: Env): Promise<Facts["database"]> {
  const databases = [{ name: "DB", d1: env.DB }, ...logShards(env)];
  const sizes = await Promise.all(databases.map(async ({ name, d1 }) => ({ name, bytes: await sizeOf(d1) })));
  return sizes.reduce((largest, size) => (size.bytes >= largest.bytes ? size : largest));
}

/** The size of a database in bytes, which every result of D1 includes. */
async function sizeOf(d1: D1Database): Promise<number> {
  return (await d1.prepare("SELECT 1").run()).meta.size_after;
}

async function countIncidents(d1: D1Database, kind: IncidentKind, since: number): Promise<number> {
  const [row] = await drizzle(d1)
    .select({ total: sum(incidents.count).mapWith(Number) })
    .from(incidents)
    .where(and(eq(incidents.kind, kind), gt(incidents.startsAt, since)));
  return row?.total ?? 0;
}

/** Deletes counts that no report shows any more. */
export async function removeOldCounts(env: Env, now: number): Promise<void> {
  const before = now - COUNTS_KEPT_MS;
  await drizzle(env.DB).delete(incidents).where(lt(incidents.startsAt, before));
  for (const { d1 } of logShards(env))
    await drizzle(d1).delete(generationTotals).where(lt(generationTotals.startsAt, before));
}
