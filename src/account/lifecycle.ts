/**
 * The states of a generation and its transitions, over plain data: no clock, no storage, no provider.
 * `queued` → `processing` → `succeeded` | `failed` | `canceled`. A worker holds a lease while it runs a generation. The
 * lease's fence is a number that grows each time the lease is taken away, so a late worker is recognized.
 */
import type { Tier } from "../catalogue/model.ts";
import type { ImageOptions } from "../catalogue/options.ts";
import { tierOf } from "../catalogue/sizes.ts";
import type { CreditLimit } from "../db/schema.ts";
import type { StoredImage } from "../images/stored.ts";
import type { TestScenario } from "../scenario.ts";
import { type Allocation, invariant, type RefundCause } from "./ledger.ts";

/** How long a lease lasts unless renewed. It outlives two failed renewals. */
export const LEASE_MS = 150_000;
/** The longest wait before a generation that has not begun is queued again, unless the first is longer. */
const REQUEUE_LAST_MS = 600_000;
/** Provider calls stop after this part of the run's time, so that the result is reported before the deadline. */
const WORK_PART = 0.9;
/** References must be deleted within 30 s of the end, which leaves time for a second attempt. */
const CLEANUP_AGAIN_MS = 10_000;
/** How long an ended generation stays in the account, so that an idempotency key is kept for 24 hours after the end. */
export const KEEP_MS = 86_400_000;
/** The most generations that an account deletes in one transaction. */
export const DELETED_AT_ONCE_MAX = 50;
/** How long after its acceptance an SDK's retry may join a generation. */
export const JOIN_MS = 15 * 60_000;

export type GenerationStatus = "queued" | "processing" | "succeeded" | "failed" | "canceled";

export type FailureCode = "generationFailed" | "contentPolicyViolation" | "unreadableReference";

/** A caller's labels for a generation, by name. */
export type Metadata = Readonly<Record<string, string>>;

/** A request with resolved size, tier and price, as it is stored. */
export type GenerationRequest = ImageOptions & {
  model: string;
  /** Written for accounts and runners of release 0.1.0, which may still run during a deployment. Not read. */
  providerModel?: string;
  /** Credits for one image of each tier when it was priced. Requests that older releases accepted have none. */
  prices?: Readonly<Record<Tier, number>>;
  n: number;
  references: readonly {
    key: string;
    contentType: "image/png" | "image/jpeg" | "image/webp";
    bytes: number;
    /** Of the content, hex. */
    sha256: string;
    /** Of a reference that was uploaded ahead: its object is not this generation's to remove. */
    id?: string;
  }[];
  /** Scheme and host for URLs in responses, taken from the request that created the generation. */
  origin: string;
  /** Where the end of the generation is reported. */
  webhookUrl?: string;
  /** The most that the caller agreed to pay. The price was checked against it before the charge. */
  maxCredits?: number;
  /** The caller's own labels; left out when there are none. */
  metadata?: Metadata;
  /** Of a test key: its scenario, and the price that is not charged. A live request has no such member. */
  test?: TestScenario & { credits: number };
};

/** Whether a live key, or a page, asked for it. Older releases know no test keys. */
export function isLive({ test }: { test?: unknown }): boolean {
  return test === undefined;
}

/** What a polled provider needs to find the work of a call again. `state` is the provider's own. */
export type SavedTask = { provider: string; state: string };

/** The client's idempotency key, and the fingerprint that a repeated request must have. */
type Idempotency = { key: string; fingerprint: string };

/**
 * Identifies the call of an SDK, whose retries carry no idempotency key. `count` is the number of earlier attempts: 0
 * at the first one.
 */
export type SdkCall = { fingerprint: string; count: number };

/** Identifies an SDK's upload before its body is read. */
type UnreadCall = { fingerprint: string };

