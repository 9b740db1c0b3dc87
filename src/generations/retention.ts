import { and, isNotNull, lt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import * as z from "zod";
import { DELETED_AT_ONCE_MAX } from "../account/lifecycle.ts";
import type { Config } from "../config.ts";
import { readState, type State, writeState } from "../db/job-state.ts";
import { shardOf } from "../db/log.ts";
import { generationsOf } from "../db/log-schema.ts";
import { lowestGenerationId } from "../id.ts";
import { describe, log } from "../log.ts";

const DAY_MS = 86_400_000;

/** The limits of one run for each mode. The next run continues. */
export type Bounds = { pages: number; rowsAPage: number; deletionsAPage: number };
const BOUNDS: Bounds = { pages: 10, rowsAPage: 5_000, deletionsAPage: 250 };

const Cursor = z.object({ userId: z.string(), generationId: z.string() });
type Cursor = z.output<typeof Cursor>;
const START: Cursor = { userId: "", generationId: "" };

/**
 * Deletes generations that are older than the settings allow, and then their rows in the log. The log has no index on
 * time, so the job walks all of it in the order of its key, a few pages in each run. A run that is cut off repeats a
 * page: deleting twice has the effect of once. The ledgers are not touched.
 */
export async function enforceRetention(
  env: Env,
  { RETENTION_DAYS, LOG_RETENTION_DAYS }: Config,
  now: number,
  bounds = BOUNDS,
): Promise<void> {
  // Nothing can find the images of a row that is gone, so they go first.
  const days = [RETENTION_DAYS, LOG_RETENTION_DAYS].filter((count) => count > 0);
  if (days.length === 0) return;
  const contentBefore = lowestGenerationId(now - Math.min(...days) * DAY_MS);
  const rowsBefore = LOG_RETENTION_DAYS === 0 ? null : lowestGenerationId(now - LOG_RETENTION_DAYS * DAY_MS);
  for (const livemode of [true, false]) await walk(env, livemode, contentBefore, rowsBefore, bounds);
}

async function walk(
  env: Env,
  livemode: boolean,
  contentBefore: string,
  rowsBefore: string | null,
  bounds: Bounds,
): Promise<void> {
  const state: State<typeof Cursor> = { name: livemode ? "retention" : "retention_test", schema: Cursor };
  let cursor = (await readState(env.DB, state)) ?? START;
  const removed = { generations: 0, rows: 0 };
  for (let page = 0; page < bounds.pages; page++) {
    const { d1, next } = shardOf(env, cursor.userId);
    const { due, last } = await readPage(d1, livemode, cursor, contentBefore, bounds);
    await deleteAll(env, livemode, due);
    removed.generations += due.length;
    if (rowsBefore !== null) removed.rows += await deleteRows(d1, livemode, cursor, last, rowsBefore);
    cursor = last ?? { ...START, userId: next ?? "" };
    await writeState(env.DB, state, cursor);
    if (last === null && next === null) break;
  }
  log("retention", { livemode, ...removed, is_at_end: cursor.userId === "" });
}

/** The next rows of a database: those whose content is due for deletion, and the last one; null at its end. */
async function readPage(
  d1: D1Database,
  livemode: boolean,
  { userId, generationId }: Cursor,
  contentBefore: string,
  { rowsAPage, deletionsAPage }: Bounds,
): Promise<{ due: Cursor[]; last: Cursor | null }> {
  const table = livemode ? "generations" : "test_generations";
  const rows = `SELECT user_id AS userId, id AS generationId, deleted_at FROM ${table}
    WHERE (user_id, id) > (?1, ?2) ORDER BY user_id, id LIMIT ${rowsAPage}`;
  const [found, end] = await d1.batch([
    d1
      .prepare(
        `SELECT userId, generationId FROM (${rows}) WHERE deleted_at IS NULL AND generationId < ?3
         ORDER BY userId, generationId LIMIT ${deletionsAPage}`,
      )
      .bind(userId, generationId, contentBefore),
    d1
      .prepare(`SELECT userId, generationId FROM (${rows}) LIMIT 1 OFFSET ${rowsAPage - 1}`)
      .bind(userId, generationId),
  ]);
  const due = z.array(Cursor).parse(found?.results);
  const [last = null] = z.array(Cursor).parse(end?.results);
  // A full page of deletions ends where the last of them is.
  return { due, last: due.length === deletionsAPage ? (due.at(-1) ?? null) : last };
}

/** An account that does not respond keeps its generations until the next walk. */
async function deleteAll(env: Env, livemode: boolean, due: readonly Cursor[]): Promise<void> {
  const byUser = Map.groupBy(due, ({ userId }) => userId);
  for (const [userId, places] of byUser) {
    const ids = places.map(({ generationId }) => generationId);
    try {
      for (let at = 0; at < ids.length; at += DELETED_AT_ONCE_MAX)
        await env.ACCOUNT.getByName(userId).deleteLogged(ids.slice(at, at + DELETED_AT_ONCE_MAX), livemode);
    } catch (error) {
      log("retention_failed", { user_id: userId, error: describe(error) });
    }
  }
}

/** Deletes the rows after `from`, up to `last` (null: the end), whose content was deleted. @returns how many */
async function deleteRows(
  d1: D1Database,
  livemode: boolean,
  from: Cursor,
  last: Cursor | null,
  before: string,
): Promise<number> {
  const table = generationsOf(livemode);
  const key = sql`(${table.userId}, ${table.id})`;
  const deleted = await drizzle(d1)
    .delete(table)
    .where(
      and(
        sql`${key} > (${from.userId}, ${from.generationId})`,
        last === null ? undefined : sql`${key} <= (${last.userId}, ${last.generationId})`,
        lt(table.id, before),
        isNotNull(table.deletedAt),
      ),
    );
  return deleted.meta.changes;
}
