import { and, eq, gt, inArray, isNull, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { SQLiteTable } from "drizzle-orm/sqlite-core";
import { creditEntries, generationsOf } from "../db/log-schema.ts";
import { type Generation, isLive } from "./lifecycle.ts";
import type { Entry } from "./store/ledger.ts";
import { entryRowOf, rowOf } from "./views.ts";

/** D1 binds at most 100 values per statement, and an entry has eight. */
const ENTRIES_A_STATEMENT = 12;
/** The most entries in one call of {@link writeLog}. */
export const ENTRIES_A_WRITE = 10 * ENTRIES_A_STATEMENT;

/**
 * Writes an ended generation and entries to the log in one batch, all or nothing. An existing row that is equal is left
 * alone, and one that differs is corrected.
 * @throws when the log does not respond
 */
export async function writeLog(
  d1: D1Database,
  userId: string,
  generation: Generation | null,
  entries: readonly Entry[],
): Promise<void> {
  const db = drizzle(d1);
  const row = generation && rowOf(userId, generation);
  const table = generationsOf(generation === null || isLive(generation.request));
  const statements = [
    ...(row
      ? [
          db
            .insert(table)
            .values(row)
            .onConflictDoUpdate({
              target: [table.userId, table.id],
              ...setToGiven(table, GENERATION_COLUMNS),
            }),
        ]
      : []),
    ...chunk(entries, ENTRIES_A_STATEMENT).map((part) =>
      db
        .insert(creditEntries)
        .values(part.map((entry) => entryRowOf(userId, entry)))
        .onConflictDoUpdate({
          target: [creditEntries.userId, creditEntries.seq],
          ...setToGiven(creditEntries, ENTRY_COLUMNS),
        }),
    ),
  ];
  const [first, ...rest] = statements;
  if (first) await db.batch([first, ...rest]);
}

/** Deletes the user's entries after that one. @throws when the log does not respond */
export async function removeEntriesAfter(d1: D1Database, userId: string, lastSeq: number): Promise<void> {
  const beyond = and(eq(creditEntries.userId, userId), gt(creditEntries.seq, lastSeq));
  await drizzle(d1).delete(creditEntries).where(beyond);
}

/** Removes the content of generations of one mode, at most 90. Does nothing where the log has none. @throws when the log does not respond */
export async function eraseLogged(
  d1: D1Database,
  userId: string,
  livemode: boolean,
  ids: readonly string[],
  now: number,
): Promise<void> {
  const table = generationsOf(livemode);
  await drizzle(d1)
    .update(table)
    .set({
      deletedAt: now,
      request: sql`json_remove(json_set(${table.request}, '$.prompt', ''), '$.metadata')`,
    })
    .where(and(eq(table.userId, userId), inArray(table.id, [...ids]), isNull(table.deletedAt)));
}

const GENERATION_COLUMNS = {
  ...{ status: "status", model: "model", createdAt: "created_at", endedAt: "ended_at", error: "error" },
  ...{ creditsCharged: "credits_charged", creditsRefunded: "credits_refunded" },
  ...{ images: "images", request: "request", deletedAt: "deleted_at" },
};
const ENTRY_COLUMNS = {
  ...{ kind: "kind", credits: "credits", balanceAfter: "balance_after", createdAt: "created_at" },
  ...{ generationId: "generation_id", grantId: "grant_id" },
};

/** The conflict clause of an upsert: sets these columns, and writes nothing if all are equal. */
function setToGiven(table: SQLiteTable, columns: Readonly<Record<string, string>>) {
  const given = Object.entries(columns).map(([field, column]) => {
    return { field, own: sql`${table}.${sql.identifier(column)}`, excluded: sql.raw(`excluded.${column}`) };
  });
  const differs = given.map(({ own, excluded }) => sql`${own} IS NOT ${excluded}`);
  return {
    set: Object.fromEntries(given.map(({ field, excluded }) => [field, excluded])),
    setWhere: sql.join(differs, sql` OR `),
  };
}

function chunk<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, part) =>
    items.slice(part * size, (part + 1) * size),
  );
}
