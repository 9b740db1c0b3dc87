import { and, count, desc, eq, gt, isNull, lt, or, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { apiKeys, type KeyMode, keyModes } from "../db/schema.ts";
import { displayOf, hashKey, makeKey } from "./format.ts";
import { type KeyTerms, keyScopes, readTerms, type TermsRow, termsRow } from "./terms.ts";

export { type KeyMode, keyModes };

type KeyRow = typeof apiKeys.$inferSelect;

export type ApiKey = Omit<KeyRow, "hash" | keyof TermsRow> & KeyTerms;

/** The most keys on one page of {@link listKeys}. */
export const KEYS_LISTED_MAX = 200;

/** The most active keys of one user. */
export const ACTIVE_KEYS_MAX = 100;
export const KEY_NAME_LENGTH_MAX = 100;

export type NewKey = {
  /** Chosen by the caller, so that a repeated call creates no second key. */
  id: string;
  userId: string;
  name: string;
  mode: KeyMode;
  /** Milliseconds since 1970, or null. */
  expiresAt: number | null;
  /** Left out: the key may do everything that its user may. */
} & Partial<KeyTerms>;

export type IssueOutcome =
  /** `secret` is the whole key. It is shown this once and stored nowhere. */
  | { kind: "issued"; key: ApiKey; secret: string }
  /** The user already has a key with this id. */
  | { kind: "exists"; key: ApiKey }
  /** Another user has a key with this id. */
  | { kind: "taken" }
  /** The user has {@link ACTIVE_KEYS_MAX} active keys. */
  | { kind: "too_many" };

/** Creates a key and stores its hash, unless the user has too many. */
export async function issueKey(
  d1: D1Database,
  { id, userId, name, mode, expiresAt, scopes = keyScopes, models = null, creditLimit = null }: NewKey,
  now: number,
): Promise<IssueOutcome> {
  const db = drizzle(d1);
  const secret = makeKey(mode, (count) => crypto.getRandomValues(new Uint8Array(count)));
  const display = displayOf(secret);
  const hash = await hashKey(secret);
  const active = db
    .select({ keys: count() })
    .from(apiKeys)
    .where(and(eq(apiKeys.userId, userId), isActive(now)));
  const terms = { scopes, models, creditLimit };
  const columns = {
    scopes: null,
    models: null,
    creditLimit: null,
    creditLimitPeriod: null,
    ...termsRow(terms),
  };
  // One statement, so that parallel calls cannot exceed the limit together.
  const stored = await db.run(sql`
    INSERT INTO ${apiKeys} (id, user_id, name, hash, mode, display, expires_at, created_at,
      scopes, models, credit_limit, credit_limit_period)
    SELECT ${id}, ${userId}, ${name}, ${hash}, ${mode}, ${display}, ${expiresAt}, ${now},
      ${jsonOrNull(columns.scopes)}, ${jsonOrNull(columns.models)},
      ${columns.creditLimit}, ${columns.creditLimitPeriod}
    WHERE (${active}) < ${ACTIVE_KEYS_MAX}
    ON CONFLICT (id) DO NOTHING`);
  if (stored.meta.changes > 0) {
    const unused = { revokedAt: null, createdAt: now, lastUsedAt: null };
    const key = { id, userId, name, mode, display, expiresAt, ...terms, ...unused };
    return { kind: "issued", key, secret };
  }
  const [row] = await db.select().from(apiKeys).where(eq(apiKeys.id, id));
  if (!row) return { kind: "too_many" };
  return row.userId === userId ? { kind: "exists", key: toApiKey(row) } : { kind: "taken" };
}

function jsonOrNull(value: unknown): string | null {
  return value === null ? null : JSON.stringify(value);
}

function toApiKey({ hash: _, scopes, models, creditLimit, creditLimitPeriod, ...key }: KeyRow): ApiKey {
  return { ...key, ...readTerms({ scopes, models, creditLimit, creditLimitPeriod }) };
}

const CURSOR = /^([01])(key_\w{1,64})$/;

/** Whether a text has the form of {@link listKeys}' `next`. */
export function isKeysCursor(text: string): boolean {
  return CURSOR.test(text);
}

/**
 * A page of a user's keys: active ones first, then revoked and expired ones, each newest first.
 * @param cursor the `next` of the page before; anything else, or null, gives the first page
 */
export async function listKeys(
  d1: D1Database,
  userId: string,
  { limit, cursor, now }: { limit: number; cursor: string | null; now: number },
): Promise<{ keys: ApiKey[]; next: string | null }> {
  const dead = sql<number>`(NOT (${isActive(now)}))`;
  const [, deadBefore, idBefore = ""] = CURSOR.exec(cursor ?? "") ?? [];
  const after =
    deadBefore === undefined
      ? undefined
      : or(gt(dead, Number(deadBefore)), and(eq(dead, Number(deadBefore)), lt(apiKeys.id, idBefore)));
  const rows = await drizzle(d1)
    .select({ key: apiKeys, dead })
    .from(apiKeys)
    .where(and(eq(apiKeys.userId, userId), after))
    .orderBy(dead, desc(apiKeys.id))
    .limit(limit + 1);
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    keys: shown.map(({ key }) => toApiKey(key)),
    next: rows.length > limit && last ? `${last.dead}${last.key.id}` : null,
  };
}

function isActive(now: number): SQL | undefined {
  return and(isNull(apiKeys.revokedAt), or(isNull(apiKeys.expiresAt), gt(apiKeys.expiresAt, now)));
}

/** One key of a user, or null. */
export async function findKey(
  d1: D1Database,
  { id, userId }: { id: string; userId: string },
): Promise<ApiKey | null> {
  const [row] = await drizzle(d1)
    .select()
    .from(apiKeys)
    .where(and(eq(apiKeys.id, id), eq(apiKeys.userId, userId)));
  return row ? toApiKey(row) : null;
}

/**
 * Changes a key's name and terms, from its next request on. What is left out stays.
 * @param key with a `userId`, only a key of that user; an operator leaves it out
 * @returns the key, or null when there is no such key
 */
export async function changeKey(
  d1: D1Database,
  { id, userId }: { id: string; userId?: string },
  { name, ...terms }: Partial<Pick<ApiKey, "name"> & KeyTerms>,
): Promise<ApiKey | null> {
  const owned = userId === undefined ? undefined : eq(apiKeys.userId, userId);
  const [row] = await drizzle(d1)
    .update(apiKeys)
    .set({ ...(name === undefined ? {} : { name }), ...termsRow(terms) })
    .where(and(eq(apiKeys.id, id), owned))
    .returning();
  return row ? toApiKey(row) : null;
}

/**
 * Revokes a key. Repeating it changes nothing.
 * @param key with a `userId`, only a key of that user; an operator leaves it out
 * @returns false when there is no such key
 */
export async function revokeKey(
  d1: D1Database,
  { id, userId }: { id: string; userId?: string },
  now: number,
): Promise<boolean> {
  const owned = userId === undefined ? undefined : eq(apiKeys.userId, userId);
  const revoked = await drizzle(d1)
    .update(apiKeys)
    .set({ revokedAt: sql`coalesce(${apiKeys.revokedAt}, ${now})` })
    .where(and(eq(apiKeys.id, id), owned))
    .returning({ id: apiKeys.id });
  return revoked.length > 0;
}
