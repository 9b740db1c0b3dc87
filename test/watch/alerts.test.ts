import { expect, it } from "vitest";
import operations from "../../docs/operations.md?raw";
import { type Alert, type Facts, isDue, nextAlerts } from "../../src/watch/alerts.ts";

const HOUR = 3_600_000;

const FINE: Facts = {
  booksDiffering: 0,
  openCircuits: [],
  queue: { oldestMs: 0, deadlineMs: HOUR },
  interrupted: 0,
  database: { name: "LOG", bytes: 1 },
  ...{ webhooksFailing: 0, stripeRefused: 0, purchasesMismatched: 0, deadLetters: 0 },
};

const UNKNOWN: Facts = {
  ...{ booksDiffering: null, openCircuits: null, queue: null, interrupted: null, database: null },
  ...{ webhooksFailing: null, stripeRefused: null, purchasesMismatched: null, deadLetters: null },
};

/** Each alert: what is just not enough, and what is. */
const LIMITS: [id: string, below: Partial<Facts>, at: Partial<Facts>][] = [
  ["books_differ", { booksDiffering: 0 }, { booksDiffering: 1 }],
  ["circuit_open", { openCircuits: [] }, { openCircuits: ["openai"] }],
  [
    "queue_old",
    { queue: { oldestMs: HOUR / 2 - 1, deadlineMs: HOUR } },
    { queue: { oldestMs: HOUR / 2, deadlineMs: HOUR } },
  ],
  ["leases_lapsing", { interrupted: 4 }, { interrupted: 5 }],
  [
    "database_large",
    { database: { name: "LOG", bytes: 7_999_999_999 } },
    { database: { name: "LOG", bytes: 8_000_000_000 } },
  ],
  ["webhooks_failing", { webhooksFailing: 9 }, { webhooksFailing: 10 }],
  ["stripe_refused", { stripeRefused: 2 }, { stripeRefused: 3 }],
  ["purchase_mismatch", { purchasesMismatched: 0 }, { purchasesMismatched: 1 }],
  ["dead_letters", { deadLetters: 0 }, { deadLetters: 1 }],
];

it.each(LIMITS)("%s fires at its limit, and not below", (id, below, at) => {
  expect(nextAlerts([], { ...FINE, ...below }, 7)).toEqual([]);
  const [alert, ...others] = nextAlerts([], { ...FINE, ...at }, 7);
  expect(others).toEqual([]);
  expect(alert).toEqual({
    id,
    summary: expect.stringMatching(/^\S.*\.$/),
    since: 7,
    sentAt: null,
    endedAt: null,
  });
  expect(alert?.summary).not.toMatch(/undefined|null|NaN/);
});

it.each(LIMITS)("%s has an entry in the runbook", (id) => {
  expect(operations).toContain(`\n### ${id}\n`);
});

const FIRING: Alert = {
  ...{ id: "dead_letters", summary: "Old.", since: 1, sentAt: 1, endedAt: null },
};
const dead = { ...FINE, deadLetters: 2 };

it("keeps its beginning while it fires, and takes the new summary", () => {
  const [alert] = nextAlerts([FIRING], dead, 9);
  expect(alert).toEqual({ ...FIRING, summary: "Messages that the queue gave up on in the last hour: 2." });
});

it("is over when it no longer fires, and stays so until that was sent", () => {
  const ended = { ...FIRING, endedAt: 9 };
  expect(nextAlerts([FIRING], FINE, 9)).toEqual([ended]);
  expect(nextAlerts([ended], FINE, 20)).toEqual([ended]);
});

it("is forgotten when it ends before it was sent", () => {
  expect(nextAlerts([{ ...FIRING, sentAt: null }], FINE, 9)).toEqual([]);
});

it("is a new one when it fires again before its end was sent", () => {
  expect(nextAlerts([{ ...FIRING, endedAt: 5 }], dead, 9)).toMatchObject([
    { since: 9, sentAt: null, endedAt: null },
  ]);
});

it("stays as it is while nothing is known, and none begins", () => {
  expect(nextAlerts([FIRING], UNKNOWN, 9)).toEqual([FIRING]);
  expect(nextAlerts([], UNKNOWN, 9)).toEqual([]);
});

it.each<[string, Partial<Alert>, number, boolean]>([
  ["when it is new", { sentAt: null }, 1, true],
  ["not within the hour", {}, HOUR, false],
  ["after an hour", {}, HOUR + 1, true],
  ["when it is over", { endedAt: 5 }, 6, true],
])("is sent %s", (_, changes, now, due) => {
  expect(isDue({ ...FIRING, ...changes }, now)).toBe(due);
});
