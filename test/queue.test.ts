import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Outbox } from "../src/account/outbox.ts";
import { LedgerStore } from "../src/account/store/ledger.ts";
import { newId } from "../src/id.ts";
import { queueOf } from "../src/queue.ts";
import { newUser } from "./support/account.ts";
import { spyOnLog } from "./support/log.ts";

/** A queue that keeps the ids it was sent. */
class KeptQueue implements Queue {
  readonly sent: string[] = [];
  isDown = false;

  async send(body: unknown) {
    return await this.sendBatch([{ body }]);
  }

  async sendBatch(messages: Iterable<{ body: unknown }>) {
    if (this.isDown) throw new Error("The queue is down.");
    for (const { body } of messages)
      if (typeof body === "object" && body !== null && "generationId" in body)
        this.sent.push(String(body.generationId));
    return { metadata: { metrics: await this.metrics() } };
  }

  async metrics() {
    return { backlogCount: 0, backlogBytes: 0 };
  }
}

beforeEach(() => spyOnLog());
afterEach(() => vi.restoreAllMocks());

function fourQueues() {
  const queues = [new KeptQueue(), new KeptQueue(), new KeptQueue(), new KeptQueue()] as const;
  const [GENERATIONS, GENERATIONS_2, GENERATIONS_3, GENERATIONS_4] = queues;
  return { queues, env: { ...env, GENERATIONS, GENERATIONS_2, GENERATIONS_3, GENERATIONS_4 } };
}

it("divides generations evenly among the queues, and keeps each in its own", () => {
  const { queues, env: bound } = fourQueues();
  const ids = Array.from({ length: 4_000 }, () => newId("gen"));
  const counts = queues.map((queue) => ids.filter((id) => queueOf(bound, id) === queue).length);
  expect(counts.reduce((sum, count) => sum + count)).toBe(4_000);
  for (const count of counts) expect(count).toBeGreaterThan(800);
  const [id = ""] = ids;
  expect(queueOf(bound, id)).toBe(queueOf(bound, id));
});

it("uses the one queue that is bound", () => {
  for (const id of [newId("gen"), newId("gen"), ""]) expect(queueOf(env, id)).toBe(env.GENERATIONS);
});

it("tells which messages a queue did not take, and sends the others", async () => {
  const { queues, env: bound } = fourQueues();
  const [, broken] = queues;
  broken.isDown = true;
  const ids = Array.from({ length: 100 }, () => newId("gen"));
  const { account, userId } = newUser();
  const unsent = await runInDurableObject(account, async (_, { storage }) => {
    const outbox = new Outbox(userId, bound, new LedgerStore(storage.sql, () => {}), () => undefined);
    return await outbox.queue(ids, 1_000);
  });
  const theirs = ids.filter((id) => queueOf(bound, id) === broken);
  expect(theirs.length).toBeGreaterThan(0);
  expect(unsent.toSorted()).toEqual(theirs.toSorted());
  expect([...queues.flatMap(({ sent }) => sent), ...unsent].toSorted()).toEqual(ids.toSorted());
});