/** Asks the account to charge for a priced request. The caller creates the id, so that it can submit again. */
export type SubmitCommand = {
  id: string;
  mode: "sync" | "async";
  request: GenerationRequest;
  /** For all its images. 0 for a test key. */
  credits: number;
  idempotency: Idempotency | null;
  sdkCall?: SdkCall | null;
  /** The same SDK call before its body was read, where it may have been refused. */
  unreadCall?: UnreadCall | null;
  /** The fingerprint to store. The one in `idempotency` or `sdkCall` has the form of release 0.1.0. */
  versionedFingerprint?: string;
  /** The API key that pays, or null for the pages. */
  keyId?: string | null;
  /** What that key may spend. Left out: no limit but the balance. */
  keyLimit?: CreditLimit | null;
  /** Whether the provider is too busy for a new generation. A repeated request still gets its generation. */
  isTooBusy?: boolean;
  /** Whether the caller leaves it to the provider's gate to send the message to the queue. */
  isParked?: boolean;
  /** The estimated time of its turn. */
  slotAt?: number | null;
  /** The upload that brought the references. It ends with this command. */
  uploadId?: string | null;
};

/** The part of a command that tells whether it repeats an earlier request. */
export type RepeatableCommand = Pick<
  SubmitCommand,
  "id" | "idempotency" | "sdkCall" | "unreadCall" | "versionedFingerprint"
>;

/**
 * The result of a run. Images and a failure together mean that some images were delivered before it failed.
 * `permanent`: the same request would fail again until an operator or the caller changes something.
 */
export type RunResult = {
  images: readonly StoredImage[];
  failure: FailureCode | null;
  permanent?: boolean;
};

export type Generation = {
  id: string;
  status: GenerationStatus;
  mode: "sync" | "async";
  request: GenerationRequest;
  createdAt: number;
  beganAt: number | null;
  endedAt: number | null;
  /** The generation fails if it has not ended by then. */
  deadline: number;
  /** When the alarm must handle the generation next; null when nothing is left to do. Never later than the deadline. */
  dueAt: number | null;
  /** Lets a repeated request join this generation. */
  idempotency: Idempotency | null;
  /** The latest SDK call that this generation answers, and the id of the command that joined with it, or null. */
  sdkCall: (SdkCall & { claimedBy: string | null }) | null;
  /** Whether a worker holds the lease, until `dueAt`. */
  leased: boolean;
  fence: number;
  /** Provider calls allowed so far. */
  providerCalls: number;
  /** How often the alarm handled it without progress. Sets the back-off. */
  alarmAttempts: number;
  charged: number;
  refunded: number;
  allocations: readonly Allocation[];
  images: readonly StoredImage[];
  error: FailureCode | null;
  /** Whether it is in the log. Only ended generations are logged. They never change, until they are deleted. */
  logged: boolean;
  /** Whether its references are deleted from storage. */
  referencesDeleted: boolean;
  /** Whether stored images that are not part of the result are deleted. */
  orphansDeleted: boolean;
  /** The API key that paid, or null. */
  keyId: string | null;
  /** Whether the same request would fail again. */
  permanent: boolean;
  /** Whether the response was sent to its end, so that no retry can follow. Only known for SDK calls. */
  delivered: boolean;
  /** The estimated time of its turn while it waits for its provider; null when unknown, or when it does not wait. */
  slotAt: number | null;
  /** Whether a worker lost its lease without giving it back. Images that the provider sent it may be lost. */
  interrupted: boolean;
  /** A call that its provider may still be working on, for a worker that takes over; null when there is none. */
  task: SavedTask | null;
  /** When its content was deleted, or null. The row stays for a day, so that its idempotency key is not free. */
  deletedAt: number | null;
};

export type Limits = {
  runDeadlineMs: number;
  queueDeadlineMs: number;
  providerAttempts: number;
  /** The time after which a message that the queue accepted counts as lost. */
  redeliveryMs: number;
};

