import type { Context } from "hono";
import type { Quota } from "../account/limits.ts";
import type { GenerationRecord } from "../account/views.ts";
import type { Refusal } from "../generations/refusal.ts";
import type { Unpriced } from "../generations/request.ts";
import type { Submitted } from "../generations/submit.ts";
import type { UploadRefusal } from "../generations/uploads.ts";
import { AS_USUAL, readScenario, SCENARIO, type TestScenario } from "../scenario.ts";
import { callerOf } from "./authenticate.ts";
import type { AppEnv } from "./env.ts";
import { ApiError, forbidden, invalidRequest, unavailable } from "./errors.ts";
import { isoTimeOrNull } from "./fields.ts";
import { RETRY_AFTER_SECONDS_MAX } from "./limits.ts";

export const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

type HasHeaders = { readonly req: { header(name: string): string | undefined } };

/** @throws {ApiError} 400 for a key that is not 1 to 255 visible ASCII characters, bare or quoted */
export function readIdempotencyKey(c: HasHeaders): string | null {
  const header = c.req.header("Idempotency-Key");
  if (header === undefined) return null;
  const [, quoted] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header) ?? [];
  const key = quoted === undefined ? header : quoted.replaceAll(/\\(.)/g, "$1");
  if (!IDEMPOTENCY_KEY.test(key)) {
    throw invalidRequest("Idempotency-Key must be 1 to 255 visible ASCII characters.", "Idempotency-Key");
  }
  return key;
}

/**
 * The scenario of a test key; null for a live key.
 * @throws {ApiError} 400 for an unknown scenario, and for any with a live key
 */
export function readTestScenario(c: Context<AppEnv>): TestScenario | null {
  const header = c.req.header(SCENARIO);
  const { livemode } = callerOf(c);
  if (header === undefined) return livemode ? null : AS_USUAL;
  if (livemode) throw invalidRequest(`${SCENARIO} is for test keys: this is a live key.`, SCENARIO);
  const scenario = readScenario(header);
  if (typeof scenario === "string") throw invalidRequest(scenario, SCENARIO);
  return scenario;
}

/** Sets the headers, and the fields of the log line, of a request that has a generation. */
export function setGenerationHeaders(
  c: Context<AppEnv>,
  generation: GenerationRecord,
  replayed: boolean,
  quota: Quota | null,
): void {
  c.set("generationId", generation.id);
  // A stream that has begun takes no more headers.
  if (c.finalized) return;
  if (replayed) c.header("Idempotent-Replayed", "true");
  if (quota) setRateLimitHeaders(c, quota);
}

/** The rate-limit headers of the IETF's draft-ietf-httpapi-ratelimit-headers, for the active limits. */
function setRateLimitHeaders(c: Context<AppEnv>, { rate, concurrency }: Quota): void {
  if (c.finalized) return;
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

/** The error for a refusal by the account, or before it: nothing was charged. */
export function refuse(c: Context<AppEnv>, refusal: UploadRefusal): ApiError {
  switch (refusal.kind) {
    case "uploads_limited": {
      const message = "Too many uploads at once, or too many that were refused. Nothing was charged.";
      return new ApiError("rateLimited", message, {
        headers: { "Retry-After": String(Math.min(refusal.retryAfterSeconds, RETRY_AFTER_SECONDS_MAX)) },
      });
    }
    case "mismatch": {
      const message = "This Idempotency-Key was used for another request within the last 24 hours.";
      return new ApiError("idempotencyMismatch", message, { param: "Idempotency-Key" });
    }
    case "deleted": {
      const message =
        "The generation that this request made before was deleted. Nothing was charged; use a new Idempotency-Key to make another.";
      return new ApiError("conflict", message, { param: "Idempotency-Key" });
    }
    case "limited": {
      setRateLimitHeaders(c, refusal.quota);
      const message = limitMessage(refusal);
      return new ApiError("rateLimited", message, {
        headers: { "Retry-After": String(Math.min(refusal.retryAfterSeconds, RETRY_AFTER_SECONDS_MAX)) },
      });
    }
    case "key_limited": {
      setRateLimitHeaders(c, refusal.quota);
      const { required, available, resetsAt } = refusal;
      const resets_at = isoTimeOrNull(resetsAt);
      const until = resets_at === null ? "" : `, until ${resets_at}`;
      const message = `This takes ${required} credits and the API key may spend ${available} more${until}.`;
      return new ApiError("keyLimitExceeded", message, { extra: { required, available, resets_at } });
    }
    case "insufficient": {
      setRateLimitHeaders(c, refusal.quota);
      const { required, available } = refusal;
      const message = `This takes ${required} credits and the account has ${available}.`;
      return new ApiError("insufficientCredits", message, { extra: { required, available } });
    }
    case "busy": {
      const message =
        "The provider is too busy to begin this in time. Nothing was charged; please try again.";
      const seconds = String(Math.min(refusal.retryAfterSeconds, RETRY_AFTER_SECONDS_MAX));
      return new ApiError("serviceUnavailable", message, { headers: { "Retry-After": seconds } });
    }
    case "unavailable":
      return unavailable();
  }
}

/** The error for a request that cannot be priced. */
export function refusePricing(outcome: Unpriced): ApiError {
  switch (outcome.kind) {
    case "invalid":
      return invalidRequest(outcome.message, outcome.param);
    case "forbidden":
      return forbidden(outcome.message, outcome.param);
    case "unavailable":
      return unavailable();
  }
}

/** The error for an outcome without a generation to show. */
export function refuseOutcome(
  c: Context<AppEnv>,
  outcome: Exclude<Submitted, { kind: "ended" } | { kind: "pending" }>,
  id: string,
): ApiError {
  switch (outcome.kind) {
    case "unknown": {
      c.set("generationId", id);
      const message =
        "Something went wrong on our side. Look the generation up by its id to see what became of it.";
      return new ApiError("internalError", message, { extra: { generation_id: id } });
    }
    case "invalid":
    case "forbidden":
      return refusePricing(outcome);
    case "mismatch":
    case "limited":
    case "key_limited":
    case "insufficient":
    case "uploads_limited":
    case "busy":
    case "deleted":
    case "unavailable":
      return refuse(c, outcome);
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

/** The declared length of the request's body, or null. */
export function declaredBytes(c: Context<AppEnv>): number | null {
  const header = c.req.header("Content-Length");
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : null;
}
