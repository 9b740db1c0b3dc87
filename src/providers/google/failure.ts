import * as z from "zod";
import type { ProviderFailure } from "../provider.ts";
import { LONG_MS, RETRY_AFTER_MS_MAX } from "../wire/failure.ts";
import type { Verdict } from "./answer.ts";

/** Why there is no picture: a content filter, before or after the model. */
const REFUSED = new Set([
  "SAFETY",
  "IMAGE_SAFETY",
  "PROHIBITED_CONTENT",
  "IMAGE_PROHIBITED_CONTENT",
  "BLOCKLIST",
  "SPII",
  "RECITATION",
  "IMAGE_RECITATION",
]);

/** Google has restricted our account. */
const RESTRICTED = new Set(["PUP_LIMITED_DISABLED", "ESCALATION"]);

/** The failure of a complete response without a picture, which may have been billed. Every block reason is a refusal. */
export function failureOfVerdict({ blockReason, finishReason }: Verdict): ProviderFailure {
  if (blockReason !== null || REFUSED.has(finishReason ?? "")) return { reason: "refused" };
  return { reason: RESTRICTED.has(finishReason ?? "") ? "misconfigured" : "undelivered" };
}

const text = z.string().catch("");
const Detail = z.object({
  /** Of an `ErrorInfo`. */
  reason: text,
  /** Of a `RetryInfo`: seconds, such as `34.4s`. */
  retryDelay: text,
  /** Of a `QuotaFailure`. `quotaValue` is the limit. */
  violations: z.array(z.object({ quotaId: text, quotaValue: text })).catch([]),
});
const ErrorBody = z.object({
  error: z.object({ status: text, message: text, details: z.array(Detail).catch([]) }),
});

/** A `google.rpc.Status`. Its message is only compared with known ones, and never passed on. */
export type UpstreamError = z.infer<typeof ErrorBody>["error"];

/** The error of a response's JSON, or null. */
export function errorIn(json: unknown): UpstreamError | null {
  return ErrorBody.safeParse(json).data?.error ?? null;
}

/** The most precise name of an error. */
export function codeOf({ status, details }: UpstreamError): string {
  return details.find(({ reason }) => reason !== "")?.reason ?? status;
}

const KEY_FAULTS = /API[ _]KEY/i;
/** The texts for an image that cannot be decoded, has an unsupported type, or makes the request too large. */
const IMAGE_FAULTS =
  /unable to process input image|provided image is not valid|unsupported mime ?type|request payload size exceeds/i;
/** A quota that is not free again within a minute: none left for the day, none at all, no money, or a spending limit. */
const SPENT = /PerDay|prepayment credits|spending cap|limit: 0\b/i;

/** The gateway timed out; the upstream may have continued. 522 and 524 are Cloudflare's. */
const TIMED_OUT = new Set([504, 522, 524]);

/**
 * Classifies a failed call by its status, its error (null when the body has none, such as a gateway's HTML), and the
 * time it took.
 */
export function failureOf(
  status: number,
  error: UpstreamError | null,
  call: { references: number; retryAfterMs: number | null; elapsedMs: number },
): ProviderFailure {
  const retryAfterMs = delayOf(error) ?? call.retryAfterMs;
  if (TIMED_OUT.has(status) || (status >= 500 && error === null && call.elapsedMs >= LONG_MS)) {
    return { reason: "timeout" };
  }
  if ([408, 409, 425, 499].includes(status) || status >= 500) return { reason: "unavailable", retryAfterMs };
  if (status === 429) {
    return isSpent(error) ? { reason: "misconfigured" } : { reason: "limited", by: "rate", retryAfterMs };
  }
  // A wrong key, a retired model, or a redirect, which would send the key to another host.
  if (status < 400 || [401, 402, 403, 404, 405, 407, 410].includes(status))
    return { reason: "misconfigured" };
  return failureOfBadRequest(status, error, call.references);
}

function failureOfBadRequest(
  status: number,
  error: UpstreamError | null,
  references: number,
): ProviderFailure {
  const isTooLarge = status === 413;
  // Without an error, a gateway refused the request, not the upstream. It may accept it later.
  if (error === null && !isTooLarge) return { reason: "unavailable", retryAfterMs: null };
  if (references > 0 && (isTooLarge || IMAGE_FAULTS.test(error?.message ?? ""))) {
    return { reason: "unreadable" };
  }
  // A wrong key, no billing, or a region that is not served.
  const isOurs =
    error !== null &&
    (error.status === "FAILED_PRECONDITION" || KEY_FAULTS.test(`${codeOf(error)} ${error.message}`));
  return { reason: isOurs ? "misconfigured" : "invalid" };
}

function isSpent(error: UpstreamError | null): boolean {
  const violations = error?.details.flatMap((detail) => detail.violations) ?? [];
  return (
    SPENT.test(error?.message ?? "") ||
    violations.some(({ quotaId, quotaValue }) => SPENT.test(quotaId) || quotaValue === "0")
  );
}

function delayOf(error: UpstreamError | null): number | null {
  for (const { retryDelay } of error?.details ?? []) {
    const [, seconds] = /^(\d{1,9}(?:\.\d{1,9})?)s$/.exec(retryDelay) ?? [];
    if (seconds !== undefined) return Math.min(Math.ceil(Number(seconds) * 1000), RETRY_AFTER_MS_MAX);
  }
  return null;
}
