import type { Pack } from "./packs.ts";
import { openPurchase, setSession } from "./purchases.ts";
import type { StripeSettings } from "./settings.ts";

/**
 * Begins a purchase. Its row is written before anyone can pay. If a later step fails, the payment page is not shown, so
 * the row stays open and nothing is paid.
 * @param creditsPage the page to which the buyer returns; the purchase's id is added as `purchase`
 * @param now milliseconds since 1970
 * @returns the payment page
 * @throws when D1 or Stripe fails
 */
export async function startCheckout(
  env: Env,
  settings: StripeSettings,
  buyer: { userId: string; email: string },
  pack: Pack,
  creditsPage: string,
  now: number,
): Promise<string> {
  const purchase = await openPurchase(env.DB, buyer.userId, pack, now);
  const { StripeGateway } = await import("./stripe.ts");
  const returnUrl = `${creditsPage}?purchase=${purchase.id}`;
  const { sessionId, url } = await new StripeGateway(settings).openCheckout(purchase, buyer.email, returnUrl);
  await setSession(env.DB, purchase.id, sessionId);
  return url;
}
