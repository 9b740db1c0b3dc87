/** Refusals by the name under which a prompt asks for them: `[fault:429-slow-down]`, `[fault:500*2]` for two calls. */
export const REFUSALS: Record<string, RefusalFault> = {
  "moderation-input": moderation("input"),
  "moderation-output": moderation("output"),
  "content-policy": refusal(400, "invalid_request_error", "content_policy_violation"),
  "bad-image": refusal(400, "image_generation_user_error", "invalid_image_file", { param: "image" }),
  "bad-size": refusal(400, "image_generation_user_error", "invalid_value", { param: "size" }),
  "unknown-parameter": refusal(400, "invalid_request_error", "unknown_parameter", { param: "x" }),
  "400-billing": refusal(400, "billing_limit_user_error", "billing_hard_limit_reached"),
  "401": refusal(401, "invalid_request_error", "invalid_api_key"),
  "403": refusal(403, "invalid_request_error", null),
  "404-model": refusal(404, "invalid_request_error", "model_not_found"),
  "408": refusal(408, "server_error", null),
  "409": refusal(409, "server_error", null),
  "429-quota": refusal(429, "insufficient_quota", "insufficient_quota"),
  "429-credit-balance": refusal(429, "insufficient_quota", "credit_balance_exhausted"),
  "429-project-limit": refusal(429, "insufficient_quota", "project_spend_limit_exceeded"),
  "429-organization-limit": refusal(429, "insufficient_quota", "organization_spend_limit_exceeded"),
  "429-usage-limit": refusal(429, "insufficient_quota", "organization_usage_limit_exceeded"),
  "429-rate-limit": refusal(429, "rate_limit_error", "rate_limit_exceeded", {
    headers: { "retry-after": "2" },
  }),
  "429-rate-limit-ms": refusal(429, "rate_limit_error", "rate_limit_exceeded", {
    headers: { "retry-after-ms": "350" },
  }),
  "429-rate-limit-date": refusal(429, "rate_limit_error", "rate_limit_exceeded", { retryDateSeconds: 30 }),
  "429-slow-down": refusal(429, "rate_limit_error", "slow_down"),
  "500": refusal(500, "server_error", null),
  "503": refusal(503, "server_error", "slow_down", { headers: { "retry-after": "1" } }),
};

/** Refusals as gateways and other clouds word them; their shapes are not the published one. */
export const GATEWAY_REFUSALS: Record<string, RefusalFault> = {
  "azure-content-filter": shaped(400, {
    code: "content_filter",
    param: "prompt",
    type: null,
    innererror: { code: "ResponsibleAIPolicyViolation", content_filter_result: { hate: { filtered: true } } },
  }),
  "azure-camel-case": shaped(400, { code: "contentFilter" }),
  "azure-inner-error": shaped(400, {
    code: "invalid_request",
    type: "invalid_request_error",
    inner_error: { code: "ResponsibleAIPolicyViolation", revised_prompt: "a heron over the weir" },
  }),
  "litellm-policy": shaped(400, {
    message:
      "litellm.BadRequestError: litellm.ContentPolicyViolationError: OpenAIException - Free text of the upstream",
    type: null,
    param: null,
    code: "400",
  }),
  "litellm-policy-500": shaped(500, {
    message: `Error code: 400 - {'error': {'code': 'content_policy_violation', 'message': '${"x".repeat(300)}'}}`,
    type: "server_error",
    code: "500",
  }),
  "litellm-bad-image": shaped(400, {
    message: "litellm.BadRequestError: OpenAIException - {'code': 'invalid_image_file'}",
    type: null,
    code: "400",
  }),
  "openrouter-moderation": shaped(403, {
    code: 403,
    metadata: { reasons: ["violence"], flagged_input: "a heron over the weir", provider_name: "OpenAI" },
  }),
  "openrouter-raw": shaped(400, {
    code: 400,
    metadata: { raw: '{"error":{"code":"moderation_blocked"}}', provider_name: "OpenAI" },
  }),
  "504": shaped(504, { type: "server_error", code: null }),
  "524-html": { ...shaped(524, {}), page: "<html><h1>524: A timeout occurred</h1></html>" },
  "522-html": { ...shaped(522, {}), page: "<html><h1>522: Connection timed out</h1></html>" },
};

/** Answers that are no refusal, and how the connection treats them. */
export const OTHER_FAULTS = [
  ["502-html", "redirect", "stall-headers", "reset-headers"],
  ["truncated", "malformed", "trailing-garbage", "bad-base64", "empty-image", "not-image", "gif"],
  ["empty-data", "no-data", "null-image", "too-few", "too-many", "error-in-200"],
  ["stall-body", "reset-body", "reset-after-1", "reset-after-2", "reset-after-3"],
  ["slow-drip", "odd-json", "gzip"],
  [
    "cut-image",
    "picture-url",
    "picture-url-gone",
    "data-url",
    "base64-lines",
    "base64-unpadded",
    "base64-url",
  ],
  ["byte-order-mark", "event-stream", "status-in-200"],
].flat();

export type RefusalFault = {
  status: number;
  headers: Record<string, string>;
  /** Seconds from now of a `Retry-After` date. */
  retryDateSeconds: number | null;
  error: Record<string, unknown>;
  /** What is sent in place of the error, as HTML. */
  page?: string;
};

export type Directions = {
  fault: string | null;
  times: number;
  imageBytes: number | null;
  latencyMs: number | null;
};

/** Reads `[fault:NAME]`, `[fault:NAME*TIMES]`, `[bytes:N]` and `[latency:MS]` out of a prompt. */
export function directionsIn(prompt: string): Directions {
  const [, fault = null, times] = /\[fault:([a-z0-9-]+)(?:\*(\d{1,3}))?\]/.exec(prompt) ?? [];
  const number = (name: string) => {
    const [, digits] = new RegExp(`\\[${name}:(\\d{1,9})\\]`).exec(prompt) ?? [];
    return digits === undefined ? null : Number(digits);
  };
  return {
    fault,
    times: times === undefined ? Number.POSITIVE_INFINITY : Number(times),
    imageBytes: number("bytes"),
    latencyMs: number("latency"),
  };
}

function refusal(
  status: number,
  type: string,
  code: string | null,
  more: { param?: string; headers?: Record<string, string>; retryDateSeconds?: number } = {},
): RefusalFault {
  return {
    status,
    headers: more.headers ?? {},
    retryDateSeconds: more.retryDateSeconds ?? null,
    // The message repeats what a caller must never see, so that a test can look for it.
    error: {
      message: "Free text of the upstream about sk-test and the prompt.",
      type,
      param: more.param ?? null,
      code,
    },
  };
}

function shaped(status: number, error: Record<string, unknown>): RefusalFault {
  const message = "Free text of the upstream about sk-test and the prompt.";
  return { status, headers: {}, retryDateSeconds: null, error: { message, ...error } };
}

function moderation(stage: "input" | "output"): RefusalFault {
  const fault = refusal(400, "image_generation_user_error", "moderation_blocked");
  const details = { moderation_stage: stage, categories: ["violence"] };
  return { ...fault, error: { ...fault.error, moderation_details: details } };
}
