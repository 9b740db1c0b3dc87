import {
  createExecutionContext,
  createMessageBatch,
  env,
  getQueueResult,
  runInDurableObject,
} from "cloudflare:test";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Account } from "../../src/account/account.ts";
import { consumeDead } from "../../src/generations/dead.ts";
import { newId } from "../../src/id.ts";
import { aCommand, aRequest, loseAlarm, newUser } from "../support/account.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";

let lines: ReturnType<typeof spyOnLog>;

beforeEach(() => {
  lines = spyOnLog();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Delivers one message. @returns what becomes of it */
async function deliver(body: unknown, attempts = 1) {
  const queue = "gpt-image-hub-generations-dead";
  const batch = createMessageBatch(queue, [{ id: "1", timestamp: new Date(), attempts, body }]);
  const retry = batch.messages.map((message) => vi.spyOn(message, "retry"));
  await consumeDead(batch, env);
  const { explicitAcks } = await getQueueResult(batch, createExecutionContext());
  return { acks: explicitAcks.length, retries: retry.flatMap((spy) => spy.mock.calls.flat()) };
}

const events = () => lines.mock.calls.map(([line]) => JSON.parse(line));

async function counted(): Promise<number> {
  const query = "SELECT coalesce(sum(count), 0) AS total FROM incidents WHERE kind = 'dead_letter'";
  return (await env.DB.prepare(query).first<number>("total")) ?? 0;
}

it("logs and counts a message, and sets the alarm of its account again", async () => {
  holdQueue();
  const user = newUser();
  const { userId } = user;
  await user.account.grant("first", 100, null, null);
  const generationId = newId("gen");
  await user.account.submit(aCommand(generationId, "async", aRequest(), 8));
  const account = await loseAlarm(user.account);
  const before = await counted();
  expect(await deliver({ userId, generationId })).toEqual({ acks: 1, retries: [] });
  expect(events()).toContainEqual({
    event: "dead_letter",
    queue: "gpt-image-hub-generations-dead",
    message_id: "1",
    user_id: userId,
    generation_id: generationId,
  });
  expect(await counted()).toBe(before + 1);
  expect(await runInDurableObject(account, (_, { storage }) => storage.getAlarm())).not.toBeNull();
});

it("drops a message of another form after logging it", async () => {
  expect(await deliver("unreadable")).toEqual({ acks: 1, retries: [] });
  expect(events()).toMatchObject([{ event: "dead_letter", message_id: "1" }]);
});

it("delivers again while the account does not respond, and logs and counts it once", async () => {
  vi.spyOn(Account.prototype, "checkUp").mockImplementation(() => {
    throw new Error("the object is away");
  });
  const body = { userId: newUser().userId, generationId: newId("gen") };
  const before = await counted();
  expect(await deliver(body)).toEqual({ acks: 0, retries: [{ delaySeconds: 60 }] });
  expect(await deliver(body, 2)).toEqual({ acks: 0, retries: [{ delaySeconds: 60 }] });
  expect(events().map(({ event }) => event)).toEqual(["dead_letter", "check_up_failed", "check_up_failed"]);
  expect(await counted()).toBe(before + 1);
});
