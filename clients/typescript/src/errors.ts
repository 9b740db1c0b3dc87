import type { Generation } from "./api.ts";

/** An error response of the service. `message` is for people, `code` for programs. */
export class HubError extends Error {
  override readonly name: string = "HubError";
  readonly status: number;
  /** One of the codes in {@link ErrorCode}, or one of a later release. `unknown`: a gateway answered. */
  readonly code: string;
  readonly param: string | null;
  readonly requestId: string | null;

  constructor(status: number, { code, message, param, request_id }: ErrorBody) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
    this.requestId = request_id;
  }
}

/** A field of the request is invalid; `param` names it. */
export class InvalidRequestError extends HubError {
  override readonly name = "InvalidRequestError";
}

/** The API key is missing, invalid, revoked or expired. */
export class AuthenticationError extends HubError {
  override readonly name = "AuthenticationError";
}

/** The key lacks a permission for this call or model. */
export class ForbiddenError extends HubError {
  override readonly name = "ForbiddenError";
}

export class NotFoundError extends HubError {
  override readonly name = "NotFoundError";
}

/** The idempotency key was used for another request, or the current state does not allow the call (see `code`). */
export class ConflictError extends HubError {
  override readonly name = "ConflictError";
}

/** The account has too few credits, or the key has reached its own limit (`code` is `keyLimitExceeded`). */
export class InsufficientCreditsError extends HubError {
  override readonly name = "InsufficientCreditsError";
  readonly required: number;
  readonly available: number;

  constructor(status: number, body: ErrorBody) {
    super(status, body);
    this.required = body.required ?? 0;
    this.available = body.available ?? 0;
  }
}

/** All retries were rate limited. Nothing was charged. */
export class RateLimitError extends HubError {
  override readonly name = "RateLimitError";
}

/** The service failed, or was unavailable for all retries. */
export class ServiceError extends HubError {
  override readonly name = "ServiceError";
}

/** No response, for all retries. Submit with the same idempotency key to get the generation, if there is one. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

/** A generation ended without images. It was refunded. */
export class GenerationError extends Error {
  override readonly name = "GenerationError";
  readonly generation: Generation;

  constructor(generation: Generation) {
    super(generation.error?.message ?? `The generation was ${generation.status}.`);
    this.generation = generation;
  }
}

/** A webhook whose signature is not valid, or too old. */
export class WebhookSignatureError extends Error {
  override readonly name = "WebhookSignatureError";
}

/** The error in a response. */
export type ErrorBody = {
  code: string;
  message: string;
  param: string | null;
  request_id: string | null;
  required?: number;
  available?: number;
};
