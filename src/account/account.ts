import { DurableObject } from "cloudflare:workers";
import { readConfig } from "../config.ts";
import type { CreditLimit } from "../db/schema.ts";
import { lowestGenerationId } from "../id.ts";
import { describe, log } from "../log.ts";
import { measure, type Point } from "../metrics.ts";
import {
  allowance,
  type LimitedKey,
  limitUse,
  mayRepeat,
  refuseUpload,
  type SubmitRefusal,
} from "./admission.ts";
import { applyCleanup, cleanupTasks } from "./cleanup.ts";
import { Deletions } from "./deletions.ts";
import { DAY_MS, periodAt } from "./key-limit.ts";
import { bookGrant, type ChargeOutcome, charge, expire, type Grant, invariant, refund } from "./ledger.ts";
import {
  accept,
  type BeginOutcome,
  begin,
  cancel,
  DELETED_AT_ONCE_MAX,
  defer,
  type EndOutcome,
  end,
  erase,
  type Generation,
  isEnded,
  isLive,
  jobOf,
  KEEP_MS,
  LEASE_MS,
  type Limits,
  onDue,
  type RepeatableCommand,
  type RunResult,
  release,
  renew,
  type SavedTask,
  type SubmitCommand,
} from "./lifecycle.ts";
import { checkLimits, type LimitSettings, quotaOf } from "./limits.ts";
import { type NoticeSettings, Notices } from "./notices.ts";
import { Outbox } from "./outbox.ts";
import type {
  AdmitOutcome,
  Audit,
  Balance,
  CancelOutcome,
  CheckUp,
  DeleteOutcome,
  Ended,
  FinishOutcome,
  GenerationFacts,
  GrantOutcome,
  LeaseOutcome,
  ReferenceRefusal,
  RepeatOutcome,
  ReverseOutcome,
  RewindOutcome,
  SubmitOutcome,
  UploadRequest,
  WorkOutcome,
} from "./outcomes.ts";
import { pointOf, type Served } from "./point.ts";
import { UploadedReferences } from "./references.ts";
import { Repeats } from "./repeats.ts";
import { Reversals } from "./reversals.ts";
import { migrate } from "./schema.ts";
import { type GenerationFilter, GenerationStore } from "./store/generations.ts";
import { type EntriesSum, type Entry, LedgerStore } from "./store/ledger.ts";
import { ReferenceStore, type UploadedReference } from "./store/references.ts";
import { RefusedCallStore } from "./store/refused-calls.ts";
import { type UsageQuery, type UsageRow, UsageStore } from "./store/usage.ts";
import type { WebhookSecrets } from "./store/webhooks.ts";
import { closeUpload, NO_UPLOADS, openUpload, type Uploads, uploadWaitSeconds } from "./uploads.ts";
import { detailOf, type GenerationDetail, type GenerationRecord, recordOf, type Subject } from "./views.ts";
import { Waiters } from "./waiters.ts";
import { EXPORT_AGAIN_MS, nextWakeUp } from "./wakeups.ts";
import { type Delivery, Webhooks } from "./webhooks.ts";

/** How long an answer waits for cleanup. The alarm does what takes longer. */
const CLEANUP_IN_ANSWER_MS = 3_000;
/** How long one delivery may take in the alarm, or when a generation is accepted. */
const DELIVERY_MS = 5_000;
/** When a message that the queue did not accept is sent again. */
const UNSENT_AGAIN_MS = 30_000;
/** When the alarm retries a generation that violates an invariant, which an operator has to repair. */
const BROKEN_AGAIN_MS = 600_000;
/** An alarm fires within moments of its time, except after an outage of the platform. */
const ALARM_LATE_MS_MAX = 60_000;
/** The most rows that one alarm handles. The next alarm follows at once. */
const ALARM_ROWS_MAX = 50;
const HOUR_MS = 3_600_000;
const GRANTS_LISTED_MAX = 200;
const UNFINISHED_LISTED_MAX = 100;

/**
 * The alarm's work outside the object: generations to queue, ended ones to clean up, references and deleted generations
 * to remove.
 */
type Due = {
  queue: string[];
  ended: string[];
  references: readonly UploadedReference[];
  deletions: string[];
};

/**
 * The account of one user: the ledger of credits, and the generations they paid for. Named by the user's id. Each
 * method decides in one transaction; the rules are in ledger.ts, lifecycle.ts and limits.ts.
 *
 * Every method may be repeated safely, and returns expected refusals as values: an error thrown across objects loses
 * its class. Release-to-release rules for these methods are in CONTRIBUTING.md.
 */
