import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { renderScale, simulate } from "../../bench/scale.mjs";

it("stands in docs/scale.md as it is simulated", () => {
  expect(readFileSync("docs/scale.md", "utf8")).toContain(`\n\n${renderScale()}\n\n`);
});

it.each([
  [150, Number.POSITIVE_INFINITY, 1],
  // Of 300 a minute a provider of 250 takes five in six, chance aside.
  [300, 250, 5 / 6],
])("delivers of %i a minute what a provider of %f takes", (load, quotaPerMinute, part) => {
  const { succeeded, median } = simulate({ what: "", consumers: 250, batch: 5, quotaPerMinute }, load);
  expect(succeeded).toBeCloseTo(part, 1);
  expect(median).toBeGreaterThan(50);
});
