import {
  AuthenticationError,
  ConflictError,
  ConnectionError,
  type ErrorBody,
  ForbiddenError,
  type HubError,
  InsufficientCreditsError,
  InvalidRequestError,
  NotFoundError,
  RateLimitError,
  ServiceError,
} from "./errors.ts";
import type { Signal } from "./platform.ts";

const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 8_000;
/** The longest wait before a retry, even if `Retry-After` is longer. */
const RETRY_AFTER_MS_MAX = 60_000;

/**
 * Sends a request until it succeeds or fails permanently. Every request that is retried is safe to repeat: a submission
 * has one idempotency key for all its attempts, and canceling or deleting twice has the effect of once.
 */
export async function sendWithRetries(
  send: () => Promise<Response>,
  maxRetries: number,
  signal: Signal | null | undefined,
): Promise<Response> {
  for (let retry = 0; ; retry++) {
    const outcome = await send().catch(
      (error: unknown) => new ConnectionError("The service did not respond.", { cause: error }),
    );
    signal?.throwIfAborted();
    const isLast = retry >= maxRetries;
    if (outcome instanceof ConnectionError) {
      if (isLast) throw outcome;
    } else if (isLast || !mayRetry(outcome.status)) {
      return outcome;
    } else {
      await outcome.body?.cancel();
    }
    const asked = outcome instanceof ConnectionError ? null : retryAfterMs(outcome);
    await sleep(asked ?? backoffMs(retry), signal);
  }
}

function mayRetry(status: number): boolean {
  return status === 429 || status >= 500;
}

/** Back-off that doubles, with jitter of half, so that clients that failed together do not retry together. */
export function backoffMs(retry: number): number {
  return (0.5 + Math.random() / 2) * Math.min(RETRY_FIRST_MS * 2 ** retry, RETRY_LAST_MS);
}

export function retryAfterMs(response: Response): number | null {
  const seconds = response.headers.get("Retry-After");
  if (seconds === null || !/^\d{1,6}$/.test(seconds)) return null;
  return Math.min(Number(seconds) * 1000, RETRY_AFTER_MS_MAX);
}

export async function read<T>(response: Response): Promise<T> {
  if (!response.ok) throw await toError(response);
  const body: T = await response.json();
  return body;
}

export function sleep(milliseconds: number, signal: Signal | null | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** The error of a response, in its class. */
export async function toError(response: Response): Promise<HubError> {
  const { status } = response;
  const body = await errorBodyOf(response);
  switch (body.code) {
    case "insufficientCredits":
    case "keyLimitExceeded":
      return new InsufficientCreditsError(status, body);
    case "missingApiKey":
    case "invalidApiKey":
    case "expiredApiKey":
      return new AuthenticationError(status, body);
    case "forbidden":
      return new ForbiddenError(status, body);
    case "notFound":
      return new NotFoundError(status, body);
    case "rateLimited":
      return new RateLimitError(status, body);
    case "conflict":
    case "notCancelable":
    case "idempotencyMismatch":
      return new ConflictError(status, body);
    default:
      return status < 500 ? new InvalidRequestError(status, body) : new ServiceError(status, body);
  }
}

/** The error in a response. A gateway in between may return another form. */
async function errorBodyOf(response: Response): Promise<ErrorBody> {
  const unknown: ErrorBody = {
    code: "unknown",
    message: `The answer had status ${response.status}.`,
    param: null,
    request_id: response.headers.get("X-Request-Id"),
  };
  try {
    const body: { error?: Partial<ErrorBody> } | null = await response.json();
    return { ...unknown, ...body?.error };
  } catch {
    return unknown;
  }
}
