import { and, eq } from "drizzle-orm";
import type { DrizzleD1Database } from "drizzle-orm/d1";
import { type GenerationRecord, recordOfRow } from "../account/record.ts";
import { apiKeys, generations } from "../db/schema.ts";

/**
 * The log's row of one generation, if it is of the user whose key hashes so: a query that can go in one batch with the
 * key's own look-up.
 */
export function loggedGenerationQuery(db: DrizzleD1Database, keyHash: string, id: string) {
  return db
    .select({ row: generations })
    .from(apiKeys)
    .innerJoin(generations, and(eq(generations.userId, apiKeys.userId), eq(generations.id, id)))
    .where(eq(apiKeys.hash, keyHash));
}

/** The generation: from its row when it has ended and been logged, else from the user's account; null when neither has it. */
export async function readGeneration(
  logged: Awaited<ReturnType<typeof loggedGenerationQuery>>,
  userId: string,
  id: string,
  env: Pick<Env, "ACCOUNT">,
): Promise<GenerationRecord | null> {
  const [found] = logged;
  if (found) return recordOfRow(found.row);
  return await env.ACCOUNT.getByName(userId).generation(id);
}
