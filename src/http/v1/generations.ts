import { type Context, Hono } from "hono";
import * as z from "zod";
import type { GenerationStatus } from "../../account/lifecycle.ts";
import type { DeleteOutcome } from "../../account/outcomes.ts";
import { estimatedWaitSeconds, renderGeneration, type WaitingRecord } from "../../account/render.ts";
import type { GenerationRecord } from "../../account/views.ts";
import { findModel, models } from "../../catalogue/models.ts";
import { type Config, readConfig } from "../../config.ts";
import { cancelGeneration } from "../../generations/cancel.ts";
import { deleteGeneration } from "../../generations/delete.ts";
import { metadata } from "../../generations/input.ts";
import { findByIdempotencyKey, findGeneration, listGenerations } from "../../generations/read.ts";
import { awaitInAccount } from "../../generations/wait.ts";
import { isGenerationId } from "../../id.ts";
import { callerOf } from "../authenticate.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, notFound } from "../errors.ts";
import {
  CURSOR_DESCRIPTION,
  count,
  idOf,
  limitMeta,
  listOf,
  livemodeField,
  named,
  page,
  time,
  timestamp,
} from "../fields.ts";
import { readPreferences, setPreferenceApplied } from "../prefer.ts";

export const STATUSES = ["queued", "processing", "succeeded", "failed", "canceled"] as const;
const tiers = models.flatMap((model) => model.supported_qualities);

export const Generation = named("Generation", () => {
  const image = z.strictObject({
    id: idOf("img"),
    object: z.literal("image"),
    url: z.url().meta({ description: "Valid until the generation is deleted. Needs no API key." }),
    created_at: time,
    width: z.int().min(1),
    height: z.int().min(1),
    content_type: z.enum(["image/png", "image/jpeg", "image/webp"]),
    bytes: z.int().min(1),
  });
  const usage = z.strictObject({
    credits: count.meta({ description: "0 until the generation ends; then the charge less the refund." }),
    credits_requested: count.meta({ description: "The price. A test key is not charged for it." }),
    credits_charged: count,
    credits_refunded: count,
  });
  const failureCode = z.enum(["generationFailed", "contentPolicyViolation", "unreadableReference"]);
  return z.strictObject({
    object: z.literal("image_generation"),
    id: idOf("gen"),
    livemode: livemodeField,
    status: z.enum(STATUSES),
    model: z.string(),
    aspect_ratio: z.string(),
    quality: z.enum(tiers).meta({ description: "The resolution that was priced." }),
    created_at: time,
    completed_at: time.optional(),
    images: z.array(image),
    usage,
    metadata: z
      .record(z.string(), z.string())
      .optional()
      .meta({ description: "The `metadata` of the request, if it had any." }),
    error: z.strictObject({ message: z.string(), code: failureCode }).optional(),
    estimated_wait_seconds: z.int().min(0).nullable().optional().meta({
      description:
        "While `queued`: the approximate time until the provider is called. Null when it is unknown.",
    }),
    poll_url: z
      .url()
      .optional()
      .meta({ description: "Where to read the generation again. Present until it ends." }),
  });
});

export const GenerationPage = named("GenerationPage", () => listOf(Generation).extend(page));

const ID = "gen_01KQGQ3RWJ8Z4V5C0T2N6M9BDE";

const pending = {
  object: "image_generation",
  id: ID,
  livemode: true,
  model: "gpt-image-2",
  aspect_ratio: "1:1",
  quality: "1K",
  created_at: "2026-04-30T08:00:00.000Z",
  images: [],
  usage: { credits: 0, credits_requested: 8, credits_charged: 8, credits_refunded: 0 },
} as const;

export const SUCCEEDED_EXAMPLE: z.input<typeof Generation> = {
  ...pending,
  status: "succeeded",
  completed_at: "2026-04-30T08:00:41.250Z",
  images: [
    {
      id: "img_01KQGQ50AV3YJ7K1S8W4H6XPRF",
      object: "image",
      url: `https://hub.example.org/images/${ID}/img_01KQGQ50AV3YJ7K1S8W4H6XPRF.png`,
      created_at: "2026-04-30T08:00:41.250Z",
      width: 1024,
      height: 1024,
      content_type: "image/png",
      bytes: 1_234_567,
    },
  ],
  usage: { ...pending.usage, credits: 8 },
};

const CANCELED_EXAMPLE: z.input<typeof Generation> = {
  ...pending,
  status: "canceled",
  completed_at: "2026-04-30T08:00:02.125Z",
  images: [],
  usage: { ...pending.usage, credits_refunded: 8 },
};