export class Account extends DurableObject<Env> {
  readonly #ledger: LedgerStore;
  readonly #notices: Notices;
  readonly #generations: GenerationStore;
  readonly #usage: UsageStore;
  readonly #repeats: Repeats;
  readonly #references: UploadedReferences;
  readonly #deletions: Deletions;
  readonly #reversals: Reversals;
  readonly #webhooks: Webhooks;
  readonly #waiters = new Waiters<Ended | null>();
  /** Generations that the current transaction has ended. Their waiters are answered after the commit. */
  #justEnded: (Ended & { point: Point })[] = [];
  /** When the alarm is set for. It is only moved earlier: moving it is a billed write. */
  #alarmAt: number | null = null;
  /** Whether this object found its alarm lost when it woke. */
  #wokeLate = false;
  /** Uploads of each mode, under way and recently failed. In memory only: exact counting happens at the charge. */
  readonly #uploads: { live: Uploads; test: Uploads } = { live: NO_UPLOADS, test: NO_UPLOADS };
  #outbox: Outbox | null = null;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    migrate(state.storage);
    const { sql } = state.storage;
    if (state.id.name !== undefined) sql.exec("INSERT OR IGNORE INTO owner VALUES (1, ?)", state.id.name);
    this.#notices = new Notices({
      sql,
      userId: () => this.#userId,
      env: () => this.env,
      commit: (work) => this.#commit(work),
      armFor: (time) => this.#armFor(time),
    });
    this.#ledger = new LedgerStore(sql, (balance, now) => this.#notices.balanceChanged(balance, now));
    this.#generations = new GenerationStore(sql);
    this.#usage = new UsageStore(sql);
    this.#repeats = new Repeats(this.#generations, new RefusedCallStore(sql));
    this.#reversals = new Reversals(sql, this.#ledger);
    this.#references = new UploadedReferences(new ReferenceStore(sql));
    this.#deletions = new Deletions({
      sql,
      remove: (ids, livemode, milliseconds) => this.#deliver.removeGenerations(ids, livemode, milliseconds),
      commit: (work) => this.#commit(work),
      armFor: (time) => this.#armFor(time),
    });
    this.#webhooks = new Webhooks({
      sql,
      userId: () => this.#userId,
      config: () => readConfig(env),
      commit: (work) => this.#commit(work),
      armFor: (time) => this.#armFor(time),
      measure: (point) => measure(env, point),
    });
    state.blockConcurrencyWhile(async () => {
      this.#alarmAt = await state.storage.getAlarm();
      // An alarm that is long overdue was lost. Set it again, or this account would never wake up.
      if (this.#alarmAt === null || this.#alarmAt >= Date.now() - ALARM_LATE_MS_MAX) return;
      log("alarm_lost", { user_id: this.#userId, late_ms: Date.now() - this.#alarmAt });
      this.#wokeLate = true;
      await this.#arm(Date.now());
    });
  }

  /**
   * Decides whether an upload for a request of at least this price may begin.
   * @param sdkCount how many attempts the SDK made before; 0 when no SDK makes the call
   */
  admit(credits: number, idempotencyKey: string | null, sdkCount = 0, upload?: UploadRequest): AdmitOutcome {
    const outcome = this.#commit((now) => this.#judgeUpload(credits, idempotencyKey, sdkCount, upload, now));
    if (outcome.kind === "admitted" && upload) {
      const mode = modeOf(upload.livemode);
      this.#uploads[mode] = openUpload(this.#uploads[mode], upload.id, Date.now());
    }
    return outcome;
  }

  #judgeUpload(
    credits: number,
    idempotencyKey: string | null,
    sdkCount: number,
    upload: UploadRequest | undefined,
    now: number,
  ): AdmitOutcome {
    const livemode = upload?.livemode ?? true;
    const uploads = this.#uploads[modeOf(livemode)];
    const retryAfterSeconds = uploadWaitSeconds(uploads, now);
    if (retryAfterSeconds !== null) return { kind: "uploads_limited", retryAfterSeconds };
    this.#expireCredits(now);
    const repeated = idempotencyKey === null ? null : this.#generations.findByKey(idempotencyKey);
    if (repeated) return { kind: mayRepeat(repeated, upload?.bytes ?? null) ? "admitted" : "conflict" };
    const call = upload?.call ?? null;
    if (this.#repeats.mayJoin(sdkCount, call, now)) return { kind: "admitted" };
    const stores = { generations: this.#generations, ledger: this.#ledger, usage: this.#usage };
    const payer = { livemode, key: upload?.key ?? null };
    const refusal = refuseUpload(credits, uploads, this.#limitSettings(), stores, payer, now);
    if (refusal === null) return { kind: "admitted" };
    if (call) this.#repeats.recordRefused(call.orderId, call.sdkCall, now);
    return refusal;
  }

  /**
   * Decides whether a reference may be uploaded ahead of any generation.
   * @param credits what the balance must have at least
   * @param bytes the declared length, or 0 when none is declared
   */
  admitReference(
    uploadId: string,
    credits: number,
    bytes: number,
    livemode = true,
  ): { kind: "admitted" } | ReferenceRefusal {
    const mode = modeOf(livemode);
    const outcome = this.#commit((now): { kind: "admitted" } | ReferenceRefusal => {
      const retryAfterSeconds = uploadWaitSeconds(this.#uploads[mode], now);
      if (retryAfterSeconds !== null) return { kind: "uploads_limited", retryAfterSeconds };
      if (this.#references.isFull(bytes, livemode)) return { kind: "references_full" };
      this.#expireCredits(now);
      const available = this.#ledger.balance();
      return available >= credits ? { kind: "admitted" } : { kind: "insufficient", available };
    });
    if (outcome.kind === "admitted")
      this.#uploads[mode] = openUpload(this.#uploads[mode], uploadId, Date.now(), true);
    return outcome;
  }

  /** Notes a reference that was uploaded ahead and lies in storage. The same one again changes nothing. */
  keepReference(reference: UploadedReference): "kept" | "full" {
    return this.#commit(() => {
      const outcome = this.#references.keep(reference);
      if (outcome === "kept") this.#armFor(reference.expiresAt);
      return outcome;
    });
  }

  /** The references with these ids that a generation of that mode may use now; null where there is none. */
  references(ids: readonly string[], livemode: boolean): (UploadedReference | null)[] {
    const now = Date.now();
    return ids.map((id) => this.#references.find(id, livemode, now));
  }

  /** Deletes a reference. Its object stays while an unfinished generation uses it. @returns whether there was one */
  async deleteReference(id: string, livemode: boolean): Promise<boolean> {
    const due = this.#commit((now) => {
      if (!this.#references.expire(id, livemode, now)) return null;
      const removable = this.#references.takeDue(now);
      this.#armFor(this.#references.nextRemoval());
      return removable;
    });
    if (due !== null) await this.#removeReferences(due, CLEANUP_IN_ANSWER_MS);
    return due !== null;
  }

  /** Removes the objects of references that expired or were deleted. The alarm repeats what fails. */
  async #removeReferences(due: readonly UploadedReference[], milliseconds: number): Promise<void> {
    if (due.length === 0 || !(await this.#deliver.removeUploaded(due, milliseconds))) return;
    this.#commit(() => this.#references.removed(due));
  }

  /** Ends an admitted upload that led to no generation. */
  uploadEnded(id: string): void {
    this.#closeUpload(id, false);
  }

  #closeUpload(id: string, isUsed: boolean): void {
    const { live, test } = this.#uploads;
    this.#uploads.live = closeUpload(live, id, isUsed, Date.now());
    this.#uploads.test = closeUpload(test, id, isUsed, Date.now());
  }

  /**
   * Charges for a generation and accepts it, or refuses it and charges nothing. A sync generation is leased to the
   * caller, who gets its job. The same id returns the same answer; the same idempotency key, or an SDK's retry, returns
   * the generation that the first request created. The order of checks: idempotency, retries, rate, concurrency, the
   * key's limit, credits.
   */
  async submit(command: SubmitCommand): Promise<SubmitOutcome> {
    const { id, uploadId } = command;
    const outcome = this.#commit((now) => this.#decide(command, now));
    if (uploadId) this.#closeUpload(uploadId, outcome.kind === "accepted");
    const isQueued = outcome.kind === "accepted" && outcome.generation.status === "queued";
    if (isQueued && !command.isParked) await this.#sendToQueue([id]);
    return outcome;
  }

  /** Sends messages to the queue. Those that it does not accept are sent again soon. */
  async #sendToQueue(ids: readonly string[]): Promise<void> {
    const unsent = await this.#deliver.queue(ids, DELIVERY_MS);
    if (unsent.length === 0) return;
    this.#commit((now) => {
      for (const id of unsent) {
        const generation = this.#generations.get(id);
        if (!generation || isEnded(generation) || generation.leased) continue;
        const dueAt = Math.min(now + UNSENT_AGAIN_MS, generation.deadline, generation.dueAt ?? now);
        this.#generations.update(generation, { ...generation, dueAt });
        this.#armFor(dueAt);
      }
    });
  }

  #decide(command: SubmitCommand, now: number): SubmitOutcome {
    const { id, sdkCall } = command;
    const known = this.#generations.get(id);
    if (known) return known.deletedAt === null ? this.#accepted(known, now) : { kind: "deleted" };
    this.#expireCredits(now);
    const refusedBefore = this.#repeats.refusedBefore(command, now);
    const repeated = this.#repeat(command, refusedBefore, now);
    if (repeated) return repeated;
    const outcome = this.#charge(command, now);
    this.#repeats.forgetRefused(refusedBefore);
    if (outcome.kind !== "accepted" && sdkCall) this.#repeats.recordRefused(id, sdkCall, now);
    return outcome.kind === "accepted" ? this.#accepted(outcome.generation, now) : outcome;
  }

  /** The outcome of the request that the command repeats; null when it repeats none. Charges nothing. */
  repeated(command: RepeatableCommand): RepeatOutcome | null {
    return this.#commit((now) => {
      this.#expireCredits(now);
      return this.#repeat(command, this.#repeats.refusedBefore(command, now), now);
    });
  }

  #repeat(command: RepeatableCommand, refusedBefore: string | null, now: number): RepeatOutcome | null {
    const byKey = this.#repeats.byKey(command);
    if (byKey === "conflict") return { kind: "conflict" };
    const repeated = byKey ?? (refusedBefore === null ? this.#repeats.join(command, now) : null);
    if (repeated === null) return null;
    if (repeated.deletedAt !== null) return { kind: "deleted" };
    return { kind: "repeated", generation: recordOf(repeated), balance: this.#balance() };
  }

  #charge(
    command: SubmitCommand,
    now: number,
  ): { kind: "accepted"; generation: Generation } | { kind: "reference_gone"; id: string } | SubmitRefusal {
    if (command.isTooBusy) return { kind: "busy" };
    const gone = this.#references.missing(command.request, now);
    if (gone !== null) return { kind: "reference_gone", id: gone };
    const settings = this.#limitSettings();
    const use = limitUse(this.#generations, settings, isLive(command.request), now);
    const verdict = checkLimits(settings, use, now);
    if (verdict.kind === "limited") return verdict;
    const left = allowance(limitedKeyOf(command), this.#usage, now);
    if (left !== null && left.available < command.credits)
      return { kind: "key_limited", ...left, quota: verdict.quota };
    const charged = this.#pay(command);
    if (charged.kind === "insufficient") return { ...charged, quota: verdict.quota };
    this.#ledger.post(charged.postings, now, command.keyId);
    const generation = accept(command, charged.allocations, now, this.#limits());
    this.#generations.insert(generation);
    // No later than the lease of a run that begins now would need, so that its beginning sets no further alarm.
    this.#armFor(Math.min(generation.dueAt ?? now, now + LEASE_MS));
    return { kind: "accepted", generation };
  }

  /** Takes the credits from the grants. A test key pays nothing, whatever the balance is. */
  #pay({ id, credits, request: { test } }: SubmitCommand): ChargeOutcome {
    if (test === undefined) return charge(this.#ledger.balance(), this.#ledger.liveGrants(), credits, id);
    invariant(credits === 0, "a test key pays nothing");
    if (test.outcome?.kind === "insufficient") return { kind: "insufficient", available: 0 };
    return { kind: "charged", postings: [], allocations: [] };
  }

  /** Leases a generation to a worker, unless another worker has it or it has ended. */
  begin(id: string): WorkOutcome {
    return this.#lease(id, (generation, now) => begin(generation, now, this.#limits()));
  }

  /** Leases a generation to a caller that saw the run with that fence die. */
  takeOver(id: string, fence: number): WorkOutcome {
    return this.#lease(id, (generation, now) => begin(release(generation, fence), now, this.#limits()));
  }

  #lease(id: string, offer: (generation: Generation, now: number) => BeginOutcome): WorkOutcome {
    return this.#commit((now): WorkOutcome => {
      const generation = this.#generations.get(id);
      if (!generation) return { kind: "unknown" };
      const outcome = offer(generation, now);
      if (outcome.kind !== "run") return outcome;
      this.#generations.update(generation, outcome.generation);
      this.#armFor(outcome.generation.dueAt);
      return { kind: "run", job: outcome.job };
    });
  }

  /** Records that the response with this generation was sent to its end, so that no SDK retry may join it. */
  delivered(id: string): void {
    this.#commit(() => {
      const generation = this.#generations.get(id);
      if (!generation || generation.sdkCall === null) return;
      this.#generations.update(generation, { ...generation, delivered: true });
    });
  }

  /**
   * Extends a lease, and allows one more provider call if asked (`calls` 1).
   * @param task a call to poll on if this worker dies
   */
  renew(id: string, fence: number, calls: 0 | 1, task?: SavedTask): LeaseOutcome {
    return this.#commit((now): LeaseOutcome => {
      const generation = this.#generations.get(id);
      if (!generation) return "lost";
      const outcome = renew(generation, fence, calls, now, this.#limits(), task);
      if (outcome.kind !== "lost") this.#generations.update(generation, outcome.generation);
      return outcome.kind;
    });
  }

  /**
   * Gives a lease back, because the provider has no room: the generation waits until `slotAt` (null: unknown).
   * @param unspent provider calls that were allowed and not made
   */
  defer(id: string, fence: number, slotAt: number | null, unspent: 0 | 1): "deferred" | "lost" {
    return this.#commit((now) => {
      const generation = this.#generations.get(id);
      const deferred = generation && defer(generation, fence, slotAt, unspent, now, this.#limits());
      if (!deferred) return "lost";
      this.#generations.update(generation, deferred);
      this.#armFor(deferred.dueAt);
      return "deferred";
    });
  }

  /**
   * Ends a generation with a run's result and settles its charge. Waits a short while for cleanup. The same result
   * again gets the same answer.
   */
  async finish(id: string, fence: number, result: RunResult, served?: Served): Promise<FinishOutcome> {
    const outcome = this.#commit((now): FinishOutcome => {
      const generation = this.#generations.get(id);
      return generation ? this.#end(generation, fence, result, now, served) : { kind: "unknown" };
    });
    if (outcome.kind === "settled") await this.#cleanUp(id, CLEANUP_IN_ANSWER_MS);
    return outcome;
  }

  /**
   * Cancels a queued generation that the provider was not called for, and refunds it. Waits a short while for cleanup.
   * The same call again gets the same answer.
   * @param livemode its mode; null for either
   */
  async cancel(id: string, livemode: boolean | null = null): Promise<CancelOutcome> {
    const outcome = this.#commit((now): CancelOutcome => {
      const generation = this.#find(id, livemode);
      if (!generation) return { kind: "unknown" };
      const canceled = cancel(generation, now);
      if (canceled.kind === "refused") return { kind: "refused", generation: recordOf(generation) };
      if (canceled.kind === "repeated") return { kind: "canceled", generation: recordOf(generation) };
      this.#expireCredits(now);
      const ended = this.#settle(generation, canceled, now);
      this.#armFor(canceled.generation.dueAt);
      return { kind: "canceled", generation: ended.generation };
    });
    if (outcome.kind === "canceled") await this.#cleanUp(id, CLEANUP_IN_ANSWER_MS);
    return outcome;
  }

  /**
   * Deletes an ended generation: its prompt, labels and webhook here at once, then its content in the log and its
   * images. Waits a short while for both. Its charge stays, and so does its idempotency key, for which no other
   * generation is made.
   * @param livemode its mode; null for either
   */
  async deleteGeneration(id: string, livemode: boolean | null): Promise<DeleteOutcome> {
    const found = this.#commit((now): "unfinished" | "unknown" | "marked" => {
      const generation = this.#find(id, livemode);
      if (generation && !isEnded(generation)) return "unfinished";
      if (generation) this.#erase(id, isLive(generation.request), now);
      return this.#deletions.has(id, livemode) ? "marked" : "unknown";
    });
    if (found !== "marked") return found;
    return (await this.#deletions.perform([id], CLEANUP_IN_ANSWER_MS)) ? "deleted" : "pending";
  }

  /**
   * Deletes generations of one mode that the caller has found in this user's part of the log, at most
   * {@link DELETED_AT_ONCE_MAX}. Repeating it changes nothing.
   */
  async deleteLogged(ids: readonly string[], livemode: boolean): Promise<"deleted" | "pending"> {
    invariant(ids.length <= DELETED_AT_ONCE_MAX, "a slice of deletions is bounded");
    this.#commit((now) => {
      for (const id of ids) this.#erase(id, livemode, now);
    });
    return (await this.#deletions.perform(ids, DELIVERY_MS)) ? "deleted" : "pending";
  }

  /** Inside a transaction: deletes what the account has of an ended generation, and notes what is left outside. */
  #erase(id: string, livemode: boolean, now: number): void {
    const generation = this.#generations.get(id);
    if (generation && generation.deletedAt === null)
      this.#generations.update(generation, erase(generation, now));
    this.#webhooks.drop(id);
    this.#deletions.add(id, livemode, generation, now);
  }

  /** The generation, unless it is deleted. @param livemode its mode; null for either */
  #find(id: string, livemode: boolean | null): Generation | null {
    const generation = this.#generations.get(id);
    if (generation === null || generation.deletedAt !== null) return null;
    return livemode === null || isLive(generation.request) === livemode ? generation : null;
  }

  /** The generation as soon as it ends, or as it is after that many milliseconds; null when there is none. */
  async wait(id: string, milliseconds: number): Promise<Ended | null> {
    const now = this.#read(id);
    if (now === null || isEnded(now.generation)) return now;
    return await this.#waiters.wait(id, milliseconds, () => this.#read(id) ?? now);
  }

  /** The generation that a request with this idempotency key created within the last day, or null. */
  generationOfKey(key: string): GenerationRecord | null {
    const generation = this.#generations.findByKey(key);
    return generation && generation.deletedAt === null ? recordOf(generation) : null;
  }

  /** Generations of the last day at least, older than `beforeId`, newest first. */
  generations(filter: GenerationFilter, beforeId: string | null, limit: number): GenerationRecord[] {
    return this.#generations.list(filter, beforeId, limit).map(recordOf);
  }

  /** A generation of the last day, or null. */
  generation(id: string): GenerationRecord | null {
    const generation = this.#find(id, null);
    return generation && recordOf(generation);
  }

  /** A generation of the last day with its request, or null. */
  detail(id: string): GenerationDetail | null {
    const generation = this.#find(id, null);
    return generation && detailOf(generation);
  }

  /** The details of a generation of the last day, deleted or not; null when the account has none. */
  facts(id: string): GenerationFacts | null {
    const generation = this.#generations.get(id);
    if (generation === null) return null;
    const { mode, keyId, beganAt, deadline, dueAt, providerCalls, fence, allocations } = generation;
    const { logged: isLogged, referencesDeleted: areReferencesDeleted, deletedAt } = generation;
    const life = { mode, keyId, beganAt, deadline, dueAt, providerCalls, fence, allocations };
    return { ...life, isLogged, areReferencesDeleted, deletedAt };
  }

  /** The generations that have not ended, newest first, at most 100. */
  unfinished(): GenerationDetail[] {
    return this.#generations.unfinished(UNFINISHED_LISTED_MAX).map(detailOf);
  }

  /** The latest attempts to deliver the generation's webhook, newest first; null without one, or before the end. */
  deliveries(id: string, livemode: boolean | null = null): Delivery[] | null {
    return this.#webhooks.deliveries(id, livemode);
  }

  /** Sends the generation's webhook again now. Returns the attempts so far; null without a webhook. */
  resendWebhook(id: string, livemode: boolean | null = null): Delivery[] | null {
    return this.#webhooks.resend(id, livemode);
  }

  /** The secrets that sign the webhooks of a mode. The first call creates one. */
  webhookSecrets(livemode: boolean): WebhookSecrets {
    return this.#webhooks.secrets(livemode);
  }

  /** Replaces the secret of a mode. The one before signs for 24 hours more. */
  rotateWebhookSecret(livemode: boolean): WebhookSecrets {
    return this.#webhooks.rotate(livemode);
  }

  /** The user's settings for mails. */
  notices(): NoticeSettings {
    return this.#notices.settings();
  }

  setNotices(settings: NoticeSettings): void {
    this.#commit((now) => {
      this.#expireCredits(now);
      this.#notices.set(settings, this.#ledger.balance(), now);
    });
  }

  /** Adds credits. The same id, credits and expiry again adds nothing, even after that expiry. */
  async grant(
    id: string,
    credits: number,
    expiresAt: number | null,
    reason: string | null,
  ): Promise<GrantOutcome> {
    const outcome = this.#commit((now): GrantOutcome => {
      this.#expireCredits(now);
      const known = this.#ledger.grant(id);
      if (known && (known.credits !== credits || known.expiresAt !== expiresAt)) return { kind: "conflict" };
      if (known) return { kind: "repeated", grant: known, balance: this.#balance() };
      if (expiresAt !== null && expiresAt <= now) return { kind: "expired" };
      const grant = { id, credits, remaining: credits, expiresAt, reason, createdAt: now };
      this.#ledger.post([bookGrant(this.#ledger.balance(), grant)], now);
      this.#armFor(expiresAt);
      this.#armFor(now + EXPORT_AGAIN_MS);
      return { kind: "granted", grant, balance: this.#balance() };
    });
    await this.#deliver.exportEntries(id, CLEANUP_IN_ANSWER_MS);
    return outcome;
  }

  /** The usage, in at most `limit` rows. Equals the ledger at every moment, unfinished generations included. */
  usage(query: UsageQuery, limit: number): UsageRow[] {
    return this.#usage.report(query, limit);
  }

  /** What each of these keys has spent: in the current period of its limit, or in all if it has none. */
  spentByKeys(
    keys: readonly { keyId: string; limit: CreditLimit | null }[],
  ): { credits: number; resetsAt: number | null }[] {
    const now = Date.now();
    return keys.map(({ keyId, limit }) => {
      const { startsAt, endsAt } = periodAt(limit?.period ?? "total", now);
      return { credits: this.#usage.spent(keyId, startsAt / DAY_MS), resetsAt: endsAt };
    });
  }

  /**
   * Takes credits of a grant back, as far as they are left; never below zero. What returns to the grant later, after a
   * failed generation, pays the shortfall. The same id again with no more credits takes nothing; with more credits, it
   * takes the difference.
   * @param id unique in the account
   * @param credits to take back in all under this id; null, and more than the grant has, is the whole grant
   */
  async reverse(id: string, grantId: string, credits: number | null): Promise<ReverseOutcome> {
    const outcome = this.#commit((now): ReverseOutcome => {
      this.#expireCredits(now);
      const reversed = this.#reversals.reverse(id, grantId, credits, now);
      if (reversed.kind === "unknown" || reversed.kind === "conflict") return reversed;
      this.#armFor(now + EXPORT_AGAIN_MS);
      return { ...reversed, grant: this.#mustFindGrant(grantId), balance: this.#balance() };
    });
    await this.#deliver.exportEntries(id, CLEANUP_IN_ANSWER_MS);
    return outcome;
  }

  balance(): Balance {
    return this.#commit((now) => {
      this.#expireCredits(now);
      return this.#balance();
    });
  }

  /**
   * The balance, at most 200 grants (those with something left first), and the entries before `beforeSeq`, newest
   * first.
   * @param withSubjects whether to include the generations of the entries, as far as they are stored here
   */
  statement(
    beforeSeq: number,
    limit: number,
    withSubjects = false,
  ): {
    balance: Balance;
    grants: Grant[];
    entries: Entry[];
    hasMore: boolean;
    /** By id; null for a deleted one. Older releases left it out. */
    subjects?: Map<string, Subject | null>;
  } {
    const balance = this.balance();
    const found = this.#ledger.entries(beforeSeq, limit + 1);
    const entries = found.slice(0, limit);
    const ids = entries.flatMap(({ generationId }) => generationId ?? []);
    return {
      ...{ balance, grants: this.#ledger.grants(GRANTS_LISTED_MAX) },
      ...{ entries, hasMore: found.length > limit },
      ...(withSubjects ? { subjects: this.#generations.subjects(ids) } : {}),
    };
  }

  /** Grants, newest first, after the one with that id; null when there is no such grant. */
  grants(afterId: string | null, limit: number): { grants: Grant[]; hasMore: boolean } | null {
    this.balance();
    if (afterId !== null && this.#ledger.grant(afterId) === null) return null;
    const grants = this.#ledger.grantsAfter(afterId, limit + 1);
    return { grants: grants.slice(0, limit), hasMore: grants.length > limit };
  }

  /**
   * Figures of the ledger, and the ended generations after that id, oldest first. `logged` is what the log should
   * have: the entries up to `seq`, and the generations marked as logged.
   */
  audit(afterId: string, limit: number): Audit {
    const found = this.#generations.ended(afterId, limit + 1);
    const ended = found.slice(0, limit);
    const seq = this.#ledger.exportCursor();
    // Each entry is read once: a ledger can have millions.
    const logged = this.#ledger.entriesSum(0, seq);
    const pending = this.#ledger.entriesSum(seq, Number.MAX_SAFE_INTEGER);
    return {
      balance: this.#ledger.balance(),
      held: this.#ledger.grantedTotal(),
      entries: {
        count: logged.count + pending.count,
        credits: logged.credits + pending.credits,
        balances: logged.balances + pending.balances,
      },
      generations: ended.map(recordOf),
      hasMore: found.length > limit,
      lastSeq: this.#ledger.entries(Number.MAX_SAFE_INTEGER, 1)[0]?.seq ?? 0,
      logged: {
        seq,
        entries: logged,
        generations: ended.filter(({ logged }) => logged).map(({ id }) => id),
      },
    };
  }

  /** Sums over the entries after `afterSeq`, up to and including `lastSeq`. */
  entriesSum(afterSeq: number, lastSeq: number): EntriesSum {
    return this.#ledger.entriesSum(afterSeq, lastSeq);
  }

  /** Makes the alarm write these generations to the log again. */
  tellAgain(ids: readonly string[]): void {
    this.#commit((now) => {
      for (const id of ids) {
        const generation = this.#generations.get(id);
        if (!generation || !isEnded(generation)) continue;
        this.#generations.update(generation, { ...generation, logged: false, dueAt: now });
      }
      this.#armFor(now);
    });
  }

  /** Writes entries to the log again: see {@link Outbox.rewriteEntries}. @throws when the log does not answer */
  async writeEntriesAgain(afterSeq: number, lastSeq: number): Promise<void> {
    await this.#deliver.rewriteEntries(afterSeq, lastSeq);
  }

  /** Removes entries from the log that the account does not have. @throws when the log does not answer */
  async trimEntries(): Promise<void> {
    await this.#deliver.trimEntries();
  }

  /**
   * Restores the account to a moment of the last 30 days when it next restarts. Everything is restored: ledger,
   * generations, idempotency keys, and the export cursor.
   * @param to ms since 1970, or the bookmark of an earlier rewind
   */
  async prepareRewind(to: number | string): Promise<RewindOutcome> {
    const { storage } = this.ctx;
    try {
      const bookmark = typeof to === "string" ? to : await storage.getBookmarkForTime(to);
      return { kind: "armed", undo: await storage.onNextSessionRestoreBookmark(bookmark) };
    } catch (error) {
      if (/point-in-time recovery/.test(describe(error))) return { kind: "unsupported" };
      throw error;
    }
  }

  /** Aborts the object. Its next call starts it again. @throws always: the call returns no result */
  restart(): void {
    this.ctx.abort("restarted by an operator");
  }

  /**
   * Sets the alarm again if it was lost, and counts waiting and failing work. For the sweep of accounts that
   * receive no calls.
   */
  checkUp(): CheckUp {
    return this.#commit((now) => {
      const needed = this.#nextWakeUp(now);
      const isLost = needed !== null && this.#isLate(needed, now);
      if (isLost) {
        log("alarm_lost", { user_id: this.#userId, late_ms: Math.max(0, now - needed) });
        this.#alarmAt = null;
        this.#armFor(Math.max(needed, now));
      }
      const alarmWasLost = isLost || this.#wokeLate;
      this.#wokeLate = false;
      return {
        alarmWasLost,
        ...this.#generations.backlog(),
        interrupted: this.#generations.countInterrupted(lowestGenerationId(now - HOUR_MS)),
        webhooksFailing: this.#webhooks.countFailing(),
      };
    });
  }

  /** Whether the alarm is missing, long overdue, or set for much later than it is needed. */
  #isLate(needed: number, now: number): boolean {
    const at = this.#alarmAt;
    if (at === null) return true;
    return at < now - ALARM_LATE_MS_MAX || at > Math.max(needed, now) + ALARM_LATE_MS_MAX;
  }

  /**
   * Decides what is due, arms the next alarm, then makes the deliveries that are due, each on its own and for a bounded
   * time, and arms again. It never throws: the platform gives up after six attempts.
   */
  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    try {
      const due = this.#decideDue();
      await Promise.all([
        this.#sendToQueue(due.queue),
        this.#deliver.exportEntries("", DELIVERY_MS),
        this.#removeReferences(due.references, DELIVERY_MS),
        this.#notices.sendDue(DELIVERY_MS),
        this.#deletions.perform(due.deletions, DELIVERY_MS),
        ...due.ended.map((id) => this.#cleanUp(id, DELIVERY_MS)),
      ]);
      this.#commit((now) => this.#armNext(now, now));
    } catch (error) {
      log("alarm_failed", { user_id: this.#userId, error: describe(error) });
      await this.#arm(Date.now() + EXPORT_AGAIN_MS);
    }
  }

  /** Handles due generations, expired credits, references and old rows, and arms the next alarm. */
  #decideDue(): Due {
    const due: Due = { queue: [], ended: [], references: [], deletions: [] };
    for (const generation of this.#generations.due(Date.now(), ALARM_ROWS_MAX)) {
      const decided = this.#decideOn(generation);
      if (decided !== "waits") due[decided].push(generation.id);
    }
    this.#webhooks.handleDue();
    this.#commit((now) => {
      this.#expireCredits(now);
      due.references = this.#references.takeDue(now);
      due.deletions = this.#deletions.due(now, DELETED_AT_ONCE_MAX);
      this.#generations.prune(now - KEEP_MS, ALARM_ROWS_MAX);
      this.#armNext(now, now + 2 * DELIVERY_MS);
    });
    return due;
  }

  /** Decides on one generation in its own transaction: one that violates an invariant must not hold up the others. */
  #decideOn(generation: Generation): "queue" | "ended" | "waits" {
    const ids = { user_id: this.#userId, generation_id: generation.id };
    if (isEnded(generation)) return "ended";
    try {
      return this.#commit((now) => {
        const outcome = onDue(generation, now, this.#limits());
        switch (outcome.kind) {
          case "expired":
            this.#end(generation, null, { images: [], failure: "generationFailed" }, now);
            log("generation_expired", ids);
            return "ended";
          case "requeue":
            this.#generations.update(generation, outcome.generation);
            if (generation.leased) log("lease_lapsed", ids);
            return "queue";
          case "wait":
            return "waits";
        }
      });
    } catch (error) {
      log("generation_broken", { ...ids, error: describe(error) });
      const dueAt = Date.now() + BROKEN_AGAIN_MS;
      this.#commit(() => this.#generations.update(generation, { ...generation, dueAt }));
      return "waits";
    }
  }

  #end(
    generation: Generation,
    fence: number | null,
    result: RunResult,
    now: number,
    served?: Served,
  ): FinishOutcome {
    const outcome = end(generation, fence, result, now);
    this.#expireCredits(now);
    switch (outcome.kind) {
      case "stale":
        return { kind: "stale" };
      case "repeated":
        return { kind: "settled", generation: recordOf(generation), balance: this.#balance() };
      case "ended":
        // The alarm arms itself.
        if (fence !== null) this.#armFor(outcome.generation.dueAt);
        return { kind: "settled", ...this.#settle(generation, outcome, now, served) };
    }
  }

  /** Inside a transaction: writes the end of a generation and its refund. */
  #settle(
    generation: Generation,
    end: Extract<EndOutcome, { kind: "ended" }>,
    now: number,
    served?: Served,
  ): Ended {
    if (end.refund) {
      const { credits, cause } = end.refund;
      const balance = this.#ledger.balance();
      const find = (id: string) => this.#mustFindGrant(id);
      const owes = (id: string) => this.#reversals.owes(id);
      const postings = refund(
        balance,
        generation.allocations,
        credits,
        cause,
        generation.id,
        now,
        find,
        owes,
      );
      this.#ledger.post(postings, now, generation.keyId);
      this.#reversals.collect(now);
    }
    this.#generations.update(generation, end.generation);
    const ended = { generation: recordOf(end.generation), balance: this.#balance() };
    this.#justEnded.push({ ...ended, point: pointOf(end.generation, now, served) });
    this.#webhooks.add(end.generation, now);
    return ended;
  }

  #mustFindGrant(id: string): Grant {
    const grant = this.#ledger.grant(id);
    invariant(grant !== null, "grants are never deleted");
    return grant;
  }

  /** Does the cleanup of an ended generation. The alarm repeats what fails. */
  async #cleanUp(id: string, milliseconds: number): Promise<void> {
    const generation = this.#generations.get(id);
    if (!generation || !isEnded(generation)) return;
    const tasks = cleanupTasks(generation, Date.now());
    if (tasks.length === 0 && generation.dueAt === null) return;
    const done = await this.#deliver.cleanUp(generation, tasks, milliseconds);
    this.#commit((now) => {
      const current = this.#generations.get(id);
      if (!current) return;
      const next = applyCleanup(current, done, now);
      this.#generations.update(current, next);
      this.#armFor(next.dueAt);
    });
  }

  #accepted(generation: Generation, now: number): SubmitOutcome {
    const hasJob = generation.mode === "sync" && generation.leased && generation.fence === 1;
    const settings = this.#limitSettings();
    return {
      kind: "accepted",
      generation: recordOf(generation),
      job: hasJob ? jobOf(generation, this.#limits()) : null,
      quota: quotaOf(settings, limitUse(this.#generations, settings, isLive(generation.request), now), now),
    };
  }

  #read(id: string): Ended | null {
    // One that was deleted meanwhile ends the wait, too.
    const generation = this.#generations.get(id);
    return generation && { generation: recordOf(generation), balance: this.balance() };
  }

  #balance(): Balance {
    return { credits: this.#ledger.balance(), nextExpiration: this.#ledger.nextExpiry() };
  }

  #expireCredits(now: number): void {
    const expired = this.#ledger.expiredGrants(now);
    if (expired.length > 0) this.#ledger.post(expire(this.#ledger.balance(), expired, now), now);
  }

  #limits(): Limits {
    const config = readConfig(this.env);
    return {
      runDeadlineMs: config.RUN_DEADLINE_SECONDS * 1000,
      queueDeadlineMs: config.QUEUE_DEADLINE_SECONDS * 1000,
      providerAttempts: config.PROVIDER_ATTEMPTS,
      redeliveryMs: config.QUEUE_REDELIVERY_SECONDS * 1000,
    };
  }

  #limitSettings(): LimitSettings {
    const config = readConfig(this.env);
    return { perMinute: config.RATE_LIMIT_PER_MINUTE, concurrent: config.MAX_CONCURRENT_GENERATIONS };
  }

  get #userId(): string {
    const { name } = this.ctx.id;
    if (name !== undefined) return name;
    const [owner] = this.ctx.storage.sql.exec<{ user_id: string }>("SELECT user_id FROM owner");
    invariant(owner !== undefined, "an account is named by its user's id");
    return owner.user_id;
  }

  get #deliver(): Outbox {
    this.#outbox ??= new Outbox(this.#userId, this.env, this.#ledger, (seq) =>
      this.#commit(() => this.#ledger.advanceCursor(seq)),
    );
    return this.#outbox;
  }

  /** One transaction at one moment. An error rolls everything back, the alarm included. */
  #commit<T>(work: (now: number) => T): T {
    const alarmAt = this.#alarmAt;
    this.#justEnded = [];
    try {
      const result = this.ctx.storage.transactionSync(() => work(Date.now()));
      for (const { point, ...ended } of this.#justEnded) {
        this.#waiters.answer(ended.generation.id, ended);
        measure(this.env, point);
      }
      return result;
    } catch (error) {
      this.#alarmAt = alarmAt;
      throw error;
    }
  }

  /** Inside a transaction: makes sure that the alarm fires by then. */
  #armFor(time: number | null): void {
    if (time === null || (this.#alarmAt !== null && this.#alarmAt <= time)) return;
    this.ctx.waitUntil(this.#arm(time));
  }

  async #arm(time: number): Promise<void> {
    this.#alarmAt = time;
    await this.ctx.storage.setAlarm(time);
  }

  /** Inside a transaction: arms for the earliest pending thing, but not before `notBefore`. */
  #armNext(now: number, notBefore: number): void {
    const time = this.#nextWakeUp(now);
    if (time !== null) this.#armFor(Math.max(time, notBefore));
  }

  #nextWakeUp(now: number): number | null {
    const pending = {
      nextDue: this.#generations.nextDue(),
      nextExpiry: this.#ledger.nextExpiry(),
      nextRemoval: this.#references.nextRemoval(),
      nextWebhook: this.#webhooks.nextDue(now),
      nextNotice: this.#notices.nextDue(now),
      nextDeletion: this.#deletions.nextDue(),
      oldestEnd: this.#generations.oldestEnd(),
      hasUnloggedEntries: this.#ledger.pendingEntries(1).length > 0,
    };
    return nextWakeUp(pending, now);
  }
}

function limitedKeyOf({ keyId = null, keyLimit = null }: SubmitCommand): LimitedKey | null {
  return keyId === null || keyLimit === null ? null : { keyId, limit: keyLimit };
}

function modeOf(livemode: boolean | undefined): "live" | "test" {
  return livemode === false ? "test" : "live";
}
