/**
 * The circuit breaker of a provider. After a few failures in a row, only probes are let through, until one succeeds.
 * Plain data and `now` (milliseconds since 1970); no clock.
 */

/** One less than the default attempts of a generation, so that the breaker opens before an outage uses them up. */
const FAILURES_TO_OPEN = 2;
const FIRST_PROBE_MS = 5_000;
const LAST_PROBE_MS = 60_000;
/** If a probe has not failed by then, another may start: an image takes a minute, most failures take a moment. */
const PROBE_FAILS_WITHIN_MS = 15_000;

export type Breaker = {
  /** Failures since the last success. */
  failures: number;
  /** When it opened; null while it is closed. */
  openedAt: number | null;
  /** When the next probe may start. Only read while it is open. */
  probeAt: number;
  /** The wait after a probe that fails: doubles with each one. */
  waitMs: number;
};

export const CLOSED: Breaker = { failures: 0, openedAt: null, probeAt: 0, waitMs: FIRST_PROBE_MS };

export function isOpen({ openedAt }: Breaker): boolean {
  return openedAt !== null;
}

/** Records a failed call or probe that indicates that the provider is down. */
export function failed(breaker: Breaker, isProbe: boolean, now: number): Breaker {
  const failures = breaker.failures + 1;
  if (breaker.openedAt === null) {
    if (failures < FAILURES_TO_OPEN) return { ...breaker, failures };
    return { failures, openedAt: now, probeAt: now + FIRST_PROBE_MS, waitMs: FIRST_PROBE_MS };
  }
  if (!isProbe) return { ...breaker, failures };
  const waitMs = Math.min(breaker.waitMs * 2, LAST_PROBE_MS);
  return { ...breaker, failures, probeAt: now + waitMs, waitMs };
}

/** Records the start of a probe. The next one waits until this one would have failed. */
export function probing(breaker: Breaker, now: number): Breaker {
  return { ...breaker, probeAt: now + PROBE_FAILS_WITHIN_MS };
}
