import { ProviderError } from "../provider.ts";

/** The longest wait that is read: longer than any deadline here. */
export const RETRY_AFTER_MS_MAX = 900_000;

/** After this time without a response, images may have been generated and billed: they take 10 s and more. */
export const LONG_MS = 20_000;

/**
 * The upstream's requested wait in milliseconds, from `retry-after-ms` or `Retry-After` (seconds or an HTTP date, RFC
 * 9110 10.2.3), at most {@link RETRY_AFTER_MS_MAX}; null when it has none, or an invalid one.
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
  // Only a text that begins with a day's name: Date.parse would read "-5" as a year.
  const at = text !== null && /^[A-Za-z]{3,9},? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : at - nowMs;
}

/** The upstream was not reached. Another attempt may succeed. `detail` must not contain upstream text. */
export function unavailable(detail: string): ProviderError {
  return new ProviderError({ reason: "unavailable", retryAfterMs: null }, detail);
}

/** The upstream did not respond in time. Another call may succeed, and may be billed twice. */
export function timedOut(detail: string): ProviderError {
  return new ProviderError({ reason: "timeout" }, detail);
}

/** The upstream's images did not arrive. Another call may succeed, and may be billed twice. */
export function undelivered(detail: string): ProviderError {
  return new ProviderError({ reason: "undelivered" }, detail);
}
