import * as z from "zod";
import { log } from "../log.ts";

/**
 * The tables of `DB` in a backup: enough to restore users and keys. Sessions and the tokens of other sites are left
 * out.
 */
const TABLES = [
  {
    name: "users",
    key: "id",
    columns:
      "id, email, name, account_type, created_at, updated_at, email_verified, signup_grant_due, language, suspended_at, deleted_at, erased_at",
  },
  {
    name: "accounts",
    key: "id",
    columns: "id, user_id, provider_id, account_id, password, created_at, updated_at",
  },
  { name: "api_keys", key: "id", columns: "*" },
  { name: "signup_mailboxes", key: "mailbox", columns: "*" },
  { name: "purchases", key: "id", columns: "*" },
  { name: "passkeys", key: "id", columns: "*" },
] as const;

/** The most that one run writes. The next run continues. */
export type Bounds = { parts: number; rowsAPart: number };
const BOUNDS: Bounds = { parts: 50, rowsAPart: 2_000 };

const Cursor = z.object({ table: z.coerce.number().int(), after: z.string() });
type Cursor = z.output<typeof Cursor>;
const Row = z.record(z.string(), z.union([z.string(), z.number(), z.null()]));

/**
 * Writes a backup of the day (UTC) to the private bucket: parts of JSON lines, compressed, and when all are there
 * `complete.json`, which lists them. A run that is cut off is continued by the next, after the last part that was
 * written. A backup is no moment in time: a row that changes meanwhile is in it as it was when its part was read.
 */
export async function backUp(
  env: Pick<Env, "DB" | "BACKUPS">,
  now: number,
  { parts, rowsAPart }: Bounds = BOUNDS,
): Promise<void> {
  const day = new Date(now).toISOString().slice(0, 10);
  const complete = `${day}/complete.json`;
  if ((await env.BACKUPS.head(complete)) !== null) return;
  const keys = await partsOf(env.BACKUPS, day);
  let cursor = await cursorOf(env.BACKUPS, keys.at(-1));
  for (let count = 0; count < parts; count++) {
    const table = TABLES[cursor.table];
    if (table === undefined) {
      await env.BACKUPS.put(complete, JSON.stringify({ parts: keys }));
      log("backup", { day, parts: keys.length });
      return;
    }
    const rows = await readRows(env.DB, table, cursor.after, rowsAPart);
    const last = rows.at(-1)?.[table.key];
    const isOver = rows.length < rowsAPart || typeof last !== "string";
    cursor = isOver ? { table: cursor.table + 1, after: "" } : { table: cursor.table, after: last };
    const key = `${day}/part-${String(keys.length + 1).padStart(6, "0")}.jsonl.gz`;
    const lines = rows.map((row) => `${JSON.stringify({ table: table.name, row })}\n`);
    await env.BACKUPS.put(key, await compress(lines.join("")), {
      customMetadata: { table: String(cursor.table), after: cursor.after },
    });
    keys.push(key);
  }
}

/** The keys of the parts of a day that are written, in order. */
async function partsOf(bucket: R2Bucket, day: string): Promise<string[]> {
  const keys: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await bucket.list({ prefix: `${day}/part-`, ...(cursor === undefined ? {} : { cursor }) });
    keys.push(...page.objects.map(({ key }) => key));
    if (!page.truncated) return keys;
    cursor = page.cursor;
  }
}

/** The position at which the next part begins. */
async function cursorOf(bucket: R2Bucket, key: string | undefined): Promise<Cursor> {
  const part = key === undefined ? null : await bucket.head(key);
  return part === null ? { table: 0, after: "" } : Cursor.parse(part.customMetadata);
}

async function readRows(
  d1: D1Database,
  { name, key, columns }: (typeof TABLES)[number],
  after: string,
  limit: number,
): Promise<z.output<typeof Row>[]> {
  const { results } = await d1
    .prepare(`SELECT ${columns} FROM ${name} WHERE ${key} > ? ORDER BY ${key} LIMIT ?`)
    .bind(after, limit)
    .all();
  return z.array(Row).parse(results);
}

async function compress(text: string): Promise<ArrayBuffer> {
  const compressed = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return await new Response(compressed).arrayBuffer();
}
