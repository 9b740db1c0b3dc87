import Stripe from "stripe";
import type { Purchase } from "./purchases.ts";
import type { StripeSettings } from "./settings.ts";

/** The version of Stripe's API that this code speaks. The webhook endpoint must have the same. */
const API_VERSION = "2026-10-28.endive";
/** How old, and how far ahead, the timestamp of a signature may be. The library checks only the age. */
const TOLERANCE_SECONDS = 300;
const CALL_MS_MAX = 10_000;
const RETRIES_MAX = 2;

/** A call of Stripe failed. The message has no text of Stripe's. */
class StripeCallError extends Error {
  override readonly name = "StripeCallError";
}

/** Stripe over the official library, which is large: import this file dynamically, where it is used. */
export class StripeGateway {
  readonly #stripe: Stripe;
  readonly #webhookSecret: string;

  constructor({ secretKey, webhookSecret, baseUrl }: StripeSettings) {
    this.#webhookSecret = webhookSecret;
    this.#stripe = new Stripe(secretKey, {
      apiVersion: API_VERSION,
      httpClient: Stripe.createFetchHttpClient(),
      maxNetworkRetries: RETRIES_MAX,
      timeout: CALL_MS_MAX,
      telemetry: false,
      ...(baseUrl === null ? {} : addressOf(baseUrl)),
    });
  }

  /**
   * Opens the payment page of a purchase. The purchase's id is the idempotency key, so a repeated call opens one page.
   * @param returnUrl the page to which the buyer returns, paid or not
   * @throws {StripeCallError}
   */
  async openCheckout(
    { id, packName, credits, amount, currency }: Purchase,
    email: string,
    returnUrl: string,
  ): Promise<{ sessionId: string; url: string }> {
    const session = await this.#call(() =>
      this.#stripe.checkout.sessions.create(
        {
          mode: "payment",
          client_reference_id: id,
          customer_email: email,
          line_items: [
            {
              quantity: 1,
              price_data: {
                currency,
                unit_amount: amount,
                product_data: { name: `${packName}: ${credits} credits` },
              },
            },
          ],
          // The amount is compared with the pack's, so it stays in the pack's currency.
          adaptive_pricing: { enabled: false },
          success_url: returnUrl,
          cancel_url: `${returnUrl}&canceled=1`,
          metadata: { purchase: id },
          payment_intent_data: { metadata: { purchase: id } },
        },
        { idempotencyKey: id },
      ),
    );
    if (session.url === null) throw new StripeCallError("Stripe opened a session without a page");
    return { sessionId: session.id, url: session.url };
  }

  /** The session that a payment belongs to, or null when it belongs to none. @throws {StripeCallError} */
  async sessionOfPayment(paymentIntent: string): Promise<string | null> {
    const { data } = await this.#call(() =>
      this.#stripe.checkout.sessions.list({ payment_intent: paymentIntent, limit: 1 }),
    );
    return data[0]?.id ?? null;
  }

  /** Stripe's page with the receipt of a payment, or null when it has none. @throws {StripeCallError} */
  async receiptUrl(paymentIntent: string): Promise<string | null> {
    const { latest_charge: charge } = await this.#call(() =>
      this.#stripe.paymentIntents.retrieve(paymentIntent, { expand: ["latest_charge"] }),
    );
    return charge === null || typeof charge === "string" ? null : charge.receipt_url;
  }

  /**
   * The event in a webhook's body; null when the signature is not Stripe's, or its time is not recent.
   * @param body exactly as it was received
   * @param signature the header `Stripe-Signature`
   * @param now milliseconds since 1970
   */
  async readEvent(body: string, signature: string, now: number): Promise<{ type: string } | null> {
    const [, timestamp] = /(?:^|,)\s*t=(\d{1,12})(?:,|$)/.exec(signature) ?? [];
    if (Number(timestamp ?? Number.NaN) - now / 1000 > TOLERANCE_SECONDS) return null;
    const provider = Stripe.createSubtleCryptoProvider();
    try {
      return await this.#stripe.webhooks.constructEventAsync(
        ...[body, signature, this.#webhookSecret, TOLERANCE_SECONDS, provider, now],
      );
    } catch {
      return null;
    }
  }

  async #call<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const { StripeError } = Stripe.errors;
      const what = error instanceof StripeError ? `${error.type} ${error.statusCode ?? ""}` : "no answer";
      throw new StripeCallError(`Stripe: ${what.trim()}`);
    }
  }
}

function addressOf(baseUrl: string) {
  const { protocol, hostname, port } = new URL(baseUrl);
  const scheme = protocol === "http:" ? ("http" as const) : ("https" as const);
  return { host: hostname, protocol: scheme, ...(port === "" ? {} : { port }) };
}
