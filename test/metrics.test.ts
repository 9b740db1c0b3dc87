import { expect, it, vi } from "vitest";
import { measure, type Point, recentPoints } from "../src/metrics.ts";

const point = (ms: number): Point => ({
  kind: "request",
  labels: { method: "GET", route: "/x", status: "200", code: "" },
  values: { ms },
});

it("writes one data point, with its kind as the index", () => {
  const writeDataPoint = vi.fn();
  measure({ METRICS: { writeDataPoint } }, point(7));
  expect(writeDataPoint.mock.calls).toEqual([
    [{ indexes: ["request"], blobs: ["request", "GET", "/x", "200", ""], doubles: [7] }],
  ]);
});

it("never throws, and keeps what could not be written", () => {
  const writeDataPoint = () => {
    throw new Error("no dataset");
  };
  measure({ METRICS: { writeDataPoint } }, point(8));
  measure({}, point(9));
  expect(recentPoints(2)).toMatchObject([{ values: { ms: 9 } }, { values: { ms: 8 } }]);
});

it("keeps the latest 200, newest first", () => {
  for (let ms = 0; ms <= 200; ms++) measure({}, point(ms));
  const kept = recentPoints(1_000).map(({ values }) => values["ms"]);
  expect([kept.length, kept[0], kept.at(-1)]).toEqual([200, 200, 1]);
  expect(recentPoints(3)).toHaveLength(3);
});
