/** The D1 databases of the service and their migrations. Like lib.mjs, this uses nothing but Node. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib.mjs";

/**
 * Each database by its binding in wrangler.toml, with its migrations, the files that define its tables (a glob), and the
 * tables that must be WITHOUT ROWID. In `DB` those are the first releases' log; see migrations/retired.ts.
 */
export const databases = [
  {
    binding: "DB",
    directory: "migrations",
    schema: "{src/db/schema,migrations/retired}.ts",
    withoutRowid: ["generations", "credit_entries"],
  },
  {
    binding: "LOG",
    directory: "migrations-log",
    schema: "src/db/log-schema.ts",
    withoutRowid: [
      ...["generations", "credit_entries", "test_generations"],
      ...["operator_actions", "generation_totals"],
    ],
  },
];

/**
 * The SQL of each migration by file name, in the order in which they are applied.
 * @param {string} directory from the project's directory
 * @returns {Map<string, string>}
 */
export function readMigrations(directory) {
  const names = readdirSync(join(root, directory)).filter((name) => name.endsWith(".sql"));
  return new Map(names.sort().map((name) => [name, readFileSync(join(root, directory, name), "utf8")]));
}

/**
 * Applies all migrations to the new databases of a runtime.
 * @param {{ getD1Database: (binding: string) => Promise<D1Database> }} runtime of Miniflare
 */
export async function applyMigrations(runtime) {
  for (const { binding, directory } of databases) {
    const database = await runtime.getD1Database(binding);
    for (const sql of readMigrations(directory).values()) {
      const statements = sql.split("--> statement-breakpoint");
      await database.batch(statements.map((statement) => database.prepare(statement)));
    }
  }
}
