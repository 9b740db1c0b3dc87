/** A client for the GPT Image Hub API. It needs only `fetch` and Web Crypto: Node 20, browsers, Workers, Deno, Bun. */

export type {
  CreditBalance,
  CreditEntry,
  CreditGrant,
  CreditLimit,
  ErrorCode,
  Estimate,
  Generation,
  GenerationFilter,
  GenerationRequest,
  Image,
  Model,
  OwnKey,
  Reference,
  UsageFilter,
  UsageReport,
  WebhookDelivery,
  WebhookSecret,
} from "./api.ts";
export type { SubmitOptions, WaitOptions } from "./client.ts";
export { type CallOptions, type Client, type ClientOptions, createClient } from "./client.ts";
export {
  AuthenticationError,
  ConflictError,
  ConnectionError,
  ForbiddenError,
  GenerationError,
  HubError,
  InsufficientCreditsError,
  InvalidRequestError,
  NotFoundError,
  RateLimitError,
  ServiceError,
  WebhookSignatureError,
} from "./errors.ts";
export { verifyWebhook, type WebhookEvent, type WebhookHeaders, type WebhookOptions } from "./webhooks.ts";
