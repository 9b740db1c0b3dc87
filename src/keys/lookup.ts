import { and, eq, isNull, lt, or, sql } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import { once } from "../db/once.ts";
import { type AccountType, apiKeys, generations, users } from "../db/schema.ts";

/** Who is calling. */
export type Caller = { userId: string; keyId: string; accountType: AccountType };

export type KeyVerdict =
  /** `firstOfDay`: no request of this day had the key before, as far as is known. */
  { kind: "caller"; caller: Caller; firstOfDay: boolean } | { kind: "invalid" } | { kind: "expired" };

const DAY_MS = 86_400_000;

/** The log's row of a generation. */
export type LoggedGeneration = typeof generations.$inferSelect;

/**
 * Who calls with the key that hashes so. Asked on every request, never remembered: a revoked key is refused on the very
 * next one.
 */
export async function lookUpKey(d1: D1Database, hash: string, now: number): Promise<KeyVerdict> {
  return judge(await keyOnly(d1).get({ hash }), now);
}

/** The same, with the log's row of one generation in the same query: null where it is not there, or not the caller's. */
export async function lookUpKeyAndGeneration(
  d1: D1Database,
  hash: string,
  now: number,
  generationId: string,
): Promise<{ verdict: KeyVerdict; found: LoggedGeneration | null }> {
  const row = await keyAndGeneration(d1).get({ hash, generationId });
  return { verdict: judge(row, now), found: row?.generation ?? null };
}

/** The same, with a query of the caller's own in the same round trip. Its rows are worth nothing without a caller. */
export async function lookUpKeyAnd<Q extends BatchItem<"sqlite">>(
  d1: D1Database,
  hash: string,
  now: number,
  query: (db: DrizzleD1Database) => Q,
): Promise<{ verdict: KeyVerdict; found: Q["_"]["result"] }> {
  const db = drizzle(d1);
  const key = db
    .select(KEY)
    .from(apiKeys)
    .innerJoin(users, eq(users.id, apiKeys.userId))
    .where(eq(apiKeys.hash, hash));
  const [[row], found] = await db.batch([key, query(db)]);
  return { verdict: judge(row, now), found };
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

const KEY = {
  keyId: apiKeys.id,
  userId: apiKeys.userId,
  accountType: users.accountType,
  expiresAt: apiKeys.expiresAt,
  revokedAt: apiKeys.revokedAt,
  lastUsedAt: apiKeys.lastUsedAt,
};

const isPresentedKey = eq(apiKeys.hash, sql.placeholder("hash"));

const keyOnly = once((db) =>
  db.select(KEY).from(apiKeys).innerJoin(users, eq(users.id, apiKeys.userId)).where(isPresentedKey).prepare(),
);

const keyAndGeneration = once((db) =>
  db
    .select({ ...KEY, generation: generations })
    .from(apiKeys)
    .innerJoin(users, eq(users.id, apiKeys.userId))
    .leftJoin(
      generations,
      and(eq(generations.userId, apiKeys.userId), eq(generations.id, sql.placeholder("generationId"))),
    )
    .where(isPresentedKey)
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
