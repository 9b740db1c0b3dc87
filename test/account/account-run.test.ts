import { env } from "cloudflare:test";
import { describe, expect, it, vi } from "vitest";
import { LEASE_MS } from "../../src/account/lifecycle.ts";
import { GenerationStore } from "../../src/account/store/generations.ts";
import { newId } from "../../src/id.ts";
import { aCommand, aRequest, imagesOf, newUser } from "../support/account.ts";

import {
  alarmOf,
  DAY,
  entriesOf,
  errorOf,
  FAILED,
  HOUR,
  holdTimeAndQueue,
  keysIn,
  linesOf,
  loggedEntries,
  loggedGenerations,
  MINUTE,
  newRun,
  newUserWith,
  nextAlarm,
  pass,
  passWithAlarms,
  queue,
  RUN_DEADLINE_MS,
  SECOND,
  type Stub,
  sent,
  statusOf,
} from "./harness.ts";

holdTimeAndQueue();

describe("begin, renew, finish", () => {
  it.each([
    ["begin", (account: Stub) => account.begin("gen_none"), { kind: "unknown" }],
    ["renew", (account: Stub) => account.renew("gen_none", 1, 0), "lost"],
    ["finish", (account: Stub) => account.finish("gen_none", 1, FAILED), { kind: "unknown" }],
    ["generation", (account: Stub) => account.generation("gen_none"), null],
    ["wait", (account: Stub) => account.wait("gen_none", 1_000), null],
  ])("%s knows nothing of an id that was never submitted", async (_, ask, expected) => {
    expect(await ask(newUser().account)).toEqual(expected);
  });

  it("runs an async generation once, however many workers ask", async () => {
    const { account } = await newUserWith(20);
    await account.submit(aCommand("gen_1", "async", aRequest(), 8));
    pass(SECOND);
    expect(await account.begin("gen_1")).toEqual({
      kind: "run",
      job: {
        generationId: "gen_1",
        fence: 1,
        request: aRequest(),
        workUntil: Date.now() + RUN_DEADLINE_MS * 0.9,
        interrupted: false,
        queueUntil: expect.any(Number),
        task: null,
        mayCall: true,
      },
    });
    expect(await account.begin("gen_1")).toEqual({ kind: "taken" });
    expect(await statusOf(account, "gen_1")).toBe("processing");
    await account.finish("gen_1", 1, FAILED);
    expect(await account.begin("gen_1")).toEqual({ kind: "finished" });
  });

  it("keeps a renewed lease, and does not move the alarm", async () => {
    const { account, id } = await newRun();
    const alarm = await alarmOf(account);
    pass(MINUTE);
    expect(await account.renew(id, 1, 0)).toBe("yours");
    expect(await alarmOf(account)).toBe(alarm);
    await nextAlarm(account);
    expect(sent).toEqual([]);
    expect(await account.renew(id, 1, 0)).toBe("yours");
    expect(await account.renew(id, 2, 0)).toBe("lost");
  });

  it("allows three provider calls in all", async () => {
    const { account, id } = await newRun();
    const outcomes = [
      await account.renew(id, 1, 1),
      await account.renew(id, 1, 1),
      await account.renew(id, 1, 1),
    ];
    expect(outcomes).toEqual(["yours", "yours", "exhausted"]);
    expect(await account.renew(id, 1, 0)).toBe("yours");
  });

  it.each<[number, "generationFailed" | "contentPolicyViolation" | null, string, number]>([
    [2, null, "succeeded", 84],
    [1, "generationFailed", "succeeded", 92],
    [0, "generationFailed", "failed", 100],
    [0, "contentPolicyViolation", "failed", 100],
  ])("with %i of 2 images and %s: %s, and %i credits are left", async (count, failure, status, credits) => {
    const { userId, account, id } = await newRun();
    pass(SECOND);
    const images = imagesOf(id, count);
    const outcome = await account.finish(id, 1, { images, failure });
    expect(outcome).toMatchObject({
      kind: "settled",
      generation: {
        id,
        status,
        images,
        endedAt: Date.now(),
        creditsCharged: 16,
        creditsRefunded: 8 * (2 - count),
        error: count === 0 ? failure : null,
      },
      balance: { credits, nextExpiration: null },
    });
    // When the call answers, the log is complete.
    expect(await loggedGenerations(userId)).toMatchObject([
      { id, status, images, creditsCharged: 16, creditsRefunded: 8 * (2 - count) },
    ]);
    expect(await loggedEntries(userId)).toEqual(await entriesOf(account));
    expect(await account.finish(id, 1, { images, failure })).toEqual(outcome);
    expect(await account.finish(id, 7, FAILED)).toEqual(outcome);
    expect(await loggedGenerations(userId)).toHaveLength(1);
  });

  it("returns the current balance when an end is repeated", async () => {
    const { account } = newUser();
    await account.grant("soon", 50, Date.now() + HOUR, null);
    await account.submit(aCommand("gen_1", "sync", aRequest(), 8));
    const all = { images: imagesOf("gen_1", 1), failure: null };
    expect(await account.finish("gen_1", 1, all)).toMatchObject({ balance: { credits: 42 } });
    pass(HOUR);
    expect(await account.finish("gen_1", 1, all)).toMatchObject({
      balance: { credits: 0, nextExpiration: null },
    });
  });

  it("accepts all images from a worker without a lease, but no partial result", async () => {
    const { account, id, all } = await newRun();
    await passWithAlarms(account, LEASE_MS);
    expect(await account.begin(id)).toMatchObject({ kind: "run", job: { fence: 2, mayCall: false } });
    expect(await account.finish(id, 1, FAILED)).toEqual({ kind: "stale" });
    expect(await account.finish(id, 1, { images: imagesOf(id, 1), failure: null })).toEqual({
      kind: "stale",
    });
    expect(await statusOf(account, id)).toBe("processing");
    expect(await account.finish(id, 1, all)).toMatchObject({
      kind: "settled",
      generation: { status: "succeeded", images: all.images },
    });
    expect(await account.finish(id, 2, FAILED)).toMatchObject({
      kind: "settled",
      generation: { status: "succeeded", images: all.images },
    });
    expect(await linesOf(account)).toEqual(["grant 100", "charge -16"]);
  });

  it("renews credits for 30 days when a fault refunds them within 7 days of expiry, but not after a refused prompt", async () => {
    const { account } = newUser();
    const soon = Date.now() + 7 * DAY;
    await account.grant("soon", 16, soon, null);
    await account.submit(aCommand("gen_1", "sync", aRequest(), 8));
    await account.submit(aCommand("gen_2", "sync", aRequest(), 8));
    const refused = { images: [], failure: "contentPolicyViolation" } as const;
    expect(await account.finish("gen_1", 1, refused)).toMatchObject({
      balance: { credits: 8, nextExpiration: soon },
    });
    await account.finish("gen_2", 1, FAILED);
    await passWithAlarms(account, 7 * DAY);
    expect(await account.balance()).toEqual({ credits: 8, nextExpiration: soon - 7 * DAY + 30 * DAY });
    expect(await linesOf(account)).toEqual([
      "grant 16",
      "charge -8",
      "charge -8",
      "refund 8",
      "refund 8",
      "expiry -8",
    ]);
  });
});

