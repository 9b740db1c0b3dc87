import type { FailureCode, GenerationRequest, Job, RunResult } from "../account/lifecycle.ts";
import type { FinishOutcome, LeaseOutcome } from "../account/outcomes.ts";
import type { Served } from "../account/point.ts";
import { makeImages, type SavedTask } from "../dispatch/call.ts";
import { reportCall, takeTicket } from "../dispatch/client.ts";
import type { CallFailure } from "../dispatch/failover.ts";
import { flowOf } from "../dispatch/fair-queue.ts";
import type { CallOutcome } from "../dispatch/gate.ts";
import { type Route, routesThatAccept } from "../dispatch/routes.ts";
import { newId } from "../id.ts";
import { EXTENSIONS } from "../images/format.ts";
import { type StoredImage, storedImages } from "../images/stored.ts";
import { StorageError, storeImage } from "../images/upload.ts";
import { describe, log } from "../log.ts";
import { ProviderError } from "../providers/provider.ts";
import { backoffMs, sleep } from "../time.ts";
import type { PartialSender } from "./partials.ts";

/** A lease lasts 150 s: one of these may fail before it lapses. */
const RENEW_EVERY_MS = 60_000;
/** How often a run reports its result. If all attempts fail, the next run finds the images stored. */
const FINISH_ATTEMPTS = 4;
/** Four times the largest image seen. */
export const IMAGE_BYTES_MAX = 64 * 1024 * 1024;

export type RunBindings = Pick<Env, "IMAGES" | "REFERENCES" | "PROVIDER_GATE">;

export type RunOptions = {
  userId: string;
  /** The routes of the job's model, in order. */
  routes: readonly Route[];
  /** What to do when the provider has no capacity: wait until the job's end, or give the job back. */
  onBusy: "wait" | "defer";
  /** Left out when no request waits for partial pictures. */
  partials?: PartialSender | undefined;
};

/** How long a run waits before it gives its job back. */
const DEFER_AFTER_MS = 2_000;
/** The queue deadline for jobs of release 0.1.0, which do not state one. */
const WAIT_MS = 3_600_000;

/** `deferred`: the provider's gate queues the generation when its turn comes. `lost`: another worker has it. */
export type RunOutcome = FinishOutcome | { kind: "deferred" | "lost" } | null;

/** The methods of the job's account that a run needs. */
export type JobAccount = {
  renew(id: string, fence: number, calls: 0 | 1, task?: SavedTask): Promise<LeaseOutcome>;
  finish(id: string, fence: number, result: RunResult, served?: Served): Promise<FinishOutcome>;
  defer(id: string, fence: number, slotAt: number | null, unspent: 0 | 1): Promise<"deferred" | "lost">;
};

/**
 * Runs a job to its end: generates the missing images, stores each as it arrives, and reports the result to the
 * account.
 * @param openAccount opens the job's account: a stub that has thrown stays broken, so each call takes a new one
 * @returns the account's answer; null when the account did not respond: the job is recovered when its lease lapses
 * @throws when the stored images cannot be listed, or the account does not respond to a request for a further call: the
 * job is recovered too
 */
export async function run(
  job: Job,
  openAccount: () => JobAccount,
  options: RunOptions,
  env: RunBindings,
): Promise<RunOutcome> {
  const work = new AbortController();
  const renewing = setInterval(() => void keepLease(job, openAccount, work), RENEW_EVERY_MS);
  // AbortSignal.timeout cannot be cleared, and an object with a pending timer stays in memory, and is billed.
  const deadline = setTimeout(() => work.abort(), Math.max(0, job.workUntil - Date.now()));
  try {
    const startedAt = Date.now();
    const served: Served = { provider: null, providerMs: 0, gateMs: 0 };
    const made = await makeAll(job, openAccount, options, env, work.signal, served);
    served.providerMs = Date.now() - startedAt - served.gateMs;
    if (made.kind === "result") return await finish(job, openAccount, made.result, served);
    const { generationId, fence } = job;
    return { kind: await openAccount().defer(generationId, fence, made.until, 1) };
  } finally {
    clearInterval(renewing);
    clearTimeout(deadline);
  }
}

