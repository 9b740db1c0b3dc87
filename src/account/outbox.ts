import { logOf } from "../db/log.ts";
import { removeReferences } from "../images/references.ts";
import { removeImagesExcept } from "../images/stored.ts";
import { describe, log } from "../log.ts";
import { byQueue } from "../queue.ts";
import { withTimeout } from "../time.ts";
import type { CleanupTask } from "./cleanup.ts";
import { type Generation, ownReferences } from "./lifecycle.ts";
import { ENTRIES_A_WRITE, eraseLogged, removeEntriesAfter, writeLog } from "./log.ts";
import type { LedgerStore } from "./store/ledger.ts";

/** The name of each task in log lines. */
const NAMES: Readonly<Record<CleanupTask, string>> = {
  logged: "log_generation",
  referencesDeleted: "delete_references",
  orphansDeleted: "delete_orphans",
};

/** The most batches of entries in one export. One is usual; more follow a long outage of the log. */
const LOG_WRITES_MAX = 20;

/**
 * Everything that an account sends outside: messages to the queue, rows to the log, deletions in storage. Each delivery
 * is attempted on its own and for a bounded time. A failed delivery is logged, and the alarm retries it.
 */
export class Outbox {
  readonly #userId: string;
  readonly #env: Env;
  readonly #ledger: LedgerStore;
  /** Advances the export cursor in a transaction. */
  readonly #advanceCursor: (seq: number) => void;
  /** Settles when no rows of the log are being removed. Rows written during a removal could be removed with them. */
  #trimming: Promise<void> = Promise.resolve();
  /** Writes to the log that are under way. One that began before a deletion may carry what was deleted. */
  readonly #writes = new Set<Promise<void>>();

  constructor(userId: string, env: Env, ledger: LedgerStore, advanceCursor: (seq: number) => void) {
    this.#userId = userId;
    this.#env = env;
    this.#ledger = ledger;
    this.#advanceCursor = advanceCursor;
  }

  get #log(): D1Database {
    return logOf(this.#env, this.#userId);
  }

  /** Sends a message for each of these generations to its queue. @returns those that a queue did not take */
  async queue(ids: readonly string[], milliseconds: number): Promise<string[]> {
    const messages = ids.map((generationId) => ({ userId: this.#userId, generationId }));
    const unsent = await Promise.all(
      [...byQueue(this.#env, messages)].map(async ([queue, bodies]) => {
        const sent = bodies.map(({ generationId }) => generationId);
        const isSent = await this.#attempt("queue_send", sent.join(), milliseconds, async () => {
          await queue.sendBatch(bodies.map((body) => ({ body })));
        });
        return isSent ? [] : sent;
      }),
    );
    return unsent.flat();
  }

  /** Writes the entries that the log lacks. */
  async exportEntries(id: string, milliseconds: number): Promise<boolean> {
    return await this.#attempt("log_entries", id, milliseconds, () => this.#export(null));
  }

  /** Removes the objects of references that were uploaded ahead. */
  async removeUploaded(
    references: readonly { id: string; key: string }[],
    milliseconds: number,
  ): Promise<boolean> {
    if (references.length === 0) return true;
    const ids = references.map(({ id }) => id).join();
    return await this.#attempt("delete_uploaded_references", ids, milliseconds, () =>
      removeReferences(this.#env.REFERENCES, references),
    );
  }

  /** Does these cleanup tasks of a generation. @returns those that succeeded */
  async cleanUp(
    generation: Generation,
    tasks: readonly CleanupTask[],
    milliseconds: number,
  ): Promise<CleanupTask[]> {
    const done = await Promise.all(
      tasks.map(async (task) => {
        const work = () => this.#cleanUp(task, generation);
        return (await this.#attempt(NAMES[task], generation.id, milliseconds, work)) ? [task] : [];
      }),
    );
    return done.flat();
  }

  /**
   * Writes the entries after `afterSeq`, up to and including `lastSeq`, to the log again: missing ones are inserted,
   * different ones overwritten. Entries never change in the account, so another write may run at the same time.
   * @throws when the log does not respond
   */
  async rewriteEntries(afterSeq: number, lastSeq: number): Promise<void> {
    const entries = this.#ledger.entriesBetween(afterSeq, lastSeq);
    for (let at = 0; at < entries.length; at += ENTRIES_A_WRITE) {
      await writeLog(this.#log, this.#userId, null, entries.slice(at, at + ENTRIES_A_WRITE));
    }
  }

  /**
   * Removes entries from the log that the account does not have: those after its last one. Nothing is written to the
   * log meanwhile.
   * @throws when the log does not respond
   */
  async trimEntries(): Promise<void> {
    const trimmed = this.#trimming.then(() => {
      const last = this.#ledger.entries(Number.MAX_SAFE_INTEGER, 1)[0]?.seq ?? 0;
      return removeEntriesAfter(this.#log, this.#userId, last);
    });
    this.#trimming = trimmed.catch(() => {});
    await trimmed;
  }

  async #cleanUp(task: CleanupTask, generation: Generation): Promise<void> {
    switch (task) {
      case "logged":
        return await this.#export(generation);
      case "referencesDeleted":
        return await removeReferences(this.#env.REFERENCES, ownReferences(generation.request));
      case "orphansDeleted": {
        const keys = generation.images.map((image) => image.key);
        return await removeImagesExcept(this.#env.IMAGES, generation.id, keys);
      }
    }
  }

  /**
   * Removes deleted generations of one mode: their content in the log, then their images, the ones that late workers
   * stored too.
   */
  async removeGenerations(ids: readonly string[], livemode: boolean, milliseconds: number): Promise<boolean> {
    return await this.#attempt("delete_generations", ids.join(), milliseconds, async () => {
      await Promise.allSettled(this.#writes);
      await eraseLogged(this.#log, this.#userId, livemode, ids, Date.now());
      await Promise.all(ids.map((id) => removeImagesExcept(this.#env.IMAGES, id, [])));
    });
  }

  /** Writes a generation, if one is given, and the entries that the log lacks. */
  async #export(generation: Generation | null): Promise<void> {
    const write = this.#write(generation);
    this.#writes.add(write);
    try {
      await write;
    } finally {
      this.#writes.delete(write);
    }
  }

  async #write(generation: Generation | null): Promise<void> {
    await this.#trimming;
    for (let write = 0; write < LOG_WRITES_MAX; write++) {
      const entries = this.#ledger.pendingEntries(ENTRIES_A_WRITE);
      const ended = write === 0 ? generation : null;
      if (entries.length === 0 && ended === null) return;
      await writeLog(this.#log, this.#userId, ended, entries);
      const last = entries.at(-1);
      if (last) this.#advanceCursor(last.seq);
    }
  }

  async #attempt(
    what: string,
    id: string,
    milliseconds: number,
    work: () => Promise<void>,
  ): Promise<boolean> {
    try {
      await withTimeout(milliseconds, work());
      return true;
    } catch (error) {
      log("outbox_failed", { what, user_id: this.#userId, id, error: describe(error) });
      return false;
    }
  }
}
