import { env } from "cloudflare:test";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { readState } from "../../src/db/job-state.ts";
import { reconcileSample, SAMPLE } from "../../src/watch/sample.ts";
import { spyOnLog } from "../support/log.ts";
import { newUser } from "../support/user.ts";

let lines: ReturnType<typeof spyOnLog>;

beforeEach(() => {
  lines = spyOnLog();
});

afterEach(() => {
  vi.restoreAllMocks();
});

const differ = () =>
  lines.mock.calls.map(([line]) => JSON.parse(line)).filter(({ event }) => event === "books_differ");

it("reports a user whose log differs, each time until it is repaired, and repairs nothing itself", async () => {
  const { id } = await newUser(100);
  await reconcileSample(env, Date.now());
  expect([await readState(env.DB, SAMPLE), differ()]).toEqual([{ cursor: null, differing: [] }, []]);

  await env.LOG.prepare("UPDATE credit_entries SET credits = 99 WHERE user_id = ?").bind(id).run();
  for (const run of [1, 2]) {
    await reconcileSample(env, Date.now());
    expect(await readState(env.DB, SAMPLE)).toEqual({ cursor: null, differing: [id] });
    expect(differ()).toHaveLength(run);
  }
  expect(differ()[0]).toEqual({
    event: "books_differ",
    user_id: id,
    kinds: "entries_differ",
    differences: 1,
  });

  await env.LOG.prepare("UPDATE credit_entries SET credits = 100 WHERE user_id = ?").bind(id).run();
  await reconcileSample(env, Date.now());
  expect(await readState(env.DB, SAMPLE)).toEqual({ cursor: null, differing: [] });
});

it("compares those that differed before although they are not on the page", async () => {
  const { id } = await newUser(100);
  await env.LOG.prepare("DELETE FROM credit_entries WHERE user_id = ?").bind(id).run();
  await reconcileSample(env, Date.now());
  await env.DB.prepare(
    `UPDATE job_state SET value = json_set(value, '$.cursor', json('{"userId":"user_ZZ","generationId":""}'))
     WHERE name = 'reconcile'`,
  ).run();
  await reconcileSample(env, Date.now());
  expect(await readState(env.DB, SAMPLE)).toEqual({ cursor: null, differing: [id] });
});
