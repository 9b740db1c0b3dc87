import type { Quota } from "../account/limits.ts";

/** The idempotency key was used for another request. */
export type Mismatch = { kind: "mismatch" };

/** Nothing was charged. */
export type Refusal =
  | { kind: "limited"; by: "rate" | "concurrency"; retryAfterSeconds: number; quota: Quota }
  /** The limit of the API key. `resetsAt`: milliseconds since 1970, or null for never. */
  | { kind: "key_limited"; required: number; available: number; resetsAt: number | null; quota: Quota }
  | { kind: "insufficient"; required: number; available: number; quota: Quota }
  /** Too many uploads at once, or too many that no generation paid for. */
  | { kind: "uploads_limited"; retryAfterSeconds: number }
  /** The provider is too busy to begin it in time. */
  | { kind: "busy"; retryAfterSeconds: number }
  /** The idempotency key, or the earlier attempt that this one repeats, has a generation that was deleted. */
  | { kind: "deleted" }
  /** A retry may succeed. */
  | { kind: "unavailable" };
