import type { Account, Balance, Ended, FinishOutcome, SubmitOutcome } from "../account/account.ts";
import { type GenerationRequest, isEnded, type Job, type Order } from "../account/lifecycle.ts";
import type { Quota } from "../account/limits.ts";
import type { GenerationRecord } from "../account/record.ts";
import { isSchemaTooNew } from "../account/schema.ts";
import { cheapestPrice, type Model, models } from "../catalogue/models.ts";
import { type InvalidShape, resolveShape, type ShapeRequest } from "../catalogue/resolve.ts";
import type { Config } from "../config.ts";
import { sha256Hex } from "../hash.ts";
import { newId } from "../id.ts";
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
  /** What an SDK says of the call; null for calls that an SDK's retry can never be after. */
  sdk: SdkHeaders | null;
  /** The API key that pays, or null on the pages. */
  keyId: string | null;
  /** The upload that brought the references, or null. */
  uploadId: string | null;
  origin: string;
};

/**
 * How often the SDK has tried this call before. `bodyBytes` is the length that it gives for the body of an upload, or
 * null: all that a call is known by before its body is read.
 */
export type SdkHeaders = { keyId: string; count: number; bodyBytes: number | null };

/** An upload that asks to be admitted. */
export type Upload = {
  id: string;
  /** The length that the request gives for its body, or null. */
  bodyBytes: number | null;
  idempotencyKey: string | null;
  sdk: SdkHeaders | null;
};

/** `quota` is what is left of the limits; null where the request did not come so far as to be held against them. */
export type Submitted =
  | { kind: "ended"; generation: GenerationRecord; balance: Balance; replayed: boolean; quota: Quota | null }
  | { kind: "pending"; generation: GenerationRecord; replayed: boolean; quota: Quota | null }
  | InvalidField
  | Mismatch
  | Refusal
  /** It may have been charged: the id tells, once the account answers again. */
  | { kind: "unknown" };

/** The idempotency key belongs to another request. */
export type Mismatch = { kind: "mismatch" };

/** Nothing was charged. */
export type Refusal =
  | { kind: "limited"; by: "rate" | "concurrency"; retryAfterSeconds: number; quota: Quota }
  | { kind: "insufficient"; required: number; available: number; quota: Quota }
  /** It may work later. */
  | { kind: "unavailable" };

/** Why an upload may not begin. Nothing was charged. */
export type UploadRefusal = Refusal | Mismatch | { kind: "uploads_limited"; retryAfterSeconds: number };

export type InvalidField = InvalidShape | { kind: "invalid"; param: string; message: string };

/** How often the account is asked to take a submission, with the same id, before its fate is called unknown. */
const SUBMIT_ATTEMPTS = 3;
const AGAIN_AFTER_MS = 200;
/** How often a run that died is taken over by whoever waits for it: then it is left to the queue. */
const TAKE_OVERS_MAX = 5;
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
  const { keyId, uploadId } = submission;
  const repetition = await repetitionOf(submission, request);
  const outcome = await submitToAccount(env, userId, {
    ...{ id, mode, request, credits, keyId, uploadId },
    ...repetition,
  });
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
    default:
      // An account of a newer release may answer what this one does not know: it may have charged.
      log("submit_outcome_unknown", { user_id: userId, generation_id: id });
      return { kind: "unknown" };
  }
}

/**
 * Whether a caller may upload references: with a provider there, within the limits, and with credits for the cheapest
 * generation; or because the generation has been made already.
 */
export async function admit(
  userId: string,
  { id, bodyBytes, idempotencyKey, sdk }: Upload,
  env: Env,
  config: Config,
): Promise<{ kind: "admitted" } | UploadRefusal> {
  if (!chooseProvider(config)) return { kind: "unavailable" };
  const required = Math.min(...models.map((model) => cheapestPrice(model)));
  const sdkCall = sdk && { fingerprint: await unreadFingerprint(sdk), count: sdk.count };
  const call = sdkCall && { orderId: newId("gen"), sdkCall };
  try {
    const account = env.ACCOUNT.getByName(userId);
    const upload = { id, bytes: bodyBytes, call };
    const admission = await account.admit(required, idempotencyKey, sdk?.count ?? 0, upload);
    switch (admission.kind) {
      case "insufficient":
        return { ...admission, required };
      case "conflict":
        return { kind: "mismatch" };
      case "admitted":
      case "limited":
      case "uploads_limited":
        return admission;
    }
  } catch (error) {
    log("admit_failed", { user_id: userId, error: describe(error) });
  }
  return { kind: "unavailable" };
}

/** The upload is over and made no generation. Its account forgets it by itself, only later, when this fails. */
export async function endUpload(userId: string, uploadId: string, env: Env): Promise<void> {
  try {
    await env.ACCOUNT.getByName(userId).uploadEnded(uploadId);
  } catch (error) {
    log("upload_end_failed", { user_id: userId, error: describe(error) });
  }
}

