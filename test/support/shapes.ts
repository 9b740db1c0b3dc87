import { expect } from "vitest";
import * as z from "zod";
import type { Answer } from "./http.ts";

/** The documented shapes of the API, strict: a missing field and an undocumented one both fail a test. */

function receipt<Credits extends z.ZodType>(credits: Credits) {
  return z.strictObject({
    credits,
    credits_requested: z.int().min(1),
    credits_charged: z.int().min(1),
    credits_refunded: z.int().min(0),
  });
}

const ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}";
const idOf = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_${ULID}$`));
const time = z.iso.datetime({ precision: 3 });
const accountType = z.enum(["FREE", "PRO"]);
const balance = { credits: z.int().min(0), account_type: accountType, next_expiration: time.nullable() };

export const CreditBalance = z.strictObject({ object: z.literal("credit_balance"), ...balance });

const generation = {
  object: z.literal("image_generation"),
  id: idOf("gen"),
  livemode: z.literal(true),
  model: z.literal("gpt-image-2"),
  aspect_ratio: z.string(),
  quality: z.enum(["1K", "2K", "4K"]),
  created_at: time,
  usage: receipt(z.int().min(0)),
};

const image = z.strictObject({
  id: idOf("img"),
  object: z.literal("image"),
  url: z.url(),
  created_at: time,
  width: z.int().min(1),
  height: z.int().min(1),
  content_type: z.enum(["image/png", "image/jpeg", "image/webp"]),
  bytes: z.int().min(1),
});

const succeeded = {
  ...generation,
  status: z.literal("succeeded"),
  completed_at: time,
  images: z.array(image).min(1),
};

/** The response of a call that waited for its images. */
export const Generated = z.strictObject({ ...succeeded, balance: z.strictObject(balance) });

/** A succeeded generation, read later. */
export const Succeeded = z.strictObject(succeeded);

export const Pending = z.strictObject({
  ...generation,
  status: z.enum(["queued", "processing"]),
  images: z.tuple([]),
  usage: receipt(z.literal(0)),
  estimated_wait_seconds: z.int().min(0).nullable().optional(),
  poll_url: z.url(),
});

export const Failed = z.strictObject({
  ...generation,
  status: z.literal("failed"),
  completed_at: time,
  images: z.tuple([]),
  usage: receipt(z.literal(0)),
  error: z.strictObject({
    message: z.string().min(1),
    code: z.enum(["generationFailed", "contentPolicyViolation", "unreadableReference"]),
  }),
});

export const Canceled = z.strictObject({
  ...generation,
  status: z.literal("canceled"),
  completed_at: time,
  images: z.tuple([]),
  usage: receipt(z.literal(0)),
});

export const User = z.strictObject({
  object: z.literal("user"),
  id: idOf("user"),
  email: z.email(),
  name: z.string().nullable(),
  account_type: accountType,
  created_at: time,
  suspended_at: time.nullable(),
});

export const ListedKey = z.strictObject({
  object: z.literal("api_key"),
  id: idOf("key"),
  name: z.string(),
  mode: z.literal("live"),
  display: z.string().regex(/^gih_live_[0-9A-Za-z]{4}$/),
  scopes: z.array(z.enum(["generate", "read"])),
  models: z.array(z.string()).nullable(),
  credit_limit: z.strictObject({ credits: z.int(), period: z.enum(["day", "month", "total"]) }).nullable(),
  created_at: time,
  expires_at: time.nullable(),
  revoked_at: time.nullable(),
});

export const IssuedKey = ListedKey.extend({ api_key: z.string().regex(/^gih_live_[0-9A-Za-z]{32}$/) });

const Grant = z.strictObject({
  object: z.literal("credit_grant"),
  id: z.string(),
  credits: z.int().min(1),
  remaining: z.int().min(0),
  expires_at: time.nullable(),
  reason: z.string().nullable(),
  created_at: time,
});

export const Granted = z.strictObject({ grant: Grant, balance: CreditBalance });

const Entry = z.strictObject({
  object: z.literal("credit_entry"),
  id: z.string(),
  kind: z.enum(["grant", "charge", "refund", "expiry", "reversal"]),
  credits: z.int(),
  balance_after: z.int().min(0),
  generation_id: idOf("gen").nullable(),
  grant_id: z.string(),
  created_at: time,
});

function pageOf<T extends z.ZodType>(item: T) {
  return listOf(item).extend({ has_more: z.boolean(), next_cursor: z.string().nullable() });
}

export const GrantPage = pageOf(Grant);

export const EntryPage = pageOf(Entry);

export const Statement = z.strictObject({
  balance: CreditBalance,
  grants: z.array(Grant),
  entries: EntryPage,
});

export function listOf<T extends z.ZodType>(item: T) {
  return z.strictObject({ object: z.literal("list"), data: z.array(item) });
}

const Refusal = z.strictObject({
  error: z.strictObject({
    message: z.string().min(1),
    code: z.string(),
    param: z.string().nullable(),
    request_id: idOf("req"),
    required: z.int().optional(),
    available: z.int().optional(),
    resets_at: time.nullable().optional(),
    generation_id: idOf("gen").optional(),
    status: z.string().optional(),
  }),
});

/**
 * The error of a response, with its HTTP status and without its request id, which must equal the header's. The status of
 * a generation that cannot be canceled is its `generationStatus`.
 */
export function refusal(answer: Answer) {
  const { request_id, status: generationStatus, ...error } = Refusal.parse(answer.body).error;
  expect(answer.headers.get("X-Request-Id")).toBe(request_id);
  return {
    status: answer.status,
    ...error,
    ...(generationStatus === undefined ? {} : { generationStatus }),
  };
}

/** A 400 `invalid_request` for this field with this message. */
export function invalid(param: string | null, message: string | RegExp = "") {
  return { status: 400, code: "invalid_request", param, message: expect.stringMatching(message) };
}
