import { env } from "cloudflare:workers";
import { vi } from "vitest";

export const queueClass: Queue = Object.getPrototypeOf(env.GENERATIONS);

/** Keeps messages from the queue until mocks are restored, so that the test processes them. */
export function holdQueue() {
  const metrics = { backlogCount: 0, backlogBytes: 0, oldestMessageTimestamp: new Date(0) };
  return vi.spyOn(queueClass, "sendBatch").mockResolvedValue({ metadata: { metrics } });
}
