import type { Grant, Posting } from "./ledger.ts";
import { mustHold } from "./ledger.ts";
import type { FailureCode, Generation, GenerationStatus, SdkCall } from "./lifecycle.ts";

/** The latest moment a Date can hold. */
const NEVER = 8_640_000_000_000_000;

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

type GenerationRow = {
  id: string;
  status: GenerationStatus;
  mode: "sync" | "async";
  created_at: number;
  began_at: number | null;
  ended_at: number | null;
  deadline: number;
  due_at: number | null;
  leased: number;
  fence: number;
  calls: number;
  tries: number;
  charged: number;
  refunded: number;
  error: FailureCode | null;
  copied: number;
  cleared: number;
  swept: number;
  paid: string;
  images: string;
  request: string;
  idempotency_key: string | null;
  fingerprint: string | null;
  sdk_count: number | null;
  joined_by: string | null;
  key_id: string | null;
  livemode: number;
  permanent: number;
  delivered: number;
};

/** Which generations a list shows; what is null does not matter. Times in milliseconds since 1970, both exclusive. */
export type GenerationFilter = {
  status: GenerationStatus | null;
  model: string | null;
  createdAfter: number | null;
  createdBefore: number | null;
};

/** What tells whether two copies of a run of entries are the same. */
export type EntriesSum = { count: number; credits: number; balances: number };

/** A line of the book as it is kept. */
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

