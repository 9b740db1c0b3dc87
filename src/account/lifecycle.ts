/**
 * The states of a generation and what moves it between them, over plain data: no clock, no storage, no provider.
 * `queued` → `processing` → `succeeded` | `failed` | `canceled`; whoever works on it holds a lease, told apart by its
 * fence: a number that grows each time the lease is taken away.
 */
import type { Tier } from "../catalogue/models.ts";
import type { ImageOptions } from "../catalogue/options.ts";
import { tierOf } from "../catalogue/sizes.ts";
import type { StoredImage } from "../images/stored.ts";
import { mustHold, type Paid, type RefundCause } from "./ledger.ts";

/** How long a lease lasts unless renewed: two renewals may fail before it lapses. */
export const LEASE_MS = 150_000;
/** The wait before the queue is told again of work that nobody has begun: doubles from the first to the last. */
const NUDGE_FIRST_MS = 30_000;
const NUDGE_LAST_MS = 600_000;
/** Provider work stops when this part of the run's time has passed, so that the end is told within it. */
const WORK_PART = 0.9;
/** References are promised to be gone 30 s after the end: a second try has to fit in. */
const CLEAR_AGAIN_MS = 10_000;
/** A run that has lost its lease may store images for a while yet. */
export const SWEEP_AFTER_MS = 20 * 60_000;
/** The first wait after a failed try to tell what has ended: doubles up to the last nudge's. */
const TELL_AGAIN_MS = 5_000;
/** How long an ended generation is kept here: as long as a retry may ask for it. */
export const KEEP_MS = 86_400_000;
/** How long after its acceptance an SDK's retry may join a generation. */
export const JOIN_MS = 15 * 60_000;

export type GenerationStatus = "queued" | "processing" | "succeeded" | "failed" | "canceled";

export type FailureCode = "generationFailed" | "contentPolicyViolation" | "unreadableReference";

/** What was asked for, as it was priced. */
export type GenerationRequest = ImageOptions & {
  model: string;
  /** Written for accounts and runners of release 0.1.0, which may still run during a deployment. Not read. */
  providerModel?: string;
  aspectRatio: string;
  /** The resolution that was priced. */
  tier: string;
  /** Credits for one image of each tier when it was priced. Requests that older releases accepted have none. */
  prices?: Readonly<Record<Tier, number>>;
  n: number;
  references: readonly {
    key: string;
    contentType: "image/png" | "image/jpeg" | "image/webp";
    bytes: number;
    /** Of the content, hex. */
    sha256: string;
  }[];
  /** Scheme and host that answers name in their URLs: those of the request that made the generation. */
  origin: string;
};

/** The caller's key for a request, and what tells whether another request with that key is the same one. */
export type Idempotency = { key: string; fingerprint: string };

/**
 * What lets an SDK's own retry, which carries no key, find the generation of the call that it repeats. `count` is how
 * often the SDK has tried before: 0 the first time.
 */
export type SdkCall = { fingerprint: string; count: number };

/** What an SDK call is known by before its body is read: a refusal then is noted under it. */
export type UnreadCall = { fingerprint: string };

/** What a caller wants accepted, priced. The id is the caller's, so that it can be asked for again. */
export type Order = {
  id: string;
  mode: "sync" | "async";
  request: GenerationRequest;
  /** For all its images. */
  credits: number;
  idempotency: Idempotency | null;
  sdkCall?: SdkCall | null;
  /** Of the same SDK call before its body was read, where that is when it may be refused. */
  unreadCall?: UnreadCall | null;
  /** The fingerprint that is stored. The one beside the key or the count is what the release before this one stored. */
  versionedFingerprint?: string;
  /** The API key that pays, or null: the pages'. */
  keyId?: string | null;
  /** The upload that brought the references: it is over when the order is decided. */
  uploadId?: string | null;
};

/**
 * What a run brings back. Images and a failure together: some were delivered before it failed. `permanent`: the same
 * request will fail again until an operator or the caller changes something.
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
  /** Unfinished by then, it has failed. */
  deadline: number;
  /** When the alarm must look at it next; null once nothing is left to do. Never later than the deadline. */
  dueAt: number | null;
  /** What lets a repeated request join this generation, or null. */
  idempotency: Idempotency | null;
  /** The latest call of an SDK that this generation answers, and the order that joined by it; null for all others. */
  sdkCall: (SdkCall & { joinedBy: string | null }) | null;
  /** Whether somebody holds the lease, until `dueAt`. */
  leased: boolean;
  fence: number;
  /** Provider calls allowed so far. */
  calls: number;
  /** How often the alarm has looked and had to look again: sets its back-off. */
  tries: number;
  charged: number;
  refunded: number;
  paid: Paid;
  images: readonly StoredImage[];
  error: FailureCode | null;
  /** Whether the log has it. Only an ended one is copied, and an ended one never changes. */
  copied: boolean;
  /** Whether its references are gone from storage. */
  cleared: boolean;
  /** Whether images that no answer names are gone from storage. */
  swept: boolean;
  /** The API key that paid, or null. */
  keyId: string | null;
  /** Whether the same request would fail again until something is changed. */
  permanent: boolean;
  /** Whether its answer was written to its end, so that no retry can be after it. Noted of SDK calls only. */
  delivered: boolean;
};

