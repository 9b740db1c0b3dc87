import { describe, expect, it } from "vitest";
import { pollAfterSeconds } from "../../src/http/v1/generations.ts";

const START = 1_700_000_000_000;
const timeAt = (seconds: number) => START + seconds * 1_000;

describe("the Retry-After of an unfinished generation", () => {
  it.each([
    [0, "5"],
    [10, "5"],
    [11, "6"],
    [19, "10"],
    [20, "10"],
    [3_600, "10"],
  ])("is half of the %i s that have passed, between 5 and 10: %s", (seconds, expected) => {
    for (const status of ["queued", "processing"] as const)
      expect(pollAfterSeconds({ status, createdAt: START, slotAt: null }, timeAt(seconds))).toBe(expected);
  });

  it.each([
    [0, "2"],
    [1, "2"],
    [3, "3"],
    [59.5, "60"],
    [600, "60"],
  ])("is the %i s until its turn while it waits, between 2 and 60: %s", (seconds, expected) => {
    expect(pollAfterSeconds({ status: "queued", createdAt: START, slotAt: timeAt(seconds) }, START)).toBe(
      expected,
    );
  });

  it("makes nine polls for a provider that takes 58.7 s at the median and 142.8 s at the 95th percentile", () => {
    // Log-normal, as in docs/scale.md: the Box-Muller transform of an even grid.
    const sigma = Math.log(142.8 / 58.7) / 1.645;
    const grid = Array.from({ length: 100 }, (_, index) => (index + 0.5) / 100);
    const durations = grid.flatMap((u) =>
      grid.map((v) => 58.7 * Math.exp(sigma * Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v))),
    );
    const polls = durations.map((duration) => {
      let count = 0;
      for (let at = 0; at < duration; count++)
        at += Number(pollAfterSeconds({ status: "processing", createdAt: START, slotAt: null }, timeAt(at)));
      return count;
    });
    const mean = polls.reduce((sum, count) => sum + count) / polls.length;
    expect(mean).toBeGreaterThan(8.5);
    expect(mean).toBeLessThan(9.5);
  });
});
