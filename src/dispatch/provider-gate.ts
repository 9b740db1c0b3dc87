import { DurableObject } from "cloudflare:workers";
import { readConfig } from "../config.ts";
import { describe, log } from "../log.ts";
import { byQueue } from "../queue.ts";
import { takeSteps } from "../schema-steps.ts";
import type { Item } from "./fair-queue.ts";
import {
  type Ask,
  type CallOutcome,
  Gate,
  type GateState,
  INITIAL_STATE,
  type OperatorState,
  type TakeAnswer,
} from "./gate.ts";
import { gateSettings } from "./routes.ts";

/** The tables, as ordered steps: see schema-steps.ts. */
const STEPS: readonly string[] = [
  `CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), json TEXT NOT NULL);
  CREATE TABLE waiting (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    flow TEXT NOT NULL,
    images INTEGER NOT NULL,
    deadline INTEGER NOT NULL
  ) WITHOUT ROWID;`,
];
const OLDEST_READER = 1;

/** The most messages in one batch of a queue. */
const RELEASED_MOST = 100;
/** Releases are grouped: the next one is at least this much later. */
const RELEASE_EVERY_MS = 250;
/** The wait before released work that the queue refused is sent again. */
const QUEUE_AGAIN_MS = 2_000;
/** The pace is saved at most this often while nothing but the next slot changes. */
const SAVE_EVERY_MS = 5_000;

/** The gate's status, by which the API decides whether to accept a generation. */
export type GateStatus = {
  /** Whether no call is allowed now. */
  isDown: boolean;
  /** The estimated start of a new item of the flow, in milliseconds since 1970; null when unknown. */
  until: number | null;
  /** Whether a new item would have to wait. */
  isBusy: boolean;
};

export type GateView = ReturnType<Gate["view"]>;

/**
 * The gate of one provider, named by the provider. It decides who may call the provider and when, by the rules of
 * gate.ts. Waiting work is stored in a table and sent to the queue when its turn comes; waiting callers are answered.
 *
 * A loss of this state does no harm to credits: the account queues a generation again that the gate has lost.
 */
