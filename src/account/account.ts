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
  isEnded,
  JOIN_MS,
  type Job,
  jobOf,
  KEEP_MS,
  type Limits,
  lapse,
  type Order,
  type RunResult,
  release,
  renew,
  type SdkCall,
} from "./lifecycle.ts";
import { judgeLimits, type LimitSettings, type LimitUse, type Quota, quotaOf, WINDOW_MS } from "./limits.ts";
import { ENTRIES_A_WRITE, removeEntriesAfter, writeLog } from "./log.ts";
import { detailOf, type GenerationDetail, type GenerationRecord, recordOf } from "./record.ts";
import { migrate } from "./schema.ts";
import { AccountStore, type EntriesSum, type Entry, type GenerationFilter } from "./store.ts";
import {
  closeUpload,
  currentUploads,
  NO_UPLOADS,
  openUpload,
  type Uploads,
  uploadWaitSeconds,
} from "./uploads.ts";

/** What somebody has, this moment. */
export type Balance = { credits: number; nextExpiration: number | null };

export type SubmitRefusal =
  | { kind: "limited"; by: "rate" | "concurrency"; retryAfterSeconds: number; quota: Quota }
  | { kind: "insufficient"; available: number; quota: Quota };

/** An upload of references that asks to be admitted. */
export type UploadRequest = {
  id: string;
  /** What the request says its body has, or null. */
  bytes: number | null;
  /** Where an SDK makes the call: what a refusal is noted under. */
  call: { orderId: string; sdkCall: SdkCall } | null;
};

