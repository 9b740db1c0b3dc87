import type { FinishOutcome, LeaseOutcome } from "../account/account.ts";
import type { FailureCode, Job, RunResult } from "../account/lifecycle.ts";
import { newId } from "../id.ts";
import { EXTENSIONS } from "../images/format.ts";
import { StorageError, storeImage } from "../images/sink.ts";
import { type StoredImage, storedImages } from "../images/stored.ts";
import { describe, log } from "../log.ts";
import { type Provider, ProviderError, type ProviderFailure, type Reference } from "../providers/provider.ts";
import { sleep } from "../time.ts";

/** A lease lasts 150 s: one of these may fail before it lapses. */
const RENEW_EVERY_MS = 60_000;
const RETRY_FIRST_MS = 1_000;
const RETRY_LAST_MS = 30_000;
/** How often a call is repeated that may have made, and billed, pictures which did not arrive. */
const UNDELIVERED_RETRIES_MAX = 1;
/** How often a result is brought to the account before it is left to the next run, which finds the images stored. */
const FINISH_ATTEMPTS = 4;
/** Four times the largest picture seen: what is larger is not one. */
export const IMAGE_BYTES_MAX = 64 * 1024 * 1024;

export type RunBindings = Pick<Env, "IMAGES" | "REFERENCES">;

/** What a run needs of the account that its job is of. */
export type JobAccount = {
  renew(id: string, fence: number, calls: 0 | 1): Promise<LeaseOutcome>;
  finish(id: string, fence: number, result: RunResult): Promise<FinishOutcome>;
};

/**
 * Works one job to its end: asks the provider for what is missing, stores each image as it arrives, and brings the
 * account the result. The only code that calls a provider.
 * @param openAccount the account that the job is of: a stub that has thrown stays broken, so each call takes a new one
 * @returns what the account made of it; null when it could not be reached, and the lease's end is left to recover it
 * @throws when what is stored cannot be listed, or the account not asked for a further call: left to the lease as well
 */
export async function run(
  job: Job,
  openAccount: () => JobAccount,
  provider: Provider,
  env: RunBindings,
): Promise<FinishOutcome | null> {
  const work = new AbortController();
  const renewing = setInterval(() => void keepLease(job, openAccount, work), RENEW_EVERY_MS);
  // Not AbortSignal.timeout, which nothing clears: an object with a timer left is kept, and billed, after its work.
  const deadline = setTimeout(() => work.abort(), Math.max(0, job.workUntil - Date.now()));
  try {
    const result = await makeImages(job, openAccount, provider, env, work.signal);
    return await finish(job, openAccount, result);
  } finally {
    clearInterval(renewing);
    clearTimeout(deadline);
  }
}

async function makeImages(
  job: Job,
  openAccount: () => JobAccount,
  provider: Provider,
  env: RunBindings,
  signal: AbortSignal,
): Promise<RunResult> {
  const { generationId, request } = job;
  // A first run has stored nothing yet; a later one keeps what those before it have stored.
  const images = job.fence === 1 ? [] : await storedImages(env.IMAGES, generationId);
  let mayCall = job.mayCall;
  let wait = 0;
  // A run that takes over does so because another died, perhaps in mid-call: that call's pictures did not arrive either.
  let undelivered = job.fence > 1 ? 1 : 0;
  for (let retry = 0; images.length < request.n; retry++) {
    // Asked before the wait: there is nothing to wait for when no further call is allowed.
    if (!mayCall && (await openAccount().renew(generationId, job.fence, 1)) !== "yours") {
      return { images, failure: "generationFailed" };
    }
    mayCall = false;
    if (wait > 0) await sleep(wait);
    if (signal.aborted || Date.now() >= job.workUntil) return { images, failure: "generationFailed" };
    const failure = await callProvider(job, provider, env, images, signal);
    if (failure === null) break;
    log("provider_failed", { generation_id: generationId, reason: failure.reason, stored: images.length });
    if (failure.reason === "undelivered") undelivered++;
    const mayHelp = failure.reason === "unavailable" || failure.reason === "undelivered";
    if (!mayHelp || undelivered > UNDELIVERED_RETRIES_MAX) return { images, ...endOf(failure, request) };
    wait = backoffMs(retry);
    if (failure.reason === "unavailable") wait = Math.max(wait, failure.retryAfterMs ?? 0);
    if (signal.aborted || Date.now() + wait >= job.workUntil) return { images, failure: "generationFailed" };
  }
  return { images, failure: null };
}

/** Why a call brought fewer images than it might have: the provider, or our own storage (`unstored`). */
type CallFailure = ProviderFailure | { reason: "unstored" };

