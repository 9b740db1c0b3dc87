import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import * as z from "zod";
import type { AppEnv } from "../env.ts";
import { type ApiError, type ErrorCode, STATUS, toApiError } from "../errors.ts";
import { named } from "../fields.ts";

export const OpenAIErrorBody = named("OpenAIErrorBody", () =>
  z.strictObject({
    error: z.strictObject({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  }),
);

/** An error in OpenAI's format, which always has all four members. */
export type OpenAIError = { message: string; type: string; param: string | null; code: string | null };

/**
 * The type and code of OpenAI's API for each of our codes. `retry`: whether the same request may succeed
 * later. If not, a header says so, because the SDKs would otherwise decide by the status alone.
 */
const OPENAI_ERRORS = {
  invalid_request: { type: "invalid_request_error", code: null, retry: false },
  contentPolicyViolation: { type: "image_generation_user_error", code: "moderation_blocked", retry: false },
  unreadableReference: { type: "image_generation_user_error", code: "invalid_image_file", retry: false },
  missingApiKey: { type: "invalid_request_error", code: "missing_api_key", retry: false },
  invalidApiKey: { type: "invalid_request_error", code: "invalid_api_key", retry: false },
  expiredApiKey: { type: "invalid_request_error", code: "expired_api_key", retry: false },
  insufficientCredits: { type: "insufficient_quota", code: "credit_balance_exhausted", retry: false },
  keyLimitExceeded: { type: "insufficient_quota", code: "key_limit_exceeded", retry: false },
  forbidden: { type: "invalid_request_error", code: "insufficient_permissions", retry: false },
  notFound: { type: "invalid_request_error", code: "not_found", retry: false },
  methodNotAllowed: { type: "invalid_request_error", code: "method_not_allowed", retry: false },
  conflict: { type: "invalid_request_error", code: "conflict", retry: false },
  notCancelable: { type: "invalid_request_error", code: "not_cancelable", retry: false },
  payloadTooLarge: { type: "invalid_request_error", code: "payload_too_large", retry: false },
  unsupportedMediaType: { type: "invalid_request_error", code: "unsupported_content_type", retry: false },
  idempotencyMismatch: { type: "invalid_request_error", code: "idempotency_mismatch", retry: false },
  rateLimited: { type: "rate_limit_error", code: "rate_limit_exceeded", retry: true },
  generationFailed: { type: "image_generation_server_error", code: "image_generation_failed", retry: true },
  internalError: { type: "server_error", code: "internal_error", retry: true },
  serviceUnavailable: { type: "server_error", code: "service_unavailable", retry: true },
} as const satisfies Record<ErrorCode, { type: string; code: string | null; retry: boolean }>;

/** Renders an error that a handler threw, in OpenAI's format. */
export function renderOpenAIError(thrown: Error, c: Context<AppEnv>): Response {
  const error = toApiError(thrown, c);
  c.set("errorCode", error.code);
  for (const [name, value] of Object.entries(error.details.headers ?? {})) c.header(name, value);
  const generationId = error.details.extra?.["generation_id"];
  if (typeof generationId === "string") c.header("X-Generation-Id", generationId);
  if (!OPENAI_ERRORS[error.code].retry || error.details.permanent === true)
    c.header("X-Should-Retry", "false");
  const status: ContentfulStatusCode = STATUS[error.code];
  return c.json({ error: toOpenAIError(error) }, status);
}

export function toOpenAIError({ code, message, details }: ApiError): OpenAIError {
  const { type, code: known } = OPENAI_ERRORS[code];
  const param = details.param ?? null;
  if (code === "notFound" && param === "model") return { message, type, param, code: "model_not_found" };
  return { message, type, param, code: known ?? (param === null ? null : "invalid_value") };
}