describe("a permanent failure", () => {
  it.each([
    [true, true],
    [false, undefined],
  ])("permanent %s is returned as %s, to every caller", async (permanent, expected) => {
    const { account, id } = await newRun();
    const waiting = account.wait(id, 10_000);
    const outcome = await account.finish(id, 1, { ...FAILED, permanent });
    expect(outcome.kind === "settled" ? outcome.generation.permanent : null).toBe(expected);
    expect((await waiting)?.generation.permanent).toBe(expected);
    expect((await account.generation(id))?.permanent).toBe(expected);
  });

  it("is not permanent when an image was delivered", async () => {
    const { account, id } = await newRun();
    await account.finish(id, 1, { images: imagesOf(id, 1), failure: "generationFailed", permanent: true });
    expect((await account.generation(id))?.permanent).toBeUndefined();
  });
});

describe("takeOver", () => {
  it("gives the job of a dead run to the caller that saw it die, at once and only once", async () => {
    const { account, id, all } = await newRun();
    expect(await account.takeOver(id, 1)).toMatchObject({ kind: "run", job: { fence: 2, mayCall: false } });
    expect(await account.takeOver(id, 1)).toEqual({ kind: "taken" });
    expect(await account.renew(id, 1, 0)).toBe("lost");
    expect(await account.finish(id, 2, all)).toMatchObject({ kind: "settled", balance: { credits: 84 } });
    expect(await account.takeOver(id, 2)).toEqual({ kind: "finished" });
    expect(await account.takeOver("gen_other", 1)).toEqual({ kind: "unknown" });
  });

  it("takes nothing from a run of another fence", async () => {
    const { account, id } = await newRun();
    expect(await account.takeOver(id, 2)).toEqual({ kind: "taken" });
    expect(await account.renew(id, 1, 0)).toBe("yours");
  });
});