/** The right to run a generation. The provider may be called until `workUntil`. */
export type Job = {
  generationId: string;
  fence: number;
  request: GenerationRequest;
  workUntil: number;
  /** Whether a provider call is allowed already. A rerun looks for stored images first, then asks. */
  mayCall: boolean;
  /** Whether an earlier run died. Jobs of release 0.1.0 lack this and the next field. */
  interrupted?: boolean;
  /** How long the generation may wait for its provider, in milliseconds since 1970. */
  queueUntil?: number;
  /** The call of an earlier run to poll on, or null. */
  task?: SavedTask | null;
};

export type BeginOutcome =
  | { kind: "run"; generation: Generation; job: Job }
  | { kind: "taken" }
  | { kind: "finished" };

/** A newly accepted generation: a sync one is leased to the caller at once, an async one waits in the queue. */
export function accept(
  command: SubmitCommand,
  allocations: readonly Allocation[],
  now: number,
  limits: Limits,
): Generation {
  const { id, mode, request, idempotency, sdkCall, versionedFingerprint: fingerprint } = command;
  const { credits: charged } = command;
  invariant(
    Number.isSafeInteger(charged / request.n),
    "every image of a generation has the same whole price",
  );
  const waiting: Generation = {
    id,
    status: "queued",
    mode,
    request,
    createdAt: now,
    beganAt: null,
    endedAt: null,
    deadline: now + limits.queueDeadlineMs,
    dueAt: Math.min(
      Math.max(now, command.slotAt ?? now) + requeueDelayMs(0, limits),
      now + limits.queueDeadlineMs,
    ),
    idempotency: idempotency && { ...idempotency, fingerprint: fingerprint ?? idempotency.fingerprint },
    sdkCall: sdkCall
      ? { ...sdkCall, fingerprint: fingerprint ?? sdkCall.fingerprint, claimedBy: null }
      : null,
    leased: false,
    fence: 0,
    providerCalls: 0,
    alarmAttempts: 0,
    charged,
    refunded: 0,
    allocations,
    images: [],
    error: null,
    logged: false,
    referencesDeleted: ownReferences(request).length === 0,
    orphansDeleted: true,
    keyId: command.keyId ?? null,
    permanent: false,
    delivered: false,
    slotAt: command.slotAt ?? null,
    interrupted: false,
    task: null,
    deletedAt: null,
  };
  return mode === "sync" ? lease(waiting, now, limits) : waiting;
}

/** The references that came with the request. Those uploaded ahead outlive it. */
export function ownReferences({ references }: GenerationRequest): GenerationRequest["references"] {
  return references.filter(({ id }) => id === undefined);
}

/** Leases the generation to a worker that asks for it. */
export function begin(generation: Generation, now: number, limits: Limits): BeginOutcome {
  if (isEnded(generation)) return { kind: "finished" };
  if (generation.leased || now >= generation.deadline) return { kind: "taken" };
  const leased = lease(generation, now, limits);
  const mayCall = leased.providerCalls > generation.providerCalls;
  return { kind: "run", generation: leased, job: { ...jobOf(leased, limits), mayCall } };
}

/** The job of the lease's holder. */
export function jobOf(generation: Generation, limits: Limits): Job {
  invariant(generation.leased && generation.beganAt !== null, "only a leased generation has a job");
  return {
    generationId: generation.id,
    fence: generation.fence,
    request: generation.request,
    workUntil: generation.beganAt + limits.runDeadlineMs * WORK_PART,
    mayCall: generation.fence === 1,
    interrupted: generation.interrupted,
    queueUntil: generation.createdAt + limits.queueDeadlineMs,
    task: generation.task,
  };
}

/** Ends the lease with that fence, because its holder died. The next lease has another fence. */
export function release(generation: Generation, fence: number): Generation {
  if (isEnded(generation) || !generation.leased || generation.fence !== fence) return generation;
  return { ...generation, leased: false, fence: fence + 1, interrupted: true };
}

/**
 * Takes the lease back from its holder, because the provider has no capacity: the generation waits until `slotAt`
 * (null: unknown), and the queue's deadline applies again.
 * @param unspent provider calls that were allowed and not made
 * @returns null when another worker holds the lease
 */
