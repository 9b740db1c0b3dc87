import type { Account, Balance, Ended, FinishOutcome, SubmitOutcome } from "../account/account.ts";
import {
  type GenerationRequest,
  type Idempotency,
  isEnded,
  type Job,
  type Order,
  type SdkCall,
} from "../account/lifecycle.ts";
import type { Quota } from "../account/limits.ts";
import type { GenerationRecord } from "../account/record.ts";
import { isSchemaTooNew } from "../account/schema.ts";
import { cheapestPrice, type Model, models } from "../catalogue/models.ts";
import { type InvalidShape, resolveShape, type ShapeRequest } from "../catalogue/resolve.ts";
import type { Config } from "../config.ts";
import { sha256Hex } from "../hash.ts";
import { describe, log } from "../log.ts";
import type { OutputFormat } from "../providers/provider.ts";
import { chooseProvider } from "../providers/registry.ts";
import { sleep, TimeoutError, within } from "../time.ts";

/** What a caller asks for: fields of the right types, whose meaning together is decided here. */
export type Submission = ShapeRequest & {
  model: Model;
  prompt: string;
  async: boolean;
  outputFormat: OutputFormat;
  outputCompression: number | null;
  background: "auto" | "opaque";
  moderation: "auto" | "low";
  /** Hashed. */
  endUser: string | null;
  references: GenerationRequest["references"];
  /** What the caller repeats when it repeats the request, or null. */
  idempotencyKey: string | null;
  /** What an SDK says of the call, which its retries may join; null for callers that are told apart by their keys alone. */
  sdk: { keyId: string; count: number } | null;
  origin: string;
};

/** `quota` is what is left of the limits; null where the request did not come so far as to be held against them. */
export type Submitted =
  | { kind: "ended"; generation: GenerationRecord; balance: Balance; replayed: boolean; quota: Quota | null }
  | { kind: "pending"; generation: GenerationRecord; replayed: boolean; quota: Quota | null }
  | InvalidField
  /** The idempotency key belongs to another request. */
  | { kind: "mismatch" }
  | Refusal
  /** It may have been charged: the id tells, once the account answers again. */
  | { kind: "unknown" };

/** Nothing was charged. */
export type Refusal =
  | { kind: "limited"; by: "rate" | "concurrency"; retryAfterSeconds: number; quota: Quota }
  | { kind: "insufficient"; required: number; available: number; quota: Quota }
  /** It may work later. */
  | { kind: "unavailable" };

export type InvalidField = InvalidShape | { kind: "invalid"; param: string; message: string };

/** How often the account is asked to take a submission, with the same id, before its fate is called unknown. */
const SUBMIT_ATTEMPTS = 3;
const AGAIN_AFTER_MS = 200;
/** A generation that ends just as the wait is over is worth this much more of it. */
const WAIT_GRACE_MS = 5_000;
/** An account that does not answer is not crowded by those who wait for it. */
const WAIT_AGAIN_MS = 1_000;

/**
 * Charges for a generation and has it made: waits for its end, or answers at once when `async`. What has been accepted
 * goes on whatever becomes of the caller.
 */
export async function submit(
  id: string,
  userId: string,
  submission: Submission,
  env: Env,
  config: Config,
): Promise<Submitted> {
  const priced = priceSubmission(submission, config);
  if (priced.kind !== "priced") return priced;
  const { request, credits } = priced;
  const mode = submission.async ? "async" : "sync";
  const { idempotency, sdkCall } = await repetitionOf(submission, request);
  const outcome = await submitToAccount(env, userId, { id, mode, request, credits, idempotency, sdkCall });
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
      if (mode === "async") return { kind: "pending", generation, ...rest };
      return { ...(await awaitEnd(env, userId, generation, null, config)), ...rest };
    }
    case "accepted": {
      const { generation, job, quota } = outcome;
      const rest = { replayed: false, quota };
      if (mode === "async") return { kind: "pending", generation, ...rest };
      return { ...(await awaitEnd(env, userId, generation, job, config)), ...rest };
    }
  }
}

/**
 * Whether a caller may upload references: with a provider there, within the limits, and with credits for the cheapest
 * generation; or because the generation has been made already.
 */
export async function admit(
  userId: string,
  idempotencyKey: string | null,
  env: Env,
  config: Config,
  sdkCount = 0,
): Promise<{ kind: "admitted" } | Refusal> {
  if (!chooseProvider(config)) return { kind: "unavailable" };
  const required = Math.min(...models.map((model) => cheapestPrice(model)));
  try {
    const admission = await env.ACCOUNT.getByName(userId).admit(required, idempotencyKey, sdkCount);
    return admission.kind === "insufficient" ? { ...admission, required } : admission;
  } catch (error) {
    log("admit_failed", { user_id: userId, error: describe(error) });
    return { kind: "unavailable" };
  }
}

type Priced = { kind: "priced"; request: GenerationRequest; credits: number };

