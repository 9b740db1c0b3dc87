import { describe, log } from "./log.ts";

/** Rare events that operators are alerted about, and that leave no other trace outside the log. */
export type IncidentKind = "dead_letter" | "stripe_refused" | "purchase_mismatch";

/** Incidents are counted by this much time, in milliseconds. */
const SLOT_MS = 300_000;

/**
 * Counts an incident. It never throws: a lost count is only logged.
 * @param now milliseconds since 1970
 */
export async function countIncident({ DB }: Pick<Env, "DB">, kind: IncidentKind, now: number): Promise<void> {
  const startsAt = Math.floor(now / SLOT_MS) * SLOT_MS;
  try {
    await DB.prepare(
      `INSERT INTO incidents (kind, starts_at, count) VALUES (?, ?, 1)
       ON CONFLICT (kind, starts_at) DO UPDATE SET count = count + 1`,
    )
      .bind(kind, startsAt)
      .run();
  } catch (error) {
    log("incident_lost", { kind, error: describe(error) });
  }
}
