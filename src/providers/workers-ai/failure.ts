import type { ProviderFailure } from "../provider.ts";
import type { UpstreamError } from "./answer.ts";

/** What a content filter writes: Cloudflare's own, and those of the models' makers. */
const REFUSED =
  /\bflagged\b|\bnsfw\b|moderation_blocked|content_policy|content policy|request moderated|content moderated|prohibited_content|image_safety/i;
/** No credits are left at AI Gateway, or one of its spend limits is reached. */
const SPENT = /insufficient (?:credit|balance|fund)|out of credits|spend(?:ing)? limit/i;

/**
 * Internal codes that are more precise than their status
 * (https://developers.cloudflare.com/workers-ai/platform/errors/). 3030 is not listed there: it is a flagged output, or
 * an input that the model cannot read.
 */
const REASONS: ReadonlyMap<number, "invalid" | "misconfigured" | "timeout" | "unavailable" | "input"> =
  new Map([
    [3003, "invalid"],
    [3006, "input"],
    [3007, "timeout"],
    [3008, "timeout"],
    [3023, "misconfigured"],
    [3030, "input"],
    // The free allocation of the day is used up.
    [3036, "misconfigured"],
    [3039, "invalid"],
    // Out of capacity, which is no limit of our account.
    [3040, "unavailable"],
    [3041, "misconfigured"],
    [3042, "misconfigured"],
    [5004, "invalid"],
    [5005, "invalid"],
    [5007, "misconfigured"],
    [5016, "misconfigured"],
    [5018, "misconfigured"],
    [5019, "invalid"],
  ]);

/**
 * Classifies a response without an image by its status and its error. A response that began with success may have been
 * billed, whatever follows.
 */
export function failureOf(
  status: number,
  { code, message }: UpstreamError,
  { references, retryAfterMs }: { references: number; retryAfterMs: number | null },
): ProviderFailure {
  if (REFUSED.test(message)) return { reason: "refused" };
  if (SPENT.test(message)) return { reason: "misconfigured" };
  const known = REASONS.get(code ?? 0) ?? reasonOf(status, code === null && message === "");
  // The references are the part of an input that a caller can change.
  const reason = known === "input" ? (references > 0 ? "unreadable" : "invalid") : known;
  switch (reason) {
    case "limited":
      return status < 300 ? { reason: "undelivered" } : { reason, by: "rate", retryAfterMs };
    case "unavailable":
      return status < 300 ? { reason: "undelivered" } : { reason, retryAfterMs };
    default:
      return { reason };
  }
}

function reasonOf(
  status: number,
  isSilent: boolean,
): "input" | "invalid" | "limited" | "misconfigured" | "timeout" | "unavailable" | "undelivered" {
  if (status < 300) return "undelivered";
  if ([408, 504, 522, 524].includes(status)) return "timeout";
  if (status === 413) return "input";
  if (status === 429) return "limited";
  if (status < 400 || [401, 402, 403, 404, 405].includes(status)) return "misconfigured";
  // Without an error, it is not the platform's own refusal.
  return status >= 500 || isSilent ? "unavailable" : "invalid";
}
