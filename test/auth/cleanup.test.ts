import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import worker from "../../src/index.ts";
import { spyOnLog } from "../support/log.ts";
import { newUser } from "../support/user.ts";

const said: string[] = [];

beforeEach(() => {
  said.length = 0;
  spyOnLog((line: string) => said.push(line));
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Adds that many rows to each table, all of which expire at that time. */
async function fill(userId: string, count: number, endsAt: number) {
  const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;
  const id = `'${crypto.randomUUID()}' || i`;
  await env.DB.batch([
    env.DB.prepare(
      `INSERT INTO sessions (id, user_id, token, expires_at, created_at, updated_at)
       ${numbers} SELECT ${id}, ?, ${id}, ?, 1, 1 FROM n`,
    ).bind(userId, endsAt),
    env.DB.prepare(
      `INSERT INTO verifications (id, identifier, value, expires_at, created_at, updated_at)
       ${numbers} SELECT ${id}, 'x', 'y', ?, 1, 1 FROM n`,
    ).bind(endsAt),
    env.DB.prepare(`INSERT INTO attempts (key, count, ends_at) ${numbers} SELECT ${id}, 1, ? FROM n`).bind(
      endsAt,
    ),
  ]);
}

async function left(): Promise<unknown[]> {
  const tables = ["sessions", "verifications", "attempts"];
  const rows = await env.DB.batch(
    tables.map((table) => env.DB.prepare(`SELECT count(*) AS n FROM ${table}`)),
  );
  return rows.flatMap(({ results }) => results);
}

it("deletes expired rows in steps, and nothing else", async () => {
  const { id } = await newUser();
  const now = Date.now();
  await fill(id, 2_001, now - 1);
  await fill(id, 3, now + 60_000);
  await worker.scheduled(createScheduledController({ scheduledTime: Date.UTC(2026, 0, 1, 3, 15) }), env);
  expect(await left()).toEqual([{ n: 3 }, { n: 3 }, { n: 3 }]);
  expect(said.map((line) => JSON.parse(line))).toContainEqual({
    ...{ event: "expired_removed", sessions: 2_001, verifications: 2_001, attempts: 2_001 },
  });
});
