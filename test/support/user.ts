import { env } from "cloudflare:workers";
import { drizzle } from "drizzle-orm/d1";
import { users } from "../../src/db/schema.ts";
import { newId } from "../../src/id.ts";
import { recordKeyUse } from "../../src/keys/lookup.ts";
import { issueKey } from "../../src/keys/manage.ts";

/** A user with credits that never expire, and a key that was used today, so that its use is not written again. */
export async function newUser(credits = 100): Promise<{ id: string; key: string }> {
  const db = drizzle(env.DB);
  const id = newId("user");
  const now = Date.now();
  await db.insert(users).values({ id, email: `${id}@example.com`, name: null, createdAt: new Date(now) });
  const issued = await issueKey(env.DB, { id: newId("key"), userId: id, name: "test", expiresAt: null }, now);
  if (issued.kind !== "issued") throw new Error(issued.kind);
  const { key, secret } = issued;
  await recordKeyUse(env.DB, key.id, now);
  await env.ACCOUNT.getByName(id).grant("first", credits, null, null);
  return { id, key: secret };
}