describe("wait", () => {
  it("answers all waiting callers as soon as the generation ends, with result and balance", async () => {
    const { account, id, all } = await newRun();
    const waiting = [account.wait(id, MINUTE), account.wait(id, MINUTE), account.wait(id, MINUTE)];
    await account.balance();
    const started = performance.now();
    const { generation, balance } = {
      generation: null,
      balance: null,
      ...(await account.finish(id, 1, all)),
    };
    expect(await Promise.all(waiting)).toEqual(waiting.map(() => ({ generation, balance })));
    expect(performance.now() - started).toBeLessThan(5 * SECOND);
  });

  it("answers at once when the generation has ended", async () => {
    const { account, id, all } = await newRun();
    await account.finish(id, 1, all);
    expect(await account.wait(id, MINUTE)).toMatchObject({
      generation: { status: "succeeded" },
      balance: { credits: 84 },
    });
  });

  it("answers with the current state when the time is up, and another caller keeps waiting", async () => {
    const { account, id, all } = await newRun();
    const patient = account.wait(id, MINUTE);
    expect(await account.wait(id, 20)).toMatchObject({
      generation: { status: "processing", endedAt: null },
      balance: { credits: 84 },
    });
    await account.finish(id, 1, all);
    expect(await patient).toMatchObject({ generation: { status: "succeeded" } });
  });

  it("answers when the alarm ends the generation", async () => {
    const { account, id } = await newRun();
    const waiting = account.wait(id, MINUTE);
    await account.balance();
    await passWithAlarms(account, RUN_DEADLINE_MS);
    expect(await waiting).toMatchObject({ generation: { status: "failed" }, balance: { credits: 100 } });
  });

  it("answers nobody when the end was not committed", async () => {
    const { account, id, all } = await newRun();
    const waiting = account.wait(id, 300);
    await account.balance();
    vi.spyOn(GenerationStore.prototype, "update").mockImplementationOnce(() => {
      throw new Error("The disk is on fire.");
    });
    expect(await errorOf(account, (instance) => instance.finish(id, 1, all))).toContain(
      "The disk is on fire.",
    );
    expect(await waiting).toMatchObject({ generation: { status: "processing" } });
  });
});

it("delivers an image through the real queue", async () => {
  const { userId, account } = await newUserWith(8);
  vi.mocked(queue.sendBatch).mockRestore();
  const id = newId("gen");
  await account.submit(aCommand(id, "async", aRequest({ size: { width: 1024, height: 640 } }), 8));
  const ended = await account.wait(id, 20 * SECOND);
  expect(ended).toMatchObject({ generation: { status: "succeeded", error: null }, balance: { credits: 0 } });
  expect(await keysIn(env.IMAGES, `${id}/`)).toEqual(ended?.generation.images.map(({ key }) => key));
  await vi.waitUntil(async () => (await loggedGenerations(userId)).length === 1);
}, 30_000);
