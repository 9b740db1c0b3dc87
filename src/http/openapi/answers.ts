import * as z from "zod";
import { models } from "../../catalogue/models.ts";
import { operatorStates } from "../../dispatch/gate.ts";
import { STATUS } from "../errors.ts";

/**
 * What the API answers, as schemas: for the OpenAPI document, and for the tests, which hold every answer against them.
 * They are strict, so that no member goes undocumented; the document leaves room for members to come.
 */

const ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}";
const idOf = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_${ULID}$`));
const time = z.iso.datetime({ precision: 3 });
const count = z.int().min(0);
const [model] = models;

const balance = {
  credits: count,
  account_type: z.enum(["FREE", "PRO"]),
  next_expiration: time
    .nullable()
    .meta({ description: "When the soonest-expiring credits that are left expire." }),
};

export const CreditBalance = z.strictObject({ object: z.literal("credit_balance"), ...balance });

export const Model = z.strictObject({
  id: z.string(),
  aliases: z.array(z.string()).meta({ description: "Other ids that requests may name it by." }),
  object: z.literal("model"),
  name: z.string(),
  provider: z.string(),
  provider_model: z.string(),
  owned_by: z.string(),
  created: z.int().meta({ description: "Seconds since 1970." }),
  default_aspect_ratio: z.string(),
  default_quality: z.string(),
  supported_qualities: z.array(z.string()),
  supported_aspect_ratios: z.array(z.string()),
  supported_render_qualities: z.array(z.string()),
  credits: z.record(z.string(), z.int()).meta({ description: "The price of one image, by resolution." }),
  reference_image_limit: z.int(),
  max_images: z.int(),
});

export const ModelList = listOf(Model);

const image = z.strictObject({
  id: idOf("img"),
  object: z.literal("image"),
  url: z.url().meta({ description: "Stable, and open to whoever has it." }),
  created_at: time,
  width: z.int().min(1),
  height: z.int().min(1),
  content_type: z.enum(["image/png", "image/jpeg", "image/webp"]),
  bytes: z.int().min(1),
});

const failureCode = z.enum(["generationFailed", "contentPolicyViolation", "unreadableReference"]);

export const Generation = z.strictObject({
  object: z.literal("image_generation"),
  id: idOf("gen"),
  status: z.enum(["queued", "processing", "succeeded", "failed", "canceled"]),
  model: z.string(),
  aspect_ratio: z.string(),
  quality: z.enum(model?.supported_qualities ?? []).meta({ description: "The resolution that was priced." }),
  created_at: time,
  completed_at: time.optional(),
  images: z.array(image),
  usage: z.strictObject({
    credits: count.meta({ description: "0 until it ends; then what was charged less what was refunded." }),
    credits_requested: count,
    credits_charged: count,
    credits_refunded: count,
  }),
  error: z.strictObject({ message: z.string(), code: failureCode }).optional(),
  estimated_wait_seconds: z
    .int()
    .min(0)
    .nullable()
    .optional()
    .meta({ description: "While `queued`: when its turn comes, about; null when that is unknown." }),
  poll_url: z.url().optional().meta({ description: "Where to look again: there while it has not ended." }),
});

export const GenerationWithBalance = Generation.extend({ balance: z.strictObject(balance) });

const page = { has_more: z.boolean(), next_cursor: z.string().nullable() };

function listOf<Item extends z.ZodType>(item: Item) {
  return z.strictObject({ object: z.literal("list"), data: z.array(item) });
}

export const GenerationPage = listOf(Generation).extend(page);

export const NativeError = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    code: z.enum(Object.keys(STATUS)),
    param: z.string().nullable().meta({ description: "The field to blame, if one is." }),
    request_id: idOf("req"),
    required: z.int().optional(),
    available: z.int().optional(),
    generation_id: idOf("gen").optional(),
  }),
});

export const User = z.strictObject({
  object: z.literal("user"),
  id: idOf("user"),
  email: z.string(),
  name: z.string().nullable(),
  account_type: z.enum(["FREE", "PRO"]),
  created_at: time,
});

export const UserList = listOf(User);

export const ApiKey = z.strictObject({
  object: z.literal("api_key"),
  id: idOf("key"),
  name: z.string(),
  display: z.string(),
  created_at: time,
  expires_at: time.nullable(),
  revoked_at: time.nullable(),
});

export const ApiKeyList = listOf(ApiKey).extend(page);

export const IssuedApiKey = ApiKey.extend({
  api_key: z.string().meta({ description: "The key itself: never shown again." }),
});

const CreditGrant = z.strictObject({
  object: z.literal("credit_grant"),
  id: z.string(),
  credits: z.int().min(1),
  remaining: count,
  expires_at: time.nullable(),
  reason: z.string().nullable(),
  created_at: time,
});

export const Granted = z.strictObject({ grant: CreditGrant, balance: CreditBalance });

const CreditEntry = z.strictObject({
  object: z.literal("credit_entry"),
  id: z.string(),
  kind: z.enum(["grant", "charge", "refund", "expiry"]),
  credits: z.int().meta({ description: "Signed." }),
  balance_after: count,
  generation_id: idOf("gen").nullable(),
  grant_id: z.string(),
  created_at: time,
});

export const Statement = z.strictObject({
  balance: CreditBalance,
  grants: z.array(CreditGrant),
  entries: listOf(CreditEntry).extend(page),
});

export const Provider = z.strictObject({
  object: z.literal("provider"),
  name: z.string(),
  state: z
    .enum(["open", "closed"])
    .meta({ description: "Of the circuit breaker: `open` lets no call through but probes." }),
  operator: z
    .enum(operatorStates)
    .meta({ description: "Set by the operator; `auto` leaves it to the breaker." }),
  limit_per_minute: z
    .number()
    .nullable()
    .meta({ description: "Images a minute that are let through; null: no limit." }),
  limit_concurrent: z.int().nullable().meta({ description: "Calls at the same time; null: no limit." }),
  learned_per_minute: z
    .number()
    .nullable()
    .meta({ description: "The limit learned from the provider's answers." }),
  learned_concurrent: z.int().nullable(),
  in_flight: z
    .int()
    .nullable()
    .meta({ description: "Calls under way; null while their number is not limited." }),
  waiting: count.meta({ description: "Generations that wait for their turn." }),
  images_last_minute: count,
  consecutive_failures: count,
  next_probe_at: time.nullable(),
  last_failure: z.strictObject({ reason: z.string(), at: time }).nullable(),
});

export const ProviderList = listOf(Provider);

export const Reconciliation = z.strictObject({
  object: z.literal("reconciliation"),
  checked: z.strictObject({ accounts: count, generations: count, images: count }),
  differences: z.array(z.looseObject({ kind: z.string(), user_id: z.string() })),
  repaired: count,
  ...page,
});

export const Health = z.strictObject({
  status: z.enum(["ok", "failing"]),
  checks: z.record(z.string(), z.enum(["ok", "failing"])),
});

const usage = z.strictObject({
  input_tokens: z.literal(0),
  output_tokens: z.literal(0),
  total_tokens: z.literal(0),
  input_tokens_details: z.strictObject({ text_tokens: z.literal(0), image_tokens: z.literal(0) }),
  credits: count.meta({ description: "What it cost. This service counts no tokens." }),
});

const shown = {
  size: z.string(),
  background: z.literal("opaque"),
  output_format: z.enum(["png", "jpeg", "webp"]),
  usage,
};

export const OpenAIModel = z.strictObject({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
});

export const OpenAIModelList = listOf(OpenAIModel);

export const OpenAIImages = z.strictObject({
  created: z.int(),
  data: z.array(
    z.union([z.strictObject({ b64_json: z.base64() }), z.strictObject({ url: z.url() })]).meta({
      description: "`url` where `response_format` asks for it, else `b64_json`.",
    }),
  ),
  quality: z.enum(["low", "medium", "high"]).optional(),
  ...shown,
});

/** The data of one server-sent event. */
export const OpenAIImageEvent = z.strictObject({
  type: z.enum(["image_generation.completed", "image_edit.completed"]),
  b64_json: z.base64().optional(),
  url: z.url().optional().meta({ description: 'In place of `b64_json` with `response_format: "url"`.' }),
  created_at: z.int(),
  quality: z.enum(["auto", "low", "medium", "high"]),
  ...shown,
});

export const OpenAIErrorBody = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});
