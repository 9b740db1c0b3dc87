import { takeBack } from "./ledger.ts";
import type { LedgerStore } from "./store/ledger.ts";

type Row = { id: string; grant_id: string; credits: number; taken: number };

/** Credits that are taken back from grants. All methods belong inside the object's transaction. */
export class Reversals {
  readonly #sql: SqlStorage;
  readonly #ledger: LedgerStore;

  constructor(sql: SqlStorage, ledger: LedgerStore) {
    this.#sql = sql;
    this.#ledger = ledger;
  }

  /** See `Account.reverse`. */
  reverse(id: string, grantId: string, credits: number | null, now: number) {
    const grant = this.#ledger.grant(grantId);
    if (grant === null) return { kind: "unknown" } as const;
    const [known] = this.#sql.exec<Row>("SELECT * FROM reversals WHERE id = ?", id);
    if (known && known.grant_id !== grantId) return { kind: "conflict" } as const;
    const asked = Math.min(credits ?? grant.credits, grant.credits);
    const isRepeated = known !== undefined && asked <= known.credits;
    if (!isRepeated) {
      this.#sql.exec(
        "INSERT INTO reversals VALUES (?, ?, ?, 0) ON CONFLICT (id) DO UPDATE SET credits = excluded.credits",
        ...[id, grantId, asked],
      );
      this.collect(now);
    }
    const { credits: all, taken } = this.#sql.exec<Row>("SELECT * FROM reversals WHERE id = ?", id).one();
    return { kind: isRepeated ? "repeated" : "reversed", taken, shortfall: all - taken } as const;
  }

  /** Whether more is to be taken back from the grant. */
  owes(grantId: string): boolean {
    const owed = "SELECT id FROM reversals WHERE grant_id = ? AND taken < credits LIMIT 1";
    return this.#sql.exec(owed, grantId).toArray().length > 0;
  }

  /** Takes back what is still owed, as far as the grants have it. Called when credits returned to a grant. */
  collect(now: number): void {
    const owed = this.#sql.exec<Row>("SELECT * FROM reversals WHERE taken < credits ORDER BY id").toArray();
    for (const { id, grant_id, credits, taken } of owed) {
      const grant = this.#ledger.grant(grant_id);
      const more = Math.min(grant?.remaining ?? 0, credits - taken);
      if (grant === null || more === 0) continue;
      this.#ledger.post([takeBack(this.#ledger.balance(), grant, more)], now);
      this.#sql.exec("UPDATE reversals SET taken = taken + ? WHERE id = ?", more, id);
    }
  }
}
