import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import * as z from "zod";
import { ConfigError } from "../config.ts";
import { LogUnavailableError } from "../generations/read.ts";
import { describe, log } from "../log.ts";
import { isSchemaTooNew } from "../schema-steps.ts";
import type { AppEnv } from "./env.ts";
import { idOf, named, time } from "./fields.ts";

/** Each error code of the API, and its status. */
export const STATUS = {
  invalid_request: 400,
  contentPolicyViolation: 400,
  unreadableReference: 400,
  missingApiKey: 401,
  invalidApiKey: 401,
  expiredApiKey: 401,
  insufficientCredits: 402,
  keyLimitExceeded: 402,
  forbidden: 403,
  notFound: 404,
  methodNotAllowed: 405,
  conflict: 409,
  notCancelable: 409,
  payloadTooLarge: 413,
  unsupportedMediaType: 415,
  idempotencyMismatch: 422,
  rateLimited: 429,
  generationFailed: 500,
  internalError: 500,
  serviceUnavailable: 503,
} as const satisfies Record<string, ContentfulStatusCode>;

export type ErrorCode = keyof typeof STATUS;

export const NativeError = named("NativeError", () =>
  z.strictObject({
    error: z.strictObject({
      message: z.string(),
      code: z.enum(Object.keys(STATUS)),
      param: z.string().nullable().meta({ description: "The field that is wrong, where one is." }),
      request_id: idOf("req"),
      required: z.int().optional(),
      available: z.int().optional(),
      resets_at: time.nullable().optional().meta({
        description: "When the limit of the key starts again. Null: never.",
      }),
      generation_id: idOf("gen").optional(),
      status: z.string().optional().meta({ description: "Of a generation that cannot be canceled." }),
    }),
  }),
);

type ErrorDetails = {
  /** The invalid field. */
  param?: string | null;
  /** Further members of `error` in the response. */
  extra?: Record<string, string | number | null>;
  headers?: Record<string, string>;
  /** Whether the same request will fail again, though its status suggests a retry. */
  permanent?: boolean;
};

/** An error that the caller gets. `message` is public text, written by us. Thrown in src/http and src/mcp only. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

export function invalidRequest(message: string, param: string | null = null): ApiError {
  return new ApiError("invalid_request", message, { param });
}

/** The key is not allowed to do this. */
export function forbidden(message: string, param: string | null = null): ApiError {
  return new ApiError("forbidden", message, { param });
}

export function notFound(): ApiError {
  return new ApiError("notFound", "Nothing exists at this URL.");
}

/** Nothing was charged. `Retry-After` is short, because some clients cap it. */
export function unavailable(): ApiError {
  const message = "The service cannot take this request now. Nothing was charged; please try again.";
  return new ApiError("serviceUnavailable", message, { headers: { "Retry-After": "5" } });
}

/** Renders an error that a handler threw, in the native API's format. */
export function renderError(error: Error, c: Context<AppEnv>): Response {
  return render(toApiError(error, c), c);
}

/**
 * The error for the caller. Anything but an {@link ApiError} is a fault of ours: it is logged, and its text stays
 * inside.
 */
export function toApiError(error: unknown, c: Context<AppEnv>): ApiError {
  if (error instanceof ApiError) return error;
  log("request_failed", { request_id: c.get("requestId"), error: describe(error) });
  const isTemporary = error instanceof LogUnavailableError || isSchemaTooNew(error);
  if (error instanceof ConfigError || isTemporary) return unavailable();
  const generationId = c.get("generationId");
  const extra = generationId === undefined ? {} : { generation_id: generationId };
  return new ApiError("internalError", "Something went wrong on our side.", { extra });
}

function render(error: ApiError, c: Context<AppEnv>): Response {
  const { param = null, extra = {}, headers = {} } = error.details;
  c.set("errorCode", error.code);
  for (const [name, value] of Object.entries(headers)) c.header(name, value);
  const body = { message: error.message, code: error.code, param, request_id: c.get("requestId"), ...extra };
  return c.json({ error: body }, STATUS[error.code]);
}
