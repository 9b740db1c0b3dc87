import type { ImageOptions } from "../catalogue/options.ts";
import { describe, log } from "../log.ts";
import { type PartialPictures, ProviderError, type Reference } from "../providers/provider.ts";
import { sleep } from "../time.ts";
import { type CallFailure, Failover } from "./failover.ts";
import type { CallOutcome, TakeAnswer } from "./gate.ts";
import type { Route } from "./routes.ts";

/** What a polled provider needs to find the work of a call again. */
export type SavedTask = { provider: string; state: string };

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
  /** Where partial pictures go, if a request waits for them. `hasBegun`: an earlier call sent some. */
  partials?: (PartialPictures & { readonly hasBegun: boolean }) | undefined;
  /** Asks the account for the right to one provider call. @throws when the account does not respond */
  allowCall(): Promise<boolean>;
  /**
   * Asks the route's gate for a call.
   * @param mayWait whether to wait for it, or to be queued by the gate when the turn comes
   */
  take(route: Route, images: number, isAgain: boolean, mayWait: boolean): Promise<TakeAnswer>;
  /** Reports the outcome of a call to the route's gate. */
  report(route: Route, outcome: CallOutcome): Promise<void>;
  /** What an earlier run saved of a call that its provider may still be working on, or null. */
  task: SavedTask | null;
  /** Stores the task of the current call. @throws when it cannot be stored */
  saveTask(task: SavedTask): Promise<void>;
  /** Whether an earlier run died, and may have lost images that the provider generated. */
  interrupted: boolean;
  /** Milliseconds since 1970. No call begins after it. */
  until: number;
  signal: AbortSignal;
};

export type MakeOutcome =
  /** The provider returned a complete response, even if it has fewer images than requested. */
  | { kind: "made" }
  | { kind: "failed"; failure: CallFailure }
  /** The provider has no capacity before `until` (null: unknown). A call was allowed and not made. */
  | { kind: "waits"; until: number | null };

/**
 * Calls providers until all images are stored, a failure is final, or no call or time is left. The only code that calls
 * a provider. A call that the provider turns away, or a probe that finds it down, is not an attempt. Nor is polling on
 * for what an earlier run has bought.
 * @param routes of the request's model, in the order in which they are tried; at least one
 */
export async function makeImages(routes: readonly Route[], work: Work): Promise<MakeOutcome> {
  let resumed = resume(routes, work.task);
  // The images of a call that was running when its run died did not arrive, unless they can be polled for.
  const failover = new Failover(routes, work.interrupted && resumed === null ? 1 : 0);
  let isAllowed = false;
  let isAgain = false;
  let waitMs = 0;
  while (work.stored() < work.n) {
    // Before any wait: without a further call, there is nothing to wait for.
    isAllowed ||= resumed === null && (await work.allowCall());
    if (!isAllowed && resumed === null) return failed({ reason: "exhausted" });
    if (waitMs > 0) await sleep(waitMs);
    const turn = resumed ?? (await takeTurn(failover.routes, work, isAgain));
    if (turn.kind === "wait") return { kind: "waits", until: turn.until };
    if (isOver(work, Date.now())) return failed({ reason: "exhausted" });
    const failure = await callProvider(turn, work, routes.length > 1);
    if (failure === null) return { kind: "made" };
    const fields = { generation_id: work.generationId, provider: turn.route.name, reason: failure.reason };
    log("provider_failed", { ...fields, stored: work.stored() });
    const verdict = failover.failed(turn.route, failure, turn.ticket.isProbe);
    if (verdict.kind === "final") return failed(failure);
    if (verdict.isAttempt && resumed === null) isAllowed = false;
    resumed = null;
    isAgain = true;
    waitMs = verdict.waitMs;
    if (isOver(work, Date.now() + waitMs)) return failed({ reason: "exhausted" });
  }
  return { kind: "made" };
}

/** The right to one call of a route. `saved`: the task of an earlier run, to poll on. */
type Turn = {
  kind: "go";
  route: Route;
  ticket: Extract<TakeAnswer, { kind: "go" }>;
  saved: string | null;
};

