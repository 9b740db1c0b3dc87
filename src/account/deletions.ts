import { ORPHANS_AFTER_MS, RETRY_FIRST_MS, retryDelayMs } from "./cleanup.ts";
import type { Generation } from "./lifecycle.ts";

/** What is left to remove of a deleted generation. */
type Deletion = { id: string; livemode: boolean; lastAt: number; tries: number };

type DeletionRow = { generation_id: string; livemode: number; last_at: number; tries: number };

type Access = {
  sql: SqlStorage;
  /** Removes generations of one mode from the log and from storage. @returns whether all is removed */
  remove: (ids: readonly string[], livemode: boolean, milliseconds: number) => Promise<boolean>;
  /** Runs the work in one transaction. */
  commit: (work: (now: number) => void) => void;
  /** Inside a transaction: makes sure that the alarm fires by then. */
  armFor: (time: number) => void;
};

/**
 * What an account still has to remove, outside itself, of deleted generations. A row is written in the transaction that
 * deletes the generation, and deleted when nothing is left, so a crash delays a removal but does not lose it.
 */
export class Deletions {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  /** Inside a transaction: notes a deletion. @param generation null when the account has pruned it */
  add(id: string, livemode: boolean, generation: Generation | null, now: number): void {
    const orphansUntil =
      generation?.orphansDeleted === false ? (generation.endedAt ?? 0) + ORPHANS_AFTER_MS : 0;
    const lastAt = Math.max(now, orphansUntil);
    const dueAt = now + RETRY_FIRST_MS;
    this.#access.sql.exec(
      `INSERT INTO deletions (generation_id, livemode, last_at, tries, due_at) VALUES (?, ?, ?, 0, ?)
       ON CONFLICT DO NOTHING`,
      ...[id, livemode ? 1 : 0, lastAt, dueAt],
    );
    this.#access.armFor(dueAt);
  }

  /** Whether something of this generation is left to remove. @param livemode its mode; null for either */
  has(id: string, livemode: boolean | null): boolean {
    const deletion = this.#get(id);
    return deletion !== null && (livemode === null || deletion.livemode === livemode);
  }

  /** Those that are due, the earliest first. */
  due(now: number, limit: number): string[] {
    return this.#access.sql
      .exec<{ generation_id: string }>(
        "SELECT generation_id FROM deletions WHERE due_at <= ? ORDER BY due_at LIMIT ?",
        ...[now, limit],
      )
      .toArray()
      .map((row) => row.generation_id);
  }

  /** When the next one is due, or null. */
  nextDue(): number | null {
    return this.#access.sql.exec<{ due: number | null }>("SELECT min(due_at) AS due FROM deletions").one()
      .due;
  }

  /** Removes what is left of these. The alarm repeats what fails. @returns whether all is removed */
  async perform(ids: readonly string[], milliseconds: number): Promise<boolean> {
    const pending = ids.map((id) => this.#get(id)).filter((deletion) => deletion !== null);
    const outcomes = await Promise.all(
      [true, false].map(async (livemode) => {
        const some = pending.filter((deletion) => deletion.livemode === livemode);
        if (some.length === 0) return true;
        const ids = some.map(({ id }) => id);
        const isRemoved = await this.#access.remove(ids, livemode, milliseconds);
        this.#access.commit((now) => {
          for (const deletion of some) this.#record(deletion, isRemoved, now);
        });
        return isRemoved;
      }),
    );
    return outcomes.every((isRemoved) => isRemoved);
  }

  #record({ id, lastAt, tries }: Deletion, isRemoved: boolean, now: number): void {
    if (isRemoved && now >= lastAt) {
      this.#access.sql.exec("DELETE FROM deletions WHERE generation_id = ?", id);
      return;
    }
    const dueAt = isRemoved ? lastAt : now + retryDelayMs(tries);
    this.#access.sql.exec(
      "UPDATE deletions SET tries = ?, due_at = ? WHERE generation_id = ?",
      ...[isRemoved ? 0 : tries + 1, dueAt, id],
    );
    this.#access.armFor(dueAt);
  }

  #get(id: string): Deletion | null {
    const [row] = this.#access.sql.exec<DeletionRow>("SELECT * FROM deletions WHERE generation_id = ?", id);
    return row ? { id, livemode: row.livemode === 1, lastAt: row.last_at, tries: row.tries } : null;
  }
}
