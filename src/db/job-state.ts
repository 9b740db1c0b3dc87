import { eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type * as z from "zod";
import { jobState } from "./schema.ts";

/** A value that a scheduled job keeps between runs, under its name. */
export type State<Schema extends z.ZodType> = { name: string; schema: Schema };

/** Reads a state. Null when there is none, or when another release wrote it in another form. @throws when `DB` does not respond */
export async function readState<Schema extends z.ZodType>(
  d1: D1Database,
  { name, schema }: State<Schema>,
): Promise<z.output<Schema> | null> {
  const [row] = await drizzle(d1).select().from(jobState).where(eq(jobState.name, name));
  return row === undefined ? null : (schema.safeParse(row.value).data ?? null);
}

/** Replaces a state. @throws when `DB` does not respond */
export async function writeState<Schema extends z.ZodType>(
  d1: D1Database,
  { name }: State<Schema>,
  value: z.input<Schema>,
): Promise<void> {
  await drizzle(d1)
    .insert(jobState)
    .values({ name, value })
    .onConflictDoUpdate({ target: jobState.name, set: { value: sql`excluded.value` } });
}
