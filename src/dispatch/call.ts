import type { ImageOptions } from "../catalogue/options.ts";
import { describe, log } from "../log.ts";
import { ProviderError, type ProviderFailure, type Reference } from "../providers/provider.ts";
import { backoffMs, sleep } from "../time.ts";
import type { Route } from "./routes.ts";

/** How often a call is repeated whose images may have been made, and billed, but did not arrive. */
const UNDELIVERED_RETRIES_MAX = 1;

/** Images to be made, and what the calls for them need. */
export type Work = {
  generationId: string;
  options: ImageOptions;
  references: readonly Reference[];
  /** How many images there are to be in all. */
  n: number;
  /** How many of them are stored. */
  stored(): number;
  /** Stores one image. A rejected one is no picture; the pictures after it are still wanted, as after `unstored`. */
  store(body: ReadableStream<Uint8Array>): Promise<"stored" | "rejected" | "unstored">;
  /** Asks for the right to one provider call. @throws when the account does not answer */
  allowCall(): Promise<boolean>;
  /** Whether an earlier run may have lost images that its provider made. */
  isRerun: boolean;
  /** Milliseconds since 1970. No call begins after it. */
  until: number;
  signal: AbortSignal;
};

/** Why images are missing: what the provider said last, our storage (`unstored`), or no call or time left. */
export type CallFailure = ProviderFailure | { reason: "unstored" } | { reason: "exhausted" };

/**
 * Calls the provider until all images are stored, a failure is final, or no call or time is left. The only code that
 * calls a provider.
 * @returns null when the provider gave a whole answer, even one with fewer images than asked
 */
export async function makeImages(route: Route, work: Work): Promise<CallFailure | null> {
  // A rerun follows a run that died, perhaps during a call: the images of that call did not arrive.
  let undelivered = work.isRerun ? 1 : 0;
  let wait = 0;
  for (let retry = 0; work.stored() < work.n; retry++) {
    // Asked before the wait: without a further call there is nothing to wait for.
    if (!(await work.allowCall())) return { reason: "exhausted" };
    if (wait > 0) await sleep(wait);
    if (isOver(work, Date.now())) return { reason: "exhausted" };
    const failure = await callProvider(route, work);
    if (failure === null) return null;
    log("provider_failed", {
      generation_id: work.generationId,
      reason: failure.reason,
      stored: work.stored(),
    });
    if (failure.reason === "undelivered") undelivered++;
    const mayHelp = failure.reason === "unavailable" || failure.reason === "undelivered";
    if (!mayHelp || undelivered > UNDELIVERED_RETRIES_MAX) return failure;
    wait = backoffMs(retry);
    if (failure.reason === "unavailable") wait = Math.max(wait, failure.retryAfterMs ?? 0);
    if (isOver(work, Date.now() + wait)) return { reason: "exhausted" };
  }
  return null;
}

function isOver({ signal, until }: Work, at: number): boolean {
  return signal.aborted || at >= until;
}

/** One call, which stores each image as it arrives. Null when the provider gave a whole answer. */
async function callProvider(
  { provider, providerModel }: Route,
  { generationId, options, references, n, stored, store, signal }: Work,
): Promise<CallFailure | null> {
  const offset = stored();
  let unstored = false;
  try {
    const request = { ...options, providerModel, generationId, n: n - offset, offset };
    for await (const { body } of provider.generate(request, { references, signal })) {
      // Checked only here: a provider that is left after its last image cannot say that its answer was whole.
      if (stored() === n) break;
      if ((await store(body)) === "unstored") unstored = true;
    }
    return unstored ? { reason: "unstored" } : null;
  } catch (error) {
    // A further call would buy again what our storage lost.
    if (unstored) return { reason: "unstored" };
    if (!(error instanceof ProviderError)) {
      log("run_failed", { generation_id: generationId, error: describe(error) });
      return { reason: "unavailable", retryAfterMs: null };
    }
    log("provider_error", { generation_id: generationId, detail: error.message });
    return error.failure;
  }
}
