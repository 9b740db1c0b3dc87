import { KEEP_MS } from "./lifecycle.ts";

/** When the alarm retries to export entries. */
export const EXPORT_AGAIN_MS = 30_000;

/** Everything pending that needs an alarm. Times in milliseconds since 1970, null where there is none. */
export type Pending = {
  /** When the next generation is due. */
  nextDue: number | null;
  /** When the next remaining credits expire. */
  nextExpiry: number | null;
  /** When the next reference that was uploaded ahead is due for removal. */
  nextRemoval: number | null;
  /** When the next webhook is sent or deleted. */
  nextWebhook: number | null;
  /** When the next mail about credits is due. */
  nextNotice: number | null;
  /** When the next deletion has something left to remove. */
  nextDeletion: number | null;
  /** When the oldest generation without work left ended. */
  oldestEnd: number | null;
  /** Whether the log lacks entries. */
  hasUnloggedEntries: boolean;
};

/** Each reason to wake the object: when it needs an alarm, or null. */
const REASONS: readonly ((pending: Pending, now: number) => number | null)[] = [
  ({ nextDue }) => nextDue,
  ({ nextExpiry }) => nextExpiry,
  ({ nextRemoval }) => nextRemoval,
  ({ nextWebhook }) => nextWebhook,
  ({ nextNotice }) => nextNotice,
  ({ nextDeletion }) => nextDeletion,
  ({ oldestEnd }) => (oldestEnd === null ? null : oldestEnd + KEEP_MS),
  ({ hasUnloggedEntries }, now) => (hasUnloggedEntries ? now + EXPORT_AGAIN_MS : null),
];

/** When the object must wake next; null when nothing is pending. */
export function nextWakeUp(pending: Pending, now: number): number | null {
  const times = REASONS.map((reason) => reason(pending, now)).filter((time) => time !== null);
  return times.length === 0 ? null : Math.min(...times);
}
