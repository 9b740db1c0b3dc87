import type { Account } from "../account/account.ts";
import type { Job } from "../account/lifecycle.ts";
import type { Balance, Ended, FinishOutcome } from "../account/outcomes.ts";
import type { GenerationRecord } from "../account/views.ts";
import type { Config } from "../config.ts";
import { describe, log } from "../log.ts";
import { sleep, TimeoutError, withTimeout } from "../time.ts";
import type { PartialsAsked } from "./partials.ts";

/** How often the waiting request takes over from a run that died. After that, the queue recovers the generation. */
const TAKE_OVERS_MAX = 5;
const TAKE_OVER_ATTEMPTS = 3;
/** Doubles with each attempt. */
const RETRY_AFTER_MS = 200;
/** Added to the wait, so that a generation that ends right at its limit is still returned with its images. */
const WAIT_GRACE_MS = 5_000;
/** How long one call waits in the account. A client that leaves makes no further call, so it costs no more than this. */
const WAIT_SLICE_MS = 10_000;
/** A timer may fire a moment early. That is no reason for one more call. */
const TIMER_EARLY_MS = 5;
/** The pause before the next call to an account that did not respond. */
const ACCOUNT_RETRY_MS = 1_000;

type AwaitedEnd =
  | { kind: "ended"; generation: GenerationRecord; balance: Balance }
  | { kind: "pending"; generation: GenerationRecord };

/**
 * Runs the job in a runner and waits for its end. Takes over from a run that dies. If another worker holds the lease,
 * waits in the account. Returns `pending` when the time is up first.
 * @param job the lease of this caller, or null when another caller has it
 * @param partials the partial pictures that the caller asks for. Only the first run sends them
 */
export async function awaitEnd(
  env: Env,
  userId: string,
  accepted: GenerationRecord,
  job: Job | null,
  { SYNC_WAIT_SECONDS, RUN_DEADLINE_SECONDS }: Config,
  partials?: PartialsAsked,
): Promise<AwaitedEnd> {
  const until = Date.now() + SYNC_WAIT_SECONDS * 1000 + WAIT_GRACE_MS;
  // At the deadline the account ends the generation even if the runner hangs, so ask the account from then on.
  const runUntil = Date.now() + Math.min(SYNC_WAIT_SECONDS, RUN_DEADLINE_SECONDS) * 1000;
  let next = job;
  for (let takeOvers = 0; next !== null; takeOvers++) {
    const asked = takeOvers === 0 ? partials : undefined;
    const outcome = await runInRunner(env, userId, next, runUntil - Date.now(), asked);
    if (outcome?.kind === "settled") return { kind: "ended", ...pick(outcome) };
    const pause = RETRY_AFTER_MS * 2 ** takeOvers;
    const mayGoOn = takeOvers < TAKE_OVERS_MAX && Date.now() + pause < runUntil;
    if (outcome?.kind !== "died" || !mayGoOn) break;
    await sleep(pause);
    next = await takeOver(env, userId, next);
  }
  // Another worker has the lease, or the runner does not respond: wait in the account.
  return await awaitInAccount(env, userId, accepted, until);
}

/**
 * Waits in the account for the end of a generation that other workers run. Returns `pending` with its state when the
 * time is up first.
 * @param until milliseconds since 1970
 */
export async function awaitInAccount(
  env: Pick<Env, "ACCOUNT">,
  userId: string,
  known: GenerationRecord,
  until: number,
): Promise<AwaitedEnd> {
  let generation = known;
  for (let left = until - Date.now(); left > TIMER_EARLY_MS; left = until - Date.now()) {
    const slice = Math.min(left, WAIT_SLICE_MS);
    const now = await waitInAccount(env.ACCOUNT.getByName(userId), known.id, slice);
    if (now?.generation.endedAt) return { kind: "ended", ...pick(now) };
    if (now === null) await sleep(Math.min(ACCOUNT_RETRY_MS, left));
    else generation = now.generation;
  }
  return { kind: "pending", generation };
}

async function runInRunner(
  env: Env,
  userId: string,
  job: Job,
  milliseconds: number,
  asked: PartialsAsked | undefined,
): Promise<FinishOutcome | { kind: "died" } | null> {
  const runner = env.GENERATION_RUNNER.get(env.GENERATION_RUNNER.newUniqueId());
  try {
    return await withTimeout(
      milliseconds,
      Promise.resolve<FinishOutcome | null>(runner.run(userId, job, asked)),
    );
  } catch (error) {
    if (error instanceof TimeoutError) return null;
    log("runner_failed", { user_id: userId, generation_id: job.generationId, error: describe(error) });
    return { kind: "died" };
  }
}

/**
 * Takes the lease of a run that died (a deployment resets every object), instead of waiting until it lapses. Null when
 * another worker has it, or when the account does not respond.
 */
async function takeOver(env: Env, userId: string, { generationId, fence }: Job): Promise<Job | null> {
  for (let attempt = 0; attempt < TAKE_OVER_ATTEMPTS; attempt++) {
    if (attempt > 0) await sleep(RETRY_AFTER_MS * 2 ** attempt);
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
