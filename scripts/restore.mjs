/**
 * `npm run restore -- DIRECTORY [--newer]`: reads the parts of a backup (`*.jsonl.gz`) and prints SQL for `wrangler d1
 * execute DB`. Rows that are missing are added. With `--newer`, for a backup that is newer than the database, rows that are
 * there take the values of the backup. docs/operations.md has the steps around it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { Failure, main } from "./lib.mjs";
import { statementsOf } from "./restore-sql.mjs";

await main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { newer: { type: "boolean", default: false } },
  });
  const [directory] = positionals;
  if (directory === undefined)
    throw new Failure("Usage: npm run restore -- DIRECTORY [--newer] > restore.sql");
  const parts = readdirSync(directory).filter((name) => name.endsWith(".jsonl.gz"));
  if (parts.length === 0) throw new Failure(`${directory} has no parts of a backup (*.jsonl.gz).`);
  for (const name of parts.sort()) {
    const lines = gunzipSync(readFileSync(join(directory, name)))
      .toString()
      .split("\n");
    for (const line of lines.filter((text) => text !== ""))
      for (const statement of statementsOf(line, values.newer)) console.log(`${statement};`);
  }
  return 0;
});
