import { drizzle } from "drizzle-orm/d1";
import { creditEntries, generations } from "../db/schema.ts";
import type { Generation } from "./lifecycle.ts";
import { entryRowOf, rowOf } from "./record.ts";
import type { Entry } from "./store.ts";

/** D1 binds at most 100 values a statement, and an entry has eight. */
const ENTRIES_A_STATEMENT = 12;
/** How many entries one call to {@link writeLog} carries at most. */
export const ENTRIES_A_WRITE = 10 * ENTRIES_A_STATEMENT;

/**
 * Writes ended generations and entries to the log in D1, as one batch: all of it or nothing. Neither ever changes, so
 * what is there already is left alone, and repeating a write does no harm.
 */
export async function writeLog(
  d1: D1Database,
  userId: string,
  generation: Generation | null,
  entries: readonly Entry[],
): Promise<void> {
  const db = drizzle(d1);
  const row = generation && rowOf(userId, generation);
  const statements = [
    ...(row ? [db.insert(generations).values(row).onConflictDoNothing()] : []),
    ...chunk(entries, ENTRIES_A_STATEMENT).map((part) =>
      db
        .insert(creditEntries)
        .values(part.map((entry) => entryRowOf(userId, entry)))
        .onConflictDoNothing(),
    ),
  ];
  const [first, ...rest] = statements;
  if (first) await db.batch([first, ...rest]);
}

function chunk<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, part) =>
    items.slice(part * size, (part + 1) * size),
  );
}
