import { type Context, Hono } from "hono";
import * as z from "zod";
import type { WebhookSecrets } from "../../account/store/webhooks.ts";
import type { Delivery } from "../../account/webhooks.ts";
import { findGeneration } from "../../generations/read.ts";
import { isGenerationId } from "../../id.ts";
import { callerOf } from "../authenticate.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, notFound } from "../errors.ts";
import { isoTime, isoTimeOrNull, listOf, named, time } from "../fields.ts";

const WebhookSecret = named("WebhookSecret", () =>
  z.strictObject({
    object: z.literal("webhook_secret"),
    secret: z
      .string()
      .regex(/^whsec_[A-Za-z0-9+/]+=*$/)
      .meta({
        description: "Verifies the signatures of webhooks, as Standard Webhooks describes.",
      }),
    previous_secret_expires_at: time.nullable().meta({
      description: "Until then, the secret before this one signs, too. Null when there is none.",
    }),
  }),
);

const WebhookDelivery = named("WebhookDelivery", () =>
  z.strictObject({
    object: z.literal("webhook_delivery"),
    webhook_id: z
      .string()
      .meta({ description: "The same for every attempt: ignore one that you have seen." }),
    type: z.enum(["generation.succeeded", "generation.failed", "generation.canceled"]),
    attempt: z.int().min(1),
    sent_at: time,
    response_status: z.int().nullable().meta({ description: "Null when no answer came." }),
    error: z
      .enum(["timeout", "connection_failed"])
      .nullable()
      .meta({ description: "Why no answer came: nothing within 15 seconds, or no connection." }),
    next_attempt_at: time.nullable().meta({ description: "Null when no attempt follows this one." }),
  }),
);

export const WebhookDeliveries = named("WebhookDeliveries", () => listOf(WebhookDelivery));

const SECRET_EXAMPLE = {
  object: "webhook_secret",
  secret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
  previous_secret_expires_at: null,
} as const;

const DELIVERIES_EXAMPLE: z.input<typeof WebhookDeliveries> = {
  object: "list",
  data: [
    {
      object: "webhook_delivery",
      webhook_id: "msg_01KQGQ3RWJ8Z4V5C0T2N6M9BDE",
      type: "generation.succeeded",
      attempt: 1,
      sent_at: "2026-04-30T08:00:41.250Z",
      response_status: 500,
      error: null,
      next_attempt_at: "2026-04-30T08:00:46.402Z",
    },
  ],
};

export const webhooks = new Hono<AppEnv>();

webhooks.get(
  "/webhooks/secret",
  contract({
    id: "getWebhookSecret",
    summary: "Retrieve the webhook secret",
    tag: "webhooks",
    security: "apiKey",
    answers: { 200: json("The secret. The first request creates it.", WebhookSecret, SECRET_EXAMPLE) },
  }),
  async (c) => {
    const { userId, livemode } = callerOf(c);
    const account = c.env.ACCOUNT.getByName(userId);
    return c.json(renderSecret(await account.webhookSecrets(livemode)));
  },
);

webhooks.post(
  "/webhooks/secret/rotate",
  contract({
    id: "rotateWebhookSecret",
    summary: "Rotate the webhook secret",
    description:
      "Creates a new secret. For 24 hours webhooks have two signatures, the one of the new secret first. A second rotation within that time ends the oldest secret.",
    tag: "webhooks",
    security: "apiKey",
    answers: {
      200: json("The new secret.", WebhookSecret, {
        ...SECRET_EXAMPLE,
        previous_secret_expires_at: "2026-05-01T08:00:00.000Z",
      }),
    },
  }),
  async (c) => {
    const { userId, livemode } = callerOf(c);
    const account = c.env.ACCOUNT.getByName(userId);
    return c.json(renderSecret(await account.rotateWebhookSecret(livemode)));
  },
);

webhooks.get(
  "/generations/:id/deliveries",
  contract({
    id: "listWebhookDeliveries",
    summary: "List webhook deliveries, newest first",
    description:
      "The latest 50 attempts to deliver the webhook of a generation. They are kept until a day after the last one.",
    tag: "webhooks",
    security: "apiKey",
    answers: { 200: json("The attempts so far.", WebhookDeliveries, DELIVERIES_EXAMPLE) },
  }),
  async (c) => {
    const { account, id, livemode } = addressed(c);
    const deliveries = await account.deliveries(id, livemode);
    if (deliveries === null) await mustFind(c, id);
    return c.json(renderDeliveries(deliveries ?? []));
  },
);

webhooks.post(
  "/generations/:id/deliveries",
  contract({
    id: "resendWebhook",
    summary: "Send a webhook again",
    description:
      "Sends the webhook of an ended generation now. If that fails, the schedule of retries begins anew.",
    tag: "webhooks",
    security: "apiKey",
    answers: { 202: json("The attempts before this one.", WebhookDeliveries, DELIVERIES_EXAMPLE) },
    errors: [409],
  }),
  async (c) => {
    const { account, id, livemode } = addressed(c);
    const deliveries = await account.resendWebhook(id, livemode);
    if (deliveries === null) {
      await mustFind(c, id);
      const message = "This generation has not ended, or has no webhook that can be sent.";
      throw new ApiError("conflict", message);
    }
    return c.json(renderDeliveries(deliveries), 202);
  },
);

/** The caller's account and mode, and the generation's id. @throws {ApiError} 404 for a malformed id */
function addressed(c: Context<AppEnv, "/generations/:id/deliveries">) {
  const id = c.req.param("id");
  if (!isGenerationId(id)) throw notFound();
  c.set("generationId", id);
  const { userId, livemode } = callerOf(c);
  return { account: c.env.ACCOUNT.getByName(userId), id, livemode };
}

/** @throws {ApiError} 404 when the caller has no such generation */
async function mustFind(c: Context<AppEnv>, id: string): Promise<void> {
  const { userId, livemode } = callerOf(c);
  if ((await findGeneration(userId, id, livemode, Date.now(), c.env)) === null) throw notFound();
}

function renderSecret({ secret, previous }: WebhookSecrets) {
  return {
    object: "webhook_secret",
    secret,
    previous_secret_expires_at: isoTimeOrNull(previous?.expiresAt ?? null),
  };
}

export function renderDeliveries(deliveries: readonly Delivery[]) {
  const data = deliveries.map((delivery) => ({
    object: "webhook_delivery",
    webhook_id: delivery.webhookId,
    type: delivery.type,
    attempt: delivery.attempt,
    sent_at: isoTime(delivery.sentAt),
    response_status: delivery.status,
    error: delivery.error,
    next_attempt_at: isoTimeOrNull(delivery.nextAttemptAt),
  }));
  return { object: "list", data };
}
