import type { CreditLimit } from "../db/schema.ts";

/**
 * The credit limit of an API key, over plain data. A limit counts what the key was charged within the period, less what
 * was refunded of those charges, whenever that happened. Periods are those of UTC.
 */

export const DAY_MS = 86_400_000;

/** What is left of a key's limit. */
export type KeyAllowance = {
  available: number;
  /** When the period ends, in milliseconds since 1970; null: never. */
  resetsAt: number | null;
};

/** A period, in milliseconds since 1970; `endsAt` is its first moment that is over, or null. */
export type Period = { startsAt: number; endsAt: number | null };

/** The period that the moment is in. */
export function periodAt(period: CreditLimit["period"], now: number): Period {
  switch (period) {
    case "day": {
      const startsAt = Math.floor(now / DAY_MS) * DAY_MS;
      return { startsAt, endsAt: startsAt + DAY_MS };
    }
    case "month": {
      const date = new Date(now);
      const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
      return { startsAt: Date.UTC(year, month), endsAt: Date.UTC(year, month + 1) };
    }
    case "total":
      return { startsAt: 0, endsAt: null };
  }
}

/** @param used what the key has spent in the period; more than the limit if that was lowered since */
export function allowanceOf(limit: CreditLimit, used: number, now: number): KeyAllowance {
  return {
    available: Math.max(0, limit.credits - used),
    resetsAt: periodAt(limit.period, now).endsAt,
  };
}
