import { type Grant, invariant, type Posting } from "../ledger.ts";

/** The latest moment a Date can hold: stands for a grant that never expires. */
export const NEVER = 8_640_000_000_000_000;

type GrantRow = {
  id: string;
  credits: number;
  remaining: number;
  expires_at: number;
  reason: string | null;
  created_at: number;
};

type EntryRow = {
  seq: number;
  kind: Posting["kind"];
  credits: number;
  balance_after: number;
  generation_id: string | null;
  grant_id: string;
  created_at: number;
};

/** Sums over a range of entries, by which two copies of the range are compared. */
export type EntriesSum = { count: number; credits: number; balances: number };

/** An entry of the ledger, as stored. */
export type Entry = {
  /** Counts from 1. */
  seq: number;
  kind: Posting["kind"];
  credits: number;
  balanceAfter: number;
  generationId: string | null;
  grantId: string;
  createdAt: number;
};

/** Reads and writes grants, entries and the export cursor. Writes belong inside the object's transaction. */
export class LedgerStore {
  readonly #sql: SqlStorage;
  readonly #balanceChanged: (balance: number, now: number) => void;

  /** @param balanceChanged called after postings, in their transaction */
  constructor(sql: SqlStorage, balanceChanged: (balance: number, now: number) => void) {
    this.#sql = sql;
    this.#balanceChanged = balanceChanged;
  }