export const QUEUED_EXAMPLE: z.input<typeof Generation> = {
  ...pending,
  status: "queued",
  images: [],
  estimated_wait_seconds: null,
  poll_url: `https://hub.example.org/api/v1/generations/${ID}`,
};

/** The longest wait that `Prefer` may ask for. */
const WAIT_SECONDS_MAX = 60;
export const LISTED = 20;
export const LISTED_MAX = 100;

/** A whole number of a query, from 1 on. */
function countOf(name: string, most: number) {
  return z
    .string()
    .refine((text) => /^[1-9]\d{0,8}$/.test(text) && Number(text) <= most, {
      message: `${name} must be a whole number from 1 to ${most}.`,
    })
    .transform(Number);
}

/**
 * The query of GET /api/v1/generations. The cursor is the id of the last generation shown: ids sort by age, so the next
 * page is as quick to find as the first.
 */
const GenerationsQuery = z
  .preprocess(
    gatherMetadata,
    z.strictObject({
      limit: countOf("limit", LISTED_MAX).default(LISTED).meta(limitMeta(LISTED_MAX, LISTED)),
      cursor: z
        .string()
        .refine(isGenerationId, { message: "cursor must be the next_cursor of an earlier answer." })
        .optional()
        .meta({ description: CURSOR_DESCRIPTION }),
      status: z.enum(STATUSES).optional().meta({ description: "Only generations with this status." }),
      model: z.string().optional().meta({ description: "Only generations of this model." }),
      created_after: timestamp.optional().meta({ description: "Only generations created after this time." }),
      created_before: timestamp
        .optional()
        .meta({ description: "Only generations created before this time." }),
      idempotency_key: z
        .string()
        .optional()
        .meta({ description: "Only the generation that was created with this idempotency key." }),
      metadata: metadata.optional().meta({
        description:
          "Only generations with these labels: `metadata[project]=website`. A page looks at up to 1,000 generations, so it may have fewer than `limit`, or none, and `has_more` be true.",
        examples: [{ project: "website" }],
      }),
    }),
  )
  .transform(({ cursor, status, model, created_after, created_before, metadata, ...rest }) => ({
    ...rest,
    ...(metadata === undefined || Object.keys(metadata).length === 0 ? {} : { metadata }),
    cursor: cursor ?? null,
    status: status ?? null,
    model: model === undefined ? null : (findModel(model)?.id ?? model),
    createdAfter: created_after ?? null,
    createdBefore: created_before ?? null,
  }));

/** The parameters of a query, with `metadata[name]=value` as members of `metadata`. */
function gatherMetadata(query: unknown): unknown {
  if (typeof query !== "object" || query === null) return query;
  const named = Object.entries(query).map(([parameter, value]) => {
    return { parameter, value, label: /^metadata\[(.*)\]$/s.exec(parameter)?.[1] };
  });
  const labels = named.flatMap(({ label, value }) => (label === undefined ? [] : [[label, value]]));
  if (labels.length === 0) return query;
  const rest = named.filter(({ label }) => label === undefined);
  return {
    ...Object.fromEntries(rest.map(({ parameter, value }) => [parameter, value])),
    metadata: Object.fromEntries(labels),
  };
}

export const generations = new Hono<AppEnv>();

generations.get(
  "/generations",
  contract({
    id: "listGenerations",
    summary: "List generations, newest first",
    tag: "generations",
    security: "apiKey",
    query: GenerationsQuery,
    answers: {
      200: json("A page of generations.", GenerationPage, {
        object: "list",
        data: [SUCCEEDED_EXAMPLE],
        has_more: true,
        next_cursor: ID,
      }),
    },
  }),
  async (c) => {
    const { idempotency_key: key, limit, cursor, ...query } = c.req.valid("query");
    const config = readConfig(c.env);
    const { userId, livemode } = callerOf(c);
    const filter = { ...query, livemode };
    if (key !== undefined) {
      const record = await findByIdempotencyKey(key, filter, userId, c.env);
      return c.json(renderPage(record ? [record] : [], null, config));
    }
    const { records, next } = await listGenerations(userId, filter, cursor, limit, c.env);
    return c.json(renderPage(records, next, config));
  },
);

/** A page of generations in JSON. */
export function renderPage(records: readonly GenerationRecord[], next: string | null, config: Config) {
  return {
    object: "list",
    data: records.map((record) => renderGeneration(record, config)),
    has_more: next !== null,
    next_cursor: next,
  };
}

