/** A reference image that was uploaded ahead. Its object lies in the private bucket. */
export type UploadedReference = {
  id: string;
  key: string;
  contentType: "image/png" | "image/jpeg" | "image/webp";
  bytes: number;
  width: number;
  height: number;
  /** Of the content, hex. */
  sha256: string;
  livemode: boolean;
  /** No generation may use it from then on. Milliseconds since 1970. */
  expiresAt: number;
};

type ReferenceRow = {
  id: string;
  key: string;
  content_type: UploadedReference["contentType"];
  bytes: number;
  width: number;
  height: number;
  sha256: string;
  livemode: number;
  expires_at: number;
  remove_at: number;
};

/** Reads and writes references that were uploaded ahead. Writes belong inside the object's transaction. */
export class ReferenceStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The reference, expired or not, or null when its object is gone. */
  get(id: string): UploadedReference | null {
    const [row] = this.#sql.exec<ReferenceRow>("SELECT * FROM uploaded_references WHERE id = ?", id);
    return row ? toReference(row) : null;
  }

  insert(reference: UploadedReference): void {
    const { id, key, contentType, bytes, width, height, sha256, livemode, expiresAt } = reference;
    this.#sql.exec(
      `INSERT INTO uploaded_references
         (id, key, content_type, bytes, width, height, sha256, livemode, expires_at, remove_at)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)`,
      ...[id, key, contentType, bytes, width, height, sha256, livemode ? 1 : 0, expiresAt],
    );
  }

  /** Ends the use of a reference now. */
  expire(id: string, now: number): void {
    this.#sql.exec("UPDATE uploaded_references SET expires_at = ?1, remove_at = ?1 WHERE id = ?2", now, id);
  }

  /** How many objects of that mode there are, and their bytes together. */
  totals(livemode: boolean): { count: number; bytes: number } {
    return this.#sql
      .exec<{ count: number; bytes: number }>(
        "SELECT count(*) AS count, coalesce(sum(bytes), 0) AS bytes FROM uploaded_references WHERE livemode = ?",
        livemode ? 1 : 0,
      )
      .one();
  }

  /**
   * Returns references that are due for removal and that no unfinished generation uses. They are returned again at
   * `againAt`, unless their rows are deleted by then.
   */
  takeDue(now: number, againAt: number): UploadedReference[] {
    const due = this.#sql
      .exec<ReferenceRow>(
        // The request is JSON: in its prompt these quotes are escaped.
        `SELECT * FROM uploaded_references r WHERE remove_at <= ? AND NOT EXISTS (
           SELECT 1 FROM generations WHERE due_at IS NOT NULL AND ended_at IS NULL
             AND instr(request, '"id":"' || r.id || '"') > 0)`,
        now,
      )
      .toArray()
      .map(toReference);
    this.#sql.exec("UPDATE uploaded_references SET remove_at = ? WHERE remove_at <= ?", againAt, now);
    return due;
  }

  delete(ids: readonly string[]): void {
    for (const id of ids) this.#sql.exec("DELETE FROM uploaded_references WHERE id = ?", id);
  }

  /** When the next one is due for removal, or null. */
  nextRemoval(): number | null {
    return this.#sql
      .exec<{ next: number | null }>("SELECT min(remove_at) AS next FROM uploaded_references")
      .one().next;
  }
}

function toReference(row: ReferenceRow): UploadedReference {
  return {
    id: row.id,
    key: row.key,
    contentType: row.content_type,
    bytes: row.bytes,
    width: row.width,
    height: row.height,
    sha256: row.sha256,
    livemode: row.livemode === 1,
    expiresAt: row.expires_at,
  };
}
