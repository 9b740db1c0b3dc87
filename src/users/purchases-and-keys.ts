import { desc, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { apiKeys, purchases } from "../db/schema.ts";

const PURCHASES_MAX = 100;
const KEYS_MAX = 500;

/** A user's purchases, newest first, and the names of the newest keys by their ids: in one round trip. */
export async function readPurchasesAndKeys(
  d1: D1Database,
  userId: string,
): Promise<{ purchases: (typeof purchases.$inferSelect)[]; keyNames: Map<string, string> }> {
  const db = drizzle(d1);
  const [bought, keys] = await db.batch([
    db
      .select()
      .from(purchases)
      .where(eq(purchases.userId, userId))
      .orderBy(desc(purchases.id))
      .limit(PURCHASES_MAX),
    db
      .select({ id: apiKeys.id, name: apiKeys.name })
      .from(apiKeys)
      .where(eq(apiKeys.userId, userId))
      .orderBy(desc(apiKeys.id))
      .limit(KEYS_MAX),
  ]);
  return { purchases: bought, keyNames: new Map(keys.map(({ id, name }) => [id, name])) };
}