generations.get(
  "/generations/:id",
  contract({
    id: "getGeneration",
    summary: "Retrieve a generation",
    description: "Answers at once; with `Prefer: wait=N` when the generation ends, or after N seconds.",
    tag: "generations",
    security: "apiKey",
    headers: ["Prefer"],
    answers: {
      200: json("The generation in its current state.", Generation, SUCCEEDED_EXAMPLE, [
        "Retry-After",
        "Preference-Applied",
      ]),
    },
  }),
  async (c) => {
    const { userId, livemode } = callerOf(c);
    const { waitSeconds } = readPreferences(c, WAIT_SECONDS_MAX);
    const until = Date.now() + (waitSeconds ?? 0) * 1000;
    const found = await findGeneration(userId, c.req.param("id"), livemode, Date.now(), c.env);
    if (!found) throw notFound();
    c.set("generationId", found.id);
    const isOver = found.endedAt !== null;
    const record = isOver ? found : (await awaitInAccount(c.env, userId, found, until)).generation;
    setPreferenceApplied(c, { respondAsync: false, waitSeconds });
    if (record.endedAt === null) c.header("Retry-After", pollAfterSeconds(record, Date.now()));
    return c.json(renderGeneration(record, readConfig(c.env)));
  },
);

generations.post(
  "/generations/:id/cancel",
  contract({
    id: "cancelGeneration",
    summary: "Cancel a queued generation",
    description:
      "Refunds it whole; the provider is never called for it. Canceling it again gives the same answer. A generation that the provider was called for, or that has ended, cannot be canceled.",
    tag: "generations",
    security: "apiKey",
    answers: { 200: json("The canceled generation.", Generation, CANCELED_EXAMPLE) },
    errors: [409],
  }),
  async (c) => c.json(renderGeneration(await cancel(c, c.req.param("id")), readConfig(c.env))),
);

generations.delete(
  "/generations/:id",
  contract({
    id: "deleteGeneration",
    summary: "Delete a generation",
    description:
      "Deletes the images, the prompt, `metadata` and `user` of a generation that has ended. From then on it does not exist: its images and every route answer 404. Its entries in the ledger and the report of usage stay. Its idempotency key is not free again. A webhook that was not delivered is not sent any more. Copies in browsers and in a CDN in front of the images are not deleted.",
    tag: "generations",
    security: "apiKey",
    answers: { 204: { description: "Everything is deleted.", schema: null } },
    errors: [409],
  }),
  async (c) => {
    const { userId, livemode } = callerOf(c);
    const id = c.req.param("id");
    mustDelete(await deleteGeneration(userId, id, livemode, c.env));
    c.set("generationId", id);
    return c.body(null, 204);
  },
);

/** @throws {ApiError} unless everything is deleted */
function mustDelete(outcome: DeleteOutcome): void {
  switch (outcome) {
    case "deleted":
      return;
    case "pending": {
      const message =
        "The generation is deleted, but storage did not answer in time. Repeat the request until it returns 204 or 404.";
      throw new ApiError("serviceUnavailable", message, { headers: { "Retry-After": "5" } });
    }
    case "unfinished":
      throw new ApiError("conflict", "The generation has not ended. Cancel it, or wait for its end.");
    case "unknown":
      throw notFound();
  }
}

/** Cancels a generation of the caller. @throws {ApiError} 409 if it runs or has ended; 404 if there is none */
export async function cancel(c: Context<AppEnv>, id: string): Promise<GenerationRecord> {
  const { userId, livemode } = callerOf(c);
  const outcome = await cancelGeneration(userId, id, livemode, c.env, readConfig(c.env));
  switch (outcome.kind) {
    case "canceled":
      c.set("generationId", outcome.generation.id);
      return outcome.generation;
    case "refused": {
      const { generation } = outcome;
      c.set("generationId", generation.id);
      const extra = { status: generation.status };
      throw new ApiError("notCancelable", refusedCancelMessage(generation.status), { extra });
    }
    case "unknown":
      throw notFound();
  }
}

function refusedCancelMessage(status: GenerationStatus): string {
  return status === "queued"
    ? "The generation waits for another attempt and can no longer be canceled."
    : `The generation is ${status} and cannot be canceled.`;
}

/** While a generation waits for its turn. */
const POLL_SECONDS_QUEUED = { min: 2, max: 60 };
/** While it runs. Most images take about a minute, which is nine polls: docs/cost.md counts them. */
const POLL_SECONDS_WORKING = { min: 5, max: 10 };

/**
 * The seconds after which to poll an unfinished generation again, as a `Retry-After` header: until its turn comes, or
 * half of the time that has passed.
 */
export function pollAfterSeconds(record: WaitingRecord, now: number): string {
  const wait = estimatedWaitSeconds(record, now);
  const halfElapsed = Math.ceil((now - record.createdAt) / 2000);
  const { min, max } = wait === null ? POLL_SECONDS_WORKING : POLL_SECONDS_QUEUED;
  return String(Math.min(Math.max(wait ?? halfElapsed, min), max));
}
