import { lte, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { attempts } from "../db/schema.ts";

/** So many in a span of time that begins with the first of them. */
export type AttemptLimit = { key: string; most: number; spanMs: number };

/**
 * Counts one attempt against each limit, in one round trip.
 * @returns the seconds to wait where a limit is passed, else null
 */
export async function countAttempt(
  d1: D1Database,
  limits: readonly AttemptLimit[],
  now: number,
): Promise<number | null> {
  const db = drizzle(d1);
  const [, ...counted] = await db.batch([
    db.delete(attempts).where(lte(attempts.endsAt, now)),
    ...limits.map(({ key, spanMs }) =>
      db
        .insert(attempts)
        .values({ key, count: 1, endsAt: now + spanMs })
        .onConflictDoUpdate({ target: attempts.key, set: { count: sql`${attempts.count} + 1` } })
        .returning(),
    ),
  ]);
  const waits = counted.flatMap(([row], at) => {
    const limit = limits[at];
    return row && limit && row.count > limit.most ? [row.endsAt - now] : [];
  });
  return waits.length === 0 ? null : Math.ceil(Math.max(...waits) / 1000);
}
