import { expect, it } from "vitest";
import { checkoutOrigin, packsOnSale, stripeSettings } from "../../src/billing/settings.ts";
import { readConfig } from "../../src/config.ts";

const SECRETS = { STRIPE_SECRET_KEY: "sk_test_1", STRIPE_WEBHOOK_SECRET: "whsec_1" };
const DOUBLE = { STRIPE_BASE_URL: "http://127.0.0.1:4242" };
const settingsOf = (env: Record<string, string>) => stripeSettings(readConfig(env));

it.each([
  ["http://127.0.0.1:8787", "http://127.0.0.1:4242"],
  ["https://hub.test", "http://127.0.0.1:4242"],
  ["https://hub.example.com", null],
])("with PUBLIC_BASE_URL %s, Stripe is at %s (null: its own)", (PUBLIC_BASE_URL, baseUrl) => {
  const settings = settingsOf({ ...SECRETS, ...DOUBLE, PUBLIC_BASE_URL });
  expect(settings?.baseUrl).toBe(baseUrl);
  expect(settings && checkoutOrigin(settings)).toBe(baseUrl ?? "https://checkout.stripe.com");
});

it.each([
  ["sk_test_1", true],
  ["rk_test_1", true],
  ["sk_live_1", false],
  ["rk_live_1", false],
])("a key %s is of the test mode: %s", (STRIPE_SECRET_KEY, isTest) => {
  expect(settingsOf({ ...SECRETS, STRIPE_SECRET_KEY })?.isTest).toBe(isTest);
});

it("sells nothing in production without secrets, whatever the base URL is", () => {
  const config = readConfig({ ...DOUBLE, PUBLIC_BASE_URL: "https://hub.example.com" });
  expect([stripeSettings(config), packsOnSale(config)]).toEqual([null, []]);
});
