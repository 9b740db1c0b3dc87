import { type GenerationRequest, isEnded, type Job, type SubmitCommand } from "../account/lifecycle.ts";
import type { Quota } from "../account/limits.ts";
import type { Balance, SubmitOutcome } from "../account/outcomes.ts";
import type { GenerationRecord } from "../account/views.ts";
import type { Config } from "../config.ts";
import { gateStatus, park } from "../dispatch/client.ts";
import { flowOf } from "../dispatch/fair-queue.ts";
import { type Route, routesFor } from "../dispatch/routes.ts";
import { describe, log } from "../log.ts";
import { queueOf } from "../queue.ts";
import { isSchemaTooNew } from "../schema-steps.ts";
import { sleep } from "../time.ts";
import { repetitionOf, type SdkHeaders } from "./fingerprint.ts";
import type { GenerationInput } from "./input.ts";
import { type InvalidField, type RequestContext, readRequest } from "./request.ts";
import { awaitEnd } from "./wait.ts";

/** A request to generate images, and how it is submitted. */
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
  /** The account may have charged. Reading the id tells, once the account responds again. */
  | { kind: "unknown" };

/** The idempotency key was used for another request. */
export type Mismatch = { kind: "mismatch" };

/** Nothing was charged. */
export type Refusal =
  | { kind: "limited"; by: "rate" | "concurrency"; retryAfterSeconds: number; quota: Quota }
  | { kind: "insufficient"; required: number; available: number; quota: Quota }
  /** The provider is too busy to begin it in time. */
  | { kind: "busy"; retryAfterSeconds: number }
  /** No provider is configured, or the account does not respond. A later attempt may succeed. */
  | { kind: "unavailable" };

/** How often a submission is sent to the account, with the same id, before the outcome counts as unknown. */
const SUBMIT_ATTEMPTS = 3;
/** Doubles with each attempt. */
const RETRY_AFTER_MS = 200;

/**
 * Validates, prices and charges a generation, then waits for its end, or returns at once when `mode` is async. An
 * accepted generation runs to its end even if the client disconnects.
 */
