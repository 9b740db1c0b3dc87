import type { Context } from "hono";
import { Hono } from "hono";
import type { GenerationRequest } from "../../account/lifecycle.ts";
import type { Quota } from "../../account/limits.ts";
import type { GenerationRecord } from "../../account/record.ts";
import { findModel, models } from "../../catalogue/models.ts";
import { type Config, readConfig } from "../../config.ts";
import { admit, type Refusal, type Submission, type Submitted, submit } from "../../generations/submit.ts";
import { sha256Hex } from "../../hash.ts";
import { newId } from "../../id.ts";
import { removeReferences } from "../../images/references.ts";
import type { Caller } from "../../keys/lookup.ts";
import { describe, log } from "../../log.ts";
import { authenticate } from "../authenticate.ts";
import { mediaType, parse, readJson, unsupportedMediaType } from "../body.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, FAILURE_MESSAGES, invalidRequest, unavailable } from "../errors.ts";
import { receiveReferences } from "../references.ts";
import { POLL_AFTER_SECONDS, pollUrl, renderBalance, renderGeneration } from "./render.ts";
import { fromForm, GenerationBody } from "./schemas.ts";

export const generate = new Hono<AppEnv>();

generate.post("/images/generations", async (c) => {
  const caller = await authenticate(c);
  const config = readConfig(c.env);
  const idempotencyKey = readIdempotencyKey(c);
  const id = newId("gen");
  const { body, references } = await readSubmission(c, caller, id, idempotencyKey, config);
  let used = false;
  try {
    const submission = await toSubmission(c, caller, config, body, references, idempotencyKey);
    const outcome = await submit(id, caller.userId, submission, c.env, config);
    used = isUsed(outcome);
    return answer(c, outcome, id, submission.async, caller, config);
  } finally {
    if (!used) await discard(c, references);
  }
});

/** Whether this very request made a generation, or may have, which its references now belong to. */
function isUsed(outcome: Submitted): boolean {
  const answered = outcome.kind === "ended" || outcome.kind === "pending";
  return outcome.kind === "unknown" || (answered && !outcome.replayed);
}

/** @throws {ApiError} 400 for a key that is not 1 to 255 visible ASCII characters, bare or quoted */
function readIdempotencyKey(c: Context<AppEnv>): string | null {
  const header = c.req.header("Idempotency-Key");
  if (header === undefined) return null;
  const [, quoted] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header) ?? [];
  const key = quoted === undefined ? header : quoted.replaceAll(/\\(.)/g, "$1");
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw invalidRequest("Idempotency-Key must be 1 to 255 visible ASCII characters.", "Idempotency-Key");
  }
  return key;
}

type Received = { body: GenerationBody; references: GenerationRequest["references"] };

/** The body, in either form it may have. The references of a form are stored by then, under the generation's id. */
async function readSubmission(
  c: Context<AppEnv>,
  caller: Caller,
  id: string,
  idempotencyKey: string | null,
  config: Config,
): Promise<Received> {
  switch (mediaType(c.req.raw)) {
    case "application/json":
      return { body: await readJson(c, GenerationBody), references: [] };
    case "multipart/form-data": {
      // Nobody should have to upload 800 MB to learn that the credits do not suffice.
      const admission = await admit(caller.userId, idempotencyKey, c.env, config);
      if (admission.kind !== "admitted") throw refuse(c, admission);
      const referencesMax = Math.max(...models.map((model) => model.reference_image_limit));
      const form = await receiveReferences(c.req.raw, c.env.REFERENCES, id, referencesMax);
      if (form.kind === "refused") throw new ApiError(form.code, form.message, { param: form.param });
      try {
        return { body: parse(GenerationBody, fromForm(form.fields)), references: form.references };
      } catch (error) {
        await discard(c, form.references);
        throw error;
      }
    }
    default:
      throw unsupportedMediaType("application/json, or multipart/form-data with reference images");
  }
}

async function toSubmission(
  c: Context<AppEnv>,
  caller: Caller,
  config: Config,
  body: GenerationBody,
  references: GenerationRequest["references"],
  idempotencyKey: string | null,
): Promise<Submission> {
  const model = findModel(body.model);
  if (!model) {
    throw invalidRequest(`model must be ${models.map(({ id }) => id).join(" or ")}.`, "model");
  }
  if (references.length > model.reference_image_limit) {
    const message = `reference_image may be given at most ${model.reference_image_limit} times for this model.`;
    throw invalidRequest(message, "reference_image");
  }
  return {
    model,
    prompt: body.prompt,
    size: body.size,
    quality: body.quality,
    aspect_ratio: body.aspect_ratio,
    resolution: body.resolution,
    n: body.n,
    async: body.async,
    outputFormat: body.output_format,
    outputCompression: body.output_compression ?? null,
    background: body.background,
    moderation: body.moderation,
    // The provider learns which requests are of one person, and neither who it is nor whose customer.
    endUser: body.user === undefined ? null : await sha256Hex(`${caller.userId}\n${body.user}`),
    references,
    idempotencyKey,
    origin: config.PUBLIC_BASE_URL ?? new URL(c.req.url).origin,
  };
}

