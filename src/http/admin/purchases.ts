import { Hono } from "hono";
import * as z from "zod";
import { purchaseStatuses, statusOf } from "../../billing/events.ts";
import { listPurchases, type Purchase as StoredPurchase } from "../../billing/purchases.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { count, isoTime, isoTimeOrNull, listOf, named, time } from "../fields.ts";
import { withUser } from "./operator.ts";

const Purchase = named("Purchase", () =>
  z.strictObject({
    object: z.literal("purchase"),
    id: z.string(),
    pack: z.string().meta({ description: "The id of the pack." }),
    credits: z.int().min(1),
    price: z.strictObject({
      amount: z.int().min(1).meta({ description: "In the smallest unit of the currency, such as cents." }),
      currency: z.string(),
    }),
    status: z.enum(purchaseStatuses).meta({ description: "One that is refunded in part is still `paid`." }),
    refunded_amount: count,
    disputed_amount: count,
    credits_reversed: count.meta({ description: "The credits that were taken back." }),
    shortfall: count.meta({
      description: "The credits that could not be taken back, because they were spent.",
    }),
    created_at: time,
    paid_at: time.nullable(),
    stripe_session: z.string().nullable(),
    stripe_payment_intent: z.string().nullable(),
  }),
);

const PurchaseList = named("PurchaseList", () => listOf(Purchase));

const EXAMPLE: z.input<typeof Purchase> = {
  object: "purchase",
  id: "purchase_01JZ5Q0V7N8W3X5Y7Z9A1B2C3D",
  pack: "starter",
  credits: 5000,
  price: { amount: 500, currency: "usd" },
  status: "refunded",
  refunded_amount: 500,
  disputed_amount: 0,
  credits_reversed: 4992,
  shortfall: 8,
  created_at: "2026-04-30T07:50:00.000Z",
  paid_at: "2026-04-30T07:55:00.000Z",
  stripe_session: "cs_live_a1b2",
  stripe_payment_intent: "pi_a1b2",
};

export const purchases = new Hono<AppEnv>();

purchases.get(
  "/users/:id/purchases",
  withUser,
  contract({
    id: "listPurchases",
    summary: "List a user's purchases",
    description: "The 100 newest, newest first, with what was paid back and what was taken back.",
    tag: "operator",
    security: "operator",
    answers: { 200: json("The purchases.", PurchaseList, { object: "list", data: [EXAMPLE] }) },
  }),
  async (c) => {
    const found = await listPurchases(c.env.DB, c.var.user.id);
    return c.json({ object: "list", data: found.map(renderPurchase) });
  },
);

export function renderPurchase(purchase: StoredPurchase): z.input<typeof Purchase> {
  return {
    object: "purchase",
    id: purchase.id,
    pack: purchase.packId,
    credits: purchase.credits,
    price: { amount: purchase.amount, currency: purchase.currency },
    status: statusOf(purchase),
    refunded_amount: purchase.refunded,
    disputed_amount: purchase.disputed,
    credits_reversed: purchase.creditsReversed,
    shortfall: purchase.shortfall,
    created_at: isoTime(purchase.createdAt),
    paid_at: isoTimeOrNull(purchase.paidAt),
    stripe_session: purchase.sessionId,
    stripe_payment_intent: purchase.paymentIntent,
  };
}
