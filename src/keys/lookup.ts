import { and, eq, isNull, lt, or, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { prepared } from "../db/prepared.ts";
import { type AccountType, apiKeys, type KeyMode, users } from "../db/schema.ts";
import { type KeyTerms, readTerms, type TermsRow } from "./terms.ts";

/** The user and the key of a request. */
export type Caller = {
  userId: string;
  keyId: string;
  /** False for a test key. */
  livemode: boolean;
  accountType: AccountType;
} & KeyTerms;

export type KeyLookup =
  /** `firstUseToday`: the key has no recorded use today (UTC). */
  | { kind: "caller"; caller: Caller; firstUseToday: boolean }
  | { kind: "invalid" }
  | { kind: "expired" }
  /** The key's user may not use the service. */
  | { kind: "suspended" };

const DAY_MS = 86_400_000;

/**
 * Looks up the key with this hash. Done on every request and never cached, so that a revoked key is refused on the next
 * request.
 */
export async function lookUpKey(d1: D1Database, hash: string, now: number): Promise<KeyLookup> {
  return classify(await keyOf(d1).get({ hash }), now);
}

/**
 * Records the use of a key once a day, because the platform bills written rows. Of parallel requests, the first one
 * writes it.
 */
export async function recordKeyUse(d1: D1Database, keyId: string, now: number): Promise<void> {
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
  mode: apiKeys.mode,
  accountType: users.accountType,
  suspendedAt: users.suspendedAt,
  expiresAt: apiKeys.expiresAt,
  revokedAt: apiKeys.revokedAt,
  lastUsedAt: apiKeys.lastUsedAt,
  scopes: apiKeys.scopes,
  models: apiKeys.models,
  creditLimit: apiKeys.creditLimit,
  creditLimitPeriod: apiKeys.creditLimitPeriod,
};

const keyOf = prepared((db) =>
  db
    .select(KEY)
    .from(apiKeys)
    .innerJoin(users, eq(users.id, apiKeys.userId))
    .where(eq(apiKeys.hash, sql.placeholder("hash")))
    .prepare(),
);

type KeyRow = Omit<Caller, "livemode" | keyof KeyTerms> &
  TermsRow & {
    mode: KeyMode;
    suspendedAt: number | null;
    expiresAt: number | null;
    revokedAt: number | null;
    lastUsedAt: number | null;
  };

function classify(key: KeyRow | undefined, now: number): KeyLookup {
  if (!key || key.revokedAt !== null) return { kind: "invalid" };
  if (key.expiresAt !== null && key.expiresAt <= now) return { kind: "expired" };
  if (key.suspendedAt !== null) return { kind: "suspended" };
  const { keyId, userId, mode, accountType, lastUsedAt } = key;
  return {
    kind: "caller",
    caller: { userId, keyId, livemode: mode === "live", accountType, ...readTerms(key) },
    firstUseToday: lastUsedAt === null || dayOf(lastUsedAt) < dayOf(now),
  };
}

function dayOf(milliseconds: number): number {
  return Math.floor(milliseconds / DAY_MS);
}
