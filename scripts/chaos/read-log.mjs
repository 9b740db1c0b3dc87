/**
 * Prints the log as JSON, by user, for a state directory whose service may be running. Needs the project's Node, for
 * SQLite.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const directory = join(process.argv[2] ?? "", "v3/d1/miniflare-D1DatabaseObject");
const databases = readdirSync(directory)
  .filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name))
  .map((name) => new DatabaseSync(join(directory, name), { readOnly: true }));
// Files are named by hashes. Only DB has users. Its own tables of the log are those of the first releases.
const [main] = databases.filter(hasUsers);
const [log] = databases.filter((database) => !hasUsers(database));
if (!main || !log) throw new Error(`${directory} does not have both databases.`);
const generations = log.prepare(
  "SELECT id, status, credits_charged AS charged, credits_refunded AS refunded FROM generations WHERE user_id = ?",
);
const entries = log.prepare(
  "SELECT seq, credits, balance_after, generation_id FROM credit_entries WHERE user_id = ?",
);
const users = main.prepare("SELECT id FROM users").all();
const logs = users.map(({ id = null }) => [
  id,
  { generations: generations.all(id), entries: entries.all(id) },
]);
process.stdout.write(JSON.stringify(Object.fromEntries(logs)));

/** @param {DatabaseSync} database */
function hasUsers(database) {
  return database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'users'").get() !== undefined;
}
