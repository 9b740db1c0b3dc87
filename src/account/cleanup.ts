import { invariant } from "./ledger.ts";
import type { Generation } from "./lifecycle.ts";

/**
 * The tasks left, outside the account, for a generation that has ended. Each task is done once; the alarm retries one
 * that fails. Plain data: no clock, no storage.
 */

/** A worker that lost its lease may still store images for this long. */
export const ORPHANS_AFTER_MS = 20 * 60_000;
/** The wait after a failed attempt: doubles up to the last. */
export const RETRY_FIRST_MS = 5_000;
const RETRY_LAST_MS = 600_000;

/** Milliseconds until a task is tried again that failed `tries` times before. */
export function retryDelayMs(tries: number): number {
  return Math.min(RETRY_FIRST_MS * 2 ** tries, RETRY_LAST_MS);
}

/** The flag of a generation that says that a task is done. */
export type CleanupTask = "logged" | "referencesDeleted" | "orphansDeleted";

/** When each task may begin, in milliseconds after the generation's end. */
const TASKS: readonly (readonly [CleanupTask, number])[] = [
  ["logged", 0],
  ["referencesDeleted", 0],
  ["orphansDeleted", ORPHANS_AFTER_MS],
];

/** The tasks that can be done now. */
export function cleanupTasks(generation: Generation, now: number): CleanupTask[] {
  const { endedAt } = generation;
  invariant(endedAt !== null, "only an ended generation has cleanup tasks");
  return TASKS.filter(([task, delay]) => !generation[task] && now >= endedAt + delay).map(([task]) => task);
}

/** Notes the tasks that are done, and when the alarm handles the rest. */
export function applyCleanup(generation: Generation, done: readonly CleanupTask[], now: number): Generation {
  const { endedAt } = generation;
  invariant(endedAt !== null, "only an ended generation has cleanup tasks");
  const flags = Object.fromEntries(done.map((task) => [task, true]));
  const next: Generation = { ...generation, ...flags };
  if (cleanupTasks(next, now).length > 0) {
    const wait = retryDelayMs(generation.alarmAttempts);
    return { ...next, alarmAttempts: generation.alarmAttempts + 1, dueAt: now + wait };
  }
  const later = TASKS.filter(([task]) => !next[task]).map(([, delay]) => endedAt + delay);
  return { ...next, alarmAttempts: 0, dueAt: later.length === 0 ? null : Math.min(...later) };
}
