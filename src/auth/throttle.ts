import { lte, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { attempts } from "../db/schema.ts";

/** Attempts with one key, counted over a span of time that begins with the first one. */
export type Attempt = { key: string; spanMs: number };

export type Counted = { count: number; waitSeconds: number };

/**
 * Counts one attempt under each key, in one round trip.
 * @returns for each key: the attempts in its span, this one included, and the seconds until the span ends
 */
export async function countAttempts(
  d1: D1Database,
  tried: readonly Attempt[],
  now: number,
): Promise<Counted[]> {
  const db = drizzle(d1);
  const [, ...counted] = await db.batch([
    db.delete(attempts).where(lte(attempts.endsAt, now)),
    ...tried.map(({ key, spanMs }) =>
      db
        .insert(attempts)
        .values({ key, count: 1, endsAt: now + spanMs })
        .onConflictDoUpdate({ target: attempts.key, set: { count: sql`${attempts.count} + 1` } })
        .returning(),
    ),
  ]);
  return counted.map(([row]) => ({
    count: row?.count ?? 1,
    waitSeconds: row ? Math.ceil((row.endsAt - now) / 1000) : 0,
  }));
}
