import { and, desc, eq, gt, gte, isNull, lt, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { isLive, KEEP_MS, type Metadata } from "../account/lifecycle.ts";
import type { GenerationFilter } from "../account/store/generations.ts";
import {
  detailOfRow,
  type GenerationDetail,
  type GenerationRecord,
  SUBJECT_PROMPT_MAX,
  type Subject,
} from "../account/views.ts";
import { type LogEnv, logOf, logShards } from "../db/log.ts";
import { generations, generationsOf, testGenerations } from "../db/log-schema.ts";
import { prepared } from "../db/prepared.ts";
import { isGenerationId, lowestGenerationId } from "../id.ts";
import { scopedIdempotencyKey } from "./fingerprint.ts";

/** The log did not respond to a read. */
export class LogUnavailableError extends Error {
  override readonly name = "LogUnavailableError";
}

/** Asks each database of the log for something harmless. @throws when one does not respond, or is not bound */
export async function askLog(env: LogEnv): Promise<void> {
  await Promise.all(logShards(env).map(({ d1 }) => d1.prepare("SELECT 1").run()));
}

/**
 * One generation of a user, or null; `id` may be any text. The account keeps a generation until a day after its end,
 * and the log has it permanently after its end. So a recent one is looked up in the account first, an older one in the
 * log. If the first of the two does not have it, the other one is asked.
 * @param livemode only a generation of this mode; null for either
 * @throws {LogUnavailableError}
 */
export async function findGeneration(
  userId: string,
  id: string,
  livemode: boolean | null,
  now: number,
  env: LogEnv & Pick<Env, "ACCOUNT">,
): Promise<GenerationDetail | null> {
  if (!isGenerationId(id)) return null;
  const inAccount = () => env.ACCOUNT.getByName(userId).detail(id);
  const inLog = () => findLogged(logOf(env, userId), userId, id, livemode);
  const isRecent = id >= lowestGenerationId(now - KEEP_MS);
  const found = isRecent
    ? ((await inAccount()) ?? (await inLog()))
    : ((await inLog()) ?? (await inAccount()));
  return found !== null && (livemode === null || isLive(found) === livemode) ? found : null;
}

async function findLogged(
  d1: D1Database,
  userId: string,
  id: string,
  livemode: boolean | null,
): Promise<GenerationDetail | null> {
  const read = async (find: typeof liveGeneration) => await fromLog(() => find(d1).get({ userId, id }));
  const row =
    (livemode === false ? undefined : await read(liveGeneration)) ??
    (livemode === true ? undefined : await read(testGeneration));
  return row ? detailOfRow(row) : null;
}

/**
 * The generations that entries of a user's ledger are for, read from the log by id, at most a page of them. Deleted ones are
 * left out, and those that have not ended.
 * @throws {LogUnavailableError}
 */
export async function findSubjects(userId: string, ids: readonly string[], env: LogEnv): Promise<Subject[]> {
  const { request } = generations;
  return await fromLog(() =>
    drizzle(logOf(env, userId))
      .select({
        id: generations.id,
        model: generations.model,
        prompt: sql<string>`substr(json_extract(${request}, '$.prompt'), 1, ${SUBJECT_PROMPT_MAX})`,
        keyId: sql<string | null>`json_extract(${request}, '$.keyId')`,
      })
      .from(generations)
      .where(
        and(
          eq(generations.userId, userId),
          sql`${generations.id} IN (SELECT value FROM json_each(${JSON.stringify(ids)}))`,
          isNull(generations.deletedAt),
        ),
      ),
  );
}

const liveGeneration = byId(generations);
const testGeneration = byId(testGenerations);

function byId(table: typeof generations) {
  return prepared((db) =>
    db
      .select()
      .from(table)
      .where(
        and(
          eq(table.userId, sql.placeholder("userId")),
          eq(table.id, sql.placeholder("id")),
          isNull(table.deletedAt),
        ),
      )
      .prepare(),
  );
}

async function fromLog<T>(read: () => PromiseLike<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw new LogUnavailableError("the log did not respond", { cause });
  }
}

/**
 * How many of a user's logged generations one page looks at when it filters by metadata, words or key, which no index
 * has. So a page takes as long with a million generations as with a thousand, and may end before it is full.
 */
export const SEARCHED_ROWS_MAX = 1_000;

/**
 * One page of a user's generations, newest first: those in the log, and those of the last day in the account, read in
 * parallel. If both have a generation, the log's row is used, because there it has ended.
 * @returns `next`: the `beforeId` of the next page. With a filter by metadata a page may have fewer than `limit`
 * records, or none, and still a next page: see {@link SEARCHED_ROWS_MAX}.
 * @throws {LogUnavailableError}
 */
