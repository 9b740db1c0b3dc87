import type { SdkCall } from "../lifecycle.ts";

/** Refused calls of SDKs, so that their retries count as new calls. Writes belong inside the object's transaction. */
export class RefusedCallStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The refused call with this id, else one with this count and one of these fingerprints, else null. */
  find(orderId: string, fingerprints: readonly string[], count: number, sinceId: string): string | null {
    const [first = null, second = first] = fingerprints;
    const [row] = this.#sql.exec<{ order_id: string }>(
      `SELECT order_id FROM refused_calls
       WHERE order_id = ?1 OR (order_id >= ?2 AND fingerprint IN (?3, ?4) AND sdk_count = ?5)
       ORDER BY order_id = ?1 DESC, order_id LIMIT 1`,
      ...[orderId, sinceId, first, second, count],
    );
    return row?.order_id ?? null;
  }

  /** Records a refused call, once for each id. Keeps the newest `most` since `sinceId`. */
  record(orderId: string, { fingerprint, count }: SdkCall, sinceId: string, most: number): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO refused_calls (order_id, fingerprint, sdk_count) VALUES (?, ?, ?)",
      ...[orderId, fingerprint, count],
    );
    this.#sql.exec("DELETE FROM refused_calls WHERE order_id < ?", sinceId);
    this.#sql.exec(
      `DELETE FROM refused_calls WHERE order_id <=
         (SELECT order_id FROM refused_calls ORDER BY order_id DESC LIMIT 1 OFFSET ?)`,
      most,
    );
  }

  forget(orderId: string): void {
    this.#sql.exec("DELETE FROM refused_calls WHERE order_id = ?", orderId);
  }
}
