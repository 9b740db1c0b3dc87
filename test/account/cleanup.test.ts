import { describe, expect, it } from "vitest";
import { applyCleanup, type CleanupTask, cleanupTasks, ORPHANS_AFTER_MS } from "../../src/account/cleanup.ts";
import { accept, end, type Generation, KEEP_MS } from "../../src/account/lifecycle.ts";
import { aCommand, aRequest, imagesOf } from "../support/account.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const T0 = 1_000_000;
const endedAt = T0 + 20 * SECOND;
const now = T0 + MINUTE;
const limits = {
  runDeadlineMs: 800 * SECOND,
  queueDeadlineMs: 3_600 * SECOND,
  providerAttempts: 3,
  redeliveryMs: 30 * SECOND,
};

const begun = accept(aCommand("gen_1", "sync", aRequest(), 8), [], T0, limits);
const succeeded = endOf(begun);

function endOf(generation: Generation): Generation {
  const outcome = end(generation, 1, { images: imagesOf("gen_1", 1), failure: null }, endedAt);
  if (outcome.kind !== "ended") throw new Error(outcome.kind);
  return outcome.generation;
}

describe("cleanupTasks", () => {
  const withOrphans = { ...succeeded, orphansDeleted: false };

  it.each<[string, Generation, number, CleanupTask[]]>([
    ["everything is done", { ...succeeded, logged: true }, T0 + KEEP_MS, []],
    ["the log lacks it", succeeded, now, ["logged"]],
    [
      "references are there",
      { ...succeeded, referencesDeleted: false },
      now,
      ["logged", "referencesDeleted"],
    ],
    ["20 min less 1 ms have passed", withOrphans, endedAt + ORPHANS_AFTER_MS - 1, ["logged"]],
    ["20 min have passed", withOrphans, endedAt + ORPHANS_AFTER_MS, ["logged", "orphansDeleted"]],
  ])("when %s", (_, generation, at, expected) => {
    expect(cleanupTasks(generation, at)).toEqual(expected);
  });

  it("deletes orphans 20 minutes after the end", () => {
    expect(ORPHANS_AFTER_MS).toBe(20 * MINUTE);
  });

  it("refuses a generation that has not ended", () => {
    const rule = "Ledger invariant violated: only an ended generation has cleanup tasks.";
    expect(() => cleanupTasks(begun, now)).toThrow(rule);
    expect(() => applyCleanup(begun, [], now)).toThrow(rule);
  });
});

describe("applyCleanup", () => {
  it("needs no alarm once everything is done", () => {
    const done = applyCleanup({ ...succeeded, alarmAttempts: 3 }, ["logged", "referencesDeleted"], now);
    const flags = { logged: true, referencesDeleted: true, orphansDeleted: true };
    expect(done).toMatchObject({ ...flags, alarmAttempts: 0, dueAt: null });
  });

  it("sets the alarm for the orphans, and none after that", () => {
    const waiting = applyCleanup({ ...succeeded, orphansDeleted: false }, ["logged"], now);
    const dueAt = endedAt + ORPHANS_AFTER_MS;
    expect(waiting).toMatchObject({ logged: true, orphansDeleted: false, dueAt });
    const done = applyCleanup(waiting, ["orphansDeleted"], dueAt);
    expect(done).toMatchObject({ orphansDeleted: true, dueAt: null });
  });

  it("keeps tasks that were done before", () => {
    const logged = { ...succeeded, logged: true, referencesDeleted: false };
    expect(applyCleanup(logged, [], now)).toMatchObject({ logged: true, referencesDeleted: false });
  });

  it.each<[string, CleanupTask[]]>([
    ["the log", ["referencesDeleted"]],
    ["the references", ["logged"]],
    ["both", []],
  ])("comes back after 5 s, doubling to 10 min, for %s", (_, done) => {
    let generation: Generation = { ...succeeded, referencesDeleted: false };
    const waits: number[] = [];
    for (let tries = 0; tries < 10; tries++) {
      generation = applyCleanup(generation, done, now);
      waits.push(((generation.dueAt ?? 0) - now) / SECOND);
    }
    expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
  });

  it("tries to delete references three times within 30 s of the end", () => {
    const first = applyCleanup({ ...succeeded, referencesDeleted: false }, [], endedAt);
    const second = applyCleanup(first, [], first.dueAt ?? 0);
    expect([first.dueAt, second.dueAt]).toEqual([endedAt + 5 * SECOND, endedAt + 15 * SECOND]);
  });
});
