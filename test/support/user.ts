import { env } from "cloudflare:workers";
import { drizzle } from "drizzle-orm/d1";
import { users } from "../../src/db/schema.ts";
import { newId } from "../../src/id.ts";
import { issueKey } from "../../src/keys/issue.ts";
import { noteUse } from "../../src/keys/lookup.ts";

/** A user with a key that was used today, so that no use of it is written down, and with credits that never expire. */
export async function newUser(credits = 100): Promise<{ id: string; key: string }> {
  const db = drizzle(env.DB);
  const id = newId("user");
  const now = Date.now();
  await db.insert(users).values({ id, email: `${id}@example.com`, name: null, createdAt: new Date(now) });
  const { key, secret } = await issueKey(db, id, "test", null, now);
  await noteUse(env.DB, key.id, now);
  await env.ACCOUNT.getByName(id).grant("first", credits, null, null);
  return { id, key: secret };
}