  /** The balance after the last entry. */
  balance(): number {
    const [last] = this.#sql.exec<{ balance_after: number }>(
      "SELECT balance_after FROM entries ORDER BY seq DESC LIMIT 1",
    );
    return last?.balance_after ?? 0;
  }

  /** What the grants have left, in total. Always equals {@link balance}. */
  grantedTotal(): number {
    return this.#one<{ held: number }>(
      "SELECT coalesce(sum(remaining), 0) AS held FROM grants WHERE spent = 0",
    ).held;
  }

  /** Grants with something left, in the order of charging. Reads only as many rows as the caller takes. */
  *liveGrants(): Generator<Grant> {
    for (const row of this.#sql.exec<GrantRow>(
      "SELECT * FROM grants WHERE spent = 0 ORDER BY expires_at, id",
    )) {
      yield toGrant(row);
    }
  }

  /** Grants that have expired with something left. */
  expiredGrants(now: number): Grant[] {
    return this.#sql
      .exec<GrantRow>("SELECT * FROM grants WHERE spent = 0 AND expires_at <= ? ORDER BY expires_at, id", now)
      .toArray()
      .map(toGrant);
  }

  /** When the next remaining credits expire, or null. */
  nextExpiry(): number | null {
    const [soonest] = this.#sql.exec<{ expires_at: number }>(
      "SELECT expires_at FROM grants WHERE spent = 0 ORDER BY expires_at LIMIT 1",
    );
    return soonest === undefined || soonest.expires_at === NEVER ? null : soonest.expires_at;
  }

  grant(id: string): Grant | null {
    const [row] = this.#sql.exec<GrantRow>("SELECT * FROM grants WHERE id = ?", id);
    return row ? toGrant(row) : null;
  }

  /** Grants with something left, in the order of charging, then spent ones, newest first. */
  grants(limit: number): Grant[] {
    return this.#sql
      .exec<GrantRow>(
        "SELECT * FROM grants ORDER BY spent, CASE spent WHEN 0 THEN expires_at ELSE -created_at END, id LIMIT ?",
        limit,
      )
      .toArray()
      .map(toGrant);
  }

  /** Grants after the one with that id (null: from the first), newest first. Their order never changes. */
  grantsAfter(id: string | null, limit: number): Grant[] {
    const order = "ORDER BY created_at DESC, id DESC LIMIT ?";
    const rows =
      id === null
        ? this.#sql.exec<GrantRow>(`SELECT * FROM grants ${order}`, limit)
        : this.#sql.exec<GrantRow>(
            `SELECT * FROM grants
             WHERE (created_at, id) < (SELECT created_at, id FROM grants WHERE id = ?) ${order}`,
            id,
            limit,
          );
    return rows.toArray().map(toGrant);
  }

  /**
   * Writes each posting's entry and grant, then asserts that the balance equals what the grants have left.
   * @param keyId the API key of the generation that the postings belong to, or null
   */
  post(postings: readonly Posting[], now: number, keyId: string | null = null): void {
    for (const { kind, credits, balanceAfter, generationId, grant } of postings) {
      const expiresAt = grant.expiresAt ?? NEVER;
      const before = this.grant(grant.id);
      if (before === null) {
        this.#sql.exec(
          "INSERT INTO grants (id, credits, remaining, expires_at, reason, created_at, spent) VALUES (?, ?, ?, ?, ?, ?, ?)",
          ...[grant.id, grant.credits, grant.remaining, expiresAt, grant.reason, grant.createdAt, 0],
        );
      } else if ((before.remaining === 0) === (grant.remaining === 0)) {
        this.#sql.exec("UPDATE grants SET remaining = ? WHERE id = ?", grant.remaining, grant.id);
      } else {
        const spent = grant.remaining === 0 ? 1 : 0;
        this.#sql.exec(
          "UPDATE grants SET remaining = ?, spent = ? WHERE id = ?",
          grant.remaining,
          spent,
          grant.id,
        );
      }
      invariant(
        this.balance() + credits === balanceAfter,
        "each entry continues the balance of the one before",
      );
      this.#sql.exec(
        "INSERT INTO entries (kind, credits, balance_after, generation_id, grant_id, created_at, key_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
        ...[kind, credits, balanceAfter, generationId, grant.id, now, keyId],
      );
    }
    const balance = this.balance();
    invariant(balance === this.grantedTotal(), "the balance equals what the grants have left");
    this.#balanceChanged(balance, now);
  }

  /** Entries before `beforeSeq`, newest first. */
  entries(beforeSeq: number, limit: number): Entry[] {
    return this.#sql
      .exec<EntryRow>("SELECT * FROM entries WHERE seq < ? ORDER BY seq DESC LIMIT ?", beforeSeq, limit)
      .toArray()
      .map(toEntry);
  }

  /** The oldest entries that the log does not have yet. */
  pendingEntries(limit: number): Entry[] {
    return this.#sql
      .exec<EntryRow>(
        "SELECT * FROM entries WHERE seq > (SELECT entries FROM told) ORDER BY seq LIMIT ?",
        limit,
      )
      .toArray()
      .map(toEntry);
  }

  /** Notes that the log has every entry up to `seq`. */
  advanceCursor(seq: number): void {
    this.#sql.exec("UPDATE told SET entries = ? WHERE entries < ?", seq, seq);
  }

  /** The last entry up to which the log is complete. */
  exportCursor(): number {
    return this.#one<{ entries: number }>("SELECT entries FROM told").entries;
  }

  /** Sums over the entries after `afterSeq`, up to and including `lastSeq`. */
  entriesSum(afterSeq: number, lastSeq: number): EntriesSum {
    const [sum] = this.#sql.exec<EntriesSum>(
      `SELECT count(*) AS count, coalesce(sum(credits), 0) AS credits, coalesce(sum(balance_after), 0) AS balances
       FROM entries WHERE seq > ? AND seq <= ?`,
      afterSeq,
      lastSeq,
    );
    return sum ?? { count: 0, credits: 0, balances: 0 };
  }

  /** The entries after `afterSeq`, up to and including `lastSeq`, oldest first. */
  entriesBetween(afterSeq: number, lastSeq: number): Entry[] {
    return this.#sql
      .exec<EntryRow>("SELECT * FROM entries WHERE seq > ? AND seq <= ? ORDER BY seq", afterSeq, lastSeq)
      .toArray()
      .map(toEntry);
  }

  #one<Row extends Record<string, SqlStorageValue>>(query: string): Row {
    return this.#sql.exec<Row>(query).one();
  }
}

function toGrant(row: GrantRow): Grant {
  return {
    id: row.id,
    credits: row.credits,
    remaining: row.remaining,
    expiresAt: row.expires_at === NEVER ? null : row.expires_at,
    reason: row.reason,
    createdAt: row.created_at,
  };
}

function toEntry(row: EntryRow): Entry {
  return {
    seq: row.seq,
    kind: row.kind,
    credits: row.credits,
    balanceAfter: row.balance_after,
    generationId: row.generation_id,
    grantId: row.grant_id,
    createdAt: row.created_at,
  };
}
