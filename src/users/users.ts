import { asc, eq, gt } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { type AccountType, accountTypes, users } from "../db/schema.ts";
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

/** Changes the given fields. Null when there is no such user. */
export async function changeUser(
  d1: D1Database,
  id: string,
  changes: { name?: string; accountType?: AccountType },
): Promise<User | null> {
  const [user] = await drizzle(d1).update(users).set(changes).where(eq(users.id, id)).returning();
  return user ?? null;
}
