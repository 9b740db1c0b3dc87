import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import * as z from "zod";
import { backUp } from "../../src/users/backup.ts";
import { newUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";

const NOW = Date.parse("2026-11-01T00:05:00Z");
const DAY = "2026-11-01";
const bucket: R2Bucket = Object.getPrototypeOf(env.BACKUPS);

beforeEach(async () => {
  spyOnLog();
  const { objects } = await env.BACKUPS.list();
  await env.BACKUPS.delete(objects.map(({ key }) => key));
});

afterEach(() => {
  vi.restoreAllMocks();
});

const Complete = z.object({ parts: z.array(z.string()) });
const Line = z.object({ table: z.string(), row: z.record(z.string(), z.unknown()) });

async function complete() {
  const object = await env.BACKUPS.get(`${DAY}/complete.json`);
  return object && Complete.parse(await object.json());
}

/** The rows of a complete backup, as `table key`. */
async function rows(): Promise<string[]> {
  const found: string[] = [];
  for (const key of (await complete())?.parts ?? []) {
    const object = await env.BACKUPS.get(key);
    if (object === null) throw new Error(`${key} is missing`);
    const text = await new Response(object.body.pipeThrough(new DecompressionStream("gzip"))).text();
    for (const line of text.split("\n").filter((one) => one !== "")) {
      const { table, row } = Line.parse(JSON.parse(line));
      found.push(`${table} ${row["id"] ?? row["mailbox"]}`);
    }
  }
  return found;
}

async function stored(): Promise<string[]> {
  const tables = ["users", "accounts", "api_keys"];
  const lists = await Promise.all(
    tables.map(async (table) => {
      const { results } = await env.DB.prepare(`SELECT id FROM ${table} ORDER BY id`).all<{ id: string }>();
      return results.map(({ id }) => `${table} ${id}`);
    }),
  );
  return lists.flat();
}

it("writes every user and key once, with hashes and without keys", async () => {
  const { key } = await newUser();
  await backUp(env, NOW);
  expect(await rows()).toEqual(await stored());
  const { objects } = await env.BACKUPS.list({ prefix: `${DAY}/part-` });
  const texts = await Promise.all(
    objects.map(async (object) => {
      const part = await env.BACKUPS.get(object.key);
      return part && (await new Response(part.body.pipeThrough(new DecompressionStream("gzip"))).text());
    }),
  );
  expect(texts.join()).toContain('"hash":"');
  expect(texts.join()).not.toContain(key);
});

it("is written once a day", async () => {
  await backUp(env, NOW);
  const put = vi.spyOn(bucket, "put");
  await backUp(env, NOW + 3_600_000);
  expect(put).not.toHaveBeenCalled();
  await backUp(env, NOW + 86_400_000);
  expect(put).toHaveBeenCalled();
});

it.each([1, 2, 3])("goes on in the next run, in parts of %i rows", async (rowsAPart) => {
  for (let count = 0; count < 3; count++) await newUser();
  const expected = await stored();
  let runs = 0;
  while ((await complete()) === null && runs < 500) {
    await backUp(env, NOW, { parts: 3, rowsAPart });
    runs += 1;
  }
  expect(runs).toBeGreaterThan(1);
  expect(await rows()).toEqual(expected);
});

it("goes on after the last part when a run is cut off", async () => {
  for (let count = 0; count < 3; count++) await newUser();
  const { put } = bucket;
  let left = 3;
  vi.spyOn(bucket, "put").mockImplementation(function (this: R2Bucket, ...args: Parameters<R2Bucket["put"]>) {
    if (left-- === 0) throw new Error("killed");
    return put.apply(this, args);
  });
  await expect(backUp(env, NOW, { parts: 50, rowsAPart: 2 })).rejects.toThrow("killed");
  vi.mocked(bucket.put).mockRestore();
  for (let runs = 0; (await complete()) === null && runs < 100; runs++) await backUp(env, NOW);
  expect(await rows()).toEqual(await stored());
});
