import type { LimitedKey, SubmitRefusal } from "./admission.ts";
import type { Allocation, Grant } from "./ledger.ts";
import type { Job, SdkCall } from "./lifecycle.ts";
import type { Quota } from "./limits.ts";
import type { EntriesSum } from "./store/ledger.ts";
import type { GenerationRecord } from "./views.ts";

/** Arguments and outcomes of the Account's methods. */

/** What {@link Account.checkUp} found. Test keys count. */
export type CheckUp = {
  /** Whether an alarm was missing or late. It is set again. */
  alarmWasLost: boolean;
  /** Generations that have not ended. */
  unfinished: number;
  /** When the oldest of those that wait was accepted, in milliseconds since 1970; null when none waits. */
  oldestQueuedAt: number | null;
  /** Generations of the last hour whose run died. */
  interrupted: number;
  /** Webhooks that have failed several times in a row and are still being sent. */
  webhooksFailing: number;
};

/** A user's credits now, and when the next of them expire. */
export type Balance = { credits: number; nextExpiration: number | null };

/** An upload of references that asks to be admitted. */
export type UploadRequest = {
  id: string;
  /** Left out: true. Older releases know no test keys. */
  livemode?: boolean;
  /** The declared length of the body, or null. */
  bytes: number | null;
  /** The key that will pay, if it has a limit. */
  key?: LimitedKey | null;
  /** Identifies the call, in case it is refused; null when no SDK makes it. */
  call: { orderId: string; sdkCall: SdkCall } | null;
};

export type AdmitOutcome =
  | { kind: "admitted" }
  | SubmitRefusal
  /** Too many uploads at once, or too many that led to no generation. */
  | { kind: "uploads_limited"; retryAfterSeconds: number }
  /** The idempotency key was used for a request whose references were much smaller. */
  | { kind: "conflict" };

/** Why a reference may not be uploaded ahead. `references_full`: the user has reached the number or size limit. */
export type ReferenceRefusal =
  | { kind: "insufficient"; available: number }
  | { kind: "uploads_limited"; retryAfterSeconds: number }
  | { kind: "references_full" };

export type SubmitOutcome =
  | { kind: "accepted"; generation: GenerationRecord; job: Job | null; quota: Quota }
  /** A reference that was uploaded ahead has expired or was deleted. Nothing was charged. */
  | { kind: "reference_gone"; id: string }
  | RepeatOutcome
  | SubmitRefusal;

export type RepeatOutcome =
  /** An earlier request with this idempotency key, or an earlier attempt of this SDK call, created the generation. */
  | ({ kind: "repeated" } & Ended)
  /** The idempotency key was used for another request. */
  | { kind: "conflict" }
  /** The generation that the earlier request created was deleted. */
  | { kind: "deleted" };

/**
 * `pending`: it is deleted, but the log or the storage did not respond, so the alarm removes the rest. `unfinished`: it
 * has not ended. `unknown`: the account does not have it, or has deleted it before.
 */
export type DeleteOutcome = "deleted" | "pending" | "unfinished" | "unknown";

/** Details of a generation beyond its record, for an operator. Times in milliseconds since 1970. */
export type GenerationFacts = {
  mode: "sync" | "async";
  keyId: string | null;
  beganAt: number | null;
  deadline: number;
  /** When the alarm handles it next, or null. */
  dueAt: number | null;
  providerCalls: number;
  /** How often a worker got the lease, or lost it. */
  fence: number;
  allocations: readonly Allocation[];
  isLogged: boolean;
  areReferencesDeleted: boolean;
  deletedAt: number | null;
};

/**
 * `armed`: the account goes back when it restarts; `undo` is the bookmark that undoes it. `unsupported`: the runtime
 * has no point-in-time recovery.
 */
export type RewindOutcome = { kind: "armed"; undo: string } | { kind: "unsupported" };

export type WorkOutcome =
  | { kind: "run"; job: Job }
  | { kind: "taken" }
  | { kind: "finished" }
  | { kind: "unknown" };

export type LeaseOutcome = "yours" | "exhausted" | "lost";

/** A generation, ended or as it is now, and its user's balance. */
export type Ended = { generation: GenerationRecord; balance: Balance };

export type FinishOutcome = ({ kind: "settled" } & Ended) | { kind: "stale" } | { kind: "unknown" };

export type CancelOutcome =
  /** This call or an earlier one canceled it. */
  | { kind: "canceled"; generation: GenerationRecord }
  /** It has ended, a worker has it, or the provider may have been called for it. */
  | { kind: "refused"; generation: GenerationRecord }
  | { kind: "unknown" };

export type GrantOutcome =
  | { kind: "granted" | "repeated"; grant: Grant; balance: Balance }
  /** A grant with this id has other credits or another expiry. */
  | { kind: "conflict" }
  /** The expiry of a new grant is not in the future. */
  | { kind: "expired" };

export type ReverseOutcome =
  /** `repeated`: an earlier call with this id asked for as many credits or more. */
  | {
      kind: "reversed" | "repeated";
      /** What was taken back under this id so far. */
      taken: number;
      /** What could not be taken back yet, because it was spent or has expired. */
      shortfall: number;
      grant: Grant;
      balance: Balance;
    }
  /** There is no grant with this id. */
  | { kind: "unknown" }
  /** The id was used for another grant. */
  | { kind: "conflict" };

/**
 * Sums over the ledger, a page of ended generations, and the part of both that the log should have. `held` is what the
 * grants have left.
 */
export type Audit = {
  balance: number;
  held: number;
  entries: EntriesSum;
  generations: GenerationRecord[];
  hasMore: boolean;
  lastSeq: number;
  logged: { seq: number; entries: EntriesSum; generations: string[] };
};
