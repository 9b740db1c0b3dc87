import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { sleep, TimeoutError, withTimeout } from "../src/time.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});

afterEach(() => {
  vi.useRealTimers();
});

it("sleeps that long", async () => {
  let awake = false;
  const sleeping = sleep(100).then(() => {
    awake = true;
  });
  await vi.advanceTimersByTimeAsync(99);
  expect(awake).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await sleeping;
  expect(awake).toBe(true);
});

it.each([
  ["what comes in time", 99, "value"],
  ["that nothing came in time", 101, new TimeoutError("nothing within 100 ms")],
])("withTimeout returns %s, and leaves no timer", async (_, milliseconds, expected) => {
  const outcome = withTimeout(
    100,
    sleep(milliseconds).then(() => "value"),
  ).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(100);
  expect(await outcome).toEqual(expected);
  await vi.advanceTimersByTimeAsync(1);
  expect(vi.getTimerCount()).toBe(0);
});

it("withTimeout rejects like its promise, and leaves no timer", async () => {
  const failure = new Error("broken");
  await expect(withTimeout(100, Promise.reject(failure))).rejects.toBe(failure);
  expect(vi.getTimerCount()).toBe(0);
});

it("withTimeout handles a rejection that comes too late", async () => {
  const late = sleep(200).then(() => {
    throw new Error("late");
  });
  const outcome = withTimeout(100, late).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(200);
  expect(await outcome).toBeInstanceOf(TimeoutError);
});
