import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Account } from "../../src/account/account.ts";
import { consume } from "../../src/generations/consume.ts";
import { newId } from "../../src/id.ts";
import { sketch } from "../../src/providers/sketch/index.ts";
import { png } from "../images/samples.ts";
import { aCommand } from "../support/account.ts";
import { spyOnLog } from "../support/log.ts";
import { drawWith, scripted } from "../support/provider.ts";
import { holdQueue } from "../support/queue.ts";
import { requestOf } from "./requests.ts";

beforeEach(() => {
  spyOnLog();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** A queued generation of one image for a new user. */
async function accepted(mode: "sync" | "async" = "async") {
  const userId = newId("user");
  const generationId = newId("gen");
  const account = env.ACCOUNT.getByName(userId);
  await account.grant("first", 100, null, null);
  await account.submit(aCommand(generationId, mode, requestOf(1), 8));
  return { userId, generationId, account };
}

async function deliver(bodies: Record<string, unknown>, bindings: Env = env) {
  const messages = Object.entries(bodies).map(([id, body]) => ({
    id,
    timestamp: new Date(),
    attempts: 1,
    body,
  }));
  const batch = createMessageBatch("generations", messages);
  const retry = batch.messages.map((message) => vi.spyOn(message, "retry"));
  await consume(batch, bindings);
  const { outcome, explicitAcks, retryMessages } = await getQueueResult(batch, createExecutionContext());
  return {
    outcome,
    acked: explicitAcks.toSorted(),
    retried: retryMessages.map(({ msgId }) => msgId),
    delays: retry.flatMap((spy) => spy.mock.calls),
  };
}

const named = ({ userId, generationId }: { userId: string; generationId: string }) => ({
  userId,
  generationId,
});

describe("consume", () => {
  it("acknowledges each message on its own, and retries only failed ones", async () => {
    holdQueue();
    const provider = drawWith([png(1, 1)], [{ reason: "refused" }]);
    const [whole, refused, taken, failing] = [
      await accepted(),
      await accepted(),
      await accepted("sync"),
      await accepted(),
    ];
    const begin = Account.prototype.begin;
    vi.spyOn(Account.prototype, "begin").mockImplementation(function (this: Account, id) {
      if (id === failing.generationId) throw new Error("the object was reset");
      return Reflect.apply(begin, this, [id]);
    });
    await deliver({ first: named(whole) });
    expect(
      await deliver({
        refused: named(refused),
        finished: named(whole),
        taken: named(taken),
        unknown: { userId: newId("user"), generationId: newId("gen") },
        empty: null,
        malformed: { userId: 7 },
        failing: named(failing),
      }),
    ).toEqual({
      outcome: "ok",
      acked: ["empty", "finished", "malformed", "refused", "taken", "unknown"],
      retried: ["failing"],
      delays: [[{ delaySeconds: 30 }]],
    });
    expect(provider.requests.map(({ generationId }) => generationId)).toEqual(
      [whole, refused].map(({ generationId }) => generationId),
    );
    expect(await whole.account.generation(whole.generationId)).toMatchObject({ status: "succeeded" });
    expect(await refused.account.generation(refused.generationId)).toMatchObject({
      error: "contentPolicyViolation",
    });
    expect(await taken.account.generation(taken.generationId)).toMatchObject({ status: "processing" });
    expect(await failing.account.generation(failing.generationId)).toMatchObject({ status: "queued" });
  });

  it("calls the provider once for a message delivered twice at once, and again later", async () => {
    holdQueue();
    const provider = drawWith([png(1, 1)], [png(2, 1)]);
    const generation = await accepted();
    const twice = { one: named(generation), two: named(generation) };
    expect((await deliver(twice)).acked).toEqual(["one", "two"]);
    expect((await deliver({ later: named(generation) })).acked).toEqual(["later"]);
    expect(provider.requests).toHaveLength(1);
    expect(await generation.account.balance()).toMatchObject({ credits: 92 });
  });

  it("runs five messages in parallel", async () => {
    holdQueue();
    const all = Promise.withResolvers<void>();
    const provider = scripted(...Array.from({ length: 5 }, () => [png(1, 1)]));
    vi.spyOn(sketch, "generate").mockImplementation(async function* (request, options) {
      const images = provider.generate(request, options)[Symbol.asyncIterator]();
      const first = await images.next();
      if (provider.requests.length === 5) all.resolve();
      await all.promise;
      if (!first.done) yield first.value;
    });
    const generations = await Promise.all(Array.from({ length: 5 }, () => accepted()));
    const { acked } = await deliver(
      Object.fromEntries(generations.map((each) => [each.generationId, named(each)])),
    );
    expect(acked).toHaveLength(5);
    for (const { account, generationId } of generations) {
      expect(await account.generation(generationId)).toMatchObject({ status: "succeeded" });
    }
  });

  it("acknowledges a run that could not report its result: the lease recovers it", async () => {
    holdQueue();
    drawWith([png(1, 1)]);
    const { account, ...ids } = await accepted();
    // No back-off.
    vi.spyOn(Math, "random").mockReturnValue(-1);
    vi.spyOn(Account.prototype, "finish").mockRejectedValue(new Error("the object was reset"));
    expect((await deliver({ one: ids })).acked).toEqual(["one"]);
    expect(await account.generation(ids.generationId)).toMatchObject({ status: "processing" });
  });

  it("retries when no provider is configured", async () => {
    holdQueue();
    const generation = await accepted();
    const { retried } = await deliver({ one: named(generation) }, { ...env, IMAGE_PROVIDER: "openai" });
    expect(retried).toEqual(["one"]);
    expect(await generation.account.generation(generation.generationId)).toMatchObject({ status: "queued" });
    expect(await generation.account.cancel(generation.generationId)).toMatchObject({ kind: "canceled" });
  });

  it("is what the queue calls", async () => {
    const provider = drawWith([png(1, 1)]);
    const { account, generationId } = await accepted();
    await vi.waitUntil(async () => (await account.generation(generationId))?.status === "succeeded", 4_000);
    expect(provider.requests).toHaveLength(1);
  });
});
