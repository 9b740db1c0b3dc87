import { inArray, lte } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { attempts, sessions, verifications } from "../db/schema.ts";
import { log } from "../log.ts";

const ROWS_A_STATEMENT = 1_000;
const ROUNDS_MAX = 50;

/**
 * Deletes expired sessions, verifications and counted attempts: at most 50,000 of each in one run. Run by a
 * daily job.
 */
export async function removeExpired(d1: D1Database, now: number): Promise<void> {
  const db = drizzle(d1);
  const date = new Date(now);
  const expiredSessions = db
    .select({ id: sessions.id })
    .from(sessions)
    .where(lte(sessions.expiresAt, date))
    .limit(ROWS_A_STATEMENT);
  const expiredVerifications = db
    .select({ id: verifications.id })
    .from(verifications)
    .where(lte(verifications.expiresAt, date))
    .limit(ROWS_A_STATEMENT);
  const endedAttempts = db
    .select({ key: attempts.key })
    .from(attempts)
    .where(lte(attempts.endsAt, now))
    .limit(ROWS_A_STATEMENT);
  const removed = { sessions: 0, verifications: 0, attempts: 0 };
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const [gone, links, tries] = await db.batch([
      db.delete(sessions).where(inArray(sessions.id, expiredSessions)),
      db.delete(verifications).where(inArray(verifications.id, expiredVerifications)),
      db.delete(attempts).where(inArray(attempts.key, endedAttempts)),
    ]);
    removed.sessions += gone.meta.changes;
    removed.verifications += links.meta.changes;
    removed.attempts += tries.meta.changes;
    if (Math.max(gone.meta.changes, links.meta.changes, tries.meta.changes) < ROWS_A_STATEMENT) break;
  }
  log("expired_removed", removed);
}
