/**
 * Part of `npm run check`: the migrations of both D1 databases may only add, because the previous release uses the same
 * tables during a deployment and after a rollback. The log's tables must stay WITHOUT ROWID, which drizzle-kit does not
 * support: a table that it rebuilds loses it, and each row then costs another write.
 */
import { fileURLToPath } from "node:url";
import { databases, readMigrations } from "./databases.mjs";

const REMOVES = /\bDROP\s+(TABLE|COLUMN)\b|\bRENAME\b/i;

/**
 * Returns one line for each violation in the migrations of a database.
 * @param {ReadonlyMap<string, string>} files SQL by file name
 * @param {readonly string[]} withoutRowid the tables that must be WITHOUT ROWID
 * @returns {string[]}
 */
export function migrationFaults(files, withoutRowid) {
  const faults = [];
  const tables = new Map();
  for (const [name, sql] of files) {
    for (const statement of sql.split(";")) {
      const removes = REMOVES.exec(statement);
      if (removes)
        faults.push(`${name}: ${removes[0]} is refused: the release before still needs what is there`);
      const [, table] = /^[\s\S]*\bCREATE TABLE\s+[`"]?(\w+)/i.exec(statement) ?? [];
      if (table !== undefined) tables.set(table, { name, plain: !/WITHOUT ROWID\s*$/i.test(statement) });
    }
  }
  for (const table of withoutRowid) {
    const made = tables.get(table);
    if (made === undefined) faults.push(`no migration makes ${table}`);
    else if (made.plain) faults.push(`${made.name}: ${table} must be WITHOUT ROWID: add it by hand`);
  }
  return faults;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const faults = databases.flatMap(({ directory, withoutRowid }) =>
    migrationFaults(readMigrations(directory), withoutRowid).map((fault) => `${directory}/${fault}`),
  );
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