export type Limits = { runDeadlineMs: number; queueDeadlineMs: number; providerAttempts: number };

/** The right to work on a generation, and until when the provider may be kept busy. */
export type Job = {
  generationId: string;
  fence: number;
  request: GenerationRequest;
  workUntil: number;
  /** Whether the first provider call is allowed already; a rerun asks first, having looked for stored images. */
  mayCall: boolean;
};

export type BeginOutcome =
  | { kind: "run"; generation: Generation; job: Job }
  | { kind: "taken" }
  | { kind: "finished" };

/** A generation as it is accepted: a sync one begun at once by whoever submits it, an async one waiting in line. */
export function accept(order: Order, paid: Paid, now: number, limits: Limits): Generation {
  const { id, mode, request, idempotency, sdkCall, versionedFingerprint: fingerprint } = order;
  const { credits: charged } = order;
  mustHold(Number.isSafeInteger(charged / request.n), "every image of a generation has the same whole price");
  const waiting: Generation = {
    id,
    status: "queued",
    mode,
    request,
    createdAt: now,
    beganAt: null,
    endedAt: null,
    deadline: now + limits.queueDeadlineMs,
    dueAt: Math.min(now + nudgeAfterMs(0), now + limits.queueDeadlineMs),
    idempotency: idempotency && { ...idempotency, fingerprint: fingerprint ?? idempotency.fingerprint },
    sdkCall: sdkCall ? { ...sdkCall, fingerprint: fingerprint ?? sdkCall.fingerprint, joinedBy: null } : null,
    leased: false,
    fence: 0,
    calls: 0,
    tries: 0,
    charged,
    refunded: 0,
    paid,
    images: [],
    error: null,
    copied: false,
    cleared: request.references.length === 0,
    swept: true,
    keyId: order.keyId ?? null,
    permanent: false,
    delivered: false,
  };
  return mode === "sync" ? lease(waiting, now, limits) : waiting;
}

/** Somebody offers to work on it. */
export function begin(generation: Generation, now: number, limits: Limits): BeginOutcome {
  if (isEnded(generation)) return { kind: "finished" };
  if (generation.leased || now >= generation.deadline) return { kind: "taken" };
  const leased = lease(generation, now, limits);
  return { kind: "run", generation: leased, job: jobOf(leased, limits) };
}

/** The lease that its holder works by. */
export function jobOf(generation: Generation, limits: Limits): Job {
  mustHold(generation.leased && generation.beganAt !== null, "only a leased generation is worked on");
  return {
    generationId: generation.id,
    fence: generation.fence,
    request: generation.request,
    workUntil: generation.beganAt + limits.runDeadlineMs * WORK_PART,
    mayCall: generation.fence === 1,
  };
}

/** The lease of that fence is given back, because its holder is gone: the next one gets another fence. */
export function release(generation: Generation, fence: number): Generation {
  if (isEnded(generation) || !generation.leased || generation.fence !== fence) return generation;
  return { ...generation, leased: false, fence: fence + 1 };
}

export type RenewOutcome =
  | { kind: "yours"; generation: Generation }
  /** The lease stands, but the provider may not be called again. */
  | { kind: "exhausted"; generation: Generation }
  | { kind: "lost" };

/**
 * The holder of a lease is still at work, or asks to call the provider once more.
 * @param calls how many provider calls the holder asks for: 0 or 1
 */
export function renew(
  generation: Generation,
  fence: number,
  calls: 0 | 1,
  now: number,
  limits: Limits,
): RenewOutcome {
  if (isEnded(generation) || !generation.leased || generation.fence !== fence) return { kind: "lost" };
  const renewed = { ...generation, dueAt: Math.min(now + LEASE_MS, generation.deadline) };
  if (generation.calls + calls > limits.providerAttempts) return { kind: "exhausted", generation: renewed };
  return { kind: "yours", generation: { ...renewed, calls: generation.calls + calls } };
}

