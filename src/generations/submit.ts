import {
  isEnded,
  isLive,
  type Job,
  type RepeatableCommand,
  type SubmitCommand,
} from "../account/lifecycle.ts";
import type { Quota } from "../account/limits.ts";
import type { Balance, RepeatOutcome, SubmitOutcome } from "../account/outcomes.ts";
import type { GenerationRecord } from "../account/views.ts";
import type { Config } from "../config.ts";
import { gateStatus, park } from "../dispatch/client.ts";
import { flowOf } from "../dispatch/fair-queue.ts";
import type { Route } from "../dispatch/routes.ts";
import { describe, log } from "../log.ts";
import { queueOf } from "../queue.ts";
import { sourceOf } from "../references/entries.ts";
import { isSchemaTooNew } from "../schema-steps.ts";
import { sleep } from "../time.ts";
import { repetitionOf, type SdkHeaders } from "./fingerprint.ts";
import type { GenerationInput } from "./input.ts";
import type { PartialsAsked } from "./partials.ts";
import { areOutside, GONE, gatherReferences, invalidReference, type RequestUpload } from "./references.ts";
import type { Mismatch, Refusal } from "./refusal.ts";
import { type RequestContext, readRequest, type Unpriced } from "./request.ts";
import { giveUpUpload } from "./uploads.ts";
import { awaitEnd, awaitInAccount } from "./wait.ts";

/** A request to generate images, and how it is submitted. */
export type Submission = RequestContext & {
  /** The generation's id. Submitting the same id again charges once. */
  id: string;
  input: GenerationInput;
  mode: "sync" | "async";
  /** How many seconds an async submission waits for the end before it returns; 0 or left out: not at all. */
  waitSeconds?: number;
  idempotencyKey: string | null;
  /** Null when no SDK makes the call. */
  sdk: SdkHeaders | null;
  /** For a sync submission whose response can show partial pictures. */
  partials?: PartialsAsked | undefined;
  /** The upload that brought references with the request, or null. It is given up unless a generation is accepted. */
  uploadId: string | null;
};

/** `quota` is what remains of the limits, or null when the limits were not checked. */
export type Submitted =
  | { kind: "ended"; generation: GenerationRecord; balance: Balance; replayed: boolean; quota: Quota | null }
  | { kind: "pending"; generation: GenerationRecord; replayed: boolean; quota: Quota | null }
  | Unpriced
  | Mismatch
  | Refusal
  /** The account may have charged. Reading the id tells, once the account responds again. */
  | { kind: "unknown" };

/** How often a submission is sent to the account, with the same id, before the outcome counts as unknown. */
const SUBMIT_ATTEMPTS = 3;
/** Doubles with each attempt. */
const RETRY_AFTER_MS = 200;

/**
 * Validates, prices and charges a generation, then waits for its end, or returns at once when `mode` is async. An
 * accepted generation runs to its end even if the client disconnects.
 */
export async function submit(submission: Submission, env: Env, config: Config): Promise<Submitted> {
  const { userId, uploadId, references } = submission;
  const stored = references.flatMap((entry) => (entry.kind === "stored" ? [entry.reference] : []));
  const upload: RequestUpload = { id: uploadId, stored };
  let isUsed = false;
  let decided: Decided;
  try {
    decided = await decide(submission, upload, env, config);
    isUsed = decided.kind === "accepted" || decided.kind === "unknown";
  } finally {
    if (!isUsed) await giveUpUpload(userId, upload.id, upload.stored, env);
  }
  switch (decided.kind) {
    case "accepted": {
      const { generation, job, quota } = decided;
      return { ...(await settle(env, submission, generation, job, config)), replayed: false, quota };
    }
    case "repeated": {
      const { generation, balance } = decided;
      const rest = { replayed: true, quota: null };
      if (isEnded(generation)) return { kind: "ended", generation, balance, ...rest };
      return { ...(await settle(env, submission, generation, null, config)), ...rest };
    }
    default:
      return decided;
  }
}

/** The account's decision, or the error that prevented one. Its references belong to an accepted generation. */
type Decided =
  | Extract<SubmitOutcome, { kind: "accepted" | "repeated" }>
  | Unpriced
  | Mismatch
  | Refusal
  | { kind: "unknown" };

