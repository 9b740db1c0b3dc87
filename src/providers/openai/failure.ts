import { ProviderError, type ProviderFailure } from "../provider.ts";

/** What an error object of the upstream says, as far as anything is decided by it. Its texts are never passed on. */
export type UpstreamError = {
  code: string | null;
  type: string | null;
  /** An HTTP status in the place of a code, as gateways put it. */
  status: number | null;
  /** A refusal by the upstream behind a gateway, which the gateway's own code and type do not tell. */
  wrapped: "refused" | "unreadable" | null;
};

/** A wait longer than any deadline of ours says no more than this one does. */
export const RETRY_AFTER_MS_MAX = 900_000;

/** From so long without an answer on, the pictures may have been made and billed: they take 10 s and more. */
export const LONG_MS = 20_000;

/**
 * Codes and types that say more than the status they come with: billing, for one, arrives as 429 and as 400. Compared
 * without case and punctuation, since gateways spell them anew (`content_filter`, `contentFilter`).
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

/** Names that are looked for inside a message: none of them is a word that people write. */
const WRAPPED = new RegExp(
  [
    "moderation_blocked",
    "content_policy_violation",
    "ContentPolicyViolation",
    "ResponsibleAIPolicyViolation",
    "invalid_image_file",
  ].join("|"),
);

/** Types that, in an answer of status 200, mean that the request was at fault. */
const REQUEST_FAULTS = new Set(["invalid_request_error", "image_generation_user_error"]);

/** A gateway gave up waiting: the upstream may have gone on. 522 and 524 are Cloudflare's. */
const TIMED_OUT = new Set([504, 522, 524]);

/**
 * Tells why a call failed from its status, its error object (null when the body held none, as a gateway's HTML), and how
 * long the answer took. Codes after OpenAI's error guide and the shapes seen on its image endpoints and its gateways'.
 */
export function failureOf(
  status: number,
  error: UpstreamError | null,
  { retryAfterMs, elapsedMs }: { retryAfterMs: number | null; elapsedMs: number },
): ProviderFailure {
  const reason = reasonByName(error) ?? reasonOfStatus(status, error);
  if (reason !== "unavailable" && reason !== "limited") return { reason };
  // An answer that began well may have been billed, whatever it says then.
  if (status < 300) return { reason: "undelivered" };
  const gaveUp = TIMED_OUT.has(status) || (status >= 500 && error === null && elapsedMs >= LONG_MS);
  if (gaveUp) return { reason: "timeout" };
  return reason === "limited" ? { reason, by: "rate", retryAfterMs } : { reason, retryAfterMs };
}

/** What the names in an error say. One that says why wins over one that says only that it failed. */
function reasonByName(error: UpstreamError | null): ProviderFailure["reason"] | null {
  if (error === null) return null;
  const named = REASON_BY_NAME.get(bare(error.code ?? "")) ?? REASON_BY_NAME.get(bare(error.type ?? ""));
  if (named !== undefined && named !== "unavailable" && named !== "limited") return named;
  return error.wrapped ?? named ?? null;
}

/** What a name or a message from within an error says of an upstream behind a gateway. */
export function wrappedIn(text: string): UpstreamError["wrapped"] {
  const reason = REASON_BY_NAME.get(bare(text)) ?? REASON_BY_NAME.get(bare(WRAPPED.exec(text)?.[0] ?? ""));
  return reason === "refused" || reason === "unreadable" ? reason : null;
}

function bare(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z]/g, "");
}

function reasonOfStatus(status: number, error: UpstreamError | null): ProviderFailure["reason"] {
  if (status < 300) {
    // Gateways begin their answer before they know how it ends, and tell the status inside.
    if (error?.status) return reasonOfStatus(error.status, error);
    return REQUEST_FAULTS.has(error?.type ?? "") ? "invalid" : "undelivered";
  }
  // A redirect would carry the key to another host, and a base URL that redirects is the wrong one.
  if (status < 400) return "misconfigured";
  if ([401, 402, 403, 404, 405, 407, 410].includes(status)) return "misconfigured";
  if (status === 429) return "limited";
  if ([408, 409, 425].includes(status) || status >= 500) return "unavailable";
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

/** The upstream was not reached, in our own words: another try may help. */
export function unavailable(detail: string): ProviderError {
  return new ProviderError({ reason: "unavailable", retryAfterMs: null }, detail);
}

/** The upstream gave no answer in time: another call may help, and may be billed twice. */
export function timedOut(detail: string): ProviderError {
  return new ProviderError({ reason: "timeout" }, detail);
}

/** The upstream's images did not arrive, in our own words: another call may help, and may be billed twice. */
export function undelivered(detail: string): ProviderError {
  return new ProviderError({ reason: "undelivered" }, detail);
}