function resume(routes: readonly Route[], task: SavedTask | null): Turn | null {
  const route = routes.find(({ name }) => name === task?.provider);
  if (!route || !task) return null;
  return { kind: "go", route, ticket: { kind: "go", report: true, isProbe: false }, saved: task.state };
}

/** Takes a call of the first route whose provider has room. If none has, waits for the one whose turn comes first. */
async function takeTurn(
  routes: readonly Route[],
  work: Work,
  isAgain: boolean,
): Promise<Turn | { kind: "wait"; until: number | null }> {
  const images = work.n - work.stored();
  let [soonest] = routes;
  let soonestAt = Number.POSITIVE_INFINITY;
  for (const route of routes.length > 1 ? routes : []) {
    const ticket = await work.take(route, images, isAgain, false);
    if (ticket.kind === "go") return { kind: "go", route, ticket, saved: null };
    const at = ticket.until ?? Number.POSITIVE_INFINITY;
    if (at >= soonestAt) continue;
    soonest = route;
    soonestAt = at;
  }
  if (!soonest) return { kind: "wait", until: null };
  const ticket = await work.take(soonest, images, isAgain, true);
  return ticket.kind === "go" ? { kind: "go", route: soonest, ticket, saved: null } : ticket;
}

function failed(failure: CallFailure): MakeOutcome {
  return { kind: "failed", failure };
}

function isOver({ signal, until }: Work, at: number): boolean {
  return signal.aborted || at >= until;
}

/** Makes one call, and stores each image as it arrives. Null when the provider returned a complete response. */
async function callProvider(
  { route, ticket, saved }: Turn,
  work: Work,
  hasOthers: boolean,
): Promise<CallFailure | null> {
  const { name, provider, providerModel } = route;
  const { generationId, options, references, n, stored, store, signal } = work;
  const offset = stored();
  let perMinute: number | null = null;
  const onLimit = (limit: number) => {
    perMinute = limit;
  };
  const task = { saved, save: (state: string) => work.saveTask({ provider: name, state }) };
  const partials = work.partials?.hasBegun ? undefined : work.partials;
  let unstored = false;
  let failure: CallFailure | null = null;
  try {
    const request = { ...options, providerModel, generationId, n: n - offset, offset };
    const call = { references, signal, onLimit, task, partials };
    for await (const { body } of provider.generate(request, call)) {
      // Checked only here: a provider that is cancelled after its last image cannot report that its response was
      // complete.
      if (stored() === n) break;
      if ((await store(body)) === "unstored") unstored = true;
    }
  } catch (error) {
    if (error instanceof ProviderError) {
      log("provider_error", { generation_id: generationId, provider: name, detail: error.message });
      failure = error.failure;
    } else {
      log("run_failed", { generation_id: generationId, provider: name, error: describe(error) });
      failure = { reason: "unavailable", retryAfterMs: null };
    }
  }
  const outcome = outcomeOf(failure, perMinute, hasOthers);
  if (ticket.report || outcome.kind !== "answered" || perMinute !== null) await work.report(route, outcome);
  // After a failure of our storage, another call would buy the lost images again.
  return unstored ? { reason: "unstored" } : failure;
}

/**
 * The outcome of a call, as far as the provider's health and limits are concerned. A provider that an operator has to
 * set right counts as down if there are others: they get the next calls at once.
 */
function outcomeOf(failure: CallFailure | null, perMinute: number | null, hasOthers: boolean): CallOutcome {
  switch (failure?.reason) {
    case "limited":
      return { kind: "limited", by: failure.by, retryAfterMs: failure.retryAfterMs };
    case "unavailable":
      return { kind: "failed", reason: failure.reason, retryAfterMs: failure.retryAfterMs };
    case "timeout":
    case "undelivered":
      return { kind: "failed", reason: failure.reason, retryAfterMs: null };
    case "misconfigured":
      if (hasOthers) return { kind: "failed", reason: failure.reason, retryAfterMs: null };
      return { kind: "answered", perMinute };
    default:
      return { kind: "answered", perMinute };
  }
}