export type LapseOutcome =
  | { kind: "wait" }
  /** Nobody works on it: the queue is to be told (again). */
  | { kind: "nudge"; generation: Generation }
  /** Its time is over. */
  | { kind: "expired" };

/** What the alarm makes of an unfinished generation. */
export function lapse(generation: Generation, now: number): LapseOutcome {
  mustHold(!isEnded(generation) && generation.dueAt !== null, "only unfinished work lapses");
  if (now >= generation.deadline) return { kind: "expired" };
  if (now < generation.dueAt) return { kind: "wait" };
  const tries = generation.leased ? 0 : generation.tries + 1;
  return {
    kind: "nudge",
    generation: {
      ...generation,
      leased: false,
      // The one who let its lease lapse may still be at work: its failure no longer counts.
      fence: generation.leased ? generation.fence + 1 : generation.fence,
      tries,
      dueAt: Math.min(now + nudgeAfterMs(tries), generation.deadline),
    },
  };
}

export type EndOutcome =
  | { kind: "ended"; generation: Generation; refund: { credits: number; cause: RefundCause } | null }
  /** It had ended before: nothing changes. */
  | { kind: "repeated" }
  /** Less than everything, by one who no longer holds the lease: the one who does may bring more. */
  | { kind: "stale" };

/**
 * A run brings its result, or the alarm the end of its time (`fence` null).
 * All the images settle it, whichever run brings them first; less than that only from the holder of the lease.
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
  mustHold(Number.isSafeInteger(refunded) && refunded >= 0, "an image costs at most what was charged for it");
  return {
    kind: "ended",
    generation: {
      ...generation,
      status: error === null ? "succeeded" : "failed",
      images,
      error,
      permanent: error !== null && result.permanent === true,
      endedAt: now,
      refunded,
      leased: false,
      tries: 0,
      // The log is told at once; the alarm only comes back for it, so it need not be moved: that would be a write more.
      dueAt: generation.cleared ? generation.dueAt : now + CLEAR_AGAIN_MS,
      // Somebody else than the one and only holder may have stored, or be storing, images that the answer does not name.
      swept: generation.fence === 0 || (held && fence === 1),
    },
    refund: refunded === 0 ? null : { credits: refunded, cause: refundCause(result.failure) },
  };
}

/** What a delivered image costs: the price that was charged for it, or its own tier's where it came smaller. */
function costOf(image: StoredImage, { prices }: GenerationRequest, charged: number): number {
  return prices === undefined ? charged : Math.min(charged, prices[tierOf(image)]);
}

/** What the caller asked for itself is refunded as it was paid; what we or the provider did may be renewed. */
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

/** What is still to be done about a generation that has ended. */
export function chores(
  generation: Generation,
  now: number,
): { copy: boolean; clear: boolean; sweep: boolean } {
  mustHold(generation.endedAt !== null, "only an ended generation has chores");
  return {
    copy: !generation.copied,
    clear: !generation.cleared,
    sweep: !generation.swept && now >= generation.endedAt + SWEEP_AFTER_MS,
  };
}

/** Notes which chores are done, and when to come back for the rest. */
export function afterChores(
  generation: Generation,
  done: { copy: boolean; clear: boolean; sweep: boolean },
  now: number,
): Generation {
  mustHold(generation.endedAt !== null, "only an ended generation has chores");
  const next = {
    ...generation,
    copied: generation.copied || done.copy,
    cleared: generation.cleared || done.clear,
    swept: generation.swept || done.sweep,
  };
  const left = chores(next, now);
  if (left.copy || left.clear || left.sweep) {
    const wait = Math.min(TELL_AGAIN_MS * 2 ** generation.tries, NUDGE_LAST_MS);
    return { ...next, tries: generation.tries + 1, dueAt: now + wait };
  }
  return { ...next, tries: 0, dueAt: next.swept ? null : generation.endedAt + SWEEP_AFTER_MS };
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

/** Milliseconds before the alarm looks again at what it has looked at `tries` times. */
export function nudgeAfterMs(tries: number): number {
  return Math.min(NUDGE_FIRST_MS * 2 ** tries, NUDGE_LAST_MS);
}

function lease(generation: Generation, now: number, limits: Limits): Generation {
  const beganAt = generation.beganAt ?? now;
  const deadline = beganAt + limits.runDeadlineMs;
  // A lapsed lease has raised the fence already; the first is 1, and comes with the first provider call.
  const first = generation.fence === 0;
  return {
    ...generation,
    status: "processing",
    beganAt,
    deadline,
    leased: true,
    fence: first ? 1 : generation.fence,
    calls: first ? 1 : generation.calls,
    tries: 0,
    dueAt: Math.min(now + LEASE_MS, deadline),
  };
}