export type AdmitOutcome =
  | { kind: "admitted" }
  | SubmitRefusal
  /** Too many uploads that came to nothing, or too many at once. */
  | { kind: "uploads_limited"; retryAfterSeconds: number }
  /** The idempotency key was used for a request whose references were much smaller. */
  | { kind: "conflict" };

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
/** An id is made this much before its acceptance at most: bounds the rows that are read for the rate limit. */
const ID_AGE_MS_MAX = 60_000;
/** Refused SDK calls that are remembered, of the last 15 minutes. */
const REFUSED_CALLS_MAX = 1_000;
/** What a form has beside its files: text, part headers and boundaries. */
const FORM_BYTES_BESIDE_FILES_MAX = 4 * 1024 * 1024;
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
  /** Uploads under way and lately failed. In memory only: the charge is what counts exactly. */
  #uploads: Uploads = NO_UPLOADS;
  /** Ends when no rows of the log are being removed: what is written meanwhile could be among them. */
  #trimming: Promise<void> = Promise.resolve();

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    migrate(state.storage);
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
  admit(credits: number, idempotencyKey: string | null, sdkCount = 0, upload?: UploadRequest): AdmitOutcome {
    const outcome = this.#commit((now) => this.#judgeUpload(credits, idempotencyKey, sdkCount, upload, now));
    if (outcome.kind === "admitted" && upload)
      this.#uploads = openUpload(this.#uploads, upload.id, Date.now());
    return outcome;
  }

  #judgeUpload(
    credits: number,
    idempotencyKey: string | null,
    sdkCount: number,
    upload: UploadRequest | undefined,
    now: number,
  ): AdmitOutcome {
    const retryAfterSeconds = uploadWaitSeconds(this.#uploads, now);
    if (retryAfterSeconds !== null) return { kind: "uploads_limited", retryAfterSeconds };
    this.#bookExpired(now);
    const repeated = idempotencyKey === null ? null : this.#store.generationOfKey(idempotencyKey);
    if (repeated) {
      const most = referenceBytes(repeated) + FORM_BYTES_BESIDE_FILES_MAX;
      return (upload?.bytes ?? 0) > most ? { kind: "conflict" } : { kind: "admitted" };
    }
    const since = joinableSince(now);
    const call = upload?.call;
    const refusedBefore =
      call && this.#store.refusedCall(call.orderId, [call.sdkCall.fingerprint], sdkCount - 1, since) !== null;
    if (sdkCount > 0 && !refusedBefore && this.#store.joinable([], sdkCount, since))
      return { kind: "admitted" };
    const refusal = this.#refusalOf(credits, now);
    if (refusal === null) return { kind: "admitted" };
    if (call) this.#store.noteRefusedCall(call.orderId, call.sdkCall, since, REFUSED_CALLS_MAX);
    return refusal;
  }

  /** Why one more upload of at least this price may not begin; those that are under way count as accepted. */
  #refusalOf(credits: number, now: number): SubmitRefusal | null {
    const opened = currentUploads(this.#uploads, now).open.map(({ openedAt }) => openedAt);
    const settings = this.#limitSettings();
    const { accepted, unfinished } = this.#limitUse(now);
    const recent = opened.filter((time) => time > now - WINDOW_MS);
    const use = {
      accepted: [...accepted, ...recent].sort((a, b) => b - a).slice(0, settings.perMinute),
      unfinished: unfinished + opened.length,
    };
    const verdict = judgeLimits(settings, use, now);
    if (verdict.kind === "limited") return verdict;
    const available = this.#store.balance();
    const enough = available >= credits * (opened.length + 1);
    return enough ? null : { kind: "insufficient", available, quota: verdict.quota };
  }

  /** An upload that was admitted is over and no order came of it. */
  uploadEnded(id: string): void {
    this.#uploads = closeUpload(this.#uploads, id, false, Date.now());
  }

  /**
   * Charges for a generation and accepts it, or refuses it and charges nothing. A sync one is begun at once, and the
   * caller has its job. The same id again is the same answer; the same idempotency key again is the generation it made,
   * and so is an SDK's retry of a call. In this order: idempotency, retries, rate, concurrency, credits.
   */
  async submit(order: Order): Promise<SubmitOutcome> {
    const { id, uploadId } = order;
    const outcome = this.#commit((now) => this.#decide(order, now));
    if (uploadId)
      this.#uploads = closeUpload(this.#uploads, uploadId, outcome.kind === "accepted", Date.now());
    if (outcome.kind === "accepted" && outcome.generation.status === "queued") {
      // If the queue is not told now, the alarm tells it.
      await this.#try("queue_send", id, () => within(TELL_MS, this.#sendToQueue([id])));
    }
    return outcome;
  }

  #decide(order: Order, now: number): SubmitOutcome {
    const { id, credits, sdkCall } = order;
    const known = this.#store.generation(id);
    if (known) return this.#accepted(known, now);
    this.#bookExpired(now);
    const repeated = this.#repeated(order);
    if (repeated) return repeated;
    const refusedBefore = this.#refusedBefore(order, now);
    const joined = refusedBefore === null ? this.#join(order, now) : null;
    if (joined) return { kind: "repeated", generation: recordOf(joined), balance: this.#balance() };
    const refuse = <Refusal extends SubmitRefusal>(refusal: Refusal): Refusal => {
      if (refusedBefore !== null) this.#store.forgetRefusedCall(refusedBefore);
      if (sdkCall) this.#store.noteRefusedCall(id, sdkCall, joinableSince(now), REFUSED_CALLS_MAX);
      return refusal;
    };
    const verdict = judgeLimits(this.#limitSettings(), this.#limitUse(now), now);
    if (verdict.kind === "limited") return refuse(verdict);
    const charged = charge(this.#store.balance(), this.#store.liveGrants(), credits, id);
    if (charged.kind === "insufficient") return refuse({ ...charged, quota: verdict.quota });
    if (refusedBefore !== null) this.#store.forgetRefusedCall(refusedBefore);
    this.#store.post(charged.postings, now, order.keyId);
    const generation = accept(order, charged.paid, now, this.#limits());
    this.#store.insertGeneration(generation);
    this.#armFor(generation.dueAt);
    return this.#accepted(generation, now);
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

  /** Whoever waited for the run with that fence saw it die, and offers to run what is left of it, at once. */
  takeOver(id: string, fence: number): WorkOutcome {
    return this.#commit((now): WorkOutcome => {
      const generation = this.#store.generation(id);
      if (!generation) return { kind: "unknown" };
      const outcome = begin(release(generation, fence), now, this.#limits());
      if (outcome.kind !== "run") return outcome;
      this.#store.updateGeneration(generation, outcome.generation);
      this.#armFor(outcome.generation.dueAt);
      return { kind: "run", job: outcome.job };
    });
  }

  /** The answer with this generation was written to its end: no retry can be after it any more. */
  delivered(id: string): void {
    this.#commit(() => {
      const generation = this.#store.generation(id);
      if (!generation || generation.sdkCall === null) return;
      this.#store.updateGeneration(generation, { ...generation, delivered: true });
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

  /**
   * The ledger in figures, and the ended generations that are here from the one after that id, oldest first. `logged` is
   * what the log in D1 should have: entries up to and with `seq`, and the generations that are marked so.
   */
  audit(
    afterId: string,
    limit: number,
  ): {
    balance: number;
    held: number;
    entries: EntriesSum;
    generations: GenerationRecord[];
    hasMore: boolean;
    lastSeq: number;
    logged: { seq: number; entries: EntriesSum; generations: string[] };
  } {
    const found = this.#store.endedGenerations(afterId, limit + 1);
    const ended = found.slice(0, limit);
    const seq = this.#store.toldSeq();
    return {
      balance: this.#store.balance(),
      held: this.#store.held(),
      entries: this.#store.entriesSum(0, Number.MAX_SAFE_INTEGER),
      generations: ended.map(recordOf),
      hasMore: found.length > limit,
      lastSeq: this.#store.entries(Number.MAX_SAFE_INTEGER, 1)[0]?.seq ?? 0,
      logged: {
        seq,
        entries: this.#store.entriesSum(0, seq),
        generations: ended.filter(({ copied }) => copied).map(({ id }) => id),
      },
    };
  }

  /** The entries after `afterSeq` up to and with `lastSeq`, as figures that change with any of them. */
  entriesSum(afterSeq: number, lastSeq: number): EntriesSum {
    return this.#store.entriesSum(afterSeq, lastSeq);
  }

  /** Has the alarm write these generations to the log again. */
  tellAgain(ids: readonly string[]): void {
    this.#commit((now) => {
      for (const id of ids) {
        const generation = this.#store.generation(id);
        if (!generation || !isEnded(generation)) continue;
        this.#store.updateGeneration(generation, { ...generation, copied: false, dueAt: now });
      }
      this.#armFor(now);
    });
  }

  /**
   * Writes the entries after `afterSeq` up to and with `lastSeq` to the log again: what is missing is inserted, what
   * differs is changed. Entries never change here, so that it does no harm beside any other write.
   * @throws when D1 fails
   */
  async writeEntriesAgain(afterSeq: number, lastSeq: number): Promise<void> {
    const entries = this.#store.entriesBetween(afterSeq, lastSeq);
    for (let at = 0; at < entries.length; at += ENTRIES_A_WRITE) {
      await writeLog(this.env.DB, this.#userId, null, entries.slice(at, at + ENTRIES_A_WRITE));
    }
  }

  /**
   * Removes from the log the entries that this account does not have: those beyond its last one. Nothing is written to
   * the log meanwhile.
   * @throws when D1 fails
   */
  async trimEntries(): Promise<void> {
    const trimmed = this.#trimming.then(() => {
      const last = this.#store.entries(Number.MAX_SAFE_INTEGER, 1)[0]?.seq ?? 0;
      return removeEntriesAfter(this.env.DB, this.#userId, last);
    });
    this.#trimming = trimmed.catch(() => {});
    await trimmed;
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
      const decided = this.#decideOn(generation);
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
  #decideOn(generation: Generation): "queue" | "ended" | "waits" {
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
            generation.keyId,
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
    await this.#trimming;
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

  #repeated({ idempotency, versionedFingerprint }: Order): SubmitOutcome | null {
    const generation = idempotency && this.#store.generationOfKey(idempotency.key);
    if (!generation) return null;
    const known = generation.idempotency?.fingerprint;
    return known === idempotency.fingerprint || known === versionedFingerprint
      ? { kind: "repeated", generation: recordOf(generation), balance: this.#balance() }
      : { kind: "conflict" };
  }

  /**
   * Lets an SDK's retry have the generation of an earlier try. Its count is noted there, so that the retry of another,
   * equal call takes another generation; and its order, so that the same order again is the same answer.
   */
  #join({ id, sdkCall, versionedFingerprint }: Order, now: number): Generation | null {
    if (!sdkCall || sdkCall.count === 0) return null;
    const since = joinableSince(now);
    const before = this.#store.joinedBy(id, since);
    if (before) return before;
    const fingerprints = [sdkCall.fingerprint, versionedFingerprint].filter((one) => one !== undefined);
    const generation = this.#store.joinable(fingerprints, sdkCall.count, since);
    if (!generation?.sdkCall) return null;
    const joined = {
      ...generation,
      sdkCall: { ...generation.sdkCall, count: sdkCall.count, joinedBy: id },
    };
    this.#store.updateGeneration(generation, joined);
    return joined;
  }

  /**
   * The note that the earlier try of this retry was refused, or that this very order was: then there is nothing that it
   * could join. Of equal calls any may take the note: as many are left to join as have a generation.
   */
  #refusedBefore({ id, sdkCall, unreadCall }: Order, now: number): string | null {
    if (!sdkCall || sdkCall.count === 0) return null;
    const fingerprints = [sdkCall.fingerprint, unreadCall?.fingerprint].filter((one) => one !== undefined);
    return this.#store.refusedCall(id, fingerprints, sdkCall.count - 1, joinableSince(now));
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
      accepted:
        perMinute === 0
          ? []
          : this.#store.acceptedSince(
              now - WINDOW_MS,
              lowestGenerationId(now - WINDOW_MS - ID_AGE_MS_MAX),
              perMinute,
            ),
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

function referenceBytes({ request }: Generation): number {
  return request.references.reduce((sum, { bytes }) => sum + bytes, 0);
}

function joinableSince(now: number): string {
  return lowestGenerationId(now - JOIN_MS);
}
