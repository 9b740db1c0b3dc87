/**
 * Ordered schema steps of an object's tables. Every object is a database of its own, created by whichever release it was
 * first called with, so it brings its tables up to date when it wakes, before it answers anything.
 */

/** The tables were made by a newer release that this code cannot read. Nothing was read or written. */
class SchemaTooNewError extends Error {
  override readonly name = "SchemaTooNewError";
}

/** Whether a call to an object failed by {@link SchemaTooNewError}: an error that crosses objects loses its class. */
export function isSchemaTooNew(error: unknown): boolean {
  return error instanceof Error && /\bSchemaTooNewError\b/.test(`${error.name} ${error.message}`);
}

/**
 * Brings the tables up to date in one transaction and notes their version.
 * @param oldestReader the oldest version whose code can work on the tables after these steps
 * @throws {SchemaTooNewError} when a newer release has made the tables unreadable for this one
 */
export function takeSteps(
  storage: DurableObjectStorage,
  steps: readonly string[],
  oldestReader: number,
): void {
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
    sql.exec("INSERT OR REPLACE INTO schema_version VALUES (1, ?, ?)", steps.length, oldestReader);
  });
}
