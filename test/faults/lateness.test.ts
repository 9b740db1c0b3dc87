import { createMessageBatch, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LEASE_MS } from "../../src/account/lifecycle.ts";
import { consume } from "../../src/generations/consume.ts";
import { run } from "../../src/generations/run.ts";
import { newId } from "../../src/id.ts";
import { storedImages } from "../../src/images/stored.ts";
import { png } from "../images/samples.ts";
import { aCommand, aRequest, newUser } from "../support/account.ts";
import { spyOnLog } from "../support/log.ts";
import { drawWith, type Step, scripted, via } from "../support/provider.ts";
import { holdQueue } from "../support/queue.ts";

/** Repeated and late calls change nothing: no second charge, no second provider call, no other result. */
const [A, B, C, D] = [png(1, 1), png(2, 1), png(3, 1), png(4, 1)];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 365 * 86_400_000 });
  spyOnLog();
  holdQueue();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A queued async generation of two images for a new user with 100 credits. */
async function accepted() {
  const { userId, account } = newUser();
  await account.grant("first", 100, null, null);
  const id = newId("gen");
  await account.submit(aCommand(id, "async", aRequest({ n: 2 }), 16));
  return { userId, account, id };
}

async function deliver(...bodies: unknown[]): Promise<void> {
  const messages = bodies.map((body, at) => ({ id: String(at), timestamp: new Date(), attempts: 1, body }));
  await consume(createMessageBatch("generations", messages), env);
}

async function ledgerOf({ account, id }: Awaited<ReturnType<typeof accepted>>) {
  const { entries } = await account.statement(Number.MAX_SAFE_INTEGER, 100);
  return {
    made: await account.generation(id),
    lines: entries.map(({ kind, credits }) => `${kind} ${credits}`),
  };
}

const CHARGED_ONCE = ["charge -16", "grant 100"];

describe("a queue message", () => {
  it("delivered twice at once, again and long after the end, runs once", async () => {
    const provider = drawWith([A, B], [C, D]);
    const generation = await accepted();
    const message = { userId: generation.userId, generationId: generation.id };
    await deliver(message, message);
    const { made, lines } = await ledgerOf(generation);
    expect([made?.status, lines, provider.requests.length]).toEqual(["succeeded", CHARGED_ONCE, 1]);
    await deliver(message);
    vi.setSystemTime(Date.now() + 3_600_000);
    await deliver(message, message);
    expect(await ledgerOf(generation)).toEqual({ made, lines });
    expect(provider.requests).toHaveLength(1);
  });

  it("with an unknown or failed generation makes no call and no entry", async () => {
    const provider = drawWith([{ reason: "refused" }], [A, B]);
    const generation = await accepted();
    const message = { userId: generation.userId, generationId: generation.id };
    await deliver(message);
    const before = await ledgerOf(generation);
    expect(before).toMatchObject({ made: { status: "failed" }, lines: ["refund 16", ...CHARGED_ONCE] });
    await deliver(message, { ...message, generationId: newId("gen") }, { ...message, userId: newId("user") });
    expect(await ledgerOf(generation)).toEqual(before);
    expect(provider.requests).toHaveLength(1);
  });
});

/** A run whose lease lapsed before it reported its result. */
async function withZombie(zombieGives: readonly Step[]) {
  const generation = await accepted();
  const work = await generation.account.begin(generation.id);
  if (work.kind !== "run") throw new Error("Nobody else has begun it.");
  vi.setSystemTime(Date.now() + LEASE_MS);
  await runDurableObjectAlarm(generation.account);
  const bringLate = () => run(work.job, () => generation.account, via(scripted([...zombieGives])), env);
  return { ...generation, bringLate };
}

describe("a run that returns after it lost its lease", () => {
  it.each<[what: string, gives: Step[], after: string]>([
    ["all its images", [C, D], "settled"],
    ["one image of two", [C], "settled"],
    ["a failure", [{ reason: "refused" }], "settled"],
  ])("and after the next one has ended, with %s, changes nothing", async (_, gives, after) => {
    const provider = drawWith([A, B]);
    const { bringLate, ...generation } = await withZombie(gives);
    await deliver({ userId: generation.userId, generationId: generation.id });
    const before = await ledgerOf(generation);
    expect([before.made?.images.map(({ width }) => width), before.lines]).toEqual([[1, 2], CHARGED_ONCE]);
    expect((await bringLate())?.kind).toBe(after);
    expect(await ledgerOf(generation)).toEqual(before);
    expect(provider.requests).toHaveLength(1);
  });

  it.each<[what: string, gives: Step[], after: string, calls: number[][]]>([
    ["all its images ends it: no further call", [C, D], "settled", []],
    ["one image of two is too late, but its image is taken over", [C], "stale", [[1, 1]]],
    ["a failure is too late: the next one decides", [{ reason: "refused" }], "stale", [[2, 0]]],
  ])("and before the next one begins, with %s", async (_, gives, after, calls) => {
    const provider = drawWith([A, B]);
    const { bringLate, ...generation } = await withZombie(gives);
    expect((await bringLate())?.kind).toBe(after);
    await deliver({ userId: generation.userId, generationId: generation.id });
    expect(provider.requests.map(({ n, offset }) => [n, offset])).toEqual(calls);
    const { made, lines } = await ledgerOf(generation);
    expect([made?.status, made?.images.length, lines]).toEqual(["succeeded", 2, CHARGED_ONCE]);
  });

  it("leaves no image that no response names", async () => {
    drawWith([A, B]);
    const { bringLate, ...generation } = await withZombie([C, D]);
    await deliver({ userId: generation.userId, generationId: generation.id });
    await bringLate();
    expect(await storedImages(env.IMAGES, generation.id)).toHaveLength(4);
    for (let alarms = 0; alarms < 3; alarms++) {
      vi.setSystemTime(Date.now() + 20 * 60_000);
      await runDurableObjectAlarm(generation.account);
    }
    const { made } = await ledgerOf(generation);
    const left = (await storedImages(env.IMAGES, generation.id)).map(({ key }) => key);
    expect(left).toEqual(made?.images.map(({ key }) => key).toSorted());
  });
});
