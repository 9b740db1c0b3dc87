import { eq } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import { apiKeys, users } from "../db/schema.ts";

/** Who is calling. */
export type Caller = { userId: string; keyId: string; accountType: "FREE" | "PRO" };

export type KeyVerdict =
  /** `firstOfDay`: no request of this day had the key before, as far as is known. */
  { kind: "caller"; caller: Caller; firstOfDay: boolean } | { kind: "invalid" } | { kind: "expired" };

const DAY_MS = 86_400_000;

/**
 * Who calls with the key that hashes so. Asked on every request, never remembered: a revoked key is refused on the very
 * next one.
 */
export async function lookUpKey(d1: D1Database, hash: string, now: number): Promise<KeyVerdict> {
  return judge(await keyQuery(drizzle(d1), hash), now);
}

/** The same, with a query of the caller's own in the same round trip. Its rows are worth nothing without a caller. */
export async function lookUpKeyAnd<Q extends BatchItem<"sqlite">>(
  d1: D1Database,
  hash: string,
  now: number,
  query: (db: DrizzleD1Database) => Q,
): Promise<{ verdict: KeyVerdict; rows: Q["_"]["result"] }> {
  const db = drizzle(d1);
  const [keys, rows] = await db.batch([keyQuery(db, hash), query(db)]);
  return { verdict: judge(keys, now), rows };
}

/** Writes down that a key was used: once a day, as a row written is what the platform bills. */
export async function noteUse(d1: D1Database, keyId: string, now: number): Promise<void> {
  await drizzle(d1).update(apiKeys).set({ lastUsedAt: now }).where(eq(apiKeys.id, keyId));
}

function keyQuery(db: DrizzleD1Database, hash: string) {
  return db
    .select({
      keyId: apiKeys.id,
      userId: apiKeys.userId,
      accountType: users.accountType,
      expiresAt: apiKeys.expiresAt,
      revokedAt: apiKeys.revokedAt,
      lastUsedAt: apiKeys.lastUsedAt,
    })
    .from(apiKeys)
    .innerJoin(users, eq(users.id, apiKeys.userId))
    .where(eq(apiKeys.hash, hash));
}

function judge(rows: Awaited<ReturnType<typeof keyQuery>>, now: number): KeyVerdict {
  const [key] = rows;
  if (!key || key.revokedAt !== null) return { kind: "invalid" };
  if (key.expiresAt !== null && key.expiresAt <= now) return { kind: "expired" };
  const { keyId, userId, accountType, lastUsedAt } = key;
  return {
    kind: "caller",
    caller: { userId, keyId, accountType },
    firstOfDay: lastUsedAt === null || dayOf(lastUsedAt) !== dayOf(now),
  };
}

function dayOf(milliseconds: number): number {
  return Math.floor(milliseconds / DAY_MS);
}