async function decide(
  submission: Submission,
  upload: RequestUpload,
  env: Env,
  config: Config,
): Promise<Decided> {
  const { id, userId, input, mode, key, idempotencyKey, sdk } = submission;
  const priced = await readRequest(input, submission, config);
  if (priced.kind !== "priced") return priced;
  const { request: asked, credits, routes } = priced;
  const repetition = await repetitionOf(idempotencyKey, sdk, asked, submission.references.map(sourceOf));
  const context = { submission, credits };
  if (areOutside(submission.references)) {
    const repeated = await findRepeated(env, submission, { id, ...repetition });
    if (repeated) return understand(repeated, context);
    const { command, retryAfterSeconds } = await scheduleOf(env, routes, userId, mode, config);
    if (command.isTooBusy) return { kind: "busy", retryAfterSeconds };
  }
  const gathered = await gatherReferences({ ...submission, credits }, upload, env, config);
  if (gathered.kind !== "gathered") return gathered;
  const schedule = await scheduleOf(env, routes, userId, mode, config);
  const request = { ...asked, references: gathered.references };
  const price = isLive(request) ? credits : 0;
  const command = {
    ...{ id, mode, request, credits: price, uploadId: upload.id },
    ...{ keyId: key?.keyId ?? null, keyLimit: key?.creditLimit ?? null },
    ...{ ...schedule.command, ...repetition },
  };
  const outcome = await submitToAccount(env, userId, command);
  if (outcome.kind === "busy") return { kind: "busy", retryAfterSeconds: schedule.retryAfterSeconds };
  const decided = understand(outcome, context);
  if (decided.kind === "accepted" && schedule.command.isParked && decided.generation.status === "queued")
    await parkOrQueue(env, schedule.route, userId, decided.generation, request.n, config);
  return decided;
}

/** The outcome, with the fields of the request. */
function understand(
  outcome: Exclude<SubmitOutcome, { kind: "busy" }> | { kind: "unavailable" } | { kind: "unknown" },
  { submission, credits }: { submission: Submission; credits: number },
): Decided {
  switch (outcome.kind) {
    case "insufficient":
    case "key_limited":
      return { ...outcome, required: credits };
    case "conflict":
      return { kind: "mismatch" };
    case "deleted":
      return { kind: "deleted" };
    case "reference_gone": {
      const { references, names } = submission;
      const index = references.findIndex((entry) => entry.kind === "uploaded" && entry.id === outcome.id);
      return invalidReference({ kind: "fault", index, reason: GONE }, names);
    }
    case "accepted":
    case "repeated":
    case "limited":
    case "unavailable":
    case "unknown":
      return outcome;
    default:
      // An account of a newer release may answer with a kind that this release does not know. It may have charged.
      log("submit_outcome_unknown", { user_id: submission.userId, generation_id: submission.id });
      return { kind: "unknown" };
  }
}

/**
 * The outcome of the request that this one repeats, so that nothing is fetched for a repeat. Null also when the
 * account does not respond: the submission asks again.
 */
async function findRepeated(
  env: Env,
  { userId, idempotencyKey, sdk }: Submission,
  command: RepeatableCommand,
): Promise<RepeatOutcome | null> {
  if (idempotencyKey === null && (sdk?.count ?? 0) === 0) return null;
  try {
    return await env.ACCOUNT.getByName(userId).repeated(command);
  } catch (error) {
    log("repeat_lookup_failed", { user_id: userId, generation_id: command.id, error: describe(error) });
    return null;
  }
}

async function settle(
  env: Env,
  { userId, mode, waitSeconds = 0, partials }: Submission,
  generation: GenerationRecord,
  job: Job | null,
  config: Config,
): ReturnType<typeof awaitEnd> {
  if (mode === "async") return await awaitInAccount(env, userId, generation, Date.now() + waitSeconds * 1000);
  return await awaitEnd(env, userId, generation, job, config, partials);
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

type Schedule = {
  command: Pick<SubmitCommand, "isTooBusy" | "isParked" | "slotAt">;
  /** The route whose gate was asked last. */
  route: Route | null;
  /** `Retry-After`, if the command is refused. */
  retryAfterSeconds: number;
};

/** Decides from the gate's estimate whether a new generation is refused, parked or sent at once. */
async function scheduleOf(
  env: Env,
  routes: readonly Route[],
  userId: string,
  mode: Submission["mode"],
  config: Config,
): Promise<Schedule> {
  const { isBusy, isDown, until, route } = await gateStatus(env, routes, flowOf(userId, mode));
  if (!isBusy) return { command: {}, route, retryAfterSeconds: RETRY_SECONDS_MIN };
  const waitMs = until === null ? null : Math.max(0, until - Date.now());
  const longestMs =
    mode === "sync"
      ? config.SYNC_START_SECONDS * 1000
      : config.QUEUE_DEADLINE_SECONDS * 1000 * ACCEPTED_WAIT_PART;
  const over = waitMs === null ? DOWN_RETRY_SECONDS : Math.ceil((waitMs - longestMs) / 1000);
  const retryAfterSeconds = Math.max(RETRY_SECONDS_MIN, over);
  const isTooLong = waitMs !== null && waitMs > longestMs;
  if (isTooLong || (mode === "sync" && isDown))
    return { command: { isTooBusy: true }, route, retryAfterSeconds };
  const isParked = mode === "async" && (waitMs === null || waitMs > PARK_AFTER_MS);
  return { command: isParked ? { isParked, slotAt: until } : {}, route, retryAfterSeconds };
}

/** Parks an accepted generation with the gate, or sends it to the queue when the gate does not accept it. */
async function parkOrQueue(
  env: Env,
  route: Route | null,
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
export async function reportDelivered(userId: string, generationId: string, env: Env): Promise<void> {
  try {
    await env.ACCOUNT.getByName(userId).delivered(generationId);
  } catch (error) {
    log("delivered_failed", { user_id: userId, generation_id: generationId, error: describe(error) });
  }
}
