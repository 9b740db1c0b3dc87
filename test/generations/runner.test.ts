import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { GenerationRunner } from "../../src/generations/runner.ts";
import { newId } from "../../src/id.ts";
import { png } from "../images/samples.ts";
import { aCommand } from "../support/account.ts";
import { spyOnLog } from "../support/log.ts";
import { drawWith } from "../support/provider.ts";
import { requestOf } from "./requests.ts";

beforeEach(() => {
  spyOnLog();
});

afterEach(() => {
  vi.restoreAllMocks();
});

it("calls itself every 30 s while it runs, so that it is not evicted, and not after that", async () => {
  const setReal = globalThis.setInterval;
  const intervals: (number | undefined)[] = [];
  vi.spyOn(globalThis, "setInterval").mockImplementation((...[work, milliseconds]) => {
    intervals.push(milliseconds);
    return Reflect.apply(setReal, globalThis, [work, (milliseconds ?? 0) / 1000]);
  });
  const stays = vi.spyOn(GenerationRunner.prototype, "stay");
  const slow = async function* () {
    yield png(1, 1).subarray(0, 10);
    await vi.waitUntil(() => stays.mock.calls.length >= 3, { timeout: 4_000, interval: 5 });
    yield png(1, 1).subarray(10);
  };
  drawWith([slow]);
  const userId = newId("user");
  const account = env.ACCOUNT.getByName(userId);
  await account.grant("first", 8, null, null);
  const accepted = await account.submit(aCommand(newId("gen"), "sync", requestOf(1), 8));
  if (accepted.kind !== "accepted" || accepted.job === null) throw new Error("It was not accepted.");
  const runner = env.GENERATION_RUNNER.get(env.GENERATION_RUNNER.newUniqueId());
  expect(await runner.run(userId, accepted.job)).toMatchObject({ kind: "settled" });
  expect(intervals).toEqual(expect.arrayContaining([30_000, 60_000]));
  await scheduler.wait(35);
  const afterwards = stays.mock.calls.length;
  await scheduler.wait(100);
  expect(stays.mock.calls.length).toBe(afterwards);
});
