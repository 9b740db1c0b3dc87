import { and, asc, eq, gt, isNotNull, isNull, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import {
  type AccountType,
  accounts,
  accountTypes,
  apiKeys,
  passkeys,
  sessions,
  users,
  verifications,
} from "../db/schema.ts";
import { newId } from "../id.ts";

export { type AccountType, accountTypes };

export type User = typeof users.$inferSelect;

/** Creates a user without a password. Null when another user has the e-mail address. */
export async function createUser(
  d1: D1Database,
  { email, name, accountType }: { email: string; name: string | null; accountType: AccountType },
): Promise<User | null> {
  const [user] = await drizzle(d1)
    .insert(users)
    .values({ id: newId("user"), email, name, accountType, createdAt: new Date() })
    .onConflictDoNothing()
    .returning();
  return user ?? null;
}

export async function findUser(d1: D1Database, id: string): Promise<User | null> {
  const [user] = await drizzle(d1).select().from(users).where(eq(users.id, id));
  return user ?? null;
}

export async function findUserByEmail(d1: D1Database, email: string): Promise<User | null> {
  const [user] = await drizzle(d1).select().from(users).where(eq(users.email, email));
  return user ?? null;
}

/** The ids of the next users after that one, in their order. */
export async function userIdsAfter(d1: D1Database, id: string, limit: number): Promise<string[]> {
  const found = await drizzle(d1)
    .select({ id: users.id })
    .from(users)
    .where(gt(users.id, id))
    .orderBy(asc(users.id))
    .limit(limit);
  return found.map((user) => user.id);
}

/**
 * Changes the given fields. A user who is suspended may not use the service: keys and pages are refused from the next
 * request on, and sessions end. Work that was accepted goes on.
 * @returns null when there is no such user, and for a deleted one
 */
export async function changeUser(
  d1: D1Database,
  id: string,
  { suspended, ...changes }: { name?: string; accountType?: AccountType; suspended?: boolean },
  now: number,
): Promise<User | null> {
  const db = drizzle(d1);
  const since = suspended ? sql`coalesce(${users.suspendedAt}, ${now})` : null;
  const set = { ...changes, ...(suspended === undefined ? {} : { suspendedAt: since }) };
  const change = db
    .update(users)
    .set(set)
    .where(and(eq(users.id, id), isNull(users.deletedAt)))
    .returning();
  const [changed] = suspended
    ? await db.batch([change, db.delete(sessions).where(eq(sessions.userId, id))])
    : [await change];
  return changed[0] ?? null;
}

/** Keeps the language in which the user is mailed. */
export async function setLanguage(d1: D1Database, id: string, language: string): Promise<void> {
  await drizzle(d1)
    .update(users)
    .set({ language })
    .where(and(eq(users.id, id), isNull(users.deletedAt)));
}

/** Ends a user's sessions: the next request of each browser has to sign in. @returns how many there were */
export async function endSessions(d1: D1Database, userId: string): Promise<number> {
  const ended = await drizzle(d1).delete(sessions).where(eq(sessions.userId, userId));
  return ended.meta.changes;
}

/**
 * Deletes a user: the address and the name, which frees the address; the sign-in methods, the sessions and the names of
 * keys. Keys are refused from the next request on. The ledger stays with the id. A job deletes the generations. Repeating
 * it changes nothing.
 */
export async function deleteUser(d1: D1Database, id: string, now: number): Promise<void> {
  const db = drizzle(d1);
  await db.batch([
    db
      .update(users)
      .set({
        email: `${id}@deleted.invalid`,
        ...{ name: null, image: null, language: null, emailVerified: false, signupGrantDue: false },
        suspendedAt: sql`coalesce(${users.suspendedAt}, ${now})`,
        deletedAt: sql`coalesce(${users.deletedAt}, ${now})`,
      })
      .where(eq(users.id, id)),
    db.delete(sessions).where(eq(sessions.userId, id)),
    db.delete(accounts).where(eq(accounts.userId, id)),
    db.delete(passkeys).where(eq(passkeys.userId, id)),
    db.delete(verifications).where(eq(verifications.value, id)),
    db
      .update(apiKeys)
      .set({ name: "", revokedAt: sql`coalesce(${apiKeys.revokedAt}, ${now})` })
      .where(eq(apiKeys.userId, id)),
  ]);
}

/** Deleted users whose generations are not all deleted yet, those deleted first, first. */
export async function usersToErase(
  d1: D1Database,
  limit: number,
): Promise<{ id: string; deletedAt: number | null }[]> {
  return await drizzle(d1)
    .select({ id: users.id, deletedAt: users.deletedAt })
    .from(users)
    .where(and(isNotNull(users.deletedAt), isNull(users.erasedAt)))
    .orderBy(asc(users.deletedAt))
    .limit(limit);
}

/** Notes that nothing of a deleted user is left to delete. */
export async function markErased(d1: D1Database, id: string, now: number): Promise<void> {
  await drizzle(d1).update(users).set({ erasedAt: now }).where(eq(users.id, id));
}
