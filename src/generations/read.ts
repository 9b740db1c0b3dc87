import { and, desc, eq, gt, lt, type SQL, sql } from "drizzle-orm";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import type { GenerationFilter } from "../account/store/generations.ts";
import { detailOfRow, type GenerationDetail, type GenerationRecord } from "../account/views.ts";
import { apiKeys, generations } from "../db/schema.ts";
import { isGenerationId } from "../id.ts";

/** The generation: from its row when it has ended and been logged, else from the user's account; null when neither has it. */
export async function readGeneration(
  logged: typeof generations.$inferSelect | null,
  userId: string,
  id: string,
  env: Pick<Env, "ACCOUNT">,
): Promise<GenerationDetail | null> {
  if (logged) return detailOfRow(logged);
  return await env.ACCOUNT.getByName(userId).detail(id);
}

/** One generation of a user, whatever text the id is. */
export async function findGeneration(
  userId: string,
  id: string,
  env: Pick<Env, "DB" | "ACCOUNT">,
): Promise<GenerationDetail | null> {
  if (!isGenerationId(id)) return null;
  const [row] = await drizzle(env.DB)
    .select()
    .from(generations)
    .where(and(eq(generations.userId, userId), eq(generations.id, id)));
  return await readGeneration(row ?? null, userId, id, env);
}

/** The log's rows that the filter lets through, of the user whose key hashes so: one more than the page needs. */
export function loggedGenerationsQuery(
  db: DrizzleD1Database,
  keyHash: string,
  filter: GenerationFilter,
  beforeId: string | null,
  limit: number,
) {
  const owner = db.select({ userId: apiKeys.userId }).from(apiKeys).where(eq(apiKeys.hash, keyHash));
  return loggedQuery(db, sql`(${owner})`, filter, beforeId, limit);
}

function loggedQuery(
  db: DrizzleD1Database,
  owner: SQL | string,
  filter: GenerationFilter,
  beforeId: string | null,
  limit: number,
) {
  const { status, model, createdAfter, createdBefore } = filter;
  // Work that has not ended is not in the log: no row has such a status.
  const ended = status === "queued" || status === "processing" ? null : status;
  return db
    .select({ row: generations })
    .from(generations)
    .where(
      and(
        eq(generations.userId, owner),
        beforeId === null ? undefined : lt(generations.id, beforeId),
        ended === null ? undefined : eq(generations.status, ended),
        model === null ? undefined : eq(generations.model, model),
        createdAfter === null ? undefined : gt(generations.createdAt, createdAfter),
        createdBefore === null ? undefined : lt(generations.createdAt, createdBefore),
      ),
    )
    .orderBy(desc(generations.id))
    .limit(ended === status ? limit + 1 : 0);
}

/**
 * One page, newest first: what the log has, and what the account has of the last day, whether it is in the log by now or
 * not. The account is asked second: what was not in the log before is still there.
 */
export async function listGenerations(
  logged: Awaited<ReturnType<typeof loggedGenerationsQuery>>,
  userId: string,
  filter: GenerationFilter,
  beforeId: string | null,
  limit: number,
  env: Pick<Env, "ACCOUNT">,
): Promise<{ records: GenerationRecord[]; hasMore: boolean }> {
  const recent = await env.ACCOUNT.getByName(userId).generations(filter, beforeId, limit + 1);
  const byId = new Map(
    [...logged.map(({ row }) => detailOfRow(row)), ...recent].map((record) => [record.id, record]),
  );
  const records = [...byId.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  return { records: records.slice(0, limit), hasMore: records.length > limit };
}

/**
 * The same page with what was asked for, of a user. What is only in the account is asked for one by one: that is what
 * has not ended, and for moments, or while D1 refuses, what has.
 */
export async function listDetails(
  userId: string,
  filter: GenerationFilter,
  beforeId: string | null,
  limit: number,
  env: Pick<Env, "DB" | "ACCOUNT">,
): Promise<{ generations: GenerationDetail[]; hasMore: boolean }> {
  const logged = await loggedQuery(drizzle(env.DB), userId, filter, beforeId, limit);
  const { records, hasMore } = await listGenerations(logged, userId, filter, beforeId, limit, env);
  const inLog = new Map(logged.map(({ row }) => [row.id, detailOfRow(row)]));
  const account = env.ACCOUNT.getByName(userId);
  const details = await Promise.all(records.map(({ id }) => inLog.get(id) ?? account.detail(id)));
  return { generations: details.filter((detail) => detail !== null), hasMore };
}

/** The generation that a request with this key made within the last day, if the filter lets it through. */
export async function findByIdempotencyKey(
  key: string,
  filter: GenerationFilter,
  userId: string,
  env: Pick<Env, "ACCOUNT">,
): Promise<GenerationRecord | null> {
  const record = await env.ACCOUNT.getByName(userId).generationOfKey(key);
  return record && passes(record, filter) ? record : null;
}

function passes(record: GenerationRecord, filter: GenerationFilter): boolean {
  return (
    (filter.status === null || record.status === filter.status) &&
    (filter.model === null || record.model === filter.model) &&
    (filter.createdAfter === null || record.createdAt > filter.createdAfter) &&
    (filter.createdBefore === null || record.createdAt < filter.createdBefore)
  );
}
