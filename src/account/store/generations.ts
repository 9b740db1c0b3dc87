import {
  type FailureCode,
  type Generation,
  type GenerationStatus,
  isLive,
  type Metadata,
} from "../lifecycle.ts";
import { SUBJECT_PROMPT_MAX, type Subject } from "../views.ts";
import { readJsonColumns, readTask } from "./json.ts";

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
  slot_at: number | null;
  interrupted: number;
  task: string | null;
  deleted_at: number | null;
};

/** Which generations a list shows. Null matches all. Times in milliseconds since 1970, exclusive. */
export type GenerationFilter = {
  /** Left out: true. Older releases know no test keys. */
  livemode?: boolean;
  status: GenerationStatus | null;
  model: string | null;
  createdAfter: number | null;
  createdBefore: number | null;
  /** Only generations with all of these labels. Left out: all. */
  metadata?: Metadata;
  /** Only this id and newer ones. Left out: all. */
  sinceId?: string;
  /** Only generations whose prompt has all of these, in upper or lower case. Left out: all. */
  words?: readonly string[];
  /** Only generations of the key with this id; empty for those of the playground. Left out: all. */
  keyId?: string;
};

/** Reads and writes generations. Writes belong inside the object's transaction. */
export class GenerationStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  get(id: string): Generation | null {
    const [row] = this.#sql.exec<GenerationRow>("SELECT * FROM generations WHERE id = ?", id);
    return row ? toGeneration(row) : null;
  }

  /** The generation that a request with this idempotency key created, while it is kept here. */
  findByKey(key: string): Generation | null {
    const [row] = this.#sql.exec<GenerationRow>("SELECT * FROM generations WHERE idempotency_key = ?", key);
    return row ? toGeneration(row) : null;
  }

  /** The generation, not older than `sinceId`, that the command with this id has joined, or null. */
  findClaimedBy(commandId: string, sinceId: string): Generation | null {
    const [row] = this.#sql.exec<GenerationRow>(
      "SELECT * FROM generations WHERE id >= ? AND joined_by = ?",
      sinceId,
      commandId,
    );
    return row ? toGeneration(row) : null;
  }

  /**
   * The newest generation, not older than `sinceId`, that an SDK's retry with this count may join. It is unfinished, or
   * succeeded and its response was not sent to the end, and no retry with as high a count has joined it.
   * @param fingerprints of the request, any of which may match; an empty list matches every request
   */
  findRetryTarget(fingerprints: readonly string[], count: number, sinceId: string): Generation | null {
    const [first = null, second = first] = fingerprints;
    const [row] = this.#sql.exec<GenerationRow>(
      `SELECT * FROM generations
       WHERE id >= ?1 AND sdk_count < ?2 AND (?3 IS NULL OR fingerprint IN (?3, ?4)) AND delivered = 0
         AND deleted_at IS NULL
         AND status IN ('queued', 'processing', 'succeeded')
       ORDER BY id DESC LIMIT 1`,
      ...[sinceId, count, first, second],
    );
    return row ? toGeneration(row) : null;
  }

  /** Generations that match the filter and are not deleted, older than `beforeId`, newest first. */
  list(filter: GenerationFilter, beforeId: string | null, limit: number): Generation[] {
    return this.#sql
      .exec<GenerationRow>(
        `SELECT * FROM generations
         WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR status = ?2)
           AND (?3 IS NULL OR json_extract(request, '$.model') = ?3)
           AND (?4 IS NULL OR created_at > ?4) AND (?5 IS NULL OR created_at < ?5) AND livemode = ?6
           AND deleted_at IS NULL
           AND (?7 IS NULL OR id >= ?7)
           AND (?8 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?8) AS label WHERE NOT EXISTS (
             SELECT 1 FROM json_each(request, '$.metadata') AS own
             WHERE own.key = label.key AND own.value = label.value)))
           AND (?9 IS NULL OR COALESCE(key_id, '') = ?9)
           AND (?10 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?10) AS word
             WHERE instr(lower(json_extract(request, '$.prompt')), lower(word.value)) = 0))
         ORDER BY id DESC LIMIT ?11`,
        ...[beforeId, filter.status, filter.model, filter.createdAfter, filter.createdBefore],
        ...[filter.livemode === false ? 0 : 1, filter.sinceId ?? null],
        ...[filter.metadata === undefined ? null : JSON.stringify(filter.metadata), filter.keyId ?? null],
        ...[filter.words === undefined ? null : JSON.stringify(filter.words), limit],
      )
      .toArray()
      .map(toGeneration);
  }

  /** Those of these generations that are kept here, by id; null for a deleted one. */
  subjects(ids: readonly string[]): Map<string, Subject | null> {
    const rows = this.#sql.exec<Subject & { isDeleted: number }>(
      `SELECT id, json_extract(request, '$.model') AS model, COALESCE(key_id, '') AS keyId,
         substr(json_extract(request, '$.prompt'), 1, ?1) AS prompt, deleted_at IS NOT NULL AS isDeleted
       FROM generations WHERE id IN (SELECT value FROM json_each(?2))`,
      ...[SUBJECT_PROMPT_MAX, JSON.stringify(ids)],
    );
    return new Map(
      rows.toArray().map(({ isDeleted, ...subject }) => [subject.id, isDeleted === 1 ? null : subject]),
    );
  }

  /** Ended generations after that id that are not deleted, oldest first. */
  ended(afterId: string, limit: number): Generation[] {
    return this.#sql
      .exec<GenerationRow>(
        "SELECT * FROM generations WHERE id > ? AND ended_at IS NOT NULL AND deleted_at IS NULL ORDER BY id LIMIT ?",
        afterId,
        limit,
      )
      .toArray()
      .map(toGeneration);
  }

  /**
   * When the latest generations of that mode were accepted, after `time`, newest first, at most `limit` of them. Only
   * ids from `sinceId` on are read. An id is made some time before its acceptance, so `sinceId` must be old enough.
   */
  acceptedSince(time: number, sinceId: string, livemode: boolean, limit: number): number[] {
    return this.#sql
      .exec<{ created_at: number }>(
        `SELECT created_at FROM generations WHERE id >= ? AND created_at > ? AND livemode = ?
         ORDER BY created_at DESC LIMIT ?`,
        ...[sinceId, time, livemode ? 1 : 0, limit],
      )
      .toArray()
      .map((row) => row.created_at);
  }

  /** How many generations of that mode have not ended, counted up to `limit`. */
  countUnfinished(livemode: boolean, limit: number): number {
    return this.#sql
      .exec<{ count: number }>(
        `SELECT count(*) AS count FROM
           (SELECT 1 FROM generations WHERE due_at IS NOT NULL AND ended_at IS NULL AND livemode = ? LIMIT ?)`,
        ...[livemode ? 1 : 0, limit],
      )
      .one().count;
  }

  insert(generation: Generation): void {
    const row = toRow(generation);
    const columns = Object.keys(row);
    this.#sql.exec(
      `INSERT INTO generations (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
      ...Object.values(row),
    );
  }

  /** Writes only the columns that differ: naming an indexed one costs a row even if its value stays. */
  update(before: Generation, after: Generation): void {
    const old = new Map(Object.entries(toRow(before)));
    const changed = Object.entries(toRow(after)).filter(([column, value]) => old.get(column) !== value);
    if (changed.length === 0) return;
    this.#sql.exec(
      `UPDATE generations SET ${changed.map(([column]) => `${column} = ?`).join(", ")} WHERE id = ?`,
      ...changed.map(([, value]) => value),
      after.id,
    );
  }

  /** Generations that have not ended, newest first. Each has a due time, so the index finds them all. */
  unfinished(limit: number): Generation[] {
    return this.#sql
      .exec<GenerationRow>(
        "SELECT * FROM generations WHERE due_at IS NOT NULL AND ended_at IS NULL ORDER BY id DESC LIMIT ?",
        limit,
      )
      .toArray()
      .map(toGeneration);
  }

  /** How many generations have not ended, and when the oldest of those that wait was accepted. */
  backlog(): { unfinished: number; oldestQueuedAt: number | null } {
    const { unfinished, oldest } = this.#one<{ unfinished: number; oldest: number | null }>(
      `SELECT count(*) AS unfinished, min(CASE status WHEN 'queued' THEN created_at END) AS oldest
       FROM generations WHERE due_at IS NOT NULL AND ended_at IS NULL`,
    );
    return { unfinished, oldestQueuedAt: oldest };
  }

  /** How many generations since that id had a run that died. */
  countInterrupted(sinceId: string): number {
    return this.#sql
      .exec<{ count: number }>(
        "SELECT count(*) AS count FROM generations WHERE id >= ? AND interrupted = 1",
        sinceId,
      )
      .one().count;
  }

  /** Generations that are due, the earliest due time first. */
  due(now: number, limit: number): Generation[] {
    return this.#sql
      .exec<GenerationRow>(
        "SELECT * FROM generations WHERE due_at IS NOT NULL AND due_at <= ? ORDER BY due_at LIMIT ?",
        now,
        limit,
      )
      .toArray()
      .map(toGeneration);
  }

  /** When the next generation is due, or null. */
  nextDue(): number | null {
    return this.#one<{ due: number | null }>(
      "SELECT min(due_at) AS due FROM generations WHERE due_at IS NOT NULL",
    ).due;
  }

  /** Deletes the oldest generations that ended before then and have no work left. */
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

  /** When the oldest generation ended; null when there is none, or when it has work left. */
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
    providerCalls: row.calls,
    alarmAttempts: row.tries,
    charged: row.charged,
    refunded: row.refunded,
    error: row.error,
    logged: row.copied === 1,
    referencesDeleted: row.cleared === 1,
    orphansDeleted: row.swept === 1,
    ...readJsonColumns(row),
    idempotency:
      row.idempotency_key === null || row.fingerprint === null
        ? null
        : { key: row.idempotency_key, fingerprint: row.fingerprint },
    sdkCall:
      row.sdk_count === null || row.fingerprint === null
        ? null
        : { fingerprint: row.fingerprint, count: row.sdk_count, claimedBy: row.joined_by },
    keyId: row.key_id,
    permanent: row.permanent === 1,
    delivered: row.delivered === 1,
    slotAt: row.slot_at,
    interrupted: row.interrupted === 1,
    task: readTask(row.task),
    deletedAt: row.deleted_at,
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
    calls: generation.providerCalls,
    tries: generation.alarmAttempts,
    charged: generation.charged,
    refunded: generation.refunded,
    error: generation.error,
    copied: generation.logged ? 1 : 0,
    cleared: generation.referencesDeleted ? 1 : 0,
    swept: generation.orphansDeleted ? 1 : 0,
    paid: JSON.stringify(generation.allocations),
    images: JSON.stringify(generation.images),
    request: JSON.stringify(generation.request),
    idempotency_key: generation.idempotency?.key ?? null,
    fingerprint: generation.idempotency?.fingerprint ?? generation.sdkCall?.fingerprint ?? null,
    sdk_count: generation.sdkCall?.count ?? null,
    joined_by: generation.sdkCall?.claimedBy ?? null,
    key_id: generation.keyId,
    livemode: isLive(generation.request) ? 1 : 0,
    permanent: generation.permanent ? 1 : 0,
    delivered: generation.delivered ? 1 : 0,
    slot_at: generation.slotAt,
    interrupted: generation.interrupted ? 1 : 0,
    task: generation.task && JSON.stringify(generation.task),
    deleted_at: generation.deletedAt,
  };
}
