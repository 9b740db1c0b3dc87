import { expect, it } from "vitest";
import { failureOf } from "../../../src/providers/openai/failure.ts";
import { LONG_MS, RETRY_AFTER_MS_MAX, retryAfterMs } from "../../../src/providers/wire/failure.ts";

const named = (code: string | null, type: string | null = null) => ({
  code,
  type,
  status: null,
  wrapped: null,
});
const wrapped = (reason: "refused" | "unreadable", code: string | null = null) => ({
  ...named(code),
  wrapped: reason,
});
const inside = (status: number) => ({ ...named(null), status });

it.each([
  [400, named("moderation_blocked", "image_generation_user_error"), "refused"],
  [400, named("content_policy_violation", "invalid_request_error"), "refused"],
  [200, named("moderation_blocked"), "refused"],
  [400, named("image_content_policy_violation"), "refused"],
  [400, named("content_filter"), "refused"],
  [400, named("contentFilter"), "refused"],
  [400, named("ContentPolicyViolationError"), "refused"],
  [400, named("400", "ResponsibleAIPolicyViolation"), "refused"],
  [403, wrapped("refused"), "refused"],
  [500, wrapped("refused", "server_error"), "refused"],
  [429, wrapped("refused", "insufficient_quota"), "misconfigured"],
  [400, named("invalid_image_file"), "unreadable"],
  [400, named("invalid_image_format"), "unreadable"],
  [400, named("image_parse_error"), "unreadable"],
  [400, wrapped("unreadable"), "unreadable"],
  [200, inside(429), "undelivered"],
  [200, inside(401), "misconfigured"],
  [200, inside(400), "invalid"],
  [504, null, "timeout"],
  [504, named("server_error"), "timeout"],
  [522, null, "timeout"],
  [524, null, "timeout"],
  [400, named("invalid_value", "image_generation_user_error"), "invalid"],
  [400, named("unknown_parameter"), "invalid"],
  [400, named(null), "invalid"],
  [400, null, "unavailable"],
  [413, null, "invalid"],
  [422, named(null), "invalid"],
  [400, named("billing_hard_limit_reached"), "misconfigured"],
  [401, named("invalid_api_key"), "misconfigured"],
  [401, null, "misconfigured"],
  [402, null, "misconfigured"],
  [403, named(null), "misconfigured"],
  [404, named("model_not_found"), "misconfigured"],
  [404, null, "misconfigured"],
  [429, named("insufficient_quota"), "misconfigured"],
  [429, named(null, "insufficient_quota"), "misconfigured"],
  [429, named("credit_balance_exhausted"), "misconfigured"],
  [429, named("project_spend_limit_exceeded"), "misconfigured"],
  [429, named("organization_spend_limit_exceeded"), "misconfigured"],
  [429, named("organization_usage_limit_exceeded"), "misconfigured"],
  [429, named("slow_down"), "limited"],
  [429, named("rate_limit_exceeded"), "limited"],
  [429, null, "limited"],
  [408, null, "unavailable"],
  [409, named(null), "unavailable"],
  [500, named(null, "server_error"), "unavailable"],
  [503, named("slow_down"), "limited"],
  [599, null, "unavailable"],
  [301, null, "misconfigured"],
  [307, null, "misconfigured"],
  [200, named(null, "invalid_request_error"), "invalid"],
  [200, named("image_generation_failed", "image_generation_server_error"), "undelivered"],
  [200, named(null), "undelivered"],
] as const)("status %i with %j is %s", (status, error, reason) => {
  expect(failureOf(status, error, { retryAfterMs: 7, elapsedMs: 0 }).reason).toBe(reason);
});

it("has a wait only when another attempt may succeed", () => {
  expect(failureOf(429, null, { retryAfterMs: 1500, elapsedMs: LONG_MS })).toEqual({
    reason: "limited",
    by: "rate",
    retryAfterMs: 1500,
  });
  expect(failureOf(400, named("moderation_blocked"), { retryAfterMs: 1500, elapsedMs: 0 })).toEqual({
    reason: "refused",
  });
});

it.each([
  [502, null, LONG_MS - 1, "unavailable"],
  [502, null, LONG_MS, "timeout"],
  [500, named("server_error"), LONG_MS, "unavailable"],
  [429, null, LONG_MS, "limited"],
] as const)("status %i with %j after %i ms is %s", (status, error, elapsedMs, reason) => {
  expect(failureOf(status, error, { retryAfterMs: null, elapsedMs }).reason).toBe(reason);
});

const now = Date.parse("2026-11-22T10:00:00Z");

it.each([
  [{ "retry-after": "2" }, 2000],
  [{ "retry-after": "0" }, 0],
  [{ "retry-after": "0.5" }, 500],
  [{ "retry-after-ms": "350", "retry-after": "2" }, 350],
  [{ "retry-after": "Sun, 22 Nov 2026 10:00:30 GMT" }, 30_000],
  [{ "retry-after": "Sun, 22 Nov 2026 09:00:00 GMT" }, 0],
  [{ "retry-after": String(RETRY_AFTER_MS_MAX / 1000) }, RETRY_AFTER_MS_MAX],
  [{ "retry-after": String(RETRY_AFTER_MS_MAX / 1000 + 1) }, RETRY_AFTER_MS_MAX],
  [{ "retry-after": "Fri, 22 Nov 2126 10:00:00 GMT" }, RETRY_AFTER_MS_MAX],
  [{ "retry-after": "-5" }, null],
  [{ "retry-after": "soon" }, null],
  [{ "retry-after-ms": "1e9" }, null],
  [{}, null],
])("reads %j as %s ms", (headers, wait) => {
  expect(retryAfterMs(new Headers(Object.entries(headers)), now)).toBe(wait);
});
