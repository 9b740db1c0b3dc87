import type { Config } from "../config.ts";
import { isDevelopment } from "../origin.ts";
import { PACKS, type Pack } from "./packs.ts";

/** How to reach Stripe. */
export type StripeSettings = {
  secretKey: string;
  webhookSecret: string;
  /** Another server with Stripe's wire format, in development only; null: Stripe itself. */
  baseUrl: string | null;
  /** Whether payments move no money: a key of Stripe's test mode. */
  isTest: boolean;
};

/** Null where this deployment sells no credits: both secrets are needed. */
export function stripeSettings(config: Config): StripeSettings | null {
  const { STRIPE_SECRET_KEY: secretKey, STRIPE_WEBHOOK_SECRET: webhookSecret, STRIPE_BASE_URL } = config;
  if (secretKey === undefined || webhookSecret === undefined) return null;
  const baseUrl = isDevelopment(config) ? (STRIPE_BASE_URL ?? null) : null;
  return { secretKey, webhookSecret, baseUrl, isTest: !/^[a-z]+_live_/.test(secretKey) };
}

/** The packs that this deployment sells. */
export function packsOnSale(config: Config): readonly Pack[] {
  return stripeSettings(config) === null ? [] : PACKS;
}

/** Where a purchase is paid: the target of the form that begins it. */
export function checkoutOrigin({ baseUrl }: StripeSettings): string {
  return baseUrl === null ? "https://checkout.stripe.com" : new URL(baseUrl).origin;
}
