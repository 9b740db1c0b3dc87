import { type GenerationRequest, isEnded, type Job, type Order } from "../account/lifecycle.ts";
import type { Quota } from "../account/limits.ts";
import type { Balance, SubmitOutcome } from "../account/outcomes.ts";
import { isSchemaTooNew } from "../account/schema.ts";
import type { GenerationRecord } from "../account/views.ts";
import type { Config } from "../config.ts";
import { routesFor } from "../dispatch/routes.ts";
import { describe, log } from "../log.ts";
import { sleep } from "../time.ts";
import { repetitionOf, type SdkHeaders } from "./fingerprint.ts";
import type { GenerationInput } from "./input.ts";
import { type InvalidField, type RequestContext, readRequest } from "./request.ts";
import { awaitEnd } from "./wait.ts";

/** A request to generate images, and how the caller makes it. */
export type Submission = RequestContext & {
  /** The generation's id. Submitting the same id again charges once. */
  id: string;
  input: GenerationInput;
  mode: "sync" | "async";
  idempotencyKey: string | null;
  /** Null when no SDK makes the call. */
  sdk: SdkHeaders | null;
  /** The API key that pays, or null for the pages. */
  keyId: string | null;
  /** The upload that brought the references, or null. */
  uploadId: string | null;
};

/** `quota` is what remains of the limits, or null when the limits were not checked. */
export type Submitted =
  | { kind: "ended"; generation: GenerationRecord; balance: Balance; replayed: boolean; quota: Quota | null }
  | { kind: "pending"; generation: GenerationRecord; replayed: boolean; quota: Quota | null }
  | InvalidField
  | Mismatch
  | Refusal
  /** The account may have charged. Looking the id up tells, once the account answers again. */
  | { kind: "unknown" };

/** The idempotency key was used for another request. */
export type Mismatch = { kind: "mismatch" };

/** Nothing was charged. */
export type Refusal =
  | { kind: "limited"; by: "rate" | "concurrency"; retryAfterSeconds: number; quota: Quota }
  | { kind: "insufficient"; required: number; available: number; quota: Quota }
  /** It may work later. */
  | { kind: "unavailable" };

/** How often the account is asked to accept a submission, with the same id, before the outcome counts as unknown. */
const SUBMIT_ATTEMPTS = 3;
/** Doubles with each attempt. */
const RETRY_AFTER_MS = 200;

/**
 * Checks, prices and charges a generation, then waits for its end, or returns at once when `mode` is async. An accepted
 * generation runs to its end even if the caller leaves.
 */
export async function submit(submission: Submission, env: Env, config: Config): Promise<Submitted> {
  const { id, userId, input, mode, keyId, uploadId } = submission;
  const priced = await readRequest(input, submission);
  if (priced.kind === "invalid") return priced;
  const { request, credits } = priced;
  const refusal = checkRoutes(request, config);
  if (refusal) return refusal;
  const repetition = await repetitionOf(submission.idempotencyKey, submission.sdk, request);
  const order = { id, mode, request, credits, keyId, uploadId, ...repetition };
  const outcome = await submitToAccount(env, userId, order);
  switch (outcome.kind) {
    case "insufficient":
      return { ...outcome, required: credits };
    case "limited":
    case "unavailable":
    case "unknown":
      return outcome;
    case "conflict":
      return { kind: "mismatch" };
    case "repeated": {
      const { generation, balance } = outcome;
      const rest = { replayed: true, quota: null };
      if (isEnded(generation)) return { kind: "ended", generation, balance, ...rest };
      return { ...(await settle(env, userId, mode, generation, null, config)), ...rest };
    }
    case "accepted": {
      const { generation, job, quota } = outcome;
      return { ...(await settle(env, userId, mode, generation, job, config)), replayed: false, quota };
    }
    default:
      // An account of a newer release may answer with a kind that this release does not know. It may have charged.
      log("submit_outcome_unknown", { user_id: userId, generation_id: id });
      return { kind: "unknown" };
  }
}

async function settle(
  env: Env,
  userId: string,
  mode: Submission["mode"],
  generation: GenerationRecord,
  job: Job | null,
  config: Config,
): ReturnType<typeof awaitEnd> {
  if (mode === "async") return { kind: "pending", generation };
  return await awaitEnd(env, userId, generation, job, config);
}

/** Refuses, before any charge, what no configured provider can make. */
function checkRoutes(
  { model, outputFormat }: GenerationRequest,
  config: Config,
): InvalidField | { kind: "unavailable" } | null {
  const routes = routesFor(model, config);
  if (routes.length === 0) return { kind: "unavailable" };
  const supported = new Set(routes.flatMap(({ provider }) => provider.formats));
  if (supported.has(outputFormat)) return null;
  const formats = [...supported].join(", ");
  const message = `output_format must be one of ${formats}: this server's provider makes no other.`;
  return { kind: "invalid", param: "output_format", message };
}

/** Retries with the same id when the account's answer is lost: the account charges an id once. */
async function submitToAccount(
  env: Env,
  userId: string,
  order: Order,
): Promise<SubmitOutcome | { kind: "unavailable" } | { kind: "unknown" }> {
  let mayHaveArrived = false;
  for (let attempt = 0; attempt < SUBMIT_ATTEMPTS; attempt++) {
    if (attempt > 0) await sleep(RETRY_AFTER_MS * 2 ** attempt);
    try {
      // A stub that has thrown stays broken: each attempt takes a new one.
      return await env.ACCOUNT.getByName(userId).submit(order);
    } catch (error) {
      mayHaveArrived ||= !isOverloaded(error) && !isSchemaTooNew(error);
      log("submit_failed", { user_id: userId, generation_id: order.id, attempt, error: describe(error) });
    }
  }
  return { kind: mayHaveArrived ? "unknown" : "unavailable" };
}

/** The platform did not deliver the call: the object has not seen it. */
function isOverloaded(error: unknown): boolean {
  return error instanceof Error && "overloaded" in error && error.overloaded === true;
}

/** Records that the whole answer was sent, so that no SDK retry can follow it. */
export async function noteDelivered(userId: string, generationId: string, env: Env): Promise<void> {
  try {
    await env.ACCOUNT.getByName(userId).delivered(generationId);
  } catch (error) {
    log("delivered_failed", { user_id: userId, generation_id: generationId, error: describe(error) });
  }
}
