import type { ImageOptions } from "../catalogue/options.ts";
import { describe, log } from "../log.ts";
import { ProviderError, type ProviderFailure, type Reference } from "../providers/provider.ts";
import { backoffMs, sleep } from "../time.ts";
import type { CallOutcome, TakeAnswer } from "./gate.ts";
import type { Route } from "./routes.ts";

/** How often a call is retried whose images may have been generated and billed but did not arrive. */
const UNDELIVERED_RETRIES_MAX = 1;

/** The images to generate, and what the provider calls need. */
export type Work = {
  generationId: string;
  options: ImageOptions;
  references: readonly Reference[];
  /** How many images to generate in total. */
  n: number;
  /** How many of them are stored. */
  stored(): number;
  /** Stores one image. After `rejected` (not an image) and `unstored` (R2 failed), further images are still read. */
  store(body: ReadableStream<Uint8Array>): Promise<"stored" | "rejected" | "unstored">;
  /** Asks the account for the right to one provider call. @throws when the account does not respond */
  allowCall(): Promise<boolean>;
  /** Asks the provider's gate for a call. */
  take(images: number, isAgain: boolean): Promise<TakeAnswer>;
  /** Reports the outcome of a call to the gate. */
  report(outcome: CallOutcome): Promise<void>;
  /** Whether an earlier run died, and may have lost images that the provider generated. */
  interrupted: boolean;
  /** Milliseconds since 1970. No call begins after it. */
  until: number;
  signal: AbortSignal;
};

/** Why images are missing: the provider's last failure, our storage, or no call or time left. */
export type CallFailure = ProviderFailure | { reason: "unstored" } | { reason: "exhausted" };

export type MakeOutcome =
  /** The provider returned a complete response, even if it has fewer images than requested. */
  | { kind: "made" }
  | { kind: "failed"; failure: CallFailure }
  /** The provider has no capacity before `until` (null: unknown). A call was allowed and not made. */
  | { kind: "waits"; until: number | null };

/**
 * Calls the provider until all images are stored, a failure is final, or no call or time is left. The only code that
 * calls a provider. A call that the provider turns away, or a probe that finds it down, is not an attempt.
 */
export async function makeImages(route: Route, work: Work): Promise<MakeOutcome> {
  const { generationId } = work;
  // The images of a call that was running when its run died did not arrive.
  let undelivered = work.interrupted ? 1 : 0;
  let isAllowed = false;
  let isAgain = false;
  let wait = 0;
  for (let retry = 0; work.stored() < work.n; ) {
    // Before any wait: without a further call, there is nothing to wait for.
    isAllowed ||= await work.allowCall();
    if (!isAllowed) return failed({ reason: "exhausted" });
    if (wait > 0) await sleep(wait);
    wait = 0;
    const ticket = await work.take(work.n - work.stored(), isAgain);
    if (ticket.kind === "wait") return { kind: "waits", until: ticket.until };
    if (isOver(work, Date.now())) return failed({ reason: "exhausted" });
    const failure = await callProvider(route, work, ticket);
    if (failure === null) return { kind: "made" };
    log("provider_failed", { generation_id: generationId, reason: failure.reason, stored: work.stored() });
    isAgain = true;
    if (failure.reason === "limited" || (failure.reason === "unavailable" && ticket.isProbe)) continue;
    isAllowed = false;
    if (mayBeBilled(failure)) undelivered++;
    const mayHelp = failure.reason === "unavailable" || mayBeBilled(failure);
    if (!mayHelp || undelivered > UNDELIVERED_RETRIES_MAX) return failed(failure);
    wait = backoffMs(retry++);
    if (failure.reason === "unavailable") wait = Math.max(wait, failure.retryAfterMs ?? 0);
    if (isOver(work, Date.now() + wait)) return failed({ reason: "exhausted" });
  }
  return { kind: "made" };
}

function failed(failure: CallFailure): MakeOutcome {
  return { kind: "failed", failure };
}

function mayBeBilled({ reason }: CallFailure): boolean {
  return reason === "undelivered" || reason === "timeout";
}

function isOver({ signal, until }: Work, at: number): boolean {
  return signal.aborted || at >= until;
}

/** Makes one call, and stores each image as it arrives. Null when the provider returned a complete response. */
async function callProvider(
  { provider, providerModel }: Route,
  work: Work,
  ticket: Extract<TakeAnswer, { kind: "go" }>,
): Promise<CallFailure | null> {
  const { generationId, options, references, n, stored, store, signal } = work;
  const offset = stored();
  let perMinute: number | null = null;
  const onLimit = (limit: number) => {
    perMinute = limit;
  };
  let unstored = false;
  let failure: CallFailure | null = null;
  try {
    const request = { ...options, providerModel, generationId, n: n - offset, offset };
    for await (const { body } of provider.generate(request, { references, signal, onLimit })) {
      // Checked only here: a provider that is cancelled after its last image cannot report that its response was
      // complete.
      if (stored() === n) break;
      if ((await store(body)) === "unstored") unstored = true;
    }
  } catch (error) {
    if (error instanceof ProviderError) {
      log("provider_error", { generation_id: generationId, detail: error.message });
      failure = error.failure;
    } else {
      log("run_failed", { generation_id: generationId, error: describe(error) });
      failure = { reason: "unavailable", retryAfterMs: null };
    }
  }
  const outcome = outcomeOf(failure, perMinute);
  if (ticket.report || outcome.kind !== "answered" || perMinute !== null) await work.report(outcome);
  // After a failure of our storage, another call would buy the lost images again.
  return unstored ? { reason: "unstored" } : failure;
}

/** The outcome of a call, as far as the provider's health and limits are concerned. */
function outcomeOf(failure: CallFailure | null, perMinute: number | null): CallOutcome {
  switch (failure?.reason) {
    case "limited":
      return { kind: "limited", by: failure.by, retryAfterMs: failure.retryAfterMs };
    case "unavailable":
      return { kind: "failed", reason: failure.reason, retryAfterMs: failure.retryAfterMs };
    case "timeout":
    case "undelivered":
      return { kind: "failed", reason: failure.reason, retryAfterMs: null };
    default:
      return { kind: "answered", perMinute };
  }
}
