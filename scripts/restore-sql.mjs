/** The SQL that puts the rows of a backup back. Pure: `npm run restore` reads the files. */

/** The tables of a backup, with the key of each. */
const KEYS = new Map([
  ["users", "id"],
  ["accounts", "id"],
  ["api_keys", "id"],
  ["signup_mailboxes", "mailbox"],
  ["purchases", "id"],
  ["passkeys", "id"],
]);

/**
 * The statements for one line of a backup: adds the row if it is missing.
 * @param {string} line JSON
 * @param {boolean} isNewer whether the backup is newer than the database: then a row that is there takes its values
 * @returns {string[]}
 * @throws for a line that no backup has
 */
export function statementsOf(line, isNewer) {
  /** @type {{ table: string, row: Record<string, string | number | null> }} */
  const { table, row } = JSON.parse(line);
  const key = KEYS.get(table);
  if (key === undefined) throw new Error(`The backup has an unknown table: ${table}.`);
  const columns = Object.keys(row);
  const unknown = columns.find((column) => !/^[a-z_]+$/.test(column));
  if (unknown !== undefined) throw new Error(`The backup has an unknown column: ${unknown}.`);
  const values = columns.map((column) => literal(row[column] ?? null));
  const insert = `INSERT OR IGNORE INTO ${table} (${columns.join(", ")}) VALUES (${values.join(", ")})`;
  if (!isNewer) return [insert];
  const changes = columns.map((column, index) => `${column} = ${values[index]}`).join(", ");
  return [insert, `UPDATE OR IGNORE ${table} SET ${changes} WHERE ${key} = ${literal(row[key] ?? null)}`];
}

/** @param {string | number | null} value */
function literal(value) {
  if (value === null) return "NULL";
  return typeof value === "number" ? String(value) : `'${value.replaceAll("'", "''")}'`;
}
