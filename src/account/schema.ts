/**
 * The tables of an Account object, as ordered steps. Every account is a database of its own, made by whichever release
 * its user first called, so an object brings its tables up to date when it wakes, before it answers anything.
 *
 * Rules for a new step:
 * - Append it. Never change a step that was released: accounts that have taken it do not take it again.
 * - Only add: tables, indexes, and columns that are nullable or have a default. While a deployment rolls out, and after
 *   a rollback, the previous release works on the same tables.
 * - Add `test/account/fixtures/schema-<version>.sql` when the release that has it is made.
 *
 * WITHOUT ROWID, and no index but those that the alarm and the charge walk: the platform bills each row and index entry
 * that is written.
 */
const STEPS: readonly string[] = [
  // 1. The tables of releases that noted no version: IF NOT EXISTS, as an account of theirs has them.
  `CREATE TABLE IF NOT EXISTS grants (
    id TEXT PRIMARY KEY,
    credits INTEGER NOT NULL,
    remaining INTEGER NOT NULL CHECK (remaining BETWEEN 0 AND credits),
    expires_at INTEGER NOT NULL, -- the latest Date stands for none, so that the index has the order of charging
    reason TEXT,
    created_at INTEGER NOT NULL,
    spent INTEGER NOT NULL -- 1 where remaining is 0: a column of its own, so that a charge leaves the index alone
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS live_grants ON grants (expires_at) WHERE spent = 0;

  CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    credits INTEGER NOT NULL,
    balance_after INTEGER NOT NULL CHECK (balance_after >= 0),
    generation_id TEXT,
    grant_id TEXT NOT NULL,
    created_at INTEGER NOT NULL
  );

  CREATE TABLE IF NOT EXISTS generations (
    id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    mode TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    began_at INTEGER,
    ended_at INTEGER,
    deadline INTEGER NOT NULL,
    due_at INTEGER,
    leased INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    refunded INTEGER NOT NULL,
    error TEXT,
    copied INTEGER NOT NULL,
    cleared INTEGER NOT NULL,
    swept INTEGER NOT NULL,
    paid TEXT NOT NULL,
    images TEXT NOT NULL,
    request TEXT NOT NULL,
    idempotency_key TEXT,
    fingerprint TEXT,
    sdk_count INTEGER,
    joined_by TEXT
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS due_generations ON generations (due_at) WHERE due_at IS NOT NULL;
  CREATE UNIQUE INDEX IF NOT EXISTS keyed_generations ON generations (idempotency_key)
    WHERE idempotency_key IS NOT NULL;

  -- One row: up to which entry the log in D1 is complete.
  CREATE TABLE IF NOT EXISTS told (id INTEGER PRIMARY KEY CHECK (id = 1), entries INTEGER NOT NULL);
  INSERT OR IGNORE INTO told VALUES (1, 0);`,

  // 2. Whose key and which mode a charge was made with; whether an answer was delivered and a retry may succeed; and the
  // SDK calls that were refused, so that their retries are new calls.
  `ALTER TABLE generations ADD COLUMN key_id TEXT;
  ALTER TABLE generations ADD COLUMN livemode INTEGER NOT NULL DEFAULT 1;
  ALTER TABLE generations ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE generations ADD COLUMN permanent INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE entries ADD COLUMN key_id TEXT;
  ALTER TABLE entries ADD COLUMN livemode INTEGER NOT NULL DEFAULT 1;
  CREATE TABLE refused_calls (
    order_id TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    sdk_count INTEGER NOT NULL
  ) WITHOUT ROWID;`,
];

export const SCHEMA_VERSION = STEPS.length;

/**
 * The oldest version whose code can work on these tables: it rises only with a step that older code cannot live with,
 * which the rules above forbid. It lets a rollback go on with tables that a newer release has extended.
 */
const OLDEST_READER = 1;

/** The tables were made by a newer release that this code cannot read. Nothing was read or written. */
export class SchemaTooNewError extends Error {
  override readonly name = "SchemaTooNewError";
}

/** Whether a call to an Account failed by {@link SchemaTooNewError}: its class is lost on the way, its name is not. */
export function isSchemaTooNew(error: unknown): boolean {
  return error instanceof Error && /\bSchemaTooNewError\b/.test(`${error.name} ${error.message}`);
}

/**
 * Brings the tables up to date in one transaction and notes their version.
 * @param steps all steps, or in tests those of an older release
 * @throws {SchemaTooNewError} when a newer release has made the tables unreadable for this one
 */
export function migrate(storage: DurableObjectStorage, steps: readonly string[] = STEPS): void {
  storage.transactionSync(() => {
    const { sql } = storage;
    // A row, because PRAGMA user_version is refused in an object.
    sql.exec(`CREATE TABLE IF NOT EXISTS schema_version (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      version INTEGER NOT NULL,
      oldest_reader INTEGER NOT NULL
    )`);
    const [noted] = sql.exec<{ version: number; oldest_reader: number }>(
      "SELECT version, oldest_reader FROM schema_version",
    );
    const version = noted?.version ?? 0;
    if (noted !== undefined && noted.oldest_reader > steps.length) {
      throw new SchemaTooNewError(
        `the tables need code of version ${noted.oldest_reader}, and this is version ${steps.length}`,
      );
    }
    if (version >= steps.length) return;
    for (const step of steps.slice(version)) sql.exec(step);
    sql.exec("INSERT OR REPLACE INTO schema_version VALUES (1, ?, ?)", steps.length, OLDEST_READER);
  });
}
