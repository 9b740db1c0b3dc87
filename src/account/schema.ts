import { takeSteps } from "../schema-steps.ts";

/**
 * The tables of an Account object, as ordered steps: see schema-steps.ts.
 *
 * Rules for a new step:
 * - Append it. Never change a released step: an account applies each step once.
 * - Only add: tables, indexes, and columns that are nullable or have a default. While a deployment rolls out, and after
 *   a rollback, the previous release works on the same tables.
 * - Add `test/account/fixtures/schema-<version>.sql` when you release it.
 *
 * Tables are WITHOUT ROWID where they have a text key, and have only the indexes that the alarm and the charge read:
 * the platform bills each row and index entry that is written.
 */
const STEPS: readonly string[] = [
  // 1. The tables of releases that stored no version: IF NOT EXISTS, because an account of those releases has them.
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

  // 2. The key and the mode of a charge; whether a response was delivered; whether a failure is permanent; and refused
  // SDK calls, so that their retries are new calls.
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

  // 3. When the turn of a waiting generation comes; whether a worker lost its lease without giving it back.
  `ALTER TABLE generations ADD COLUMN slot_at INTEGER;
  ALTER TABLE generations ADD COLUMN interrupted INTEGER NOT NULL DEFAULT 0;`,

  // 4. References that were uploaded ahead. At most 200 rows, so no index.
  `CREATE TABLE uploaded_references (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    content_type TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, -- from then on no generation may take it
    remove_at INTEGER NOT NULL -- when the alarm next tries to remove its object
  ) WITHOUT ROWID;`,

  // 5. Webhooks of ended generations, and the secrets that sign them.
  `CREATE TABLE webhooks (
    generation_id TEXT PRIMARY KEY,
    livemode INTEGER NOT NULL,
    url TEXT NOT NULL,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    latest TEXT NOT NULL,
    ended INTEGER NOT NULL,
    due_at INTEGER NOT NULL -- when it is sent, or deleted after it has ended
  ) WITHOUT ROWID;
  CREATE INDEX due_webhooks ON webhooks (ended, due_at);
  CREATE TABLE webhook_secrets (
    livemode INTEGER PRIMARY KEY,
    secret TEXT NOT NULL,
    previous TEXT,
    previous_expires_at INTEGER
  );`,

  // 6. The call of a polled provider that a worker waits for, as JSON.
  "ALTER TABLE generations ADD COLUMN task TEXT;",

  // 7. What each key spent on each day, by model: of ended generations, by the UTC day of their charge. One row is
  // written for each generation, when it ends. A trigger does it, so that the release before counts too, after a
  // rollback. What was charged before this step is counted from the entries; its model is known for a day only.
  `CREATE TABLE usage (
    key_id TEXT NOT NULL, -- empty for the pages
    day INTEGER NOT NULL,
    model TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    generations INTEGER NOT NULL,
    images INTEGER NOT NULL,
    credits INTEGER NOT NULL, -- charged, less refunded
    PRIMARY KEY (key_id, day, model)
  ) WITHOUT ROWID;
  INSERT INTO usage
    SELECT coalesce(e.key_id, ''), coalesce(g.created_at, e.created_at) / 86400000,
      coalesce(json_extract(g.request, '$.model'), ''), e.livemode,
      e.is_first, CASE e.is_first WHEN 1 THEN coalesce(json_array_length(g.images), 0) ELSE 0 END, -e.credits
    FROM (SELECT *, kind = 'charge' AND NOT EXISTS (
        SELECT 1 FROM entries p WHERE p.seq = entries.seq - 1 AND p.kind = 'charge'
          AND p.generation_id = entries.generation_id) AS is_first
      FROM entries WHERE kind IN ('charge', 'refund')) AS e
    LEFT JOIN generations g ON g.id = e.generation_id
    WHERE g.id IS NULL OR g.ended_at IS NOT NULL
    ON CONFLICT DO UPDATE SET generations = generations + excluded.generations,
      images = images + excluded.images, credits = credits + excluded.credits;
  CREATE TRIGGER count_usage AFTER UPDATE OF ended_at ON generations
    WHEN OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL
  BEGIN
    INSERT INTO usage VALUES (coalesce(NEW.key_id, ''), NEW.created_at / 86400000,
      json_extract(NEW.request, '$.model'), NEW.livemode, 1, json_array_length(NEW.images),
      NEW.charged - NEW.refunded)
    ON CONFLICT DO UPDATE SET generations = generations + 1, images = images + excluded.images,
      credits = credits + excluded.credits;
  END;`,

  // 8. Credits of a grant that are taken back, with few rows, so no index; what the user is mailed about, in one row.
  `CREATE TABLE reversals (
    id TEXT PRIMARY KEY,
    grant_id TEXT NOT NULL,
    credits INTEGER NOT NULL, -- to take back in all
    taken INTEGER NOT NULL CHECK (taken BETWEEN 0 AND credits)
  ) WITHOUT ROWID;
  CREATE TABLE notices (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    low_balance INTEGER,
    expiring INTEGER NOT NULL,
    low INTEGER NOT NULL,
    expiring_until INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    retry_at INTEGER NOT NULL
  );`,

  // 9. When a generation was deleted, and what is left to remove of deleted ones outside the account.
  `ALTER TABLE generations ADD COLUMN deleted_at INTEGER;
  CREATE TABLE deletions (
    generation_id TEXT PRIMARY KEY,
    livemode INTEGER NOT NULL,
    last_at INTEGER NOT NULL, -- until then a worker may still store images, so the removal is repeated
    tries INTEGER NOT NULL,
    due_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX due_deletions ON deletions (due_at);`,

  // 10. Whose account it is: an object that is opened by its id, and not by its name, does not know its name.
  "CREATE TABLE owner (id INTEGER PRIMARY KEY CHECK (id = 1), user_id TEXT NOT NULL);",
];

export const SCHEMA_VERSION = STEPS.length;

/**
 * The oldest version whose code can work on these tables. Raise it only with a step that older code cannot handle,
 * which the rules above forbid. It lets a rollback work with tables that a newer release has extended.
 */
const OLDEST_READER = 1;

/** Migrates the account's tables. @param steps all, or in tests those of an older release */
export function migrate(storage: DurableObjectStorage, steps: readonly string[] = STEPS): void {
  takeSteps(storage, steps, OLDEST_READER);
}
