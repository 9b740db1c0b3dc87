import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Job, runDueJobs, TICK_MINUTES } from "../../src/jobs/jobs.ts";
import wrangler from "../../wrangler.toml?raw";
import { spyOnLog } from "../support/log.ts";

const lines: unknown[] = [];

beforeEach(() => {
  lines.length = 0;
  spyOnLog((line: string) => lines.push(JSON.parse(line)));
});

afterEach(() => {
  vi.restoreAllMocks();
});

const started: string[] = [];
const hourly: Job = {
  ...{ name: "hourly", everyMinutes: 60, atMinute: 10 },
  run: async () => {
    started.push("hourly");
    throw new Error("the database is away");
  },
};
const often: Job = {
  ...{ name: "often", everyMinutes: 5, atMinute: 0 },
  run: async () => void started.push("often"),
};

it.each([
  ["00:00", ["often"]],
  ["00:10", ["hourly", "often"]],
  ["23:14", ["hourly", "often"]],
  ["23:15", ["often"]],
])("runs what is due at %s, and goes on after a failure", async (time, due) => {
  started.length = 0;
  const scheduledTime = Date.parse(`2026-03-01T${time}:59Z`);
  await runDueJobs(env, scheduledTime, [hourly, often]);
  expect(started).toEqual(due);
  expect(lines).toMatchObject(
    due.map((job) =>
      job === "hourly"
        ? { event: "job_failed", job, error: "Error: the database is away" }
        : { event: "job", job },
    ),
  );
});

it("has the period of the cron trigger", () => {
  expect(wrangler).toContain(`crons = ["*/${TICK_MINUTES} * * * *"]`);
});
