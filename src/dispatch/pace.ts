/**
 * The rate at which a provider may be called: a limit from the settings, and one learned from the provider's responses.
 * Plain data and `now` (milliseconds since 1970); no clock.
 *
 * GCRA enforces the rate: each image moves the next free slot by one interval, so the mean is exact and bursts are
 * bounded. A learned rate starts at what the provider accepted when it turned a call away. It then grows quickly up to
 * the rate that failed, and slowly beyond it, as TCP CUBIC does (RFC 9438).
 */

/** Work may start this long before its slot, so that a burst of a few images is not delayed. */
export const BURST_MS = 2_000;
/** Calls turned away within this time are one event. */
const COOLDOWN_MS = 5_000;
const GROW_EVERY_MS = 5_000;
/** Below the rate that failed, a learned rate grows by this factor. */
const GROWTH_BELOW_CEILING = 1.1;
/** Near that rate, it grows by this part, plus the same for each minute since the failure, up to ten times as much. */
const GROWTH_NEAR_CEILING = 0.003;
const NEAR_CEILING = 0.9;
/** The part of the accepted rate that a learned limit starts at. */
const BACK_OFF = 0.98;
/** A learned limit is dropped when the rate exceeds it by this factor. */
const FORGET_FACTOR = 4;
const WINDOW_MS = 60_000;
const BUCKET_MS = 5_000;
/** The shortest time over which a rate is measured. */
const MEASURED_MS_MIN = 10_000;
const PER_MINUTE_MIN = 1;
/** The shortest pause after a call that was turned away. It doubles while such calls follow each other closely. */
const PAUSE_FIRST_MS = 2_000;
const PAUSE_LAST_MS = 60_000;
const CLOSELY_MS = 10_000;

export type Pace = {
  /** The learned limit in images per minute, or null. */
  learned: number | null;
  /** The rate at which the provider last turned a call away, or null. */
  ceiling: number | null;
  /** When the provider last turned a call away. */
  limitedAt: number;
  /** When the rate was last changed. */
  changedAt: number;
  /** When the next image may start. */
  next: number;
  /** The shortest pause after the call that was turned away last. */
  pauseMs: number;
  /** Accepted images of the last minute, by the start of their bucket, oldest first. */
  accepted: readonly { at: number; images: number }[];
};

export const FULL_PACE: Pace = {
  learned: null,
  ceiling: null,
  limitedAt: 0,
  changedAt: 0,
  next: 0,
  pauseMs: 0,
  accepted: [],
};

/** The current limit in images per minute, or null. @param stated from the settings; 0 means none */
export function rateOf(pace: Pace, stated: number): number | null {
  const { learned } = pace;
  if (stated <= 0) return learned;
  return learned === null ? stated : Math.min(stated, learned);
}

/** When the next image may start, `now` at the earliest. */
export function slotOf(pace: Pace, now: number): number {
  return Math.max(now, pace.next - BURST_MS);
}

/** Uses the slots of `images` that start now. */
export function started(pace: Pace, images: number, stated: number, now: number): Pace {
  const rate = rateOf(pace, stated);
  const interval = rate === null ? 0 : WINDOW_MS / rate;
  return {
    ...pace,
    next: Math.max(now, pace.next) + images * interval,
    accepted: counted(pace, images, now),
  };
}

/** Records that the provider turned a call for `images` away. @param retryAfterMs its requested wait, or null */
export function turnedAway(
  pace: Pace,
  images: number,
  retryAfterMs: number | null,
  stated: number,
  now: number,
): Pace {
  const accepted = counted(pace, -images, now);
  if (now - pace.limitedAt < COOLDOWN_MS) {
    const next = Math.max(pace.next, now + Math.max(retryAfterMs ?? 0, pace.pauseMs) + BURST_MS);
    return { ...pace, accepted, next };
  }
  const isClose = pace.pauseMs > 0 && now - pace.limitedAt < CLOSELY_MS + pace.pauseMs;
  const pauseMs = isClose ? Math.min(pace.pauseMs * 2, PAUSE_LAST_MS) : PAUSE_FIRST_MS;
  const next = Math.max(pace.next, now + Math.max(retryAfterMs ?? 0, pauseMs) + BURST_MS);
  const failed = Math.min(
    rateOf(pace, stated) ?? Number.POSITIVE_INFINITY,
    measured(accepted, retryAfterMs, now),
  );
  return {
    learned: Math.max(PER_MINUTE_MIN, failed * BACK_OFF),
    ceiling: failed,
    limitedAt: now,
    changedAt: now,
    next,
    pauseMs,
    accepted,
  };
}

/** Records the images per minute that the provider states in its responses. */
export function advertised(pace: Pace, perMinute: number, now: number): Pace {
  if (pace.learned !== null && pace.learned <= perMinute) return pace;
  return { ...pace, learned: Math.max(PER_MINUTE_MIN, perMinute), ceiling: perMinute, changedAt: now };
}

/** Raises a learned limit that has held for a while. */
export function grown(pace: Pace, now: number): Pace {
  const { learned, ceiling, limitedAt, changedAt } = pace;
  if (learned === null) return pace;
  const steps = Math.floor((now - changedAt) / GROW_EVERY_MS);
  if (steps <= 0) return pace;
  const minutes = Math.min(9, Math.floor((now - limitedAt) / WINDOW_MS));
  let rate = learned;
  for (let step = 0; step < steps; step++) {
    if (ceiling !== null && rate >= ceiling * FORGET_FACTOR) return { ...pace, learned: null, ceiling: null };
    const isBelow = ceiling === null || rate < ceiling * NEAR_CEILING;
    rate *= isBelow ? GROWTH_BELOW_CEILING : 1 + GROWTH_NEAR_CEILING * (1 + minutes);
  }
  return { ...pace, learned: rate, changedAt: changedAt + steps * GROW_EVERY_MS };
}

/** Limits the rate after an outage, so that the backlog does not arrive all at once. The rate then grows quickly. */
export function easedIn(pace: Pace, perMinute: number, now: number): Pace {
  if (pace.learned !== null && pace.learned <= perMinute) return pace;
  return { ...pace, learned: perMinute, ceiling: null, changedAt: now };
}

/** Images that the provider accepted within the last minute. */
export function acceptedPerMinute(pace: Pace, now: number): number {
  return pace.accepted.filter(({ at }) => at > now - WINDOW_MS).reduce((sum, { images }) => sum + images, 0);
}

function counted({ accepted }: Pace, images: number, now: number): Pace["accepted"] {
  const recent = accepted.filter(({ at }) => at > now - WINDOW_MS);
  const last = recent.at(-1);
  if (!last || now >= last.at + BUCKET_MS) return [...recent, { at: now, images: Math.max(0, images) }];
  return [...recent.slice(0, -1), { at: last.at, images: Math.max(0, last.images + images) }];
}

/**
 * The accepted rate, measured over the wait that the provider requests, which is about its window, or since the start.
 */
function measured(accepted: Pace["accepted"], retryAfterMs: number | null, now: number): number {
  const [first] = accepted;
  const images = accepted.reduce((sum, bucket) => sum + bucket.images, 0);
  const elapsed = first === undefined ? 0 : now - first.at + BUCKET_MS / 2;
  const span = Math.min(WINDOW_MS, Math.max(elapsed, retryAfterMs ?? 0, MEASURED_MS_MIN));
  return Math.max(PER_MINUTE_MIN, (images * WINDOW_MS) / span);
}
