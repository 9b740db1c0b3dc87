import { describe, expect, it } from "vitest";
import { nextAttemptAt, RETRY_DELAYS_MS, type WebhookAnswer } from "../../src/webhooks/schedule.ts";

const NOW = Date.parse("2026-11-30T08:00:00Z");
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const answer = (status: number, retryAfter: string | null = null): WebhookAnswer => ({
  status,
  error: null,
  retryAfter,
});
const TIMEOUT: WebhookAnswer = { status: null, error: "timeout", retryAfter: null };

describe("the next attempt", () => {
  it("follows after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, and then never", () => {
    const delays = Array.from({ length: 9 }, (_, failures) => nextAttemptAt(failures, TIMEOUT, NOW));
    expect(delays.map((time) => time && time - NOW)).toEqual([
      ...[5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR],
      ...[null, null],
    ]);
    expect(RETRY_DELAYS_MS).toHaveLength(7);
  });

  it.each([200, 201, 204, 299, 410])("does not follow a %i", (status) => {
    expect(nextAttemptAt(0, answer(status, "60"), NOW)).toBeNull();
  });

  it.each([100, 199, 300, 301, 302, 307, 308, 400, 404, 409, 411, 429, 500, 503])(
    "follows a %i",
    (status) => {
      expect(nextAttemptAt(0, answer(status), NOW)).toBe(NOW + 5 * SECOND);
    },
  );

  it.each([
    ["0", 0],
    ["120", 120 * SECOND],
    ["86400", 24 * HOUR],
    ["86401", 24 * HOUR],
    ["31536000", 24 * HOUR],
    ["9".repeat(400), 24 * HOUR],
    ["Mon, 30 Nov 2026 08:01:00 GMT", MINUTE],
    ["Mon, 30 Nov 2026 07:00:00 GMT", 0],
    ["Tue, 30 Nov 2027 08:00:00 GMT", 24 * HOUR],
    ["soon", 5 * SECOND],
    ["-1", 5 * SECOND],
    ["1.5", 5 * SECOND],
    ["", 5 * SECOND],
  ])("with Retry-After %j follows %i ms later", (header, delay) => {
    expect(nextAttemptAt(0, answer(503, header), NOW)).toBe(NOW + delay);
  });

  it("does not follow the last one, whatever Retry-After says", () => {
    expect(nextAttemptAt(7, answer(503, "60"), NOW)).toBeNull();
  });
});
