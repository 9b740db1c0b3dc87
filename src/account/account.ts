import { DurableObject } from "cloudflare:workers";
import { readConfig } from "../config.ts";
import { lowestGenerationId } from "../id.ts";
import { removeReferences } from "../images/references.ts";
import { removeImagesExcept } from "../images/stored.ts";
import { describe, log } from "../log.ts";
import { within } from "../time.ts";
import { charge, expire, type Grant, mustHold, openGrant, refund } from "./ledger.ts";
import {
  accept,
  afterChores,
  begin,
  chores,
  end,
  type Generation,
  type Idempotency,
  isEnded,
  JOIN_MS,
  type Job,
  jobOf,
  KEEP_MS,
  type Limits,
  lapse,
  type Order,
  type RunResult,
  renew,
  type SdkCall,
} from "./lifecycle.ts";
import { judgeLimits, type LimitSettings, type LimitUse, type Quota, quotaOf, WINDOW_MS } from "./limits.ts";
import { ENTRIES_A_WRITE, writeLog } from "./log.ts";
import { detailOf, type GenerationDetail, type GenerationRecord, recordOf } from "./record.ts";
import { AccountStore, type EntriesSum, type Entry, type GenerationFilter } from "./store.ts";

/** What somebody has, this moment. */
export type Balance = { credits: number; nextExpiration: number | null };

export type SubmitRefusal =
  | { kind: "limited"; by: "rate" | "concurrency"; retryAfterSeconds: number; quota: Quota }
  | { kind: "insufficient"; available: number; quota: Quota };

export type SubmitOutcome =
  | { kind: "accepted"; generation: GenerationRecord; job: Job | null; quota: Quota }
  /** A request with this idempotency key, or the call that an SDK repeats, made it before. */
  | ({ kind: "repeated" } & Ended)
  /** The idempotency key was used for another request. */
  | { kind: "conflict" }
  | SubmitRefusal;

export type WorkOutcome =
  | { kind: "run"; job: Job }
  | { kind: "taken" }
  | { kind: "finished" }
  | { kind: "unknown" };

export type LeaseOutcome = "yours" | "exhausted" | "lost";

/** A generation and what its user has: of one that has ended, or as it stands. */
export type Ended = { generation: GenerationRecord; balance: Balance };

export type FinishOutcome = ({ kind: "settled" } & Ended) | { kind: "stale" } | { kind: "unknown" };

export type GrantOutcome =
  | { kind: "granted" | "repeated"; grant: Grant; balance: Balance }
  /** A grant with this id has other credits or another expiry. */
  | { kind: "conflict" }
  /** A new grant whose expiry is not in the future. */
  | { kind: "expired" };

/** How long an answer waits for the log and the clearing; what takes longer is done by the alarm. */
const CHORES_IN_ANSWER_MS = 3_000;
/** How long the alarm gives each thing it has to tell. */
const TELL_MS = 5_000;
/** The most batches of entries that are told in one go: one is the rule, more follow a long outage. */
const LOG_WRITES_MAX = 20;
/** When the alarm comes back for entries that the log has not taken. */
const ENTRIES_AGAIN_MS = 30_000;
/** When the alarm comes back for a generation that breaks a rule of the book: an operator has to mend it. */
const BROKEN_AGAIN_MS = 600_000;
/** An alarm comes within moments of its time, except after an outage of the platform. */
const ALARM_LATE_MS_MAX = 60_000;
/** The most that one alarm takes up; the rest follows in the next, at once. */
const ALARM_ROWS_MAX = 50;
const GRANTS_LISTED_MAX = 200;
const UNFINISHED_LISTED_MAX = 100;

/**
 * The book of one user: credits, and the work they paid for. Named by the user's id. Everything about them is decided
 * here, one thing at a time, each in one transaction; the rules are in ledger.ts and lifecycle.ts.
 *
 * Every method is safe to repeat, and answers expected refusals as values: an error thrown across objects loses its
 * class.
 */