export function defer(
  generation: Generation,
  fence: number,
  slotAt: number | null,
  unspent: 0 | 1,
  now: number,
  limits: Limits,
): Generation | null {
  if (isEnded(generation) || !generation.leased || generation.fence !== fence) return null;
  const deadline = generation.createdAt + limits.queueDeadlineMs;
  return {
    ...generation,
    status: "queued",
    leased: false,
    fence: fence + 1,
    providerCalls: generation.providerCalls - unspent,
    beganAt: null,
    alarmAttempts: 0,
    deadline,
    slotAt,
    dueAt: Math.min(Math.max(now, slotAt ?? now) + limits.redeliveryMs, deadline),
  };
}

export type RenewOutcome =
  | { kind: "yours"; generation: Generation }
  /** The lease holds, but the provider may not be called again. */
  | { kind: "exhausted"; generation: Generation }
  | { kind: "lost" };

/**
 * Extends a lease, and counts one more provider call if asked.
 * @param calls the provider calls that the holder asks for
 * @param task replaces the saved task; undefined keeps it
 */
export function renew(
  generation: Generation,
  fence: number,
  calls: 0 | 1,
  now: number,
  limits: Limits,
  task?: SavedTask,
): RenewOutcome {
  if (isEnded(generation) || !generation.leased || generation.fence !== fence) return { kind: "lost" };
  const dueAt = Math.min(now + LEASE_MS, generation.deadline);
  const renewed = { ...generation, dueAt, task: task ?? generation.task };
  if (generation.providerCalls + calls > limits.providerAttempts)
    return { kind: "exhausted", generation: renewed };
  return { kind: "yours", generation: { ...renewed, providerCalls: generation.providerCalls + calls } };
}

export type DueOutcome =
  | { kind: "wait" }
  /** No worker has it: send it to the queue. */
  | { kind: "requeue"; generation: Generation }
  /** Its deadline has passed. */
  | { kind: "expired" };

/** Decides on an unfinished generation when the alarm handles it. */
export function onDue(generation: Generation, now: number, limits: Limits): DueOutcome {
  invariant(!isEnded(generation) && generation.dueAt !== null, "only an unfinished generation is due");
  if (now >= generation.deadline) return { kind: "expired" };
  if (now < generation.dueAt) return { kind: "wait" };
  const alarmAttempts = generation.leased ? 0 : generation.alarmAttempts + 1;
  return {
    kind: "requeue",
    generation: {
      ...generation,
      leased: false,
      // The worker whose lease lapsed may still run: its failure no longer counts.
      fence: generation.leased ? generation.fence + 1 : generation.fence,
      interrupted: generation.interrupted || generation.leased,
      alarmAttempts,
      dueAt: Math.min(now + requeueDelayMs(alarmAttempts, limits), generation.deadline),
    },
  };
}

export type EndOutcome =
  | { kind: "ended"; generation: Generation; refund: { credits: number; cause: RefundCause } | null }
  /** It had ended before: nothing changes. */
  | { kind: "repeated" }
  /** A partial result from a worker that lost its lease: the current holder may deliver more. */
  | { kind: "stale" };

/**
 * Ends a generation with a run's result, or at its deadline (`fence` null). Any run may end it with all its images;
 * only the holder of the lease may end it with fewer.
 */
export function end(
  generation: Generation,
  fence: number | null,
  result: RunResult,
  now: number,
): EndOutcome {
  if (isEnded(generation)) return { kind: "repeated" };
  const { request, charged } = generation;
  const images = result.images.slice(0, request.n);
  const held = generation.leased && fence === generation.fence;
  if (!held && fence !== null && images.length < request.n) return { kind: "stale" };
  const error = images.length === 0 ? (result.failure ?? "generationFailed") : null;
  const used = images.reduce((sum, image) => sum + costOf(image, request, charged / request.n), 0);
  const refunded = charged - used;
  invariant(
    Number.isSafeInteger(refunded) && refunded >= 0,
    "an image costs at most what was charged for it",
  );
  return {
    kind: "ended",
    generation: {
      ...generation,
      ...closed(generation, now),
      status: error === null ? "succeeded" : "failed",
      images,
      error,
      permanent: error !== null && result.permanent === true,
      refunded,
      // Another worker than the first holder may have stored images that are not part of the answer.
      orphansDeleted: generation.providerCalls === 0 || (held && !generation.interrupted),
    },
    refund: refunded === 0 ? null : { credits: refunded, cause: refundCause(result.failure) },
  };
}

