import { createExecutionContext, createMessageBatch, env, getQueueResult } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { newId } from "../src/id.ts";
import worker from "../src/index.ts";
import wrangler from "../wrangler.toml?raw";
import { spyOnLog } from "./support/log.ts";

const logged = vi.fn();

beforeEach(() => {
  spyOnLog((line) => logged(JSON.parse(line)));
});

afterEach(() => {
  vi.restoreAllMocks();
  logged.mockClear();
});

/** A batch with a message that names a generation which no account has, and so has nothing to run. */
async function deliver(queue: string) {
  const body = { userId: newId("user"), generationId: newId("gen") };
  const batch = createMessageBatch(queue, [{ id: "1", timestamp: new Date(), attempts: 1, body }]);
  const retryAll = vi.spyOn(batch, "retryAll");
  await worker.queue(batch, env);
  const { ackAll, explicitAcks, retryBatch } = await getQueueResult(batch, createExecutionContext());
  return { ackAll, explicitAcks, retries: retryBatch.retry, calls: retryAll.mock.calls };
}

/** The queues that wrangler.toml gives to the Worker, in all environments. */
const consumed = [...wrangler.matchAll(/^\[\[(?:env\.\w+\.)?queues\.consumers\]\]\nqueue = "(.+)"$/gm)].map(
  ([, queue = ""]) => queue,
);

describe("a batch", () => {
  it("is of one of these queues in development, production and staging", () => {
    expect(consumed).toEqual([
      "gpt-image-hub-dev-generations",
      ...["", "-2", "-3", "-4", "-dead"].map((end) => `gpt-image-hub-generations${end}`),
      ...["", "-dead"].map((end) => `gpt-image-hub-staging-generations${end}`),
    ]);
  });

  it("of a dead-letter queue is logged, and acknowledged", async () => {
    const queue = "gpt-image-hub-generations-dead";
    expect(await deliver(queue)).toEqual({ ackAll: false, explicitAcks: ["1"], retries: false, calls: [] });
    expect(logged).toHaveBeenCalledWith(expect.objectContaining({ event: "dead_letter", queue }));
  });

  it.each([...consumed.filter((queue) => !queue.endsWith("-dead")), "generations"])(
    "of %s is consumed",
    async (queue) => {
      expect(await deliver(queue)).toEqual({ ackAll: false, explicitAcks: ["1"], retries: false, calls: [] });
      expect(logged).toHaveBeenCalledWith(expect.objectContaining({ event: "message", outcome: "unknown" }));
    },
  );

  it.each(["gpt-image-hub-webhooks", "gpt-image-hub-generations2", "gpt-image-hub-generations-deadly", ""])(
    "of the unknown queue %j is retried, never acknowledged",
    async (queue) => {
      expect(await deliver(queue)).toEqual({
        ackAll: false,
        explicitAcks: [],
        retries: true,
        calls: [[{ delaySeconds: 60 }]],
      });
      expect(logged.mock.calls).toEqual([[{ event: "queue_unknown", queue, messages: 1 }]]);
    },
  );
});