function priceSubmission(
  submission: Submission,
  config: Config,
): Priced | InvalidField | { kind: "unavailable" } {
  const shape = resolveShape(submission.model, submission);
  if (shape.kind === "invalid") return shape;
  const provider = chooseProvider(config);
  if (!provider) return { kind: "unavailable" };
  const { model, prompt, outputFormat, outputCompression, background, moderation, endUser } = submission;
  if (!provider.formats.includes(outputFormat)) {
    const formats = provider.formats.join(", ");
    const message = `output_format must be one of ${formats}: that is what the provider of this server makes.`;
    return { kind: "invalid", param: "output_format", message };
  }
  const { aspectRatio, tier, size, renderQuality, n, credits } = shape;
  return {
    kind: "priced",
    credits,
    request: {
      model: model.id,
      providerModel: model.provider_model,
      prompt,
      aspectRatio,
      tier,
      size,
      renderQuality,
      n,
      outputFormat,
      outputCompression,
      background,
      moderation,
      endUser,
      references: submission.references,
      origin: submission.origin,
    },
  };
}

/** What lets a repeated request join. A key of the caller's own says more than what its SDK counts. */
async function repetitionOf(
  { idempotencyKey: key, sdk }: Submission,
  request: GenerationRequest,
): Promise<{ idempotency: Idempotency | null; sdkCall: SdkCall | null }> {
  if (key !== null) {
    return { idempotency: { key, fingerprint: await fingerprintOf(request) }, sdkCall: null };
  }
  if (sdk === null) return { idempotency: null, sdkCall: null };
  const fingerprint = await sha256Hex(`${sdk.keyId}\n${await fingerprintOf(request)}`);
  return { idempotency: null, sdkCall: { fingerprint, count: sdk.count } };
}

/**
 * The same request is the same picture at the same price: all that was asked, as it was understood, and the content of
 * each reference. Where the caller waits, and which host it called, are no part of it.
 */
async function fingerprintOf(request: GenerationRequest): Promise<string> {
  const { origin: _, references, ...asked } = request;
  const content = { ...asked, references: references.map(({ sha256 }) => sha256) };
  return await sha256Hex(JSON.stringify(content));
}

/** Asks again, with the same id, when the account's answer is lost: it charges once however often it is asked. */
async function submitToAccount(
  env: Env,
  userId: string,
  order: Order,
): Promise<SubmitOutcome | { kind: "unavailable" } | { kind: "unknown" }> {
  let mayHaveArrived = false;
  for (let attempt = 0; attempt < SUBMIT_ATTEMPTS; attempt++) {
    if (attempt > 0) await sleep(AGAIN_AFTER_MS * 2 ** attempt);
    try {
      // A stub that has thrown stays broken: each try takes a new one.
      return await env.ACCOUNT.getByName(userId).submit(order);
    } catch (error) {
      mayHaveArrived ||= !isOverloaded(error) && !isSchemaTooNew(error);
      log("submit_failed", { user_id: userId, generation_id: order.id, attempt, error: describe(error) });
    }
  }
  return { kind: mayHaveArrived ? "unknown" : "unavailable" };
}

/** The platform refused to hand the call on: the object has not seen it. */
function isOverloaded(error: unknown): boolean {
  return error instanceof Error && "overloaded" in error && error.overloaded === true;
}

type AwaitedEnd =
  | { kind: "ended"; generation: GenerationRecord; balance: Balance }
  | { kind: "pending"; generation: GenerationRecord };

/** The end by the runner, or by whoever takes over from it; the generation as it stands when the wait is over. */
async function awaitEnd(
  env: Env,
  userId: string,
  accepted: GenerationRecord,
  job: Job | null,
  { SYNC_WAIT_SECONDS, RUN_DEADLINE_SECONDS }: Config,
): Promise<AwaitedEnd> {
  const until = Date.now() + SYNC_WAIT_SECONDS * 1000 + WAIT_GRACE_MS;
  if (job !== null) {
    // At the deadline the account ends it whatever the runner is held up by, and the account is where that is told.
    const seconds = Math.min(SYNC_WAIT_SECONDS, RUN_DEADLINE_SECONDS);
    const outcome = await runInRunner(env, userId, job, seconds * 1000);
    if (outcome?.kind === "settled") return { kind: "ended", ...pick(outcome) };
  }
  // Somebody else has the lease now, or the runner is gone: the account knows when it ends.
  for (let left = until - Date.now(); left > 0; left = until - Date.now()) {
    const ended = await waitInAccount(env.ACCOUNT.getByName(userId), accepted.id, left);
    if (ended?.generation.endedAt) return { kind: "ended", ...pick(ended) };
    if (ended === null) await sleep(Math.min(WAIT_AGAIN_MS, left));
  }
  return { kind: "pending", generation: accepted };
}

async function runInRunner(
  env: Env,
  userId: string,
  job: Job,
  milliseconds: number,
): Promise<FinishOutcome | null> {
  const runner = env.GENERATION_RUNNER.get(env.GENERATION_RUNNER.newUniqueId());
  try {
    return await within(milliseconds, Promise.resolve<FinishOutcome | null>(runner.run(userId, job)));
  } catch (error) {
    if (!(error instanceof TimeoutError)) {
      log("runner_failed", { user_id: userId, generation_id: job.generationId, error: describe(error) });
    }
    return null;
  }
}

async function waitInAccount(
  account: DurableObjectStub<Account>,
  id: string,
  milliseconds: number,
): Promise<Ended | null> {
  try {
    return await account.wait(id, milliseconds);
  } catch (error) {
    log("wait_failed", { generation_id: id, error: describe(error) });
    return null;
  }
}

function pick({ generation, balance }: Ended): Ended {
  return { generation, balance };
}