/** Reads and writes the tables; decides nothing. Writes belong inside the object's transaction. */
export class AccountStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** What the last entry left. */
  balance(): number {
    const [last] = this.#sql.exec<{ balance_after: number }>(
      "SELECT balance_after FROM entries ORDER BY seq DESC LIMIT 1",
    );
    return last?.balance_after ?? 0;
  }

  /** What the unspent grants hold: the same number as {@link balance}, or the book is broken. */
  held(): number {
    return this.#one<{ held: number }>(
      "SELECT coalesce(sum(remaining), 0) AS held FROM grants WHERE spent = 0",
    ).held;
  }

  /** Grants with something left, in the order of charging; read one by one, as far as the caller goes. */
  *liveGrants(): Generator<Grant> {
    for (const row of this.#sql.exec<GrantRow>(
      "SELECT * FROM grants WHERE spent = 0 ORDER BY expires_at, id",
    )) {
      yield toGrant(row);
    }
  }

  /** Grants with something left that no longer counts. */
  lapsedGrants(now: number): Grant[] {
    return this.#sql
      .exec<GrantRow>("SELECT * FROM grants WHERE spent = 0 AND expires_at <= ? ORDER BY expires_at, id", now)
      .toArray()
      .map(toGrant);
  }

  /** When the next credits that are left expire, or null. */
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

  /** Those with something left first, as they would be charged, then the spent ones, newest first. */
  grants(limit: number): Grant[] {
    return this.#sql
      .exec<GrantRow>(
        "SELECT * FROM grants ORDER BY spent, CASE spent WHEN 0 THEN expires_at ELSE -created_at END, id LIMIT ?",
        limit,
      )
      .toArray()
      .map(toGrant);
  }

  /**
   * Writes each posting's entry and its grant, then asserts that the balance is what the grants hold.
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
      mustHold(this.balance() + credits === balanceAfter, "each entry continues the one before");
      this.#sql.exec(
        "INSERT INTO entries (kind, credits, balance_after, generation_id, grant_id, created_at, key_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
        ...[kind, credits, balanceAfter, generationId, grant.id, now, keyId],
      );
    }
    mustHold(this.balance() === this.held(), "the balance is what the grants hold");
  }

  /** Entries, newest first, from the one before `beforeSeq`. */
  entries(beforeSeq: number, limit: number): Entry[] {
    return this.#sql
      .exec<EntryRow>("SELECT * FROM entries WHERE seq < ? ORDER BY seq DESC LIMIT ?", beforeSeq, limit)
      .toArray()
      .map(toEntry);
  }

  /** The oldest entries that the log has not been told. */
  untoldEntries(limit: number): Entry[] {
    return this.#sql
      .exec<EntryRow>(
        "SELECT * FROM entries WHERE seq > (SELECT entries FROM told) ORDER BY seq LIMIT ?",
        limit,
      )
      .toArray()
      .map(toEntry);
  }

  /** The log has every entry up to and with this one. */
  markTold(seq: number): void {
    this.#sql.exec("UPDATE told SET entries = ? WHERE entries < ?", seq, seq);
  }

  /** Up to which entry the log is complete. */
  toldSeq(): number {
    return this.#one<{ entries: number }>("SELECT entries FROM told").entries;
  }

  /** The entries after `afterSeq` up to and with `lastSeq` as figures that change with any of them. */
  entriesSum(afterSeq: number, lastSeq: number): EntriesSum {
    const [sum] = this.#sql.exec<EntriesSum>(
      `SELECT count(*) AS count, coalesce(sum(credits), 0) AS credits, coalesce(sum(balance_after), 0) AS balances
       FROM entries WHERE seq > ? AND seq <= ?`,
      afterSeq,
      lastSeq,
    );
    return sum ?? { count: 0, credits: 0, balances: 0 };
  }

  /** The entries after `afterSeq` up to and with `lastSeq`, oldest first. */
  entriesBetween(afterSeq: number, lastSeq: number): Entry[] {
    return this.#sql
      .exec<EntryRow>("SELECT * FROM entries WHERE seq > ? AND seq <= ? ORDER BY seq", afterSeq, lastSeq)
      .toArray()
      .map(toEntry);
  }

  generation(id: string): Generation | null {
    const [row] = this.#sql.exec<GenerationRow>("SELECT * FROM generations WHERE id = ?", id);
    return row ? toGeneration(row) : null;
  }

  /** The generation that a request with this key made, while it is remembered. */
  generationOfKey(key: string): Generation | null {
    const [row] = this.#sql.exec<GenerationRow>("SELECT * FROM generations WHERE idempotency_key = ?", key);
    return row ? toGeneration(row) : null;
  }

  /** The generation that this order has joined, or null. Asked of those that are not older than `sinceId`. */
  joinedBy(orderId: string, sinceId: string): Generation | null {
    const [row] = this.#sql.exec<GenerationRow>(
      "SELECT * FROM generations WHERE id >= ? AND joined_by = ?",
      sinceId,
      orderId,
    );
    return row ? toGeneration(row) : null;
  }

  /**
   * The newest generation, not older than `sinceId`, that an SDK's retry with that count may join: unfinished, or
   * succeeded with an answer that was not written to its end, and joined by no retry with as high a count.
   * @param fingerprints of the request, any of them; none: of any request
   */
  joinable(fingerprints: readonly string[], count: number, sinceId: string): Generation | null {
    const [first = null, second = first] = fingerprints;
    const [row] = this.#sql.exec<GenerationRow>(
      `SELECT * FROM generations
       WHERE id >= ?1 AND sdk_count < ?2 AND (?3 IS NULL OR fingerprint IN (?3, ?4)) AND delivered = 0
         AND status IN ('queued', 'processing', 'succeeded')
       ORDER BY id DESC LIMIT 1`,
      ...[sinceId, count, first, second],
    );
    return row ? toGeneration(row) : null;
  }

  /** The refused SDK call that has this order's id, or else one of these fingerprints and this count; or null. */
  refusedCall(
    orderId: string,
    fingerprints: readonly string[],
    count: number,
    sinceId: string,
  ): string | null {
    const [first = null, second = first] = fingerprints;
    const [row] = this.#sql.exec<{ order_id: string }>(
      `SELECT order_id FROM refused_calls
       WHERE order_id = ?1 OR (order_id >= ?2 AND fingerprint IN (?3, ?4) AND sdk_count = ?5)
       ORDER BY order_id = ?1 DESC, order_id LIMIT 1`,
      ...[orderId, sinceId, first, second, count],
    );
    return row?.order_id ?? null;
  }

  /** Notes that an SDK call was refused; a call of the same order id is noted once. Keeps at most `most`, the newest. */
  noteRefusedCall(orderId: string, { fingerprint, count }: SdkCall, sinceId: string, most: number): void {
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

  forgetRefusedCall(orderId: string): void {
    this.#sql.exec("DELETE FROM refused_calls WHERE order_id = ?", orderId);
  }

  /** Generations that the filter lets through: newest first, from the one before `beforeId`. */
  generations(filter: GenerationFilter, beforeId: string | null, limit: number): Generation[] {
    return this.#sql
      .exec<GenerationRow>(
        `SELECT * FROM generations
         WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR status = ?2)
           AND (?3 IS NULL OR json_extract(request, '$.model') = ?3)
           AND (?4 IS NULL OR created_at > ?4) AND (?5 IS NULL OR created_at < ?5)
         ORDER BY id DESC LIMIT ?6`,
        ...[beforeId, filter.status, filter.model, filter.createdAfter, filter.createdBefore, limit],
      )
      .toArray()
      .map(toGeneration);
  }

  /** Ended generations, oldest first, from the one after that id. */
  endedGenerations(afterId: string, limit: number): Generation[] {
    return this.#sql
      .exec<GenerationRow>(
        "SELECT * FROM generations WHERE id > ? AND ended_at IS NOT NULL ORDER BY id LIMIT ?",
        afterId,
        limit,
      )
      .toArray()
      .map(toGeneration);
  }

  /**
   * When generations were accepted after that time, newest first, at most `limit` of them. Looked for among the ids from
   * `sinceId` on: an id is made some time before its acceptance, so that one must be old enough.
   */
  acceptedSince(time: number, sinceId: string, limit: number): number[] {
    return this.#sql
      .exec<{ created_at: number }>(
        "SELECT created_at FROM generations WHERE id >= ? AND created_at > ? ORDER BY created_at DESC LIMIT ?",
        ...[sinceId, time, limit],
      )
      .toArray()
      .map((row) => row.created_at);
  }

  /** How many generations have not ended, counted as far as `limit`. */
  unfinished(limit: number): number {
    return this.#sql
      .exec<{ count: number }>(
        `SELECT count(*) AS count FROM
           (SELECT 1 FROM generations WHERE due_at IS NOT NULL AND ended_at IS NULL LIMIT ?)`,
        limit,
      )
      .one().count;
  }

  insertGeneration(generation: Generation): void {
    const row = toRow(generation);
    const columns = Object.keys(row);
    this.#sql.exec(
      `INSERT INTO generations (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
      ...Object.values(row),
    );
  }

  /** Writes the columns that differ, and only those: naming an indexed one costs a write though its value stays. */
  updateGeneration(before: Generation, after: Generation): void {
    const old = new Map(Object.entries(toRow(before)));
    const changed = Object.entries(toRow(after)).filter(([column, value]) => old.get(column) !== value);
    if (changed.length === 0) return;
    this.#sql.exec(
      `UPDATE generations SET ${changed.map(([column]) => `${column} = ?`).join(", ")} WHERE id = ?`,
      ...changed.map(([, value]) => value),
      after.id,
    );
  }

  /** Those that have not ended, newest first. Each of them has a time to be looked at, so the index knows them all. */
  unfinishedGenerations(limit: number): Generation[] {
    return this.#sql
      .exec<GenerationRow>(
        "SELECT * FROM generations WHERE due_at IS NOT NULL AND ended_at IS NULL ORDER BY id DESC LIMIT ?",
        limit,
      )
      .toArray()
      .map(toGeneration);
  }

  /** Generations whose time to be looked at has come, the longest due first. */
  dueGenerations(now: number, limit: number): Generation[] {
    return this.#sql
      .exec<GenerationRow>(
        "SELECT * FROM generations WHERE due_at IS NOT NULL AND due_at <= ? ORDER BY due_at LIMIT ?",
        now,
        limit,
      )
      .toArray()
      .map(toGeneration);
  }

  nextDue(): number | null {
    return this.#one<{ due: number | null }>(
      "SELECT min(due_at) AS due FROM generations WHERE due_at IS NOT NULL",
    ).due;
  }

  /** Forgets the oldest generations that ended before then and have nothing left to be done. */
  prune(endedBefore: number, limit: number): void {
    const oldest = this.#sql
      .exec<{ id: string; ended_at: number | null; due_at: number | null }>(
        "SELECT id, ended_at, due_at FROM generations ORDER BY id LIMIT ?",
        limit,
      )
      .toArray();
    for (const { id, ended_at, due_at } of oldest) {
      if (ended_at === null || ended_at > endedBefore || due_at !== null) continue;
      this.#sql.exec("DELETE FROM generations WHERE id = ?", id);
    }
  }

  /** When the oldest generation ended; null when there is none, or something is left to be done about it. */
  oldestEnd(): number | null {
    const [oldest] = this.#sql.exec<{ ended_at: number | null; due_at: number | null }>(
      "SELECT ended_at, due_at FROM generations ORDER BY id LIMIT 1",
    );
    return oldest === undefined || oldest.due_at !== null ? null : oldest.ended_at;
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

function toGeneration(row: GenerationRow): Generation {
  return {
    id: row.id,
    status: row.status,
    mode: row.mode,
    createdAt: row.created_at,
    beganAt: row.began_at,
    endedAt: row.ended_at,
    deadline: row.deadline,
    dueAt: row.due_at,
    leased: row.leased === 1,
    fence: row.fence,
    calls: row.calls,
    tries: row.tries,
    charged: row.charged,
    refunded: row.refunded,
    error: row.error,
    copied: row.copied === 1,
    cleared: row.cleared === 1,
    swept: row.swept === 1,
    paid: JSON.parse(row.paid),
    images: JSON.parse(row.images),
    request: JSON.parse(row.request),
    idempotency:
      row.idempotency_key === null || row.fingerprint === null
        ? null
        : { key: row.idempotency_key, fingerprint: row.fingerprint },
    sdkCall:
      row.sdk_count === null || row.fingerprint === null
        ? null
        : { fingerprint: row.fingerprint, count: row.sdk_count, joinedBy: row.joined_by },
    keyId: row.key_id,
    permanent: row.permanent === 1,
    delivered: row.delivered === 1,
  };
}

function toRow(generation: Generation): GenerationRow {
  return {
    id: generation.id,
    status: generation.status,
    mode: generation.mode,
    created_at: generation.createdAt,
    began_at: generation.beganAt,
    ended_at: generation.endedAt,
    deadline: generation.deadline,
    due_at: generation.dueAt,
    leased: generation.leased ? 1 : 0,
    fence: generation.fence,
    calls: generation.calls,
    tries: generation.tries,
    charged: generation.charged,
    refunded: generation.refunded,
    error: generation.error,
    copied: generation.copied ? 1 : 0,
    cleared: generation.cleared ? 1 : 0,
    swept: generation.swept ? 1 : 0,
    paid: JSON.stringify(generation.paid),
    images: JSON.stringify(generation.images),
    request: JSON.stringify(generation.request),
    idempotency_key: generation.idempotency?.key ?? null,
    fingerprint: generation.idempotency?.fingerprint ?? generation.sdkCall?.fingerprint ?? null,
    sdk_count: generation.sdkCall?.count ?? null,
    joined_by: generation.sdkCall?.joinedBy ?? null,
    key_id: generation.keyId,
    livemode: 1,
    permanent: generation.permanent ? 1 : 0,
    delivered: generation.delivered ? 1 : 0,
  };
}
