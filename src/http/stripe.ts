import * as z from "zod";
import { factOf } from "../billing/events.ts";
import { stripeSettings } from "../billing/settings.ts";
import { applyFact } from "../billing/settle.ts";
import { readConfig } from "../config.ts";
import { countIncident } from "../incidents.ts";
import { readBodyText, type TextLimits } from "../text.ts";
import { createApp } from "./app.ts";
import { contract, json } from "./contract.ts";
import { ApiError, invalidRequest, notFound } from "./errors.ts";
import { named } from "./fields.ts";

const LIMITS: TextLimits = { bytesMax: 256 * 1024, stallMsMax: 10_000, durationMsMax: 20_000 };

const EventReceived = named("EventReceived", () => z.strictObject({ received: z.literal(true) }));

/** The webhook that Stripe calls. */
export const stripe = createApp();

stripe.post(
  "/api/stripe/webhook",
  contract({
    id: "receiveStripeEvent",
    summary: "Receive an event of Stripe",
    description:
      "For Stripe only: the header `Stripe-Signature` signs the body. Events may come twice and in any order. " +
      "Without Stripe's secrets this address is a 404.",
    tag: "operator",
    security: null,
    answers: {
      200: json("The event was applied, or tells nothing of a purchase.", EventReceived, { received: true }),
    },
    errors: [400, 404, 413, 503],
  }),
  async (c) => {
    const settings = stripeSettings(readConfig(c.env));
    if (settings === null) throw notFound();
    const body = await readBodyText(c.req.raw, LIMITS);
    if (body.kind === "too_large") throw new ApiError("payloadTooLarge", "An event has at most 256 KiB.");
    if (body.kind !== "text") throw invalidRequest("The event could not be read.");
    // Loaded on first use: it is large, and no other route needs it.
    const { StripeGateway } = await import("../billing/stripe.ts");
    const gateway = new StripeGateway(settings);
    const signature = c.req.header("Stripe-Signature") ?? "";
    const event = await gateway.readEvent(body.text, signature, Date.now());
    if (event === null) {
      await recordRefused(c.env);
      throw invalidRequest("Stripe-Signature is invalid or older than five minutes.", "Stripe-Signature");
    }
    const fact = readFact(event);
    if (fact !== null) await applyFact(c.env, gateway, fact, Date.now());
    return c.json({ received: true });
  },
);

/** The route is public, so an isolate counts at most one refusal in this time. */
const NOTED_EVERY_MS = 10_000;
let notedAt = 0;

async function recordRefused(env: Env): Promise<void> {
  const now = Date.now();
  if (now - notedAt < NOTED_EVERY_MS) return;
  notedAt = now;
  await countIncident(env, "stripe_refused", now);
}

/** @throws {ApiError} 400 when the event has not the shape of its type */
function readFact(event: { type: string }) {
  try {
    return factOf(event);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    const [issue] = error.issues;
    throw invalidRequest("The event has another form than its type says.", issue?.path.join(".") ?? null);
  }
}
