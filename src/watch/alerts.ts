import type { GateName } from "../dispatch/routes.ts";

/** Which alerts fire, and when each is sent: no clock and no storage. */

/** The measured state of the service. Null: it could not be measured, so its alerts stay as they are. */
export type Facts = {
  /** Users whose ledger differs from the log. */
  booksDiffering: number | null;
  /** Providers whose circuit breaker is open. Those that an operator opened are left out. */
  openCircuits: readonly GateName[] | null;
  /** How long the oldest generation has waited, and how long it may. Milliseconds. */
  queue: { oldestMs: number; deadlineMs: number } | null;
  /** Generations of the last hour whose run died. */
  interrupted: number | null;
  /** The largest D1 database, in bytes. */
  database: { name: string; bytes: number } | null;
  /** Webhooks that have failed several times in a row. */
  webhooksFailing: number | null;
  /** Events of Stripe that were refused in the last hour. */
  stripeRefused: number | null;
  /** Payments of the last hour that were not of their purchase's price. */
  purchasesMismatched: number | null;
  /** Messages that the queue gave up on in the last hour. */
  deadLetters: number | null;
};

/** The part of the deadline after which a wait is an alert. It leaves time to act before the first refunds. */
const QUEUE_PART = 0.5;
const INTERRUPTED_MIN = 5;
/** D1 refuses writes at 10 GB (https://developers.cloudflare.com/d1/platform/limits/). */
const DATABASE_BYTES_MIN = 8_000_000_000;
const WEBHOOKS_FAILING_MIN = 10;
/** A few refused events may be someone who tries the address. */
const STRIPE_REFUSED_MIN = 3;
/** A firing alert is sent again after this time. */
const AGAIN_MS = 3_600_000;

/** An alert fires with a sentence, or not: null. Undefined: unknown. */
type Verdict = string | null | undefined;

/** Each alert by its id, which is also its heading in the runbook of docs/operations.md. */
const RULES = {
  books_differ: ({ booksDiffering: users }) =>
    atLeast(1, users, `Users whose book does not balance, or differs from the log: ${users}.`),
  circuit_open: ({ openCircuits: names }) =>
    atLeast(1, names?.length, `Providers are down: ${names?.join(", ")}.`),
  queue_old: ({ queue }) => {
    const [minutes, most] = [queue?.oldestMs, queue?.deadlineMs].map((ms = 0) => Math.round(ms / 60_000));
    const text = `The oldest generation has waited for ${minutes} minutes. After ${most}, it fails.`;
    return atLeast((queue?.deadlineMs ?? 0) * QUEUE_PART, queue?.oldestMs, text);
  },
  leases_lapsing: ({ interrupted }) =>
    atLeast(INTERRUPTED_MIN, interrupted, `Generations of the last hour whose run died: ${interrupted}.`),
  database_large: ({ database }) => {
    const gigabytes = ((database?.bytes ?? 0) / 1e9).toFixed(1);
    const text = `${database?.name} has ${gigabytes} GB. D1 refuses writes at 10 GB.`;
    return atLeast(DATABASE_BYTES_MIN, database?.bytes, text);
  },
  webhooks_failing: ({ webhooksFailing: count }) =>
    atLeast(WEBHOOKS_FAILING_MIN, count, `Webhooks that have failed for more than five minutes: ${count}.`),
  stripe_refused: ({ stripeRefused: count }) =>
    atLeast(STRIPE_REFUSED_MIN, count, `Events of Stripe that were refused in the last hour: ${count}.`),
  purchase_mismatch: ({ purchasesMismatched: count }) =>
    atLeast(1, count, `Payments of the last hour that are not of their purchase's price: ${count}.`),
  dead_letters: ({ deadLetters: count }) =>
    atLeast(1, count, `Messages that the queue gave up on in the last hour: ${count}.`),
} satisfies Record<string, (facts: Facts) => Verdict>;

function atLeast(least: number, value: number | null | undefined, text: string): Verdict {
  if (value === null || value === undefined) return undefined;
  return value >= least ? text : null;
}

/** An alert that fires, or that ended and whose end was not sent yet. Times in milliseconds since 1970. */
export type Alert = {
  id: string;
  summary: string;
  since: number;
  /** When it was last sent; null: not yet. */
  sentAt: number | null;
  /** When it ended; null: it fires. */
  endedAt: number | null;
};

/** The alerts now. One that ended before it was sent is left out. */
export function nextAlerts(before: readonly Alert[], facts: Facts, now: number): Alert[] {
  return Object.entries(RULES).flatMap(([id, rule]): Alert[] => {
    const known = before.find((alert) => alert.id === id);
    const summary = rule(facts);
    if (typeof summary === "string") {
      const isNew = known === undefined || known.endedAt !== null;
      return [isNew ? { id, summary, since: now, sentAt: null, endedAt: null } : { ...known, summary }];
    }
    if (known === undefined) return [];
    if (summary === undefined) return [known];
    return known.sentAt === null ? [] : [{ ...known, endedAt: known.endedAt ?? now }];
  });
}

/** Whether the alert is sent now: it is new or over, or was sent an hour ago. */
export function isDue({ sentAt, endedAt }: Alert, now: number): boolean {
  return sentAt === null || endedAt !== null || now - sentAt >= AGAIN_MS;
}