export class ProviderGate extends DurableObject<Env> {
  readonly #gate: Gate;
  /** Waiting callers, by the id of their generation. */
  readonly #holding = new Map<string, () => void>();
  /** Items whose row is in the table. */
  readonly #stored = new Set<string>();
  #timer: { at: number; handle: ReturnType<typeof setTimeout> } | null = null;
  #alarmAt: number | null = null;
  #saved: GateState = INITIAL_STATE;
  #savedAt = 0;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    takeSteps(state.storage, STEPS, OLDEST_READER);
    const { sql } = state.storage;
    const [row] = sql.exec<{ json: string }>("SELECT json FROM state");
    const saved: GateState = row ? { ...INITIAL_STATE, ...JSON.parse(row.json) } : INITIAL_STATE;
    const waiting = sql
      .exec<{ id: string; user_id: string; flow: string; images: number; deadline: number }>(
        "SELECT * FROM waiting ORDER BY id",
      )
      .toArray()
      .map(({ user_id: userId, ...item }) => ({ ...item, userId }));
    this.#saved = saved;
    this.#gate = new Gate(gateSettings(this.#name, readConfig(env)), saved, waiting);
    for (const { id } of waiting) this.#stored.add(id);
    state.blockConcurrencyWhile(async () => {
      this.#alarmAt = await state.storage.getAlarm();
      await this.#arm(Date.now());
    });
  }

  /**
   * Asks for one provider call. Waits for up to `holdMs`, and then returns when the caller's turn comes.
   * @param isKept whether the item then stays here, and is sent to the queue when its turn comes
   */
  async take(ask: Ask, holdMs: number, isKept: boolean): Promise<TakeAnswer> {
    const now = Date.now();
    await this.#release(now);
    const answer = this.#gate.take(ask, now);
    if (answer.kind === "go") return await this.#started(ask.id, answer);
    const waits = answer.until === null || answer.until - now <= holdMs;
    if (holdMs > 0 && waits) {
      await this.#hold(ask.id, holdMs);
      const later = Date.now();
      const again = this.#gate.take({ ...ask, isAgain: true }, later);
      if (again.kind === "go") return await this.#started(ask.id, again);
      answer.until = again.until;
    }
    if (isKept) this.#keep(ask);
    else this.#gate.leave(ask.id);
    await this.#arm(Date.now());
    return answer;
  }

  /** Adds a generation that has not begun to the gate's queue. @returns false when the queue is full */
  async park(item: Item): Promise<boolean> {
    if (!this.#gate.park(item)) return false;
    this.#keep(item);
    await this.#arm(Date.now());
    return true;
  }

  /** Removes a generation that no longer waits for a call. */
  async leave(id: string): Promise<void> {
    // The row first: if it could not be deleted, the item stays in both, and its message finds nothing to do.
    this.#forget(id);
    this.#gate.leave(id);
    await this.#release(Date.now());
  }

  /** Records the outcome of an allowed call. */
  async report(id: string, outcome: CallOutcome): Promise<void> {
    this.#gate.report(id, outcome, Date.now());
    this.#save();
    await this.#release(Date.now());
  }

  /** The status for a new item of the flow. */
  word(flow: string): GateStatus {
    const now = Date.now();
    const until = this.#gate.estimate(flow, now);
    const isDown = this.#gate.view(now).state === "open";
    return { isDown, until, isBusy: isDown || this.#gate.waiting > 0 || (until ?? now) > now };
  }

  /** For the operator. */
  view(): GateView {
    return this.#gate.view(Date.now());
  }

  /** Opens or closes the breaker by hand, or returns it to its rules. */
  async operate(state: OperatorState): Promise<GateView> {
    this.#gate.operate(state);
    this.#save();
    await this.#release(Date.now());
    return this.view();
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    try {
      await this.#release(Date.now());
    } catch (error) {
      log("gate_alarm_failed", { provider: this.#name, error: describe(error) });
      await this.#arm(Date.now() + QUEUE_AGAIN_MS);
    }
  }

  /** Releases items whose turn has come: answers waiting callers, and sends the others to the queue. */
  async #release(now: number): Promise<void> {
    const released = this.#gate.release(now, RELEASED_MOST, ({ id }) => this.#forget(id));
    const queued = released.filter(({ id }) => {
      const answer = this.#holding.get(id);
      answer?.();
      return answer === undefined;
    });
    if (queued.length > 0) await this.#send(queued);
    await this.#arm(Date.now());
  }

  async #send(items: readonly Item[]): Promise<void> {
    const messages = items.map(({ userId, id: generationId }) => ({ userId, generationId }));
    const unsent = new Set<string>();
    await Promise.all(
      [...byQueue(this.env, messages)].map(async ([queue, bodies]) => {
        try {
          await queue.sendBatch(bodies.map((body) => ({ body })));
        } catch (error) {
          log("gate_send_failed", { provider: this.#name, items: bodies.length, error: describe(error) });
          for (const { generationId } of bodies) unsent.add(generationId);
        }
      }),
    );
    for (const item of items) {
      if (unsent.has(item.id)) this.#gate.putBack(item);
      else this.#forget(item.id);
    }
    this.#save();
    if (unsent.size > 0) await this.#arm(Date.now() + QUEUE_AGAIN_MS);
  }

  async #started(id: string, answer: TakeAnswer): Promise<TakeAnswer> {
    this.#forget(id);
    if (Date.now() - this.#savedAt >= SAVE_EVERY_MS && this.#gate.state.pace.next > Date.now()) this.#save();
    return answer;
  }

  /** Resolves when the item is released, or after that many milliseconds. */
  async #hold(id: string, milliseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#holding.set(id, resolve);
    await this.#arm(Date.now());
    const timer = setTimeout(resolve, milliseconds);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#holding.delete(id);
    }
  }

  #keep({ id, userId, flow, images, deadline }: Item): void {
    if (!this.#gate.isWaiting(id) || this.#stored.has(id)) return;
    this.ctx.storage.sql.exec(
      "INSERT OR REPLACE INTO waiting (id, user_id, flow, images, deadline) VALUES (?, ?, ?, ?, ?)",
      ...[id, userId, flow, images, deadline],
    );
    this.#stored.add(id);
  }

  #forget(id: string): void {
    if (!this.#stored.has(id)) return;
    this.ctx.storage.sql.exec("DELETE FROM waiting WHERE id = ?", id);
    // Only now, so that a row that could not be deleted is deleted when the item starts.
    this.#stored.delete(id);
  }

  /** Saves the state, if it has changed. */
  #save(): void {
    const { state } = this.#gate;
    if (state === this.#saved) return;
    this.#saved = state;
    this.#savedAt = Date.now();
    this.ctx.storage.sql.exec("INSERT OR REPLACE INTO state VALUES (1, ?)", JSON.stringify(state));
  }

  /** Arms the next release, not before that time: by a timer, and by an alarm if rows are stored. */
  async #arm(notBefore: number): Promise<void> {
    const next = this.#gate.nextAt(Date.now());
    if (next === null) return;
    const at = Math.max(next, notBefore + RELEASE_EVERY_MS);
    if (this.#stored.size > 0 && (this.#alarmAt === null || at < this.#alarmAt)) {
      this.#alarmAt = at;
      await this.ctx.storage.setAlarm(at);
    }
    if (this.#holding.size === 0 || (this.#timer !== null && this.#timer.at <= at)) return;
    if (this.#timer) clearTimeout(this.#timer.handle);
    const handle = setTimeout(() => {
      this.#timer = null;
      this.ctx.waitUntil(this.#release(Date.now()));
    }, at - Date.now());
    this.#timer = { at, handle };
  }

  get #name(): string {
    return this.ctx.id.name ?? "";
  }
}
