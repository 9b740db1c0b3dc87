import { countIncident } from "../incidents.ts";
import { log } from "../log.ts";
import { measure, type Point } from "../metrics.ts";
import { creditsBack, type Fact } from "./events.ts";
import {
  findByPayment,
  findBySession,
  grantIdOf,
  type Purchase,
  recordFact,
  recordReversal,
} from "./purchases.ts";
import type { StripeGateway } from "./stripe.ts";

const DAY_MS = 86_400_000;

/**
 * Applies an event: stores its fact, then updates the account to match all facts of the purchase. Each
 * step may be repeated. A crash between them is repaired by the next event, which Stripe sends again until it is
 * acknowledged.
 * @param now milliseconds since 1970
 * @throws when D1, the account or Stripe fails
 */
export async function applyFact(env: Env, stripe: StripeGateway, fact: Fact, now: number): Promise<void> {
  const purchase = await findOf(env, stripe, fact);
  if (purchase === null) return log("purchase_unknown", { fact: fact.kind });
  const ids = { purchase_id: purchase.id, user_id: purchase.userId, fact: fact.kind };
  if (!isOfPack(fact, purchase)) {
    log("purchase_mismatch", ids);
    return await countIncident(env, "purchase_mismatch", now);
  }
  const noted = await recordFact(env.DB, purchase, wholeOf(fact, purchase), now);
  log("purchase_noted", ids);
  const point = pointOf(fact.kind, purchase, noted);
  if (point !== null) measure(env, point);
  await settle(env, noted);
}

/** The purchase of a fact. An early refund is found by its session, which Stripe knows. */
async function findOf(env: Env, stripe: StripeGateway, fact: Fact): Promise<Purchase | null> {
  switch (fact.kind) {
    case "pending":
    case "failed":
    case "paid":
      return await findBySession(env.DB, fact.session.id);
    case "refunded":
    case "disputed": {
      const known = await findByPayment(env.DB, fact.paymentIntent);
      if (known) return known;
      const sessionId = await stripe.sessionOfPayment(fact.paymentIntent);
      return sessionId === null ? null : await findBySession(env.DB, sessionId);
    }
  }
}

/** Whether the amount and currency are those of the purchase's pack. The event's own line items are ignored. */
function isOfPack(fact: Fact, { amount, currency }: Purchase): boolean {
  switch (fact.kind) {
    case "paid":
      return fact.session.amount === amount && fact.session.currency === currency;
    case "refunded":
      return fact.currency === currency;
    case "pending":
    case "failed":
    case "disputed":
      return true;
  }
}

/** A dispute in another currency counts for the whole amount: the bank converts it at its own rate. */
function wholeOf(fact: Fact, { amount, currency }: Purchase): Fact {
  return fact.kind === "disputed" && fact.currency !== currency ? { ...fact, amount, currency } : fact;
}

/** The data point of a fact, if it is new. Stripe reports each fact several times. */
function pointOf(fact: Fact["kind"], before: Purchase, after: Purchase): Point | null {
  const amount = amountOf(fact, before, after);
  if (amount === 0) return null;
  const { packId, currency, credits } = after;
  return { kind: "purchase", labels: { fact, pack: packId, currency }, values: { amount, credits } };
}

/** The newly reported amount of a fact, in the smallest unit of the currency. 0: it was known, or changes nothing. */
function amountOf(fact: Fact["kind"], before: Purchase, after: Purchase): number {
  switch (fact) {
    case "pending":
      return 0;
    case "paid":
      return before.paidAt === null ? after.amount : 0;
    case "failed":
      return before.failedAt === null ? after.amount : 0;
    case "refunded":
      return after.refunded - before.refunded;
    case "disputed":
      return after.disputed - before.disputed;
  }
}

/** Updates the account to match the purchase: grants paid credits, and takes back refunded ones. */
async function settle(env: Env, purchase: Purchase): Promise<void> {
  const { id, userId, sessionId, paidAt, expiresAfterDays, credits, packName } = purchase;
  if (paidAt === null || sessionId === null) return;
  const account = env.ACCOUNT.getByName(userId);
  const grantId = grantIdOf(sessionId);
  const expiresAt = expiresAfterDays === null ? null : paidAt + expiresAfterDays * DAY_MS;
  const granted = await account.grant(grantId, credits, expiresAt, `${packName} pack`);
  if (granted.kind === "conflict" || granted.kind === "expired") {
    throw new Error(`The grant of purchase ${id} is ${granted.kind}.`);
  }
  const back = creditsBack(purchase);
  if (back === 0) return;
  const reversed = await account.reverse(`refund_${sessionId}`, grantId, back);
  if (reversed.kind === "unknown" || reversed.kind === "conflict") {
    throw new Error(`The reversal of purchase ${id} is ${reversed.kind}.`);
  }
  const { taken, shortfall } = reversed;
  await recordReversal(env.DB, id, { taken, shortfall });
  if (shortfall > 0) log("purchase_shortfall", { purchase_id: id, user_id: userId, taken, shortfall });
}
