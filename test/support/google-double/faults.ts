/** It repeats what a caller must never see, so that a test can look for it. */
const FREE_TEXT = "Free text of the upstream about AIza-test and the prompt.";
const TYPES = "type.googleapis.com/google.rpc.";

/** Refusals by the name under which a prompt asks for them, as `directionsIn` reads it. */
export const REFUSALS: Record<string, RefusalFault> = {
  "key-invalid": refusal(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", [
    { "@type": `${TYPES}ErrorInfo`, reason: "API_KEY_INVALID", domain: "googleapis.com" },
  ]),
  "key-leaked": refusal(403, "PERMISSION_DENIED"),
  unauthenticated: refusal(401, "UNAUTHENTICATED"),
  region: refusal(400, "FAILED_PRECONDITION"),
  "model-gone": refusal(404, "NOT_FOUND"),
  "bad-size": refusal(400, "INVALID_ARGUMENT", "Image size 512 is not supported for this model."),
  "bad-image": refusal(400, "INVALID_ARGUMENT", "Unable to process input image. Please retry or report it."),
  "not-an-image": refusal(400, "INVALID_ARGUMENT", "Provided image is not valid."),
  "too-large": refusal(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."),
  "quota-minute": refusal(429, "RESOURCE_EXHAUSTED", FREE_TEXT, [
    violations("GenerateRequestsPerMinutePerProjectPerModel"),
    { "@type": `${TYPES}RetryInfo`, retryDelay: "34.4s" },
  ]),
  "quota-unnamed": refusal(429, "RESOURCE_EXHAUSTED"),
  "quota-day": refusal(429, "RESOURCE_EXHAUSTED", FREE_TEXT, [
    violations("GenerateRequestsPerMinutePerProjectPerModel", "GenerateRequestsPerDayPerProjectPerModel"),
    { "@type": `${TYPES}RetryInfo`, retryDelay: "34s" },
  ]),
  "quota-none": refusal(
    429,
    "RESOURCE_EXHAUSTED",
    "* Quota exceeded for metric: requests, limit: 0, model: x",
  ),
  prepaid: refusal(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
  "spending-cap": refusal(429, "RESOURCE_EXHAUSTED", "Your project has exceeded its monthly spending cap."),
  internal: refusal(500, "INTERNAL"),
  overloaded: refusal(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
  deadline: refusal(504, "DEADLINE_EXCEEDED"),
  "502-html": { status: 502, page: "<html><h1>502 Bad Gateway</h1></html>" },
  "413-html": { status: 413, page: "<html><h1>413 Content Too Large</h1></html>" },
  "400-html": { status: 400, page: "<html><h1>400 Bad Request</h1></html>" },
};

/**
 * Answers that are no refusal, and how the connection treats them. Besides these, `block-REASON` blocks the prompt, and
 * `finish-REASON` ends without a picture, with the reason in lower case and dashes: `finish-image-safety`.
 */
export const OTHER_FAULTS = [
  ["redirect", "stall-headers", "reset-headers", "html-in-200", "empty-answer", "text-only"],
  ["truncated", "stall-body", "reset-body", "reset-after-picture", "malformed-after-picture"],
  [
    "bad-base64",
    "empty-image",
    "not-image",
    "draft-first",
    "draft-marked-first",
    "draft-only",
    "two-pictures",
  ],
  ["odd-json", "slow-drip", "gzip"],
].flat();

export type RefusalFault =
  | { status: number; page: string }
  | { status: number; error: Record<string, unknown> };

function refusal(
  status: number,
  name: string,
  message = FREE_TEXT,
  details: Record<string, unknown>[] = [],
): RefusalFault {
  return { status, error: { code: status, message, status: name, ...(details.length > 0 && { details }) } };
}

function violations(...quotaIds: string[]): Record<string, unknown> {
  return { "@type": `${TYPES}QuotaFailure`, violations: quotaIds.map((quotaId) => ({ quotaId })) };
}
