import { and, desc, eq, gt, lt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { KEEP_MS } from "../account/lifecycle.ts";
import type { GenerationFilter } from "../account/store/generations.ts";
import { detailOfRow, type GenerationDetail, type GenerationRecord } from "../account/views.ts";
import { generations } from "../db/log-schema.ts";
import { prepared } from "../db/prepared.ts";
import { isGenerationId, lowestGenerationId } from "../id.ts";

/** The log did not respond to a read. */
export class LogUnavailableError extends Error {
  override readonly name = "LogUnavailableError";
}

/**
 * One generation of a user, or null; `id` may be any text. The account keeps a generation until a day after its end,
 * and the log has it permanently after its end. So a recent one is looked up in the account first, an older one in the
 * log. If the first of the two does not have it, the other one is asked.
 * @throws {LogUnavailableError}
 */
export async function findGeneration(
  userId: string,
  id: string,
  now: number,
  env: Pick<Env, "LOG" | "ACCOUNT">,
): Promise<GenerationDetail | null> {
  if (!isGenerationId(id)) return null;
  const inAccount = () => env.ACCOUNT.getByName(userId).detail(id);
  const inLog = () => findLogged(env.LOG, userId, id);
  const isRecent = id >= lowestGenerationId(now - KEEP_MS);
  return isRecent ? ((await inAccount()) ?? (await inLog())) : ((await inLog()) ?? (await inAccount()));
}

async function findLogged(d1: D1Database, userId: string, id: string): Promise<GenerationDetail | null> {
  const row = await fromLog(() => loggedGeneration(d1).get({ userId, id }));
  return row ? detailOfRow(row) : null;
}

const loggedGeneration = prepared((db) =>
  db
    .select()
    .from(generations)
    .where(and(eq(generations.userId, sql.placeholder("userId")), eq(generations.id, sql.placeholder("id"))))
    .prepare(),
);

async function fromLog<T>(read: () => PromiseLike<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw new LogUnavailableError("the log did not respond", { cause });
  }
}

/**
 * One page of a user's generations, newest first: those in the log, and those of the last day in the account, read in
 * parallel. If both have a generation, the log's row is used, because there it has ended.
 * @throws {LogUnavailableError}
 */
export async function listGenerations(
  userId: string,
  filter: GenerationFilter,
  beforeId: string | null,
  limit: number,
  env: Pick<Env, "LOG" | "ACCOUNT">,
): Promise<{ records: (GenerationRecord | GenerationDetail)[]; hasMore: boolean }> {
  const [logged, recent] = await Promise.all([
    listLogged(env.LOG, userId, filter, beforeId, limit + 1),
    env.ACCOUNT.getByName(userId).generations(filter, beforeId, limit + 1),
  ]);
  const byId = new Map([...recent, ...logged].map((record) => [record.id, record]));
  const records = [...byId.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  return { records: records.slice(0, limit), hasMore: records.length > limit };
}

/**
 * The same page with the requests. The account is asked again for each generation that is not in the log: unfinished
 * ones, and for a moment ended ones.
 * @throws {LogUnavailableError}
 */
export async function listDetails(
  userId: string,
  filter: GenerationFilter,
  beforeId: string | null,
  limit: number,
  env: Pick<Env, "LOG" | "ACCOUNT">,
): Promise<{ generations: GenerationDetail[]; hasMore: boolean }> {
  const { records, hasMore } = await listGenerations(userId, filter, beforeId, limit, env);
  const account = env.ACCOUNT.getByName(userId);
  const details = await Promise.all(
    records.map((record) => ("request" in record ? record : account.detail(record.id))),
  );
  return { generations: details.filter((detail) => detail !== null), hasMore };
}

/** The log's rows that match the filter. Only ended generations are in the log. */
async function listLogged(
  d1: D1Database,
  userId: string,
  filter: GenerationFilter,
  beforeId: string | null,
  limit: number,
): Promise<GenerationDetail[]> {
  const { status, model, createdAfter, createdBefore } = filter;
  if (status === "queued" || status === "processing") return [];
  const rows = await fromLog(() =>
    drizzle(d1)
      .select()
      .from(generations)
      .where(
        and(
          eq(generations.userId, userId),
          beforeId === null ? undefined : lt(generations.id, beforeId),
          status === null ? undefined : eq(generations.status, status),
          model === null ? undefined : eq(generations.model, model),
          createdAfter === null ? undefined : gt(generations.createdAt, createdAfter),
          createdBefore === null ? undefined : lt(generations.createdAt, createdBefore),
        ),
      )
      .orderBy(desc(generations.id))
      .limit(limit),
  );
  return rows.map(detailOfRow);
}

/** The generation that a request with this key created within the last day, if it matches the filter. */
export async function findByIdempotencyKey(
  key: string,
  filter: GenerationFilter,
  userId: string,
  env: Pick<Env, "ACCOUNT">,
): Promise<GenerationRecord | null> {
  const record = await env.ACCOUNT.getByName(userId).generationOfKey(key);
  return record && matches(record, filter) ? record : null;
}

function matches(record: GenerationRecord, filter: GenerationFilter): boolean {
  return (
    (filter.status === null || record.status === filter.status) &&
    (filter.model === null || record.model === filter.model) &&
    (filter.createdAfter === null || record.createdAt > filter.createdAfter) &&
    (filter.createdBefore === null || record.createdAt < filter.createdBefore)
  );
}
