import { and, count, desc, eq, gt, isNull, lt, or, type SQL, sql } from "drizzle-orm";
import type { DrizzleD1Database } from "drizzle-orm/d1";
import { apiKeys } from "../db/schema.ts";
import { newId } from "../id.ts";
import { displayOf, hashKey, makeKey } from "./format.ts";

export type ApiKey = Omit<typeof apiKeys.$inferSelect, "hash">;

/** The most keys on one page of {@link listKeys}. */
export const KEYS_LISTED_MAX = 200;

/** Makes a key and stores its hash. `secret` is the whole key, shown this once and kept nowhere. */
export async function issueKey(
  db: DrizzleD1Database,
  userId: string,
  name: string,
  expiresAt: number | null,
  now: number,
): Promise<{ key: ApiKey; secret: string }> {
  const issued = await issueKeyOnce(db, newId("key"), userId, name, expiresAt, now);
  if (!issued) throw new Error("A new key's id is in use.");
  return issued;
}

/** The same with an id chosen before, so that one form makes one key: null when a key of that id exists. */
export async function issueKeyOnce(
  db: DrizzleD1Database,
  id: string,
  userId: string,
  name: string,
  expiresAt: number | null,
  now: number,
): Promise<{ key: ApiKey; secret: string } | null> {
  const secret = makeKey((count) => crypto.getRandomValues(new Uint8Array(count)));
  const key: ApiKey = {
    id,
    userId,
    name,
    display: displayOf(secret),
    expiresAt,
    revokedAt: null,
    createdAt: now,
    lastUsedAt: null,
  };
  const stored = await db
    .insert(apiKeys)
    .values({ ...key, hash: await hashKey(secret) })
    .onConflictDoNothing({ target: apiKeys.id })
    .returning({ id: apiKeys.id });
  return stored.length === 0 ? null : { key, secret };
}

const CURSOR = /^([01])(key_\w{1,64})$/;

/** Whether it can be the `next` of {@link listKeys}. */
export function isKeysCursor(text: string): boolean {
  return CURSOR.test(text);
}

/**
 * A page of a user's keys: live ones first, then revoked and expired ones, each newest first.
 * @param cursor the `next` of the page before; null, or anything else, for the first page
 */
export async function listKeys(
  db: DrizzleD1Database,
  userId: string,
  { limit, cursor, now }: { limit: number; cursor: string | null; now: number },
): Promise<{ keys: ApiKey[]; next: string | null }> {
  const dead = sql<number>`(NOT (${isLive(now)}))`;
  const [, deadBefore, idBefore = ""] = CURSOR.exec(cursor ?? "") ?? [];
  const after =
    deadBefore === undefined
      ? undefined
      : or(gt(dead, Number(deadBefore)), and(eq(dead, Number(deadBefore)), lt(apiKeys.id, idBefore)));
  const rows = await db
    .select({ key: apiKeys, dead })
    .from(apiKeys)
    .where(and(eq(apiKeys.userId, userId), after))
    .orderBy(dead, desc(apiKeys.id))
    .limit(limit + 1);
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    keys: shown.map(({ key: { hash: _, ...key } }) => key),
    next: rows.length > limit && last ? `${last.dead}${last.key.id}` : null,
  };
}

/** How many keys of a user work. */
export async function countLiveKeys(db: DrizzleD1Database, userId: string, now: number): Promise<number> {
  const [row] = await db
    .select({ keys: count() })
    .from(apiKeys)
    .where(and(eq(apiKeys.userId, userId), isLive(now)));
  return row?.keys ?? 0;
}

function isLive(now: number): SQL | undefined {
  return and(isNull(apiKeys.revokedAt), or(isNull(apiKeys.expiresAt), gt(apiKeys.expiresAt, now)));
}

/** One key of a user, or null. */
export async function findKey(db: DrizzleD1Database, userId: string, id: string): Promise<ApiKey | null> {
  const [row] = await db
    .select()
    .from(apiKeys)
    .where(and(eq(apiKeys.id, id), eq(apiKeys.userId, userId)));
  if (!row) return null;
  const { hash: _, ...key } = row;
  return key;
}

/**
 * Revokes a key, once.
 * @param userId whose key it must be; null for an operator, who may revoke anybody's
 * @returns false when there is no such key
 */
export async function revokeKey(
  db: DrizzleD1Database,
  id: string,
  userId: string | null,
  now: number,
): Promise<boolean> {
  const target = and(eq(apiKeys.id, id), userId === null ? undefined : eq(apiKeys.userId, userId));
  const [, found] = await db.batch([
    db
      .update(apiKeys)
      .set({ revokedAt: now })
      .where(and(target, isNull(apiKeys.revokedAt))),
    db.select({ id: apiKeys.id }).from(apiKeys).where(target),
  ]);
  return found.length > 0;
}
