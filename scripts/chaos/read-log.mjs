/** Prints the log in D1 as JSON, by user, for a state directory whose service may be running. Needs the project's Node, for SQLite. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const directory = join(process.argv[2] ?? "", "v3/d1/miniflare-D1DatabaseObject");
const file = readdirSync(directory).find((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
const database = new DatabaseSync(join(directory, file ?? ""), { readOnly: true });
const generations = database.prepare(
  "SELECT id, status, credits_charged AS charged, credits_refunded AS refunded FROM generations WHERE user_id = ?",
);
const entries = database.prepare(
  "SELECT seq, credits, balance_after, generation_id FROM credit_entries WHERE user_id = ?",
);
const users = database.prepare("SELECT id FROM users").all();
const logs = users.map(({ id = null }) => [
  id,
  { generations: generations.all(id), entries: entries.all(id) },
]);
process.stdout.write(JSON.stringify(Object.fromEntries(logs)));