/** One call: adds to `images` each image that is stored whole. Null when the provider gave a whole answer. */
async function callProvider(
  job: Job,
  provider: Provider,
  env: RunBindings,
  images: StoredImage[],
  signal: AbortSignal,
): Promise<CallFailure | null> {
  const { generationId, request } = job;
  const wanted = request.n - images.length;
  const references: Reference[] = request.references.map(({ key, contentType, bytes }) => ({
    contentType,
    bytes,
    open: () => openReference(env.REFERENCES, key),
  }));
  let unstored = false;
  try {
    const provided = provider.generate(
      { ...request, quality: request.renderQuality, generationId, n: wanted, offset: images.length },
      { references, signal },
    );
    for await (const { body } of provided) {
      // Only here: a provider that is left after its last image cannot say that its answer was whole.
      if (images.length === request.n) break;
      const image = await storePicture(env.IMAGES, generationId, body);
      if (image === "unstored") unstored = true;
      else if (image !== null) images.push(image);
    }
    return unstored ? { reason: "unstored" } : null;
  } catch (error) {
    // A further call would buy again what was lost by a fault of ours.
    if (unstored) return { reason: "unstored" };
    if (!(error instanceof ProviderError)) {
      log("run_failed", { generation_id: generationId, error: describe(error) });
      return { reason: "unavailable", retryAfterMs: null };
    }
    log("provider_error", { generation_id: generationId, detail: error.message });
    return error.failure;
  }
}

/**
 * What is no whole picture, or too large for one, is left out: it counts as not delivered. So does what storage refuses
 * to take, but the pictures after it are still to be had.
 * @throws what the body throws
 */
async function storePicture(
  bucket: R2Bucket,
  generationId: string,
  body: ReadableStream<Uint8Array>,
): Promise<StoredImage | "unstored" | null> {
  const id = newId("img");
  const keyFor = (contentType: keyof typeof EXTENSIONS) => `${generationId}/${id}.${EXTENSIONS[contentType]}`;
  const cacheControl = "public, max-age=31536000, immutable";
  try {
    const stored = await storeImage(bucket, body, { keyFor, bytesMax: IMAGE_BYTES_MAX, cacheControl });
    if (stored.kind === "stored") {
      const { key, contentType, width, height, bytes } = stored;
      return { id, key, contentType, width, height, bytes, createdAt: Date.now() };
    }
    log("image_refused", { generation_id: generationId, reason: stored.kind });
    return null;
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    log("image_not_stored", { generation_id: generationId, error: describe(error) });
    return "unstored";
  }
}

async function openReference(bucket: R2Bucket, key: string): Promise<ReadableStream<Uint8Array>> {
  const object = await bucket.get(key);
  if (!object) throw new ProviderError({ reason: "invalid" }, "a stored reference is gone");
  return object.body;
}

/** Brings the result until the account has it. Safe to repeat: it settles once. */
async function finish(
  job: Job,
  openAccount: () => JobAccount,
  result: RunResult,
): Promise<FinishOutcome | null> {
  for (let attempt = 0; attempt < FINISH_ATTEMPTS; attempt++) {
    if (attempt > 0) await sleep(backoffMs(attempt - 1));
    try {
      return await openAccount().finish(job.generationId, job.fence, result);
    } catch (error) {
      log("finish_failed", { generation_id: job.generationId, attempt, error: describe(error) });
    }
  }
  return null;
}

async function keepLease(job: Job, openAccount: () => JobAccount, work: AbortController): Promise<void> {
  try {
    const lease = await openAccount().renew(job.generationId, job.fence, 0);
    if (lease === "lost") work.abort();
  } catch (error) {
    log("renew_failed", { generation_id: job.generationId, error: describe(error) });
  }
}

/** Half of a doubling span and up to half more, so that callers that failed together do not return together. */
function backoffMs(retry: number): number {
  return (0.5 + Math.random() / 2) * Math.min(RETRY_FIRST_MS * 2 ** retry, RETRY_LAST_MS);
}

/** How a generation ends that this failure ends. */
function endOf(
  failure: CallFailure,
  { references }: Job["request"],
): { failure: FailureCode; permanent?: boolean } {
  switch (failure.reason) {
    case "refused":
      return { failure: "contentPolicyViolation" };
    case "unreadable":
      // Without a reference there is nothing of the caller's that could not be read.
      if (references.length > 0) return { failure: "unreadableReference" };
      return { failure: "generationFailed", permanent: true };
    case "invalid":
    case "misconfigured":
      return { failure: "generationFailed", permanent: true };
    case "unavailable":
    case "undelivered":
    case "unstored":
      return { failure: "generationFailed" };
  }
}