/** The answer with the generation was written to its end: no SDK retry can be after it. */
export async function noteDelivered(userId: string, generationId: string, env: Env): Promise<void> {
  try {
    await env.ACCOUNT.getByName(userId).delivered(generationId);
  } catch (error) {
    log("delivered_failed", { user_id: userId, generation_id: generationId, error: describe(error) });
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
      prices: model.credits,
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

type Repetition = Pick<Order, "idempotency" | "sdkCall" | "unreadCall" | "versionedFingerprint">;

/** What lets a repeated request join. A key of the caller's own says more than what its SDK counts. */
async function repetitionOf(
  { idempotencyKey: key, sdk }: Submission,
  request: GenerationRequest,
): Promise<Repetition> {
  if (key === null && sdk === null) return { idempotency: null, sdkCall: null };
  const versioned = await fingerprintOf(request);
  const unversioned = await unversionedFingerprintOf(request);
  if (key !== null) {
    const idempotency = { key, fingerprint: unversioned };
    return { idempotency, sdkCall: null, versionedFingerprint: versioned };
  }
  if (sdk === null) return { idempotency: null, sdkCall: null };
  return {
    idempotency: null,
    sdkCall: { fingerprint: await sha256Hex(`${sdk.keyId}\n${unversioned}`), count: sdk.count },
    unreadCall: { fingerprint: await unreadFingerprint(sdk) },
    versionedFingerprint: await ofKey(sdk.keyId, versioned),
  };
}

/** Calls of two keys are never taken for the same. */
async function ofKey(keyId: string, fingerprint: string): Promise<string> {
  return `v1:${await sha256Hex(`${keyId}\n${fingerprint}`)}`;
}

async function unreadFingerprint({ keyId, bodyBytes }: SdkHeaders): Promise<string> {
  return ofKey(keyId, `unread upload of ${bodyBytes ?? "unknown"} bytes`);
}

/**
 * What tells whether two requests are the same: all that the caller asked, as it was understood, and the content of each
 * reference. How the caller waits, which host it called and how a provider is asked are no part of it.
 *
 * Stored for 24 hours, so it must stay the same from release to release. A field that is new is added to the end, and
 * only where it has another value than a request without it; what cannot be added so takes the next version, and repeats
 * of the version before are compared by both for a day.
 */
async function fingerprintOf(request: GenerationRequest): Promise<string> {
  const { model, prompt, aspectRatio, tier, size, renderQuality, n, outputFormat, outputCompression } =
    request;
  const { background, moderation, endUser, references } = request;
  const asked = [
    ...[model, prompt, aspectRatio, tier, size === "auto" ? size : [size.width, size.height]],
    ...[renderQuality, n, outputFormat, outputCompression, background, moderation, endUser],
    references.map(({ sha256 }) => sha256),
  ];
  return `v1:${await sha256Hex(JSON.stringify(asked))}`;
}

/**
 * The same as the release before fingerprints had versions wrote it. Accounts hold such ones for 24 hours, and an account
 * that still runs that release, for up to 15 minutes, compares nothing else.
 */
async function unversionedFingerprintOf(request: GenerationRequest): Promise<string> {
  const { origin: _origin, prices: _prices, references, ...asked } = request;
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
  // At the deadline the account ends it whatever holds the runner up, and the account is asked then.
  const runUntil = Date.now() + Math.min(SYNC_WAIT_SECONDS, RUN_DEADLINE_SECONDS) * 1000;
  let next = job;
  for (let takeOvers = 0; next !== null; takeOvers++) {
    const outcome = await runInRunner(env, userId, next, runUntil - Date.now());
    if (outcome?.kind === "settled") return { kind: "ended", ...pick(outcome) };
    const pause = AGAIN_AFTER_MS * 2 ** takeOvers;
    const mayGoOn = takeOvers < TAKE_OVERS_MAX && Date.now() + pause < runUntil;
    if (outcome?.kind !== "died" || !mayGoOn) break;
    await sleep(pause);
    next = await takeOver(env, userId, next);
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
): Promise<FinishOutcome | { kind: "died" } | null> {
  const runner = env.GENERATION_RUNNER.get(env.GENERATION_RUNNER.newUniqueId());
  try {
    return await within(milliseconds, Promise.resolve<FinishOutcome | null>(runner.run(userId, job)));
  } catch (error) {
    if (error instanceof TimeoutError) return null;
    log("runner_failed", { user_id: userId, generation_id: job.generationId, error: describe(error) });
    return { kind: "died" };
  }
}

/**
 * The job of a run that died, as by a deployment, which resets every object: with a lease of its own, so that nobody
 * waits until the old one lapses. Null when somebody else has it, or the account does not answer.
 */
async function takeOver(env: Env, userId: string, { generationId, fence }: Job): Promise<Job | null> {
  for (let attempt = 0; attempt < SUBMIT_ATTEMPTS; attempt++) {
    if (attempt > 0) await sleep(AGAIN_AFTER_MS * 2 ** attempt);
    try {
      const work = await env.ACCOUNT.getByName(userId).takeOver(generationId, fence);
      return work.kind === "run" ? work.job : null;
    } catch (error) {
      log("take_over_failed", { user_id: userId, generation_id: generationId, error: describe(error) });
    }
  }
  return null;
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
