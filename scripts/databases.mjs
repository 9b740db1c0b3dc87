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

/** The table in which wrangler, too, keeps the names of the migrations that a database has. */
const APPLIED = `CREATE TABLE IF NOT EXISTS d1_migrations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)`;

/**
 * Applies the pending migrations to the databases of a local runtime, each one in a transaction.
 * @param {(binding: string) => Promise<D1Database>} open
 */
export async function applyMigrations(open) {
  for (const { binding, directory } of databases) {
    const database = await open(binding);
    await database.prepare(APPLIED).run();
    const { results } = await database.prepare("SELECT name FROM d1_migrations").run();
    const applied = new Set(results.map(({ name }) => name));
    for (const [name, sql] of readMigrations(directory)) {
      if (applied.has(name)) continue;
      const statements = sql.split("--> statement-breakpoint");
      await database.batch([
        ...statements.map((statement) => database.prepare(statement)),
        database.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name),
      ]);
    }
  }
}
