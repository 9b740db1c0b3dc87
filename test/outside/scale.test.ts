import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ROWS, simulate } from "../../bench/scale.mjs";

/** Larger loads take half a minute to simulate. `npm run bench:scale` renders all rows. */
const LOAD_MAX = 300;

it("docs/scale.md has the simulated values", () => {
  const lines = readFileSync("docs/scale.md", "utf8").split("\n");
  const rows = ROWS.filter(({ perMinute }) => perMinute <= LOAD_MAX);
  expect(rows.length).toBeGreaterThan(ROWS.length / 3);
  for (const { render } of rows) expect(lines).toContain(render());
});

it.each([true, false])("uses the quota and rejects the rest before the charge (configured: %s)", (stated) => {
  const { begunInTime, calls, over, accepted, failed, refused } = simulate({
    ...{ perMinute: 600, quota: 250, queues: 4, stated },
  });
  expect(begunInTime / (250 * 120)).toBeGreaterThan(stated ? 0.95 : 0.9);
  expect(over / calls).toBeLessThan(0.05);
  expect(failed / accepted).toBeLessThan(0.02);
  expect(refused).toBeGreaterThan(0);
});

it("completes all accepted work after an outage", () => {
  const { accepted, served, down, all } = simulate({
    ...{ perMinute: 200, queues: 4, outage: { from: 30, to: 40 } },
  });
  const waited = all.filter(({ at }) => at < 40 * 60_000);
  const lastStart = Math.max(...waited.map(({ beganAt }) => beganAt ?? Number.POSITIVE_INFINITY));
  expect(lastStart, "the backlog is gone within twice the outage").toBeLessThan(60 * 60_000);
  expect(down).toBeGreaterThan(0);
  expect(served / accepted).toBeGreaterThan(0.99);
});

it("does not let a user with most of the work delay the others", () => {
  const { median, lightMedian } = simulate({ perMinute: 600, quota: 250, queues: 4, heavy: 0.8 });
  expect(median).toBeGreaterThan(600);
  expect(lightMedian).toBeLessThan(5);
});
