import type { ProviderFailure } from "../providers/provider.ts";
import { backoffMs } from "../time.ts";
import type { Route } from "./routes.ts";

/** How often a call is repeated whose images may have been generated and billed but did not arrive. */
const UNDELIVERED_RETRIES_MAX = 1;

/** Why images are missing: the provider's last failure, our storage, or no call or time left. */
export type CallFailure = ProviderFailure | { reason: "unstored" } | { reason: "exhausted" };

type FailureVerdict =
  | { kind: "final" }
  /** `isAttempt`: whether the call counts against the attempts. `waitMs`: the wait before the next call. */
  | { kind: "again"; isAttempt: boolean; waitMs: number };

/**
 * Decides which route of a model the next call takes. A route that fails is left for the next one, for the images that
 * are still missing. When all have failed, the round begins again with the first, after a wait. A refusal is final: no
 * other provider is asked.
 */
export class Failover {
  #routes: readonly Route[];
  readonly #failed = new Set<Route>();
  #rounds = 0;
  #undelivered: number;

  /** @param undelivered calls whose images may have been billed and did not arrive, before this run */
  constructor(routes: readonly Route[], undelivered: 0 | 1) {
    this.#routes = routes;
    this.#undelivered = undelivered;
  }

  /** The routes to ask, first those that have not failed in this round. */
  get routes(): readonly Route[] {
    const isFresh = (route: Route) => !this.#failed.has(route);
    return [...this.#routes.filter(isFresh), ...this.#routes.filter((route) => !isFresh(route))];
  }

  /** @param isProbe whether the call was a probe, which tells whether the provider is back */
  failed(route: Route, failure: CallFailure, isProbe: boolean): FailureVerdict {
    switch (failure.reason) {
      case "limited":
        return this.#next(route, 0, false);
      case "misconfigured":
        this.#routes = this.#routes.filter((other) => other !== route);
        return this.#routes.length > 0 ? { kind: "again", isAttempt: true, waitMs: 0 } : { kind: "final" };
      case "timeout":
      case "undelivered":
        return ++this.#undelivered > UNDELIVERED_RETRIES_MAX ? { kind: "final" } : this.#next(route, 0, true);
      case "unavailable":
        return this.#next(route, failure.retryAfterMs ?? 0, !isProbe);
      case "refused":
      case "unreadable":
      case "invalid":
      case "unstored":
      case "exhausted":
        return { kind: "final" };
    }
  }

  #next(route: Route, retryAfterMs: number, isAttempt: boolean): FailureVerdict {
    // The gate decides when the only provider is called again.
    if (!isAttempt && this.#routes.length === 1) return { kind: "again", isAttempt, waitMs: 0 };
    this.#failed.add(route);
    if (this.#routes.some((other) => !this.#failed.has(other)))
      return { kind: "again", isAttempt, waitMs: 0 };
    this.#failed.clear();
    const waitMs = Math.max(backoffMs(this.#rounds++), retryAfterMs);
    return { kind: "again", isAttempt, waitMs };
  }
}
