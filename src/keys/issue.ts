import { and, desc, eq, isNull } from "drizzle-orm";
import type { DrizzleD1Database } from "drizzle-orm/d1";
import { apiKeys } from "../db/schema.ts";
import { newId } from "../id.ts";
import { displayOf, hashKey, makeKey } from "./format.ts";

export type ApiKey = Omit<typeof apiKeys.$inferSelect, "hash">;

const KEYS_LISTED_MAX = 200;

/** Makes a key and stores its hash. `secret` is the whole key, shown this once and kept nowhere. */
export async function issueKey(
  db: DrizzleD1Database,
  userId: string,
  name: string,
  expiresAt: number | null,
  now: number,
): Promise<{ key: ApiKey; secret: string }> {
  const secret = makeKey((count) => crypto.getRandomValues(new Uint8Array(count)));
  const key: ApiKey = {
    id: newId("key"),
    userId,
    name,
    display: displayOf(secret),
    expiresAt,
    revokedAt: null,
    createdAt: now,
    lastUsedAt: null,
  };
  await db.insert(apiKeys).values({ ...key, hash: await hashKey(secret) });
  return { key, secret };
}

/** A user's keys, newest first, at most 200; the revoked ones too. */
export async function listKeys(db: DrizzleD1Database, userId: string): Promise<ApiKey[]> {
  const rows = await db
    .select()
    .from(apiKeys)
    .where(eq(apiKeys.userId, userId))
    .orderBy(desc(apiKeys.createdAt), desc(apiKeys.id))
    .limit(KEYS_LISTED_MAX);
  return rows.map(({ hash: _, ...key }) => key);
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

/** Revokes a key, once; false when there is none of that id. */
export async function revokeKey(db: DrizzleD1Database, id: string, now: number): Promise<boolean> {
  const [, found] = await db.batch([
    db
      .update(apiKeys)
      .set({ revokedAt: now })
      .where(and(eq(apiKeys.id, id), isNull(apiKeys.revokedAt))),
    db.select({ id: apiKeys.id }).from(apiKeys).where(eq(apiKeys.id, id)),
  ]);
  return found.length > 0;
}