async function makeAll(
  job: Job,
  openAccount: () => JobAccount,
  { userId, routes, onBusy, partials }: RunOptions,
  env: RunBindings,
  signal: AbortSignal,
  served: Served,
): Promise<{ kind: "result"; result: RunResult } | { kind: "waits"; until: number | null }> {
  const { generationId, request, workUntil } = job;
  if (routes.length === 0) throw new Error(`No route is configured for ${request.model}.`);
  const usable = routesThatAccept(routes, request, request.references);
  const isFirst = job.fence === 1 || job.mayCall;
  // A first run has stored nothing yet; a later one keeps what the runs before it stored.
  const images = isFirst ? [] : [...(await storedImages(env.IMAGES, generationId))];
  if (usable.length === 0 && images.length < request.n)
    return { kind: "result", result: { images, ...endOf(refusalOf(routes, request), request) } };
  let isAllowed = job.mayCall;
  const allowCall = async () => {
    const mayCall = isAllowed || (await openAccount().renew(generationId, job.fence, 1)) === "yours";
    isAllowed = false;
    return mayCall;
  };
  const store = async (body: ReadableStream<Uint8Array>) => {
    const image = await storeProvidedImage(env.IMAGES, generationId, body);
    if (typeof image === "string") return image;
    images.push(image);
    return "stored";
  };
  const references = request.references.map(({ key, contentType, bytes }) => ({
    contentType,
    bytes,
    open: () => openReference(env.REFERENCES, key),
  }));
  const take = async (route: Route, wanted: number, isAgain: boolean, mayWait: boolean) => {
    const isDeferred = onBusy === "defer";
    const longest = isDeferred ? DEFER_AFTER_MS : Math.max(0, workUntil - Date.now());
    const hold = mayWait ? longest : 0;
    const item = { id: generationId, userId, flow: flowOf(userId, isDeferred ? "async" : "sync") };
    const deadline = isDeferred ? (job.queueUntil ?? Date.now() + WAIT_MS) : workUntil;
    const ask = { ...item, images: wanted, isAgain: isAgain || job.fence > 1, deadline };
    const askedAt = Date.now();
    const answer = await takeTicket(env, route, ask, hold, isDeferred && mayWait);
    served.gateMs += Date.now() - askedAt;
    if (answer.kind === "go") served.provider = route.name;
    return answer;
  };
  const report = (route: Route, outcome: CallOutcome) => reportCall(env, route, generationId, outcome);
  const saveTask = async (task: SavedTask) => {
    const lease = await openAccount().renew(generationId, job.fence, 0, task);
    if (lease === "lost") throw new Error("The lease is lost.");
  };
  const made = await makeImages(usable, {
    ...{ generationId, options: request, references, n: request.n, stored: () => images.length, store },
    ...{ allowCall, take, report, interrupted: job.interrupted ?? job.fence > 1 },
    ...{ task: job.task ?? null, saveTask, until: workUntil, signal, partials },
  });
  switch (made.kind) {
    case "waits":
      // A run that waits has used up its time.
      if (onBusy === "defer") return made;
      return { kind: "result", result: { images, failure: "generationFailed" } };
    case "made":
      return { kind: "result", result: { images, failure: null } };
    case "failed":
      return { kind: "result", result: { images, ...endOf(made.failure, request) } };
  }
}

/**
 * Stores one image. A body that is not a complete image, or is too large, is `rejected`; one that R2 does not accept is
 * `unstored`. Both count as not delivered.
 * @throws what the body throws
 */
async function storeProvidedImage(
  bucket: R2Bucket,
  generationId: string,
  body: ReadableStream<Uint8Array>,
): Promise<StoredImage | "unstored" | "rejected"> {
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
    return "rejected";
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    log("image_not_stored", { generation_id: generationId, error: describe(error) });
    return "unstored";
  }
}

async function openReference(bucket: R2Bucket, key: string): Promise<ReadableStream<Uint8Array>> {
  const object = await bucket.get(key);
  if (!object) throw new ProviderError({ reason: "invalid" }, "a stored reference is missing");
  return object.body;
}

/** Reports the result until the account has it. Safe to repeat: it settles once. */
async function finish(
  job: Job,
  openAccount: () => JobAccount,
  result: RunResult,
  served: Served,
): Promise<FinishOutcome | null> {
  for (let attempt = 0; attempt < FINISH_ATTEMPTS; attempt++) {
    if (attempt > 0) await sleep(backoffMs(attempt - 1));
    try {
      return await openAccount().finish(job.generationId, job.fence, result, served);
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

/**
 * Why none of the routes can express a request that was accepted: its references are too large, and their sizes were not
 * known then, or the routes have changed.
 */
function refusalOf(routes: readonly Route[], request: GenerationRequest): CallFailure {
  const isOfReferences = routesThatAccept(routes, request, []).length > 0;
  log("no_route_accepts", { model: request.model, routes: routes.length });
  return { reason: isOfReferences ? "unreadable" : "invalid" };
}

/** The failure code of a generation that ends with this failure. */
function endOf(
  failure: CallFailure,
  { references }: GenerationRequest,
): { failure: FailureCode; permanent?: boolean } {
  switch (failure.reason) {
    case "refused":
      return { failure: "contentPolicyViolation" };
    case "unreadable":
      // Without a reference, there is no file of the client's that could be unreadable.
      if (references.length > 0) return { failure: "unreadableReference" };
      return { failure: "generationFailed", permanent: true };
    case "invalid":
    case "misconfigured":
      return { failure: "generationFailed", permanent: true };
    case "limited":
    case "unavailable":
    case "timeout":
    case "undelivered":
    case "unstored":
    case "exhausted":
      return { failure: "generationFailed" };
  }
}
