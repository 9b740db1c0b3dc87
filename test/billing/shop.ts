import { env } from "cloudflare:workers";
import { expect, inject } from "vitest";
import * as z from "zod";
import { startCheckout } from "../../src/billing/checkout.ts";
import type { Pack } from "../../src/billing/packs.ts";
import { listPurchases } from "../../src/billing/purchases.ts";
import { type Answer, call } from "../support/http.ts";

const double = inject("stripeDouble");

/** The variables of a Worker that sells credits through the double. */
export const STRIPE = {
  STRIPE_SECRET_KEY: double.secretKey,
  STRIPE_WEBHOOK_SECRET: double.webhookSecret,
  STRIPE_BASE_URL: double.origin,
};

const GATEWAY = {
  secretKey: double.secretKey,
  webhookSecret: double.webhookSecret,
  baseUrl: double.origin,
  isTest: true,
};

export const PACK: Pack = {
  id: "test",
  name: "Test",
  credits: 100,
  amount: 1_000,
  currency: "usd",
  expiresAfterDays: null,
};

const Events = z.array(
  z.object({ type: z.string(), body: z.string(), signature: z.string() }).transform((event) => ({
    ...event,
    data: z
      .object({ data: z.object({ object: z.record(z.string(), z.unknown()) }) })
      .parse(JSON.parse(event.body)).data.object,
  })),
);
export type StripeEvent = z.infer<typeof Events>[number];

/** A purchase at the double: its page is open, and nothing is paid. */
export async function aPurchase(userId: string, pack: Pack = PACK) {
  const buyer = { userId, email: "buyer@example.com" };
  const url = await startCheckout(env, GATEWAY, buyer, pack, "https://hub.test/account/credits", Date.now());
  const [purchase] = await listPurchases(env.DB, userId);
  expect(url).toBe(`${double.origin}/pay/${purchase?.sessionId}`);
  return { id: purchase?.id ?? "", sessionId: purchase?.sessionId ?? "", userId };
}

/** The buyer's click on the payment page. @returns the status, and where the page leads */
export async function atPaymentPage(sessionId: string, outcome: "pay" | "later" | "decline") {
  const body = new URLSearchParams({ outcome });
  const answer = await fetch(`${double.origin}/pay/${sessionId}`, {
    method: "POST",
    body,
    redirect: "manual",
  });
  await answer.body?.cancel();
  return { status: answer.status, location: answer.headers.get("Location") };
}

/** A refund of that amount (null: of all), or a dispute, at the double. */
export async function giveBack(id: string, action: "refund" | "dispute", amount: number | null = null) {
  const paid = (await eventsOf(id)).find(({ type }) => type === "checkout.session.completed");
  const intent = z.string().parse(paid?.data["payment_intent"]);
  const headers = { Authorization: `Bearer ${double.secretKey}`, "Stripe-Version": "2026-10-28.endive" };
  const found = await fetch(`${double.origin}/v1/payment_intents/${intent}`, { headers });
  const { latest_charge } = z.object({ latest_charge: z.string() }).parse(await found.json());
  const body = new URLSearchParams(amount === null ? {} : { amount: String(amount) });
  const url = `${double.origin}/receipts/${latest_charge}/${action}`;
  await (await fetch(url, { method: "POST", body, redirect: "manual" })).body?.cancel();
}

/** The events of a purchase that the double has signed, oldest first. */
export async function eventsOf(purchaseId: string): Promise<StripeEvent[]> {
  const answer = await fetch(`${double.origin}/_events?purchase=${purchaseId}`);
  return Events.parse(await answer.json());
}

/** Sends a body to the webhook as Stripe does. */
export function deliver(
  { body, signature }: { body: string; signature: string },
  settings: Record<string, unknown> = STRIPE,
): Promise<Answer> {
  const headers = { "Content-Type": "application/json", "Stripe-Signature": signature };
  return call("POST", "/api/stripe/webhook", { body, headers, settings });
}

/** An event of our own making, signed at that time. */
export async function signed(type: string, object: unknown, at = Date.now(), secret = double.webhookSecret) {
  const event = {
    id: "evt_1",
    object: "event",
    api_version: "2026-10-28.endive",
    created: 0,
    type,
    data: { object },
  };
  return await signedBody(JSON.stringify(event), at, secret);
}

export async function signedBody(body: string, at = Date.now(), secret = double.webhookSecret) {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
  const t = Math.floor(at / 1000);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(`${t}.${body}`)));
  const hex = [...mac].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return { body, signature: `t=${t},v1=${hex}` };
}
