import * as z from "zod";

/**
 * The facts that Stripe's events state about a purchase. A purchase collects them, and its state follows: a fact that
 * arrives twice, late or out of order leads to the same state. Shapes and types:
 * https://docs.stripe.com/api/events/types.
 */
export type Fact =
  | { kind: "pending" | "paid" | "failed"; session: Session }
  /** `amount`: the total that was refunded or disputed, in the smallest unit of the currency. */
  | { kind: "refunded" | "disputed"; paymentIntent: string; amount: number; currency: string };

type Session = {
  id: string;
  paymentIntent: string | null;
  amount: number | null;
  currency: string | null;
};

/** The facts of a purchase. `refunded` and `disputed` in the smallest unit of the currency. */
export type Facts = {
  credits: number;
  amount: number;
  pendingAt: number | null;
  failedAt: number | null;
  paidAt: number | null;
  refunded: number;
  disputed: number;
};

export const purchaseStatuses = ["open", "pending", "failed", "paid", "refunded"] as const;
export type PurchaseStatus = (typeof purchaseStatuses)[number];

const id = z.string().min(1).max(255);
const amount = z.int().min(0);
const currency = z.string().regex(/^[a-z]{3}$/);

const CheckoutSession = z.object({
  id,
  payment_status: z.enum(["paid", "unpaid", "no_payment_required"]),
  payment_intent: id.nullable(),
  amount_total: amount.nullable(),
  currency: currency.nullable(),
});
const Charge = z.object({ payment_intent: id.nullable(), amount_refunded: amount, currency });
const Dispute = z.object({ payment_intent: id.nullable(), amount, currency, status: z.string() });

const SESSION_TYPES = [
  "checkout.session.completed",
  "checkout.session.async_payment_succeeded",
  "checkout.session.async_payment_failed",
  "checkout.session.expired",
] as const;
const CHARGE_TYPES = ["charge.refunded"] as const;
const DISPUTE_TYPES = ["charge.dispute.created", "charge.dispute.funds_withdrawn"] as const;

const Event = z.discriminatedUnion("type", [
  z.object({ type: z.literal(SESSION_TYPES), data: z.object({ object: CheckoutSession }) }),
  z.object({ type: z.literal(CHARGE_TYPES), data: z.object({ object: Charge }) }),
  z.object({ type: z.literal(DISPUTE_TYPES), data: z.object({ object: Dispute }) }),
]);

/** The types of events that state a fact of a purchase. */
const TYPES: ReadonlySet<string> = new Set([...SESSION_TYPES, ...CHARGE_TYPES, ...DISPUTE_TYPES]);

/**
 * The fact that an event states; null when it states none of a purchase.
 * @throws {z.ZodError} when an event of a type that does has another shape
 */
export function factOf(event: { type: string }): Fact | null {
  if (!TYPES.has(event.type)) return null;
  const { type, data } = Event.parse(event);
  switch (type) {
    case "checkout.session.completed":
    case "checkout.session.async_payment_succeeded":
      return {
        kind: data.object.payment_status === "paid" ? "paid" : "pending",
        session: sessionOf(data.object),
      };
    case "checkout.session.async_payment_failed":
    case "checkout.session.expired":
      return { kind: "failed", session: sessionOf(data.object) };
    case "charge.refunded":
      return backOf("refunded", data.object, data.object.amount_refunded);
    case "charge.dispute.created":
    case "charge.dispute.funds_withdrawn":
      // An inquiry moves no money. Its funds are withdrawn if it becomes a dispute.
      return data.object.status.startsWith("warning_")
        ? null
        : backOf("disputed", data.object, data.object.amount);
  }
}

function sessionOf(session: z.infer<typeof CheckoutSession>): Session {
  return {
    id: session.id,
    paymentIntent: session.payment_intent,
    amount: session.amount_total,
    currency: session.currency,
  };
}

/** A payment without an intent belongs to no purchase: Checkout creates one for each. */
function backOf(
  kind: "refunded" | "disputed",
  { payment_intent, currency }: { payment_intent: string | null; currency: string },
  amount: number,
): Fact | null {
  return payment_intent === null ? null : { kind, paymentIntent: payment_intent, amount, currency };
}

/** The state of a purchase. One that is paid back in part is still paid. */
export function statusOf(facts: Facts): PurchaseStatus {
  if (facts.paidAt !== null) return moneyBack(facts) === facts.amount ? "refunded" : "paid";
  if (facts.failedAt !== null) return "failed";
  return facts.pendingAt === null ? "open" : "pending";
}

/** The amount that was returned to the buyer, in the smallest unit of the currency: never more than was paid. */
export function moneyBack({ amount, refunded, disputed }: Facts): number {
  return Math.min(amount, refunded + disputed);
}

/** The credits to take back: the refunded share of the price, rounded down. */
export function creditsBack(facts: Facts): number {
  return Math.floor((facts.credits * moneyBack(facts)) / facts.amount);
}
