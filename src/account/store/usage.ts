/** Which usage a report shows, and by what it is grouped. Days since 1970, in UTC, both included. */
export type UsageQuery = {
  livemode: boolean;
  firstDay: number;
  lastDay: number;
  by: { day: boolean; key: boolean; model: boolean };
};

/** A row of a report. Columns that it is not grouped by are null. */
export type UsageRow = {
  /** The UTC day of the charge, in days since 1970. */
  day: number | null;
  /** Empty for generations of the pages. */
  keyId: string | null;
  /** Empty for charges of releases that did not count usage. */
  model: string | null;
  generations: number;
  /** Delivered images. */
  images: number;
  /** Charged, less refunded. */
  credits: number;
};

/**
 * Reads what was spent, by key, day of the charge, and model. The table has the generations that have ended, and grows
 * with days, not with generations: see the trigger in schema.ts. Those that have not ended are added from their own
 * rows, so a report always equals the ledger.
 */
export class UsageStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The credits that a key was charged from that day on, less what was refunded of these charges. */
  spent(keyId: string, sinceDay: number): number {
    return this.#sql
      .exec<{ credits: number }>(
        `SELECT
           (SELECT coalesce(sum(credits), 0) FROM usage WHERE key_id = ?1 AND day >= ?2) +
           (SELECT coalesce(sum(charged), 0) FROM generations
            WHERE due_at IS NOT NULL AND ended_at IS NULL AND key_id = ?1 AND created_at / 86400000 >= ?2) AS credits`,
        ...[keyId, sinceDay],
      )
      .one().credits;
  }

  /** Ordered by day, key and model. The primary key begins with the key, so each key's days are found by themselves. */
  report({ livemode, firstDay, lastDay, by }: UsageQuery, limit: number): UsageRow[] {
    return this.#sql
      .exec<UsageRow>(
        `WITH RECURSIVE
         keys(key_id) AS (
           SELECT min(key_id) FROM usage
           UNION ALL
           SELECT (SELECT min(key_id) FROM usage WHERE key_id > keys.key_id) FROM keys WHERE key_id IS NOT NULL),
         counted AS (
           SELECT usage.key_id, day, model, generations, images, credits
           FROM keys CROSS JOIN usage ON usage.key_id = keys.key_id AND day BETWEEN ?1 AND ?2
           WHERE livemode = ?3
           UNION ALL
           SELECT coalesce(key_id, ''), created_at / 86400000, json_extract(request, '$.model'), 1, 0, charged
           FROM generations
           WHERE due_at IS NOT NULL AND ended_at IS NULL AND livemode = ?3
             AND created_at / 86400000 BETWEEN ?1 AND ?2)
         SELECT CASE WHEN ?4 THEN day END AS day, CASE WHEN ?5 THEN key_id END AS keyId,
           CASE WHEN ?6 THEN model END AS model,
           sum(generations) AS generations, sum(images) AS images, sum(credits) AS credits
         FROM counted GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT ?7`,
        ...[firstDay, lastDay, livemode ? 1 : 0, by.day ? 1 : 0, by.key ? 1 : 0, by.model ? 1 : 0, limit],
      )
      .toArray();
  }
}
