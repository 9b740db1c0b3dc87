import { and, eq, isNull, lt, or, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { once } from "../db/once.ts";
import { type AccountType, apiKeys, users } from "../db/schema.ts";

/** Who is calling. */
export type Caller = { userId: string; keyId: string; accountType: AccountType };

export type KeyVerdict =
  /** `firstOfDay`: no request of this day had the key before, as far as is known. */
  { kind: "caller"; caller: Caller; firstOfDay: boolean } | { kind: "invalid" } | { kind: "expired" };

const DAY_MS = 86_400_000;

/**
 * Who calls with the key that hashes so. Asked on every request, never remembered: a revoked key is refused on the very
 * next one.
 */
export async function lookUpKey(d1: D1Database, hash: string, now: number): Promise<KeyVerdict> {
  return judge(await keyOf(d1).get({ hash }), now);
}

/**
 * Writes down that a key was used: once a day, as a row written is what the platform bills. Of many requests at once the
 * first one writes it.
 */
export async function noteUse(d1: D1Database, keyId: string, now: number): Promise<void> {
  const notToday = or(isNull(apiKeys.lastUsedAt), lt(apiKeys.lastUsedAt, dayOf(now) * DAY_MS));
  await drizzle(d1)
    .update(apiKeys)
    .set({ lastUsedAt: now })
    .where(and(eq(apiKeys.id, keyId), notToday));
}

/** The columns of {@link KeyRow}. */
const KEY = {
  keyId: apiKeys.id,
  userId: apiKeys.userId,
  accountType: users.accountType,
  expiresAt: apiKeys.expiresAt,
  revokedAt: apiKeys.revokedAt,
  lastUsedAt: apiKeys.lastUsedAt,
};

const keyOf = once((db) =>
  db
    .select(KEY)
    .from(apiKeys)
    .innerJoin(users, eq(users.id, apiKeys.userId))
    .where(eq(apiKeys.hash, sql.placeholder("hash")))
    .prepare(),
);

type KeyRow = Caller & { expiresAt: number | null; revokedAt: number | null; lastUsedAt: number | null };

function judge(key: KeyRow | undefined, now: number): KeyVerdict {
  if (!key || key.revokedAt !== null) return { kind: "invalid" };
  if (key.expiresAt !== null && key.expiresAt <= now) return { kind: "expired" };
  const { keyId, userId, accountType, lastUsedAt } = key;
  return {
    kind: "caller",
    caller: { userId, keyId, accountType },
    firstOfDay: lastUsedAt === null || dayOf(lastUsedAt) < dayOf(now),
  };
}

function dayOf(milliseconds: number): number {
  return Math.floor(milliseconds / DAY_MS);
}
