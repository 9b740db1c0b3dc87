import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readMigrations } from "../../scripts/databases.mjs";
import { projectNode, root, wrangler, wranglerEnvironment } from "../../scripts/lib.mjs";

const execute = promisify(execFile);

/** The last migration of `DB` in the release whose deployment is upgraded: it had no `LOG`. */
const OLDER_RELEASE = "0002_last_use.sql";

const ROWS = `
  INSERT INTO users (id, email, created_at) VALUES ('user_1', 'a@example.com', 1);
  INSERT INTO api_keys (id, user_id, name, hash, display, created_at)
    VALUES ('key_1', 'user_1', 'a program', 'ab', 'gih_live_0000', 1);
  INSERT INTO generations VALUES
    ('user_1', 'gen_1', 'succeeded', 'gpt-image-2', 1, 2, 8, 0, '{"prompt":"a\\nINSERT INTO; it''s"}', NULL, '[]'),
    ('user_1', 'gen_2', 'failed', 'gpt-image-2', 3, 4, 8, 8, '{"prompt":"b"}', 'generationFailed', '[]');
  INSERT INTO credit_entries VALUES
    ('user_1', 1, 'grant', 100, 100, NULL, 'grant_1', 1), ('user_1', 2, 'charge', -8, 92, 'gen_1', 'grant_1', 1);
`;
/** The older release's objects go on writing to `DB` for a while after the first copy. */
const LATER_ROWS = `
  INSERT INTO generations VALUES ('user_1', 'gen_3', 'succeeded', 'gpt-image-2', 5, 6, 8, 0, '{}', NULL, '[]');
`;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-upgrade-"));
  cpSync(join(root, "wrangler.toml"), join(directory, "wrangler.toml"));
  mkdirSync(join(directory, "migrations"));
  for (const [name, sql] of readMigrations("migrations")) {
    if (name <= OLDER_RELEASE) writeFileSync(join(directory, "migrations", name), sql);
  }
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Runs commands of the documents against local databases. */
async function shell(commands: string): Promise<void> {
  const script = commands
    .replaceAll("npx wrangler", `"${projectNode}" "${wrangler}"`)
    .replaceAll("--remote --env production", "--local");
  await execute("sh", ["-ec", script], {
    cwd: directory,
    env: { ...wranglerEnvironment(), CI: "1" },
  });
}

/** Runs work on the file of a local database, while no wrangler does. */
function open<T>(binding: "DB" | "LOG", work: (database: DatabaseSync) => T): T {
  const storage = join(directory, ".wrangler/state/v3/d1/miniflare-D1DatabaseObject");
  const files = readdirSync(storage).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  for (const file of files) {
    const database = new DatabaseSync(join(storage, file));
    try {
      const isDb = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'users'").get() !== undefined;
      if (isDb === (binding === "DB")) return work(database);
    } finally {
      database.close();
    }
  }
  throw new Error(`There is no database ${binding}.`);
}

function rowsOf(binding: "DB" | "LOG", table: string) {
  return open(binding, (database) => database.prepare(`SELECT * FROM ${table} ORDER BY 1, 2`).all());
}

it("the documented commands upgrade a deployment without LOG, and keep every row", async () => {
  const operations = readFileSync(join(root, "docs/operations.md"), "utf8");
  const [, commands = ""] =
    /```sh\n(npx wrangler d1 migrations apply DB [^`]*d1 export[^`]*)```/.exec(operations) ?? [];
  const again = commands.split("\n").slice(-4).join("\n");
  expect(again).toMatch(/^npx wrangler d1 export/);
  await shell("npx wrangler d1 migrations apply DB --local");
  open("DB", (database) => database.exec(ROWS));
  for (const name of ["migrations", "migrations-log"]) {
    cpSync(join(root, name), join(directory, name), { recursive: true });
  }
  await shell(commands);
  for (const table of ["generations", "credit_entries"]) {
    // A column that the older release does not have.
    const copied = rowsOf("LOG", table).map(({ deleted_at: _, ...row }) => row);
    expect(copied).toHaveLength(2);
    expect(copied).toEqual(rowsOf("DB", table).map((row) => ({ ...row })));
  }
  expect(rowsOf("DB", "users")).toMatchObject([{ id: "user_1", email: "a@example.com" }]);
  expect(rowsOf("DB", "api_keys")).toMatchObject([
    { id: "key_1", hash: "ab", mode: "live", last_used_at: null },
  ]);
  expect(rowsOf("DB", "signup_mailboxes")).toEqual([]);
  // The new release has written to LOG meanwhile, and the older one to DB.
  open("LOG", (database) => database.exec("UPDATE generations SET model = 'new' WHERE id = 'gen_1'"));
  open("DB", (database) => database.exec(LATER_ROWS));
  await shell(again);
  expect(rowsOf("LOG", "generations")).toMatchObject([
    { id: "gen_1", model: "new" },
    { id: "gen_2", model: "gpt-image-2" },
    { id: "gen_3", model: "gpt-image-2" },
  ]);
});
