import { env } from "cloudflare:workers";
import { drizzle } from "drizzle-orm/d1";
import { users } from "../../src/db/schema.ts";
import { newId } from "../../src/id.ts";
import { recordKeyUse } from "../../src/keys/lookup.ts";
import { issueKey, type KeyMode } from "../../src/keys/manage.ts";

/** A user with credits that never expire, and a key that was used today, so that its use is not written again. */
export async function newUser(credits = 100, mode: KeyMode = "live"): Promise<{ id: string; key: string }> {
  const db = drizzle(env.DB);
  const id = newId("user");
  const now = Date.now();
  await db.insert(users).values({ id, email: `${id}@example.com`, name: null, createdAt: new Date(now) });
  const key = { id: newId("key"), userId: id, name: "test", mode, expiresAt: null };
  const issued = await issueKey(env.DB, key, now);
  if (issued.kind !== "issued") throw new Error(issued.kind);
  await recordKeyUse(env.DB, key.id, now);
  await env.ACCOUNT.getByName(id).grant("first", credits, null, null);
  return { id, key: issued.secret };
}
