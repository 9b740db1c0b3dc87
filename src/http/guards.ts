import type { Context } from "hono";
import { networkOf } from "../network.ts";
import type { AppEnv } from "./env.ts";
import { ApiError, type ErrorCode } from "./errors.ts";
import { RETRY_AFTER_SECONDS_MAX } from "./limits.ts";

/**
 * The platform's rate limits: they cost no storage, count for each location, and are approximate.
 * In development they are not bound, and there is no limit.
 */

const WINDOW_MS = 60_000;
/** Limits an isolate's memory: at about 100 bytes each, 1 MB. */
const REMEMBERED_MAX = 10_000;

const REFUSALS: ReadonlySet<ErrorCode> = new Set(["missingApiKey", "invalidApiKey", "expiredApiKey"]);

/** Remembers up to `most` texts, each for `milliseconds`. Beyond that, the oldest one is dropped. */
export class RecentSet {
  readonly #until = new Map<string, number>();
  readonly #milliseconds: number;
  readonly #most: number;

  constructor(milliseconds: number, most: number) {
    this.#milliseconds = milliseconds;
    this.#most = most;
  }

  add(text: string, now: number): void {
    // Deleted first, so that the map stays in the order of time.
    this.#until.delete(text);
    this.#until.set(text, now + this.#milliseconds);
    const [oldest] = this.#until.keys();
    if (this.#until.size > this.#most && oldest !== undefined) this.#until.delete(oldest);
  }

  has(text: string, now: number): boolean {
    return (this.#until.get(text) ?? 0) > now;
  }
}

/** The part of a request's context that guards read. The pages have another type. */
type Asking = {
  readonly env: Pick<Env, "FAILED_KEYS_GUARD">;
  readonly req: { header(name: string): string | undefined };
};

type Memory = { over: RecentSet; accepted: RecentSet };

/** By guard: the networks over its limit, and the keys that were accepted. Each isolate has its own. */
const memories = new WeakMap<RateLimit, Memory>();

function memoryOf(guard: RateLimit): Memory {
  const known = memories.get(guard);
  if (known) return known;
  const memory = {
    over: new RecentSet(WINDOW_MS, REMEMBERED_MAX),
    accepted: new RecentSet(10 * WINDOW_MS, REMEMBERED_MAX),
  };
  memories.set(guard, memory);
  return memory;
}

/**
 * Limits attempts to guess credentials. Only failures count. Once a network is over the limit, its credentials are
 * refused before `check` looks them up, except those that were accepted here within the last ten minutes.
 * @param credential its hash, or null when it cannot be valid
 * @throws {ApiError} 429 beyond the limit, else what `check` throws
 */
export async function limitFailures<T>(
  c: Asking,
  credential: string | null,
  check: () => Promise<T>,
): Promise<T> {
  const guard = c.env.FAILED_KEYS_GUARD;
  if (!guard) return await check();
  const { over, accepted } = memoryOf(guard);
  const network = networkOf(c.req.header("CF-Connecting-IP") ?? "unknown");
  const isKnown = credential !== null && accepted.has(credential, Date.now());
  if (over.has(network, Date.now()) && !isKnown) throw tooMany();
  try {
    const result = await check();
    if (credential !== null) accepted.add(credential, Date.now());
    return result;
  } catch (error) {
    if (!(error instanceof ApiError && REFUSALS.has(error.code))) throw error;
    if ((await guard.limit({ key: network })).success) throw error;
    over.add(network, Date.now());
    throw tooMany();
  }
}

/** @throws {ApiError} 429 once one key has read, canceled and deleted more often than the limit allows */
export async function limitReads(c: Context<AppEnv>, keyHash: string): Promise<void> {
  const guard = c.env.READS_GUARD;
  if (guard && !(await guard.limit({ key: keyHash })).success) throw tooMany();
}

function tooMany(): ApiError {
  return new ApiError("rateLimited", "Too many requests. Nothing was charged.", {
    headers: { "Retry-After": String(RETRY_AFTER_SECONDS_MAX) },
  });
}