export async function submit(submission: Submission, env: Env, config: Config): Promise<Submitted> {
  const { id, userId, input, mode, keyId, uploadId } = submission;
  const priced = await readRequest(input, submission);
  if (priced.kind === "invalid") return priced;
  const { request, credits } = priced;
  const routes = checkRoutes(request, config);
  if ("kind" in routes) return routes;
  const place = await placeInQueue(env, routes, userId, mode, config);
  const repetition = await repetitionOf(submission.idempotencyKey, submission.sdk, request);
  const command = { id, mode, request, credits, keyId, uploadId, ...place.command, ...repetition };
  const outcome = await submitToAccount(env, userId, command);
  switch (outcome.kind) {
    case "busy":
      return { kind: "busy", retryAfterSeconds: place.retryAfterSeconds };
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
      if (place.command.isParked && generation.status === "queued")
        await parkOrQueue(env, routes, userId, generation, request.n, config);
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

/**
 * An async generation is accepted if its estimated wait is below this part of its deadline: estimates are not exact.
 */
const ACCEPTED_WAIT_PART = 0.9;
/** A generation that waits longer than this is parked with the gate, which queues it when its turn comes. */
const PARK_AFTER_MS = 1_000;
/** `Retry-After` while the provider is down: nobody knows for how long. */
const DOWN_RETRY_SECONDS = 15;
const RETRY_SECONDS_MIN = 5;

type Place = {
  command: Pick<SubmitCommand, "isTooBusy" | "isParked" | "slotAt">;
  /** `Retry-After`, if the command is refused. */
  retryAfterSeconds: number;
};

/** Decides from the gate's estimate whether a new generation is refused, parked or sent at once. */
async function placeInQueue(
  env: Env,
  [route]: readonly Route[],
  userId: string,
  mode: Submission["mode"],
  config: Config,
): Promise<Place> {
  const calm: Place = { command: {}, retryAfterSeconds: RETRY_SECONDS_MIN };
  if (!route) return calm;
  const { isBusy, isDown, until } = await gateStatus(env, route, flowOf(userId, mode));
  if (!isBusy) return calm;
  const waitMs = until === null ? null : Math.max(0, until - Date.now());
  const longestMs =
    mode === "sync"
      ? config.SYNC_START_SECONDS * 1000
      : config.QUEUE_DEADLINE_SECONDS * 1000 * ACCEPTED_WAIT_PART;
  const over = waitMs === null ? DOWN_RETRY_SECONDS : Math.ceil((waitMs - longestMs) / 1000);
  const retryAfterSeconds = Math.max(RETRY_SECONDS_MIN, over);
  const isTooLong = waitMs !== null && waitMs > longestMs;
  if (isTooLong || (mode === "sync" && isDown)) return { command: { isTooBusy: true }, retryAfterSeconds };
  const isParked = mode === "async" && (waitMs === null || waitMs > PARK_AFTER_MS);
  return { command: isParked ? { isParked, slotAt: until } : {}, retryAfterSeconds };
}

/** Parks an accepted generation with the gate, or sends it to the queue when the gate does not accept it. */
async function parkOrQueue(
  env: Env,
  [route]: readonly Route[],
  userId: string,
  { id: generationId, createdAt }: GenerationRecord,
  images: number,
  config: Config,
): Promise<void> {
  const deadline = createdAt + config.QUEUE_DEADLINE_SECONDS * 1000;
  const item = { id: generationId, userId, flow: flowOf(userId, "async"), images, deadline };
  if (route && (await park(env, route, item))) return;
  try {
    await queueOf(env, generationId).send({ userId, generationId });
  } catch (error) {
    // The account's alarm queues it later.
    log("queue_send_failed", { user_id: userId, generation_id: generationId, error: describe(error) });
  }
}

/** The routes of the request. Refuses, before any charge, a format that none of them supports. */
function checkRoutes(
  { model, outputFormat }: GenerationRequest,
  config: Config,
): readonly Route[] | InvalidField | { kind: "unavailable" } {
  const routes = routesFor(model, config);
  if (routes.length === 0) return { kind: "unavailable" };
  const supported = new Set(routes.flatMap(({ provider }) => provider.formats));
  if (supported.has(outputFormat)) return routes;
  const formats = [...supported].join(", ");
  const message = `output_format must be one of ${formats}: this server's provider makes no other.`;
  return { kind: "invalid", param: "output_format", message };
}

/** Retries with the same id when the account does not respond: the account charges an id once. */
async function submitToAccount(
  env: Env,
  userId: string,
  command: SubmitCommand,
): Promise<SubmitOutcome | { kind: "unavailable" } | { kind: "unknown" }> {
  let mayHaveArrived = false;
  for (let attempt = 0; attempt < SUBMIT_ATTEMPTS; attempt++) {
    if (attempt > 0) await sleep(RETRY_AFTER_MS * 2 ** attempt);
    try {
      // A stub that has thrown stays broken: each attempt takes a new one.
      return await env.ACCOUNT.getByName(userId).submit(command);
    } catch (error) {
      mayHaveArrived ||= !isOverloaded(error) && !isSchemaTooNew(error);
      log("submit_failed", { user_id: userId, generation_id: command.id, attempt, error: describe(error) });
    }
  }
  return { kind: mayHaveArrived ? "unknown" : "unavailable" };
}

/** Whether the platform did not deliver the call to the object. */
function isOverloaded(error: unknown): boolean {
  return error instanceof Error && "overloaded" in error && error.overloaded === true;
}

/** Records that the response was sent to its end, so that no SDK retry may join the generation. */
export async function noteDelivered(userId: string, generationId: string, env: Env): Promise<void> {
  try {
    await env.ACCOUNT.getByName(userId).delivered(generationId);
  } catch (error) {
    log("delivered_failed", { user_id: userId, generation_id: generationId, error: describe(error) });
  }
}
