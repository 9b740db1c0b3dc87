import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { gateStatus, park, takeTicket } from "../../src/dispatch/client.ts";
import { flowOf } from "../../src/dispatch/fair-queue.ts";
import type { Ask, CallOutcome } from "../../src/dispatch/gate.ts";
import { ProviderGate } from "../../src/dispatch/provider-gate.ts";
import { newId } from "../../src/id.ts";
import { spyOnLog } from "../support/log.ts";
import { scripted } from "../support/provider.ts";
import { queueClass } from "../support/queue.ts";

const DOWN: CallOutcome = { kind: "failed", reason: "unavailable", retryAfterMs: null };
const UP: CallOutcome = { kind: "answered", perMinute: null };

/** Each test has its own gate. */
const newGate = () => env.PROVIDER_GATE.getByName(`test-${crypto.randomUUID()}`);

function ask(id: string): Ask {
  const deadline = Date.now() + 3_600_000;
  return { id, userId: "user_1", flow: flowOf("user_1", "async"), images: 1, deadline, isAgain: false };
}

async function openBreaker(gate: DurableObjectStub<ProviderGate>) {
  for (const id of ["x", "y"]) {
    await gate.take(ask(id), 0, true);
    await gate.report(id, DOWN);
  }
}

/** How many rows each of the gate's tables has. */
async function rowsOf(gate: DurableObjectStub<ProviderGate>) {
  return await runInDurableObject(gate, (_, { storage }) =>
    storage.sql
      .exec("SELECT (SELECT count(*) FROM state) AS state, (SELECT count(*) FROM waiting) AS waiting")
      .one(),
  );
}

let sent: unknown[] = [];
let lines: ReturnType<typeof spyOnLog>;

