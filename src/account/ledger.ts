/**
 * The rules of the ledger, over plain data: no clock, no storage. Each function returns postings, which the Account
 * object writes in one transaction.
 *
 * Credits are whole numbers, times milliseconds since 1970.
 */

const DAY_MS = 86_400_000;
/** After a failure of ours, credits that expire within this time are refunded as a new grant. */
export const RENEW_WITHIN_MS = 7 * DAY_MS;
/** How long such a grant lasts. What it pays for is refunded with its own expiry, so it is renewed once. */
export const RENEWED_FOR_MS = 30 * DAY_MS;

export type Grant = {
  id: string;
  credits: number;
  remaining: number;
  /** From this moment on the grant has expired; null: never. */
  expiresAt: number | null;
  reason: string | null;
  createdAt: number;
};

/** `reversal`: credits of a grant that were taken back, as after a refund of its price. */
type EntryKind = "grant" | "charge" | "refund" | "expiry" | "reversal";

/** One entry of the ledger, and the grant as the entry leaves it. */
export type Posting = {
  kind: EntryKind;
  /** Signed: the change of the balance. */
  credits: number;
  balanceAfter: number;
  generationId: string | null;
  grant: Grant;
};

/** Credits that a grant paid for a generation. A generation has one for each grant, in the order of charging. */
export type Allocation = { grantId: string; credits: number };

/**
 * Why credits are refunded. `fault`: a failure of ours or the provider's. `own`: the caller canceled, or sent a prompt
 * that was refused; that must not extend the life of the credits.
 */
export type RefundCause = "fault" | "own";

export type ChargeOutcome =
  | { kind: "charged"; postings: Posting[]; allocations: readonly Allocation[] }
  | { kind: "insufficient"; available: number };

/** The posting of a new grant. */
export function bookGrant(balance: number, grant: Grant): Posting {
  mustBeCredits(grant.credits);
  invariant(grant.remaining === grant.credits, "a new grant has all its credits left");
  return {
    kind: "grant",
    credits: grant.credits,
    balanceAfter: balance + grant.credits,
    generationId: null,
    grant,
  };
}

/**
 * Takes credits from the grants, in the order given: those that expire soonest first.
 * @param grants unspent and not expired; only as many are read as are needed
 */
export function charge(
  balance: number,
  grants: Iterable<Grant>,
  credits: number,
  generationId: string,
): ChargeOutcome {
  mustBeCredits(credits);
  if (balance < credits) return { kind: "insufficient", available: balance };
  const postings: Posting[] = [];
  let left = credits;
  for (const grant of grants) {
    if (left === 0) break;
    const taken = Math.min(grant.remaining, left);
    left -= taken;
    postings.push({
      kind: "charge",
      credits: -taken,
      balanceAfter: balance - (credits - left),
      generationId,
      grant: { ...grant, remaining: grant.remaining - taken },
    });
  }
  invariant(left === 0, "the unspent grants hold the balance");
  return {
    kind: "charged",
    postings,
    allocations: postings.map((posting) => ({ grantId: posting.grant.id, credits: -posting.credits })),
  };
}

/**
 * Returns credits to the grants that paid, in reverse order of charging.
 *
 * After a `fault`, credits of a grant that has expired or expires soon ({@link RENEW_WITHIN_MS}) return as one new
 * grant instead, unless that grant was itself made by such a refund. For cause `own` they return with their own expiry,
 * and expire at once if that has passed.
 * @param find returns the current grant of an id in `allocations`
 * @param owes whether more is to be taken back from that grant: then its credits return to it, and are not renewed
 */
export function refund(
  balance: number,
  allocations: readonly Allocation[],
  credits: number,
  cause: RefundCause,
  generationId: string,
  now: number,
  find: (grantId: string) => Grant,
  owes: (grantId: string) => boolean = () => false,
): Posting[] {
  mustBeCredits(credits);
  const postings: Posting[] = [];
  let at = balance;
  let left = credits;
  let renewed = 0;
  const post = (kind: EntryKind, change: number, grant: Grant) => {
    at += change;
    postings.push({ kind, credits: change, balanceAfter: at, generationId, grant });
  };
  for (const part of allocations.toReversed()) {
    const returned = Math.min(part.credits, left);
    left -= returned;
    if (returned === 0) break;
    const grant = find(part.grantId);
    const expired = grant.expiresAt !== null && grant.expiresAt <= now;
    const expiresSoon = grant.expiresAt !== null && grant.expiresAt <= now + RENEW_WITHIN_MS;
    if (cause === "fault" && expiresSoon && !isRenewed(grant) && !owes(grant.id)) {
      renewed += returned;
      continue;
    }
    const filled = { ...grant, remaining: grant.remaining + returned };
    invariant(filled.remaining <= grant.credits, "a grant never has more left than it was given");
    post("refund", returned, filled);
    if (expired) post("expiry", -returned, grant);
  }
  invariant(left === 0, "no more is refunded than was paid");
  if (renewed > 0) {
    post("refund", renewed, {
      id: renewedGrantId(generationId),
      credits: renewed,
      remaining: renewed,
      expiresAt: now + RENEWED_FOR_MS,
      reason: "refund",
      createdAt: now,
    });
  }
  return postings;
}

/** The posting that takes credits back from what a grant has left. */
export function takeBack(balance: number, grant: Grant, credits: number): Posting {
  mustBeCredits(credits);
  invariant(credits <= grant.remaining, "no more is taken back than a grant has left");
  return {
    kind: "reversal",
    credits: -credits,
    balanceAfter: balance - credits,
    generationId: null,
    grant: { ...grant, remaining: grant.remaining - credits },
  };
}

/** The postings for grants that have expired with something left. */
export function expire(balance: number, grants: readonly Grant[], now: number): Posting[] {
  let at = balance;
  return grants.map((grant) => {
    invariant(
      grant.expiresAt !== null && grant.expiresAt <= now,
      "only an expired grant is posted as expired",
    );
    at -= grant.remaining;
    return {
      kind: "expiry" as const,
      credits: -grant.remaining,
      balanceAfter: at,
      generationId: null,
      grant: { ...grant, remaining: 0 },
    };
  });
}

const RENEWED_PREFIX = "refund_";

/** The id of the grant that a refund makes. Operators cannot choose an id of this form. */
export function renewedGrantId(generationId: string): string {
  return RENEWED_PREFIX + generationId;
}

function isRenewed(grant: Grant): boolean {
  return grant.id.startsWith(RENEWED_PREFIX);
}

/** Throws when a rule of the ledger is violated, which is a bug: the transaction is rolled back. */
export function invariant(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new Error(`Ledger invariant violated: ${rule}.`);
}

function mustBeCredits(credits: number): void {
  invariant(Number.isSafeInteger(credits) && credits > 0, "credits are whole and positive");
}
