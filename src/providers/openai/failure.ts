import type { ProviderFailure } from "../provider.ts";
import { LONG_MS } from "../wire/failure.ts";

/** The parts of an upstream error that decide how to handle it. Its texts are never passed on. */
export type UpstreamError = {
  code: string | null;
  type: string | null;
  /** An HTTP status that a gateway put into the code. */
  status: number | null;
  /** A refusal by the upstream behind a gateway, which the gateway's own code and type do not show. */
  wrapped: "refused" | "unreadable" | null;
};

/**
 * Codes and types that are more precise than their status: billing errors, for example, arrive as 429 and as 400.
 * Compared without case and punctuation, because gateways spell them differently (`content_filter`, `contentFilter`).
 */
const NAMES: Record<
  Exclude<ProviderFailure["reason"], "invalid" | "undelivered" | "timeout">,
  readonly string[]
> = {
  refused: [
    "moderation_blocked",
    "content_policy_violation",
    "image_content_policy_violation",
    // Azure: https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter
    "content_filter",
    "ResponsibleAIPolicyViolation",
    // LiteLLM: https://docs.litellm.ai/docs/exception_mapping
    "ContentPolicyViolationError",
    // OpenRouter: https://openrouter.ai/docs/api/reference/errors-and-debugging
    "refusal",
  ],
  // The codes of the Responses API (`ResponseError`) beside the Images API's own.
  unreadable: [
    "invalid_image_file",
    "invalid_image",
    "invalid_image_format",
    "invalid_image_mode",
    "invalid_base64_image",
    "image_parse_error",
    "image_too_large",
    "image_too_small",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
  ],
  misconfigured: [
    "insufficient_quota",
    "credit_balance_exhausted",
    "project_spend_limit_exceeded",
    "organization_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
    "invalid_api_key",
    "account_deactivated",
    "model_not_found",
  ],
  limited: ["slow_down", "rate_limit_exceeded"],
  unavailable: ["image_generation_failed", "server_error"],
};

const REASON_BY_NAME = new Map<string, ProviderFailure["reason"]>();
for (const reason of ["refused", "unreadable", "misconfigured", "limited", "unavailable"] as const) {
  for (const name of NAMES[reason]) REASON_BY_NAME.set(bare(name), reason);
}

/** Names to find inside a message. None of them is an ordinary word. */
const WRAPPED = new RegExp(
  [
    "moderation_blocked",
    "content_policy_violation",
    "ContentPolicyViolation",
    "ResponsibleAIPolicyViolation",
    "invalid_image_file",
  ].join("|"),
);

/** Types that, in a response with status 200, mean that the request is invalid. */
const REQUEST_FAULTS = new Set(["invalid_request_error", "image_generation_user_error"]);

/** The gateway timed out; the upstream may have continued. 522 and 524 are Cloudflare's. */
const TIMED_OUT = new Set([504, 522, 524]);

/**
 * Classifies a failed call by its status, its error object (null when the body has none, such as a gateway's HTML), and
 * the time it took. The codes are from OpenAI's error guide, and from responses of its image endpoints and of gateways.
 */
export function failureOf(
  status: number,
  error: UpstreamError | null,
  { retryAfterMs, elapsedMs }: { retryAfterMs: number | null; elapsedMs: number },
): ProviderFailure {
  const reason = reasonByName(error) ?? reasonOfStatus(status, error);
  if (reason !== "unavailable" && reason !== "limited") return { reason };
  // A response that began with success may have been billed, whatever follows.
  if (status < 300) return { reason: "undelivered" };
  const gaveUp = TIMED_OUT.has(status) || (status >= 500 && error === null && elapsedMs >= LONG_MS);
  if (gaveUp) return { reason: "timeout" };
  return reason === "limited" ? { reason, by: "rate", retryAfterMs } : { reason, retryAfterMs };
}

/** The reason that an error's names give. A name with a cause wins over one that only says that the call failed. */
function reasonByName(error: UpstreamError | null): ProviderFailure["reason"] | null {
  if (error === null) return null;
  const named = REASON_BY_NAME.get(bare(error.code ?? "")) ?? REASON_BY_NAME.get(bare(error.type ?? ""));
  if (named !== undefined && named !== "unavailable" && named !== "limited") return named;
  return error.wrapped ?? named ?? null;
}

/** The refusal that a name or a message inside an error reports for the upstream behind a gateway. */
export function wrappedIn(text: string): UpstreamError["wrapped"] {
  const reason = REASON_BY_NAME.get(bare(text)) ?? REASON_BY_NAME.get(bare(WRAPPED.exec(text)?.[0] ?? ""));
  return reason === "refused" || reason === "unreadable" ? reason : null;
}

function bare(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z]/g, "");
}

function reasonOfStatus(status: number, error: UpstreamError | null): ProviderFailure["reason"] {
  if (status < 300) {
    // Gateways start a response before they know the result, and put the status into the body.
    if (error?.status) return reasonOfStatus(error.status, error);
    return REQUEST_FAULTS.has(error?.type ?? "") ? "invalid" : "undelivered";
  }
  // A redirect would send the key to another host, and a base URL that redirects is wrong.
  if (status < 400) return "misconfigured";
  if ([401, 402, 403, 404, 405, 407, 410].includes(status)) return "misconfigured";
  if (status === 429) return "limited";
  if ([408, 409, 425].includes(status) || status >= 500) return "unavailable";
  if (status === 413) return "invalid";
  // Without an error object, a gateway refused the request, not the upstream. It may accept it later.
  return error === null ? "unavailable" : "invalid";
}
