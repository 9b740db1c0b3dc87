import { ProviderError, type ProviderFailure } from "../provider.ts";

/** What an error object of the upstream says, as far as anything is decided by it. Its message is never read out. */
export type UpstreamError = { code: string | null; type: string | null };

/** A wait longer than any deadline of ours says no more than this one does. */
export const RETRY_AFTER_MS_MAX = 900_000;

/** Codes and types that say more than the status they come with: billing, for one, arrives as 429 and as 400. */
const REASON_BY_NAME = new Map<string, ProviderFailure["reason"]>([
  ["moderation_blocked", "refused"],
  ["content_policy_violation", "refused"],
  ["insufficient_quota", "misconfigured"],
  ["credit_balance_exhausted", "misconfigured"],
  ["project_spend_limit_exceeded", "misconfigured"],
  ["organization_spend_limit_exceeded", "misconfigured"],
  ["organization_usage_limit_exceeded", "misconfigured"],
  ["billing_hard_limit_reached", "misconfigured"],
  ["billing_not_active", "misconfigured"],
  ["invalid_api_key", "misconfigured"],
  ["account_deactivated", "misconfigured"],
  ["model_not_found", "misconfigured"],
  ["slow_down", "unavailable"],
  ["rate_limit_exceeded", "unavailable"],
  ["image_generation_failed", "unavailable"],
  ["server_error", "unavailable"],
]);

/** Types that, in an answer of status 200, mean that the request was at fault. */
const REQUEST_FAULTS = new Set(["invalid_request_error", "image_generation_user_error"]);

/**
 * Tells why a call failed from its status and its error object (null when the body held none, as a gateway's HTML).
 * Codes after OpenAI's error guide and the shapes seen on its image endpoints.
 */
export function failureOf(
  status: number,
  error: UpstreamError | null,
  retryAfterMs: number | null,
): ProviderFailure {
  const named = REASON_BY_NAME.get(error?.code ?? "") ?? REASON_BY_NAME.get(error?.type ?? "");
  const reason = named ?? reasonOfStatus(status, error);
  return reason === "unavailable" ? { reason, retryAfterMs } : { reason };
}

function reasonOfStatus(status: number, error: UpstreamError | null): ProviderFailure["reason"] {
  if (status < 300) return REQUEST_FAULTS.has(error?.type ?? "") ? "invalid" : "unavailable";
  // A redirect would carry the key to another host, and a base URL that redirects is the wrong one.
  if (status < 400) return "misconfigured";
  if ([401, 402, 403, 404, 405, 407, 410].includes(status)) return "misconfigured";
  if ([408, 409, 425, 429].includes(status) || status >= 500) return "unavailable";
  if (status === 413) return "invalid";
  // Without an error object it was a gateway that refused, not the upstream: its word on our request is no verdict.
  return error === null ? "unavailable" : "invalid";
}

/**
 * The wait that the upstream asks for, in milliseconds, from `retry-after-ms` or `Retry-After` (seconds or an HTTP
 * date, RFC 9110 10.2.3), at most {@link RETRY_AFTER_MS_MAX}; null when it asks for none that can be read.
 */
export function retryAfterMs(headers: Headers, nowMs: number): number | null {
  const milliseconds = decimal(headers.get("retry-after-ms"));
  const seconds = decimal(headers.get("retry-after"));
  const wait =
    milliseconds ?? (seconds === null ? untilDate(headers.get("retry-after"), nowMs) : seconds * 1000);
  return wait === null ? null : Math.ceil(Math.min(Math.max(wait, 0), RETRY_AFTER_MS_MAX));
}

function decimal(text: string | null): number | null {
  return text !== null && /^\d{1,15}(\.\d{1,15})?$/.test(text.trim()) ? Number(text) : null;
}

function untilDate(text: string | null, nowMs: number): number | null {
  // Only a text with letters: Date.parse would read "-5" as a year.
  const at = text !== null && /^[A-Za-z]{3,9},? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : at - nowMs;
}

/** The upstream gave nothing usable, in our own words: another try may. */
export function unavailable(detail: string): ProviderError {
  return new ProviderError({ reason: "unavailable", retryAfterMs: null }, detail);
}
