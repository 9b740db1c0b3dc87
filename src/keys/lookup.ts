import { eq } from "drizzle-orm";
import type { DrizzleD1Database } from "drizzle-orm/d1";
import { apiKeys, users } from "../db/schema.ts";

/** Who is calling. */
export type Caller = { userId: string; keyId: string; accountType: "FREE" | "PRO" };

export type KeyVerdict = { kind: "caller"; caller: Caller } | { kind: "invalid" } | { kind: "expired" };

/** The key that hashes so, and its user: a query that can go in one batch with what the caller wants to read. */
export function keyQuery(db: DrizzleD1Database, hash: string) {
  return db
    .select({
      keyId: apiKeys.id,
      userId: apiKeys.userId,
      accountType: users.accountType,
      expiresAt: apiKeys.expiresAt,
      revokedAt: apiKeys.revokedAt,
    })
    .from(apiKeys)
    .innerJoin(users, eq(users.id, apiKeys.userId))
    .where(eq(apiKeys.hash, hash));
}

/** Asked on every request, never remembered: a revoked key is refused on the very next one. */
export function judgeKey(rows: Awaited<ReturnType<typeof keyQuery>>, now: number): KeyVerdict {
  const [key] = rows;
  if (!key || key.revokedAt !== null) return { kind: "invalid" };
  if (key.expiresAt !== null && key.expiresAt <= now) return { kind: "expired" };
  const { keyId, userId, accountType } = key;
  return { kind: "caller", caller: { userId, keyId, accountType } };
}
