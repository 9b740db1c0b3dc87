/**
 * When a webhook is delivered again: plain data, no clock. The delays and the meaning of answers follow Standard
 * Webhooks 1.0.0 (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
 */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** The delays after failed attempts, in milliseconds. The webhook ends when the attempt after the last delay fails. */
export const RETRY_DELAYS_MS: readonly number[] = [
  ...[5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR],
];
/** The longest `Retry-After` that is honoured. */
const RETRY_AFTER_MS_MAX = 24 * HOUR;
/** The receiver wants no more calls. */
const GONE = 410;

/** The status of a receiver's response, or why there was none. */
export type WebhookAnswer =
  | { status: number; error: null; retryAfter: string | null }
  | { status: null; error: "timeout" | "connection_failed"; retryAfter: null };

/**
 * When the next attempt follows, in milliseconds since 1970; null when the webhook has ended.
 * @param failures how many attempts failed before this one
 */
export function nextAttemptAt(failures: number, answer: WebhookAnswer, now: number): number | null {
  if (outcomeOf(answer) !== "failed") return null;
  const delay = RETRY_DELAYS_MS[failures];
  if (delay === undefined) return null;
  return now + (readRetryAfter(answer.retryAfter, now) ?? delay);
}

/** The meaning of a response: a webhook is sent again only after a failure. */
export function outcomeOf({ status }: WebhookAnswer): "delivered" | "gone" | "failed" {
  if (status === GONE) return "gone";
  return status !== null && status >= 200 && status < 300 ? "delivered" : "failed";
}

/** `Retry-After` in milliseconds from now, at most a day: seconds or a date (RFC 9110, section 10.2.3). */
function readRetryAfter(header: string | null, now: number): number | null {
  if (header === null) return null;
  if (/^\d+$/.test(header)) return Math.min(Number(header) * SECOND, RETRY_AFTER_MS_MAX);
  const wait = header.endsWith(" GMT") ? Date.parse(header) - now : Number.NaN;
  return Number.isNaN(wait) ? null : Math.min(Math.max(wait, 0), RETRY_AFTER_MS_MAX);
}