function answer(
  c: Context<AppEnv>,
  outcome: Submitted,
  id: string,
  async: boolean,
  caller: Caller,
  config: Config,
): Response {
  switch (outcome.kind) {
    case "ended": {
      const { generation, balance, replayed, quota } = outcome;
      tellAccepted(c, generation, replayed, quota);
      // Who asked not to wait asks what became of it: a failure is the state of what they get, as when they poll.
      if (generation.error !== null && !async) {
        const extra = { generation_id: generation.id };
        throw new ApiError(generation.error, FAILURE_MESSAGES[generation.error], { extra });
      }
      return c.json({
        ...renderGeneration(generation, config),
        balance: renderBalance(balance, caller.accountType),
      });
    }
    case "pending":
      tellAccepted(c, outcome.generation, outcome.replayed, outcome.quota);
      c.header("Location", pollUrl(outcome.generation));
      c.header("Retry-After", POLL_AFTER_SECONDS);
      return c.json(renderGeneration(outcome.generation, config), 202);
    case "unknown": {
      c.set("generationId", id);
      const message =
        "Something went wrong on our side. Look the generation up by its id to see what became of it.";
      throw new ApiError("internalError", message, { extra: { generation_id: id } });
    }
    case "invalid":
      throw invalidRequest(outcome.message, outcome.param);
    case "mismatch": {
      const message = "This Idempotency-Key was used for another request within the last 24 hours.";
      throw new ApiError("idempotencyMismatch", message, { param: "Idempotency-Key" });
    }
    case "limited":
    case "insufficient":
    case "unavailable":
      throw refuse(c, outcome);
  }
}

function tellAccepted(
  c: Context<AppEnv>,
  generation: GenerationRecord,
  replayed: boolean,
  quota: Quota | null,
): void {
  c.set("generationId", generation.id);
  if (replayed) c.header("Idempotent-Replayed", "true");
  if (quota) tellQuota(c, quota);
}

/** What is left of the limits that are on, as the IETF's draft-ietf-httpapi-ratelimit-headers has it. */
function tellQuota(c: Context<AppEnv>, { rate, concurrency }: Quota): void {
  const policies: string[] = [];
  const left: string[] = [];
  if (rate) {
    policies.push(`"default";q=${rate.limit};w=60`);
    left.push(`"default";r=${rate.remaining};t=${rate.resetSeconds}`);
  }
  if (concurrency) {
    policies.push(`"concurrency";q=${concurrency.limit};qu="concurrent-requests"`);
    left.push(`"concurrency";r=${concurrency.remaining}`);
  }
  if (policies.length === 0) return;
  c.header("RateLimit-Policy", policies.join(", "));
  c.header("RateLimit", left.join(", "));
}

function refuse(c: Context<AppEnv>, refusal: Refusal): ApiError {
  switch (refusal.kind) {
    case "limited": {
      tellQuota(c, refusal.quota);
      const message = limitMessage(refusal);
      return new ApiError("rateLimited", message, {
        headers: { "Retry-After": String(refusal.retryAfterSeconds) },
      });
    }
    case "insufficient": {
      tellQuota(c, refusal.quota);
      const { required, available } = refusal;
      const message = `This takes ${required} credits and the account has ${available}.`;
      return new ApiError("insufficientCredits", message, { extra: { required, available } });
    }
    case "unavailable":
      return unavailable();
  }
}

function limitMessage({ by, quota }: Extract<Refusal, { kind: "limited" }>): string {
  switch (by) {
    case "rate":
      return `At most ${quota.rate?.limit} generations a minute are accepted. Nothing was charged.`;
    case "concurrency":
      return `At most ${quota.concurrency?.limit} generations may run at once. Nothing was charged.`;
  }
}

/** The refusal at hand is what the caller must hear; what cannot be removed goes by the bucket's lifecycle rule. */
async function discard(c: Context<AppEnv>, references: GenerationRequest["references"]): Promise<void> {
  try {
    await removeReferences(c.env.REFERENCES, references);
  } catch (error) {
    log("discard_failed", { request_id: c.get("requestId"), error: describe(error) });
  }
}
