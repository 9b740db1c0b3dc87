/**
 * The rules of credits, over plain data: no clock, no storage. Each function says what is to be posted; the Account
 * object posts it in the transaction that asked.
 *
 * Credits are whole numbers, times milliseconds since 1970.
 */

const DAY_MS = 86_400_000;
/** After a failure of ours, credits that expire within this time come back as a new grant. */
export const RENEW_WITHIN_MS = 7 * DAY_MS;
/** How long such a grant lasts. It is given once: what it pays for is refunded with its own expiry. */
export const RENEWED_FOR_MS = 30 * DAY_MS;

export type Grant = {
  id: string;
  credits: number;
  remaining: number;
  /** The first moment at which it no longer counts; null: never. */
  expiresAt: number | null;
  reason: string | null;
  createdAt: number;
};

export type EntryKind = "grant" | "charge" | "refund" | "expiry";

/** One line of the book, and the grant as that line leaves it. */
export type Posting = {
  kind: EntryKind;
  /** Signed: what the balance changes by. */
  credits: number;
  balanceAfter: number;
  generationId: string | null;
  grant: Grant;
};

/** Which grants paid for a generation, in the order they were taken. */
export type Paid = readonly { grantId: string; credits: number }[];

/**
 * Whose doing it was that credits return. `fault`: ours or the provider's. `own`: the caller's (a cancel, a refused
 * prompt), who must not be able to refresh credits that way.
 */
export type RefundCause = "fault" | "own";

export type ChargeOutcome =
  | { kind: "charged"; postings: Posting[]; paid: Paid }
  | { kind: "insufficient"; available: number };

/** Books a new grant whole. */
export function openGrant(balance: number, grant: Grant): Posting {
  mustBeCredits(grant.credits);
  mustHold(grant.remaining === grant.credits, "a new grant is whole");
  return {
    kind: "grant",
    credits: grant.credits,
    balanceAfter: balance + grant.credits,
    generationId: null,
    grant,
  };
}

/**
 * Takes credits from the grants given, in their order: soonest expiring first, those without expiry last.
 * @param grants live ones; read only as far as needed
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
  mustHold(left === 0, "the live grants hold the balance");
  return {
    kind: "charged",
    postings,
    paid: postings.map((posting) => ({ grantId: posting.grant.id, credits: -posting.credits })),
  };
}

/**
 * Returns credits to the grants that paid, the last taken first.
 * After a `fault`, what would return to a grant that has expired or soon will ({@link RENEW_WITHIN_MS}) comes back as
 * one new grant instead, unless that grant is itself a renewed one. After the caller's `own` doing it returns with its
 * own expiry, which may be at once.
 * @param find the grant of an id in `paid`, as it stands
 */
export function refund(
  balance: number,
  paid: Paid,
  credits: number,
  cause: RefundCause,
  generationId: string,
  now: number,
  find: (grantId: string) => Grant,
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
  for (const part of paid.toReversed()) {
    const returned = Math.min(part.credits, left);
    left -= returned;
    if (returned === 0) break;
    const grant = find(part.grantId);
    const expired = grant.expiresAt !== null && grant.expiresAt <= now;
    const expiresSoon = grant.expiresAt !== null && grant.expiresAt <= now + RENEW_WITHIN_MS;
    if (cause === "fault" && expiresSoon && !isRenewed(grant)) {
      renewed += returned;
      continue;
    }
    const filled = { ...grant, remaining: grant.remaining + returned };
    mustHold(filled.remaining <= grant.credits, "a grant never holds more than it was given");
    post("refund", returned, filled);
    if (expired) post("expiry", -returned, grant);
  }
  mustHold(left === 0, "no more is refunded than was paid");
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

/** Books the end of grants that have expired with something left. */
export function expire(balance: number, grants: readonly Grant[], now: number): Posting[] {
  let at = balance;
  return grants.map((grant) => {
    mustHold(grant.expiresAt !== null && grant.expiresAt <= now, "only an expired grant is closed");
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

/** The id of the grant that renews what a failed generation returns: an operator cannot choose one of this form. */
export function renewedGrantId(generationId: string): string {
  return RENEWED_PREFIX + generationId;
}

function isRenewed(grant: Grant): boolean {
  return grant.id.startsWith(RENEWED_PREFIX);
}

/** Breaking a rule of the book is a defect of ours: the transaction is rolled back and nothing is posted. */
export function mustHold(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new Error(`The book is broken: ${rule}.`);
}

function mustBeCredits(credits: number): void {
  mustHold(Number.isSafeInteger(credits) && credits > 0, "credits are whole and above zero");
}