export class Account extends DurableObject<Env> {
  readonly #store: AccountStore;
  readonly #waiters = new Map<string, Set<(ended: Ended) => void>>();
  /** What the transaction at hand has ended: its waiters are answered once it is committed. */
  #justEnded: Ended[] = [];
  /** When the alarm is set for. It is only ever moved earlier: moving it is a billed write. */
  #alarmAt: number | null = null;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#store = new AccountStore(state.storage.sql);
    state.blockConcurrencyWhile(async () => {
      this.#alarmAt = await state.storage.getAlarm();
      // One that is long past was lost: unless it is set again, nothing here would ever be due.
      if (this.#alarmAt === null || this.#alarmAt >= Date.now() - ALARM_LATE_MS_MAX) return;
      log("alarm_lost", { user_id: this.#userId, late_ms: Date.now() - this.#alarmAt });
      await this.#arm(Date.now());
    });
  }

  /**
   * Whether a request of at least this price has a chance: asked before anything is uploaded for it.
   * @param sdkCount how often the SDK says that it has tried before; 0 where none says so
   */
  admit(credits: number, idempotencyKey: string | null, sdkCount = 0): { kind: "admitted" } | SubmitRefusal {
    return this.#commit((now): { kind: "admitted" } | SubmitRefusal => {
      if (idempotencyKey !== null && this.#store.generationOfKey(idempotencyKey)) return { kind: "admitted" };
      if (sdkCount > 0 && this.#store.joinable(null, sdkCount, joinableSince(now)))
        return { kind: "admitted" };
      this.#bookExpired(now);
      const verdict = judgeLimits(this.#limitSettings(), this.#limitUse(now), now);
      if (verdict.kind === "limited") return verdict;
      const available = this.#store.balance();
      return available < credits
        ? { kind: "insufficient", available, quota: verdict.quota }
        : { kind: "admitted" };
    });
  }

  /**
   * Charges for a generation and accepts it, or refuses it and charges nothing. A sync one is begun at once, and the
   * caller has its job. The same id again is the same answer; the same idempotency key again is the generation it made,
   * and so is an SDK's retry of a call. In this order: idempotency, retries, rate, concurrency, credits.
   */
  async submit(order: Order): Promise<SubmitOutcome> {
    const { id, credits, idempotency, sdkCall } = order;
    const outcome = this.#commit((now): SubmitOutcome => {
      const known = this.#store.generation(id);
      if (known) return this.#accepted(known, now);
      this.#bookExpired(now);
      const repeated = idempotency && this.#repeated(idempotency);
      if (repeated) return repeated;
      const joined = sdkCall && sdkCall.count > 0 ? this.#join(id, sdkCall, now) : null;
      if (joined) return { kind: "repeated", generation: recordOf(joined), balance: this.#balance() };
      const verdict = judgeLimits(this.#limitSettings(), this.#limitUse(now), now);
      if (verdict.kind === "limited") return verdict;
      const charged = charge(this.#store.balance(), this.#store.liveGrants(), credits, id);
      if (charged.kind === "insufficient") return { ...charged, quota: verdict.quota };
      this.#store.post(charged.postings, now);
      const generation = accept(order, charged.paid, now, this.#limits());
      this.#store.insertGeneration(generation);
      this.#armFor(generation.dueAt);
      return this.#accepted(generation, now);
    });
    if (outcome.kind === "accepted" && outcome.generation.status === "queued") {
      // If the queue is not told now, the alarm tells it.
      await this.#try("queue_send", id, () => within(TELL_MS, this.#sendToQueue([id])));
    }
    return outcome;
  }

  /** Somebody offers to run it: the job, unless it is taken or over. */
  begin(id: string): WorkOutcome {
    return this.#commit((now): WorkOutcome => {
      const generation = this.#store.generation(id);
      if (!generation) return { kind: "unknown" };
      const outcome = begin(generation, now, this.#limits());
      if (outcome.kind !== "run") return outcome;
      this.#store.updateGeneration(generation, outcome.generation);
      this.#armFor(outcome.generation.dueAt);
      return { kind: "run", job: outcome.job };
    });
  }

  /** Keeps a lease, and asks for the right to call the provider (once more). */
  renew(id: string, fence: number, calls: 0 | 1): LeaseOutcome {
    return this.#commit((now): LeaseOutcome => {
      const generation = this.#store.generation(id);
      if (!generation) return "lost";
      const outcome = renew(generation, fence, calls, now, this.#limits());
      if (outcome.kind !== "lost") this.#store.updateGeneration(generation, outcome.generation);
      return outcome.kind;
    });
  }

  /**
   * Takes a run's result: settles the charge and ends the generation, then has the log written, or tries to for a short
   * while. The same again is the same answer.
   */
  async finish(id: string, fence: number, result: RunResult): Promise<FinishOutcome> {
    const outcome = this.#commit((now): FinishOutcome => {
      const generation = this.#store.generation(id);
      return generation ? this.#end(generation, fence, result, now) : { kind: "unknown" };
    });
    if (outcome.kind === "settled") await this.#doChores(id, CHORES_IN_ANSWER_MS);
    return outcome;
  }

  /** The generation as soon as it ends, or as it stands after so many milliseconds; null when there is none. */
  async wait(id: string, milliseconds: number): Promise<Ended | null> {
    const now = this.#read(id);
    if (now === null || isEnded(now.generation)) return now;
    const { promise, resolve } = Promise.withResolvers<Ended>();
    const waiters = this.#waiters.get(id) ?? new Set();
    this.#waiters.set(id, waiters.add(resolve));
    const timer = setTimeout(() => resolve(this.#read(id) ?? now), milliseconds);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      waiters.delete(resolve);
      if (waiters.size === 0) this.#waiters.delete(id);
    }
  }

  /** The generation that a request with this idempotency key made within the last day, or null. */
  generationOfKey(key: string): GenerationRecord | null {
    const generation = this.#store.generationOfKey(key);
    return generation && recordOf(generation);
  }

  /** Generations that are here, of the last day at least: newest first, from the one before `beforeId`. */
  generations(filter: GenerationFilter, beforeId: string | null, limit: number): GenerationRecord[] {
    return this.#store.generations(filter, beforeId, limit).map(recordOf);
  }

  /** A generation of the last day, or null. */
  generation(id: string): GenerationRecord | null {
    const generation = this.#store.generation(id);
    return generation && recordOf(generation);
  }

  /** The same, with what was asked for. */
  detail(id: string): GenerationDetail | null {
    const generation = this.#store.generation(id);
    return generation && detailOf(generation);
  }

  /** The generations that have not ended, newest first, at most 100. */
  unfinished(): GenerationDetail[] {
    return this.#store.unfinishedGenerations(UNFINISHED_LISTED_MAX).map(detailOf);
  }

  /** Adds credits. The same id, credits and expiry again adds nothing, also after that expiry. */
  async grant(
    id: string,
    credits: number,
    expiresAt: number | null,
    reason: string | null,
  ): Promise<GrantOutcome> {
    const outcome = this.#commit((now): GrantOutcome => {
      this.#bookExpired(now);
      const known = this.#store.grant(id);
      if (known && (known.credits !== credits || known.expiresAt !== expiresAt)) return { kind: "conflict" };
      if (known) return { kind: "repeated", grant: known, balance: this.#balance() };
      if (expiresAt !== null && expiresAt <= now) return { kind: "expired" };
      const grant = { id, credits, remaining: credits, expiresAt, reason, createdAt: now };
      this.#store.post([openGrant(this.#store.balance(), grant)], now);
      this.#armFor(expiresAt);
      this.#armFor(now + ENTRIES_AGAIN_MS);
      return { kind: "granted", grant, balance: this.#balance() };
    });
    await this.#try("log_entries", id, () => within(CHORES_IN_ANSWER_MS, this.#tellEntries()));
    return outcome;
  }

  balance(): Balance {
    return this.#commit((now) => {
      this.#bookExpired(now);
      return this.#balance();
    });
  }

