/**
 * The limits on one user's requests, over plain data: no clock, no storage. Only accepted generations count: a refused
 * request does not.
 */

export const WINDOW_MS = 60_000;
/** The `Retry-After` of the concurrency limit: nobody knows when a running generation ends. */
const CONCURRENCY_RETRY_SECONDS = 5;

/** 0 is off. */
export type LimitSettings = { perMinute: number; concurrent: number };

export type LimitUse = {
  /** When generations were accepted within the last {@link WINDOW_MS}, newest first; at most `perMinute` of them. */
  accepted: readonly number[];
  /** Generations that have not ended. */
  unfinished: number;
};

/** What is left of each limit that is on. */
export type Quota = {
  rate: { limit: number; remaining: number; resetSeconds: number } | null;
  concurrency: { limit: number; remaining: number } | null;
};

export type LimitVerdict =
  | { kind: "within"; quota: Quota }
  | { kind: "limited"; by: "rate" | "concurrency"; retryAfterSeconds: number; quota: Quota };

/** Whether one more generation may be accepted. The rate is checked first, then the concurrency. */
export function checkLimits(settings: LimitSettings, use: LimitUse, now: number): LimitVerdict {
  const quota = quotaOf(settings, use, now);
  if (quota.rate !== null && quota.rate.remaining === 0) {
    return { kind: "limited", by: "rate", retryAfterSeconds: quota.rate.resetSeconds, quota };
  }
  if (quota.concurrency !== null && quota.concurrency.remaining === 0) {
    return { kind: "limited", by: "concurrency", retryAfterSeconds: CONCURRENCY_RETRY_SECONDS, quota };
  }
  return { kind: "within", quota };
}

/** `resetSeconds`: how long until the oldest counted generation leaves the window and one more may be accepted. */
export function quotaOf(settings: LimitSettings, use: LimitUse, now: number): Quota {
  const { perMinute, concurrent } = settings;
  const oldest = use.accepted.at(-1);
  return {
    rate:
      perMinute === 0
        ? null
        : {
            limit: perMinute,
            remaining: Math.max(0, perMinute - use.accepted.length),
            resetSeconds: Math.ceil((oldest === undefined ? WINDOW_MS : oldest + WINDOW_MS - now) / 1000),
          },
    concurrency:
      concurrent === 0 ? null : { limit: concurrent, remaining: Math.max(0, concurrent - use.unfinished) },
  };
}
