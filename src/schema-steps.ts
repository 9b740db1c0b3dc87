/**
 * Ordered schema steps of an object's tables. Every object is a database of its own, created by the release that first
 * called it, so it migrates its tables when it wakes, before it answers any call.
 */

/** The tables were created by a newer release, and this code cannot read them. Nothing was read or written. */
class SchemaTooNewError extends Error {
  override readonly name = "SchemaTooNewError";
}

/** Whether a call to an object failed with {@link SchemaTooNewError}: an error loses its class between objects. */
export function isSchemaTooNew(error: unknown): boolean {
  return error instanceof Error && /\bSchemaTooNewError\b/.test(`${error.name} ${error.message}`);
}

/**
 * Migrates the tables in one transaction and stores their version.
 * @param oldestReader the oldest version whose code can work on the tables after these steps
 * @throws {SchemaTooNewError} when this code is older than the oldest version that can read the tables
 */
export function takeSteps(
  storage: DurableObjectStorage,
  steps: readonly string[],
  oldestReader: number,
): void {
  storage.transactionSync(() => {
    const { sql } = storage;
    // A row, because PRAGMA user_version is not allowed in an object.
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
    sql.exec("INSERT OR REPLACE INTO schema_version VALUES (1, ?, ?)", steps.length, oldestReader);
  });
}