beforeEach(() => {
  sent = [];
  lines = spyOnLog();
  vi.spyOn(queueClass, "sendBatch").mockImplementation(async (messages) => {
    for (const { body } of messages) sent.push(body);
    return { metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } } };
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("the ProviderGate object", () => {
  it("writes nothing while the provider is calm", async () => {
    const gate = newGate();
    expect(await gate.take(ask("a"), 0, true)).toEqual({ kind: "go", report: false, isProbe: false });
    expect(await rowsOf(gate)).toEqual({ state: 0, waiting: 0 });
  });

  it("keeps waiting work over an eviction, and sends it to the queue when its turn comes", async () => {
    const gate = newGate();
    await openBreaker(gate);
    const id = newId("gen");
    expect(await gate.take(ask(id), 0, true)).toEqual({ kind: "wait", until: null });
    await evictDurableObject(gate);
    expect(await gate.view()).toMatchObject({ state: "open", waiting: 1 });
    expect(sent).toEqual([]);
    await gate.operate("closed");
    expect(sent).toEqual([{ userId: "user_1", generationId: id }]);
    expect(await gate.take(ask(id), 0, true)).toMatchObject({ kind: "go" });
    await evictDurableObject(gate);
    expect(await gate.view()).toMatchObject({ waiting: 0 });
  });

  it("sends a probe by its alarm, and the rest when the probe succeeds", async () => {
    const gate = newGate();
    await openBreaker(gate);
    const ids = [newId("gen"), newId("gen")];
    for (const id of ids) await gate.take(ask(id), 0, true);
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Date.now() + 6_000);
    expect(await runDurableObjectAlarm(gate)).toBe(true);
    expect(sent).toHaveLength(1);
    const [probe = ""] = ids;
    expect(await gate.take(ask(probe), 0, true)).toEqual({ kind: "go", report: true, isProbe: true });
    await gate.report(probe, UP);
    vi.setSystemTime(Date.now() + 2_000);
    await gate.report("unknown", UP);
    expect(sent).toHaveLength(2);
    expect(await gate.view()).toMatchObject({ state: "closed", waiting: 0 });
  });

  it("answers a waiting caller as soon as there is capacity", async () => {
    const gate = newGate();
    await openBreaker(gate);
    const waiting = gate.take(ask("held"), 10_000, false);
    await gate.operate("closed");
    expect(await waiting).toMatchObject({ kind: "go" });
    expect(sent).toEqual([]);
  });

  it("answers a waiting caller when its time is up, and drops it", async () => {
    const gate = newGate();
    await openBreaker(gate);
    expect(await gate.take(ask("held"), 50, false)).toEqual({ kind: "wait", until: null });
    expect(await gate.view()).toMatchObject({ waiting: 0 });
  });

  it("drops a generation that leaves, for good, and goes on with the others", async () => {
    const gate = newGate();
    await openBreaker(gate);
    for (const id of ["leaves", "stays"]) await gate.take(ask(id), 0, true);
    await gate.leave("leaves");
    await gate.leave("leaves");
    await gate.leave("unknown");
    expect(await gate.view()).toMatchObject({ waiting: 1 });
    await evictDurableObject(gate);
    await gate.operate("closed");
    expect(sent).toEqual([{ userId: "user_1", generationId: "stays" }]);
  });

  it("keeps work that the queue does not accept", async () => {
    const gate = newGate();
    await openBreaker(gate);
    const id = newId("gen");
    await gate.take(ask(id), 0, true);
    const refusing = vi.spyOn(queueClass, "sendBatch").mockRejectedValueOnce(new Error("The queue is down."));
    await gate.operate("closed");
    expect(refusing).toHaveBeenCalled();
    expect(await gate.view()).toMatchObject({ waiting: 1 });
    await gate.report("unknown", UP);
    expect(sent).toEqual([{ userId: "user_1", generationId: id }]);
  });

  it("deletes the row of what waited past its deadline", async () => {
    const gate = newGate();
    await openBreaker(gate);
    await gate.take({ ...ask(newId("gen")), deadline: Date.now() + 1_000 }, 0, true);
    expect(await rowsOf(gate)).toMatchObject({ waiting: 1 });
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Date.now() + 1_000);
    await gate.operate("closed");
    expect(sent).toEqual([]);
    expect(await rowsOf(gate)).toMatchObject({ waiting: 0 });
  });

  it("deletes the row when the item starts, if it could not when it was released", async () => {
    const gate = newGate();
    await openBreaker(gate);
    const id = newId("gen");
    await gate.take(ask(id), 0, true);
    await runInDurableObject(gate, async (instance, { storage }) => {
      storage.sql.exec(
        "CREATE TRIGGER refuse BEFORE DELETE ON waiting BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
      );
      await expect(instance.operate("closed")).rejects.toThrow("the disk is full");
      storage.sql.exec("DROP TRIGGER refuse");
    });
    expect(await gate.take(ask(id), 0, true)).toMatchObject({ kind: "go" });
    expect(await rowsOf(gate)).toMatchObject({ waiting: 0 });
  });

  it("parks a generation that no worker has begun", async () => {
    const gate = newGate();
    await gate.operate("open");
    expect(await gate.word(flowOf("user_1", "sync"))).toMatchObject({ isDown: true, isBusy: true });
    const { isAgain: _, ...item } = ask("parked");
    expect(await gate.park(item)).toBe(true);
    await gate.operate("auto");
    expect(sent).toEqual([{ userId: "user_1", generationId: "parked" }]);
    expect(await gate.word(flowOf("user_1", "sync"))).toMatchObject({ isDown: false });
  });
});