  /** The balance, at most 200 grants (those with something left first), and the entries before `beforeSeq`, newest first. */
  statement(
    beforeSeq: number,
    limit: number,
  ): { balance: Balance; grants: Grant[]; entries: Entry[]; hasMore: boolean } {
    const balance = this.balance();
    const entries = this.#store.entries(beforeSeq, limit + 1);
    return {
      balance,
      grants: this.#store.grants(GRANTS_LISTED_MAX),
      entries: entries.slice(0, limit),
      hasMore: entries.length > limit,
    };
  }

  /** The book in figures, and the ended generations that are here from the one after that id, oldest first. */
  audit(
    afterId: string,
    limit: number,
  ): {
    balance: number;
    held: number;
    entries: EntriesSum;
    generations: GenerationRecord[];
    hasMore: boolean;
  } {
    const ended = this.#store.endedGenerations(afterId, limit + 1);
    return {
      balance: this.#store.balance(),
      held: this.#store.held(),
      entries: this.#store.entriesSum(),
      generations: ended.slice(0, limit).map(recordOf),
      hasMore: ended.length > limit,
    };
  }

  /** Has the alarm tell the log these generations, and all entries if wanted, as if it had never been told. */
  tellAgain(ids: readonly string[], entries: boolean): void {
    this.#commit((now) => {
      for (const id of ids) {
        const generation = this.#store.generation(id);
        if (!generation || !isEnded(generation)) continue;
        this.#store.updateGeneration(generation, { ...generation, copied: false, dueAt: now });
      }
      if (entries) this.#store.forgetTold();
      this.#armFor(now);
    });
  }

  /**
   * Decides what is due, in the book alone; arms the next alarm; then tells the outside, each thing on its own and for a
   * bounded time; arms again. It never throws: the platform would give up after six tries.
   */
  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    try {
      const due = this.#decideDue();
      await Promise.all([
        this.#try("queue_send", due.queue.join(), () => within(TELL_MS, this.#sendToQueue(due.queue))),
        this.#try("log_entries", "", () => within(TELL_MS, this.#tellEntries())),
        ...due.ended.map((id) => this.#doChores(id, TELL_MS)),
      ]);
      this.#commit((now) => this.#armNext(now, now));
    } catch (error) {
      log("alarm_failed", { user_id: this.#userId, error: describe(error) });
      await this.#arm(Date.now() + ENTRIES_AGAIN_MS);
    }
  }

  /** Lapsed leases and ended times, expired credits, old rows; then the next alarm. */
  #decideDue(): { queue: string[]; ended: string[] } {
    const due: { queue: string[]; ended: string[] } = { queue: [], ended: [] };
    for (const generation of this.#store.dueGenerations(Date.now(), ALARM_ROWS_MAX)) {
      const decided = this.#decide(generation);
      if (decided !== "waits") due[decided].push(generation.id);
    }
    this.#commit((now) => {
      this.#bookExpired(now);
      this.#store.prune(now - KEEP_MS, ALARM_ROWS_MAX);
      this.#armNext(now, now + 2 * TELL_MS);
    });
    return due;
  }

  /** One generation, in a transaction of its own: one that breaks a rule of the book must not hold up the others. */
  #decide(generation: Generation): "queue" | "ended" | "waits" {
    const ids = { user_id: this.#userId, generation_id: generation.id };
    if (isEnded(generation)) return "ended";
    try {
      return this.#commit((now) => {
        const outcome = lapse(generation, now);
        switch (outcome.kind) {
          case "expired":
            this.#end(generation, null, { images: [], failure: "generationFailed" }, now);
            log("generation_expired", ids);
            return "ended";
          case "nudge":
            this.#store.updateGeneration(generation, outcome.generation);
            if (generation.leased) log("lease_lapsed", ids);
            return "queue";
          case "wait":
            return "waits";
        }
      });
    } catch (error) {
      log("generation_broken", { ...ids, error: describe(error) });
      const dueAt = Date.now() + BROKEN_AGAIN_MS;
      this.#commit(() => this.#store.updateGeneration(generation, { ...generation, dueAt }));
      return "waits";
    }
  }

  #end(generation: Generation, fence: number | null, result: RunResult, now: number): FinishOutcome {
    const outcome = end(generation, fence, result, now);
    this.#bookExpired(now);
    switch (outcome.kind) {
      case "stale":
        return { kind: "stale" };
      case "repeated":
        return { kind: "settled", generation: recordOf(generation), balance: this.#balance() };
      case "ended": {
        if (outcome.refund) {
          const { credits, cause } = outcome.refund;
          const find = (id: string) => {
            const grant = this.#store.grant(id);
            mustHold(grant !== null, "grants are never forgotten");
            return grant;
          };
          this.#store.post(
            refund(this.#store.balance(), generation.paid, credits, cause, generation.id, now, find),
            now,
          );
        }
        this.#store.updateGeneration(generation, outcome.generation);
        // The alarm arms itself, for a time that is still to come.
        if (fence !== null) this.#armFor(outcome.generation.dueAt);
        const ended = { generation: recordOf(outcome.generation), balance: this.#balance() };
        this.#justEnded.push(ended);
        return { kind: "settled", ...ended };
      }
    }
  }

  /** What is left to be done about an ended generation, outside the book; what fails is left to the alarm. */
  async #doChores(id: string, milliseconds: number): Promise<void> {
    const generation = this.#store.generation(id);
    if (!generation || !isEnded(generation)) return;
    const todo = chores(generation, Date.now());
    if (!todo.copy && !todo.clear && !todo.sweep && generation.dueAt === null) return;
    const bounded = (chore: string, wanted: boolean, work: () => Promise<void>) =>
      wanted ? this.#try(chore, id, () => within(milliseconds, work())) : Promise.resolve(false);
    const [copy, clear, sweep] = await Promise.all([
      bounded("log_generation", todo.copy, () => this.#tellEntries(generation)),
      bounded("clear_references", todo.clear, () =>
        removeReferences(this.env.REFERENCES, generation.request.references),
      ),
      bounded("sweep_images", todo.sweep, () =>
        removeImagesExcept(
          this.env.IMAGES,
          id,
          generation.images.map((image) => image.key),
        ),
      ),
    ]);
    this.#commit((now) => {
      const current = this.#store.generation(id);
      if (!current) return;
      const next = afterChores(current, { copy, clear, sweep }, now);
      this.#store.updateGeneration(current, next);
      this.#armFor(next.dueAt);
    });
  }

  /** Writes to the log the entries that it has not been told, with a generation that has ended where there is one. */
  async #tellEntries(generation: Generation | null = null): Promise<void> {
    for (let write = 0; write < LOG_WRITES_MAX; write++) {
      const entries = this.#store.untoldEntries(ENTRIES_A_WRITE);
      const ended = write === 0 ? generation : null;
      if (entries.length === 0 && ended === null) return;
      await writeLog(this.env.DB, this.#userId, ended, entries);
      const last = entries.at(-1);
      if (last) this.#commit(() => this.#store.markTold(last.seq));
    }
  }

  async #sendToQueue(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await this.env.GENERATIONS.sendBatch(
      ids.map((generationId) => ({ body: { userId: this.#userId, generationId } })),
    );
  }

  /** Whether it worked; what did not is in the operator's log, and comes again with the alarm. */
  async #try(what: string, id: string, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      log("tell_failed", { what, user_id: this.#userId, id, error: describe(error) });
      return false;
    }
  }

  #accepted(generation: Generation, now: number): SubmitOutcome {
    const begun = generation.mode === "sync" && generation.leased && generation.fence === 1;
    return {
      kind: "accepted",
      generation: recordOf(generation),
      job: begun ? jobOf(generation, this.#limits()) : null,
      quota: quotaOf(this.#limitSettings(), this.#limitUse(now), now),
    };
  }

  #repeated({ key, fingerprint }: Idempotency): SubmitOutcome | null {
    const generation = this.#store.generationOfKey(key);
    if (!generation) return null;
    const same = generation.idempotency?.fingerprint === fingerprint;
    return same
      ? { kind: "repeated", generation: recordOf(generation), balance: this.#balance() }
      : { kind: "conflict" };
  }

  /**
   * Lets an SDK's retry have the generation of an earlier try. Its count is noted there, so that the retry of another,
   * equal call takes another generation; and its order, so that the same order again is the same answer.
   */
  #join(id: string, { fingerprint, count }: SdkCall, now: number): Generation | null {
    const since = joinableSince(now);
    const before = this.#store.joinedBy(id, since);
    if (before) return before;
    const generation = this.#store.joinable(fingerprint, count, since);
    if (!generation) return null;
    const joined = { ...generation, sdkCall: { fingerprint, count, joinedBy: id } };
    this.#store.updateGeneration(generation, joined);
    return joined;
  }

  #read(id: string): Ended | null {
    const generation = this.generation(id);
    return generation && { generation, balance: this.balance() };
  }

  #balance(): Balance {
    return { credits: this.#store.balance(), nextExpiration: this.#store.nextExpiry() };
  }

  #bookExpired(now: number): void {
    const lapsed = this.#store.lapsedGrants(now);
    if (lapsed.length > 0) this.#store.post(expire(this.#store.balance(), lapsed, now), now);
  }

  #limits(): Limits {
    const config = readConfig(this.env);
    return {
      runDeadlineMs: config.RUN_DEADLINE_SECONDS * 1000,
      queueDeadlineMs: config.QUEUE_DEADLINE_SECONDS * 1000,
      providerAttempts: config.PROVIDER_ATTEMPTS,
    };
  }

  #limitSettings(): LimitSettings {
    const config = readConfig(this.env);
    return { perMinute: config.RATE_LIMIT_PER_MINUTE, concurrent: config.MAX_CONCURRENT_GENERATIONS };
  }

  /** Counted as far as the limits go: what is off is not counted. */
  #limitUse(now: number): LimitUse {
    const { perMinute, concurrent } = this.#limitSettings();
    return {
      accepted: perMinute === 0 ? [] : this.#store.acceptedSince(now - WINDOW_MS, perMinute),
      unfinished: concurrent === 0 ? 0 : this.#store.unfinished(concurrent),
    };
  }

  get #userId(): string {
    const { name } = this.ctx.id;
    mustHold(name !== undefined, "an account is named by its user's id");
    return name;
  }

  /** One transaction, at one moment. What it throws rolls back everything, the alarm too. */
  #commit<T>(work: (now: number) => T): T {
    const alarmAt = this.#alarmAt;
    this.#justEnded = [];
    try {
      const result = this.ctx.storage.transactionSync(() => work(Date.now()));
      for (const ended of this.#justEnded) {
        for (const answer of this.#waiters.get(ended.generation.id) ?? []) answer(ended);
      }
      return result;
    } catch (error) {
      this.#alarmAt = alarmAt;
      throw error;
    }
  }

  /** Inside a transaction: makes sure that the alarm comes by then. */
  #armFor(time: number | null): void {
    if (time === null || (this.#alarmAt !== null && this.#alarmAt <= time)) return;
    this.ctx.waitUntil(this.#arm(time));
  }

  async #arm(time: number): Promise<void> {
    this.#alarmAt = time;
    await this.ctx.storage.setAlarm(time);
  }

  /** Inside a transaction: arms for the earliest thing that will be due, though for none before that time. */
  #armNext(now: number, notBefore: number): void {
    const oldestEnd = this.#store.oldestEnd();
    const times = [
      this.#store.nextDue(),
      this.#store.nextExpiry(),
      oldestEnd === null ? null : oldestEnd + KEEP_MS,
      this.#store.untoldEntries(1).length > 0 ? now + ENTRIES_AGAIN_MS : null,
    ].filter((time) => time !== null);
    if (times.length > 0) this.#armFor(Math.max(Math.min(...times), notBefore));
  }
}

function joinableSince(now: number): string {
  return lowestGenerationId(now - JOIN_MS);
}