export async function listGenerations(
  userId: string,
  filter: GenerationFilter,
  beforeId: string | null,
  limit: number,
  env: LogEnv & Pick<Env, "ACCOUNT">,
): Promise<{ records: (GenerationRecord | GenerationDetail)[]; next: string | null }> {
  const { metadata, words, keyId } = filter;
  const isSearch = [metadata, words, keyId].some((part) => part !== undefined);
  const sinceId = isSearch ? await lastOfWindow(logOf(env, userId), userId, filter, beforeId) : undefined;
  const bounded = sinceId === undefined ? filter : { ...filter, sinceId };
  const [logged, recent] = await Promise.all([
    listLogged(logOf(env, userId), userId, bounded, beforeId, limit + 1),
    env.ACCOUNT.getByName(userId).generations(bounded, beforeId, limit + 1),
  ]);
  const byId = new Map([...recent, ...logged].map((record) => [record.id, record]));
  const found = [...byId.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  const records = found.slice(0, limit);
  const next = found.length > limit ? records.at(-1)?.id : sinceId;
  return { records, next: next ?? null };
}

/** The id of the last of {@link SEARCHED_ROWS_MAX} logged generations; undefined when there are fewer. */
async function lastOfWindow(
  d1: D1Database,
  userId: string,
  { livemode = true }: GenerationFilter,
  beforeId: string | null,
): Promise<string | undefined> {
  const table = generationsOf(livemode);
  const [last] = await fromLog(() =>
    drizzle(d1)
      .select({ id: table.id })
      .from(table)
      .where(and(eq(table.userId, userId), beforeId === null ? undefined : lt(table.id, beforeId)))
      .orderBy(desc(table.id))
      .limit(1)
      .offset(SEARCHED_ROWS_MAX - 1),
  );
  return last?.id;
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
  env: LogEnv & Pick<Env, "ACCOUNT">,
): Promise<{ generations: GenerationDetail[]; next: string | null }> {
  const { records, next } = await listGenerations(userId, filter, beforeId, limit, env);
  const account = env.ACCOUNT.getByName(userId);
  const details = await Promise.all(
    records.map((record) => ("request" in record ? record : account.detail(record.id))),
  );
  return { generations: details.filter((detail) => detail !== null), next };
}

/** The log's rows that match the filter. Only ended generations are in the log. */
async function listLogged(
  d1: D1Database,
  userId: string,
  filter: GenerationFilter,
  beforeId: string | null,
  limit: number,
): Promise<GenerationDetail[]> {
  const { livemode = true, status, model, createdAfter, createdBefore, metadata, sinceId } = filter;
  const { words, keyId } = filter;
  const table = generationsOf(livemode);
  if (status === "queued" || status === "processing") return [];
  const rows = await fromLog(() =>
    drizzle(d1)
      .select()
      .from(table)
      .where(
        and(
          eq(table.userId, userId),
          isNull(table.deletedAt),
          beforeId === null ? undefined : lt(table.id, beforeId),
          status === null ? undefined : eq(table.status, status),
          model === null ? undefined : eq(table.model, model),
          createdAfter === null ? undefined : gt(table.createdAt, createdAfter),
          createdBefore === null ? undefined : lt(table.createdAt, createdBefore),
          sinceId === undefined ? undefined : gte(table.id, sinceId),
          metadata === undefined ? undefined : hasLabels(table, metadata),
          words === undefined ? undefined : hasWords(table, words),
          keyId === undefined ? undefined : sql`json_extract(${table.request}, '$.keyId') = ${keyId}`,
        ),
      )
      .orderBy(desc(table.id))
      .limit(limit),
  );
  return rows.map(detailOfRow);
}

/** Whether the row has all of these labels. */
function hasLabels(table: typeof generations, labels: Metadata): SQL {
  return sql`NOT EXISTS (SELECT 1 FROM json_each(${JSON.stringify(labels)}) AS label WHERE NOT EXISTS (
    SELECT 1 FROM json_each(${table.request}, '$.metadata') AS own
    WHERE own.key = label.key AND own.value = label.value))`;
}

/** Whether the row's prompt has all of these words. SQLite ignores the case of ASCII letters only. */
function hasWords(table: typeof generations, words: readonly string[]): SQL {
  return sql`NOT EXISTS (SELECT 1 FROM json_each(${JSON.stringify(words)}) AS word
    WHERE instr(lower(json_extract(${table.request}, '$.prompt')), lower(word.value)) = 0)`;
}

/** The generation that a request of the filter's mode with this key created within the last day, if it matches. */
export async function findByIdempotencyKey(
  key: string,
  filter: GenerationFilter,
  userId: string,
  env: Pick<Env, "ACCOUNT">,
): Promise<GenerationRecord | null> {
  const scoped = scopedIdempotencyKey(key, filter.livemode ?? true);
  const record = await env.ACCOUNT.getByName(userId).generationOfKey(scoped);
  return record && matches(record, filter) ? record : null;
}

function matches(record: GenerationRecord, filter: GenerationFilter): boolean {
  return (
    (filter.status === null || record.status === filter.status) &&
    (filter.model === null || record.model === filter.model) &&
    (filter.createdAfter === null || record.createdAt > filter.createdAfter) &&
    (filter.createdBefore === null || record.createdAt < filter.createdBefore) &&
    Object.entries(filter.metadata ?? {}).every(([name, value]) => record.metadata?.[name] === value)
  );
}