it("asks a busy gate for each user, and a calm one in the background", async () => {
  const gate = `test-${crypto.randomUUID()}`;
  const route = { name: "openai", provider: scripted(), providerModel: "x", gate } as const;
  const asked = vi.spyOn(ProviderGate.prototype, "word");
  expect(await gateStatus(env, [route], "heavy/async")).toMatchObject({ isBusy: false });
  expect(asked).toHaveBeenCalledTimes(1);
  asked.mockImplementation((flow) => ({
    isDown: false,
    isBusy: true,
    until: flow === "heavy/async" ? 9 : 1,
  }));
  // A calm status is cached for ten seconds.
  expect(await gateStatus(env, [route], "heavy/async")).toMatchObject({ isBusy: false });
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + 10_001);
  await gateStatus(env, [route], "heavy/async");
  await vi.waitFor(() => expect(asked).toHaveBeenCalledTimes(2));
  expect(await gateStatus(env, [route], "heavy/async")).toMatchObject({ isBusy: true, until: 9 });
  expect(await gateStatus(env, [route], "light/async")).toMatchObject({ isBusy: true, until: 1 });
  expect(await gateStatus(env, [route], "light/async")).toMatchObject({ isBusy: true, until: 1 });
  expect(asked).toHaveBeenCalledTimes(3);
});

it("asks the gate when the cached status is old before it accepts anything", async () => {
  const gate = `test-${crypto.randomUUID()}`;
  const route = { name: "openai", provider: scripted(), providerModel: "x", gate } as const;
  expect(await gateStatus(env, [route], "a/sync")).toMatchObject({ isDown: false });
  await env.PROVIDER_GATE.getByName(gate).operate("open");
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + 60_001);
  expect(await gateStatus(env, [route], "a/sync")).toMatchObject({ isDown: true, until: null });
});

it("frees the place of a caller that died, five minutes after its call began", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const began = Date.now();
  await runInDurableObject(env.PROVIDER_GATE.getByName("openai"), async (_, state) => {
    const gate = new ProviderGate(state, Object.assign({}, env, { OPENAI_MAX_CONCURRENT: "1" }));
    expect(await gate.take(ask("died"), 0, true)).toMatchObject({ kind: "go", report: true });
    const id = newId("gen");
    expect(await gate.take(ask(id), 0, true)).toMatchObject({ kind: "wait" });
    expect(await state.storage.getAlarm()).toBe(began + 300_000);
    vi.setSystemTime(began + 299_999);
    await gate.alarm();
    expect(sent).toEqual([]);
    vi.setSystemTime(began + 300_000);
    await gate.alarm();
    expect(sent).toEqual([{ userId: "user_1", generationId: id }]);
    expect(await gate.take(ask(id), 0, true)).toMatchObject({ kind: "go" });
    expect(gate.view()).toMatchObject({ inFlight: 1, waiting: 0 });
  });
});

describe("a gate that cannot be reached", () => {
  const route = {
    name: "openai" as const,
    provider: scripted(),
    providerModel: "x",
    gate: `test-${crypto.randomUUID()}`,
  };

  /** The lines of the operator's log with that event. */
  const logged = (event: string) =>
    lines.mock.calls.flatMap(([line]) => {
      const entry: unknown = JSON.parse(line);
      return typeof entry === "object" && entry !== null && Reflect.get(entry, "event") === event
        ? [entry]
        : [];
    });

  beforeEach(() => {
    const unreachable = () => {
      throw new Error("the object was reset");
    };
    vi.spyOn(ProviderGate.prototype, "take").mockImplementation(unreachable);
    vi.spyOn(ProviderGate.prototype, "park").mockImplementation(unreachable);
    vi.spyOn(ProviderGate.prototype, "word").mockImplementation(unreachable);
  });

  it("lets calls through, and says so in the log", async () => {
    expect(await takeTicket(env, route, ask("a"), 0, true)).toEqual({
      kind: "go",
      report: false,
      isProbe: false,
    });
    expect(logged("gate_unreachable")).toMatchObject([{ provider: route.gate, generation_id: "a" }]);
  });

  it("parks nothing and is taken for calm", async () => {
    const { isAgain: _, ...item } = ask("a");
    expect(await park(env, route, item)).toBe(false);
    expect(await gateStatus(env, [route], item.flow)).toMatchObject({ isBusy: false });
    expect(logged("gate_unreachable")).toMatchObject([{ generation_id: "a" }, { provider: route.gate }]);
  });
});