export type CancelOutcome =
  | Extract<EndOutcome, { kind: "ended" }>
  /** It was canceled before: nothing changes. */
  | { kind: "repeated" }
  /** It has ended, a worker has it, or the provider may have been called for it. */
  | { kind: "refused" };

/**
 * Cancels a queued generation and refunds it whole. One that a run gave back is queued again; if that run may have
 * called the provider, which then may have billed for images, the generation can no longer be canceled.
 */
export function cancel(generation: Generation, now: number): CancelOutcome {
  if (generation.status === "canceled") return { kind: "repeated" };
  if (generation.status !== "queued" || generation.leased || generation.providerCalls > 0)
    return { kind: "refused" };
  const refunded = generation.charged;
  return {
    kind: "ended",
    generation: { ...generation, ...closed(generation, now), status: "canceled", refunded, slotAt: null },
    refund: refunded === 0 ? null : { credits: refunded, cause: "own" },
  };
}

/** Deletes what an ended generation was asked for. Its charge, and the facts that reports count, stay. */
export function erase(generation: Generation, now: number): Generation {
  invariant(isEnded(generation), "only an ended generation can be deleted");
  const { webhookUrl: _url, metadata: _labels, ...kept } = generation.request;
  // Cleanup needs to know which references it has to delete.
  const references = generation.referencesDeleted ? [] : kept.references;
  return { ...generation, deletedAt: now, request: { ...kept, prompt: "", endUser: null, references } };
}

/** What changes at every end. */
function closed(generation: Generation, now: number) {
  return {
    endedAt: now,
    leased: false,
    alarmAttempts: 0,
    task: null,
    // Cleanup runs at once and the alarm only repeats it, so the alarm is not moved: that would be one more write.
    dueAt: generation.referencesDeleted ? generation.dueAt : now + CLEANUP_AGAIN_MS,
  };
}

/** The price of a delivered image: what was charged for it, or the price of its own tier if that is lower. */
function costOf(image: StoredImage, { prices }: GenerationRequest, charged: number): number {
  return prices === undefined ? charged : Math.min(charged, prices[tierOf(image)]);
}

function refundCause(failure: FailureCode | null): RefundCause {
  switch (failure) {
    case "contentPolicyViolation":
    case "unreadableReference":
      return "own";
    case "generationFailed":
    case null:
      return "fault";
  }
}

export function isEnded(generation: { status: GenerationStatus }): boolean {
  switch (generation.status) {
    case "succeeded":
    case "failed":
    case "canceled":
      return true;
    case "queued":
    case "processing":
      return false;
  }
}

/** Milliseconds before a generation that was queued `attempts` times before is queued again. */
export function requeueDelayMs(attempts: number, { redeliveryMs }: Limits): number {
  return Math.min(redeliveryMs * 2 ** attempts, Math.max(redeliveryMs, REQUEUE_LAST_MS));
}

function lease(generation: Generation, now: number, limits: Limits): Generation {
  const beganAt = generation.beganAt ?? now;
  const deadline = beganAt + limits.runDeadlineMs;
  // The first lease comes with the first provider call.
  const isFirst = generation.providerCalls === 0;
  return {
    ...generation,
    status: "processing",
    beganAt,
    deadline,
    leased: true,
    fence: Math.max(1, generation.fence),
    providerCalls: isFirst ? 1 : generation.providerCalls,
    slotAt: null,
    alarmAttempts: 0,
    dueAt: Math.min(now + LEASE_MS, deadline),
  };
}
