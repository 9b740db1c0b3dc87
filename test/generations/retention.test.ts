import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Config, readConfig } from "../../src/config.ts";
import { type Bounds, enforceRetention } from "../../src/generations/retention.ts";
import { lowestGenerationId, newId } from "../../src/id.ts";
import { spyOnLog } from "../support/log.ts";

const DAY_MS = 86_400_000;
const NOW = Date.parse("2026-11-01T00:00:00Z");
/** Large enough for every row of a test. */
const AMPLE: Bounds = { pages: 10, rowsAPage: 100, deletionsAPage: 100 };

beforeEach(async () => {
  spyOnLog();
  await env.LOG.batch(
    ["generations", "test_generations", "credit_entries"].map((table) =>
      env.LOG.prepare(`DELETE FROM ${table}`),
    ),
  );
  await env.DB.prepare("DELETE FROM job_state").run();
});

afterEach(() => {
  vi.restoreAllMocks();
});

const settings = (RETENTION_DAYS: number, LOG_RETENTION_DAYS: number): Config => ({
  ...readConfig({}),
  ...{ RETENTION_DAYS, LOG_RETENTION_DAYS },
});

let made = 0;

/** An ended generation of so many days ago, in the log and with an image, as the account has pruned it. */
async function logged(userId: string, days: number, livemode = true): Promise<string> {
  made += 1;
  const id = lowestGenerationId(NOW - days * DAY_MS).slice(0, -4) + String(made).padStart(4, "0");
  const request = JSON.stringify({ prompt: "secret", tier: "1K", metadata: { a: "secret" } });
  await env.LOG.prepare(
    `INSERT INTO ${livemode ? "generations" : "test_generations"}
       (user_id, id, status, model, created_at, ended_at, credits_charged, credits_refunded, request, images)
     VALUES (?, ?, 'succeeded', 'gpt-image-2', ?3, ?3, 8, 0, ?4, '[]')`,
  )
    .bind(userId, id, NOW - days * DAY_MS, request)
    .run();
  await env.IMAGES.put(`${id}/img_1.png`, "x");
  return id;
}

async function rows(livemode = true): Promise<string[]> {
  const table = livemode ? "generations" : "test_generations";
  const { results } = await env.LOG.prepare(
    `SELECT id || coalesce(' ' || (request ->> 'prompt'), '') || iif(deleted_at IS NULL, '', 'deleted') AS text
     FROM ${table} ORDER BY user_id, id`,
  ).all<{ text: string }>();
  return results.map(({ text }) => text);
}

async function images(ids: readonly string[]): Promise<string[]> {
  const lists = await Promise.all(ids.map((id) => env.IMAGES.list({ prefix: id })));
  return lists.flatMap(({ objects }) => objects.map(({ key }) => key.slice(0, 30)));
}

describe("RETENTION_DAYS", () => {
  it("deletes the images and the content of older generations of each mode, and keeps their rows", async () => {
    // Ids of one millisecond are in no order.
    const [first = "", second = ""] = [newId("user"), newId("user")].sort();
    const old = [await logged(first, 31), await logged(second, 400), await logged(second, 31)];
    const kept = [await logged(first, 29), await logged(second, 29)];
    const test = [await logged(first, 31, false), await logged(first, 29, false)];
    await enforceRetention(env, settings(30, 0), NOW, AMPLE);
    const [a, b, c] = old;
    expect(await rows()).toEqual([
      ...[`${a} deleted`, `${kept[0]} secret`],
      ...[`${b} deleted`, `${c} deleted`, `${kept[1]} secret`],
    ]);
    expect(await rows(false)).toEqual([`${test[0]} deleted`, `${test[1]} secret`]);
    expect(await images([...old, ...kept, ...test])).toEqual([...kept, test[1]]);
  });

  it("keeps everything when it is 0", async () => {
    const id = await logged(newId("user"), 3_000);
    await enforceRetention(env, settings(0, 0), NOW, AMPLE);
    expect(await rows()).toEqual([`${id} secret`]);
    expect(await images([id])).toEqual([id]);
  });
});

describe("LOG_RETENTION_DAYS", () => {
  it("deletes older rows with their images, and no ledger entry", async () => {
    const user = newId("user");
    const old = await logged(user, 91);
    const [middle, young] = [await logged(user, 31), await logged(user, 1)];
    await env.LOG.prepare("INSERT INTO credit_entries VALUES (?, 1, 'charge', -8, 92, ?, 'g', 1)")
      .bind(user, old)
      .run();
    await enforceRetention(env, settings(30, 90), NOW, AMPLE);
    expect(await rows()).toEqual([`${middle} deleted`, `${young} secret`]);
    expect(await images([old, middle, young])).toEqual([young]);
    expect(await env.LOG.prepare("SELECT count(*) AS n FROM credit_entries").first()).toEqual({ n: 1 });
  });

  it("deletes images that RETENTION_DAYS would keep: nothing could find them later", async () => {
    const old = await logged(newId("user"), 91);
    await enforceRetention(env, settings(0, 90), NOW, AMPLE);
    expect(await rows()).toEqual([]);
    expect(await images([old])).toEqual([]);
  });

  it("keeps the row of an account that does not respond, and goes on with the others", async () => {
    const users = [newId("user"), newId("user")];
    const old = [await logged(users[0] ?? "", 91), await logged(users[1] ?? "", 91)];
    await runInDurableObject(env.ACCOUNT.getByName(users[0] ?? ""), (account) => {
      vi.spyOn(account, "deleteLogged").mockRejectedValue(new Error("broken"));
    });
    await enforceRetention(env, settings(0, 90), NOW, AMPLE);
    expect(await rows()).toEqual([`${old[0]} secret`]);
    expect(await images(old)).toEqual([old[0]]);
  });
});

describe("one run", () => {
  it.each([
    ["pages", { pages: 2, rowsAPage: 2, deletionsAPage: 9 }, 4],
    ["deletions", { pages: 1, rowsAPage: 9, deletionsAPage: 3 }, 3],
    ["exactly all rows", { pages: 1, rowsAPage: 5, deletionsAPage: 9 }, 5],
  ])("is bounded by %s, and the next one goes on", async (_, bounds, done) => {
    const users = [newId("user"), newId("user")].toSorted();
    for (const [index, days] of [50, 49, 48, 47, 46].entries())
      await logged(users[index < 3 ? 0 : 1] ?? "", days);
    await enforceRetention(env, settings(0, 30), NOW, bounds);
    expect(await rows()).toHaveLength(5 - done);
    await enforceRetention(env, settings(0, 30), NOW, bounds);
    expect(await rows()).toEqual([]);
    await enforceRetention(env, settings(0, 30), NOW, bounds);
    const late = await logged(users[0] ?? "", 60);
    await enforceRetention(env, settings(0, 30), NOW, bounds);
    await enforceRetention(env, settings(0, 30), NOW, bounds);
    expect(await rows(), "the walk begins again").toEqual([]);
    expect(await images([late])).toEqual([]);
  });

  it("that is cut off after the deletions repeats them", async () => {
    const id = await logged(newId("user"), 60);
    const { prepare } = env.LOG;
    const cut = vi.spyOn(Object.getPrototypeOf(env.LOG), "prepare").mockImplementation(function (
      this: D1Database,
      ...[query]: unknown[]
    ) {
      if (String(query).startsWith("insert into")) throw new Error("killed");
      return prepare.call(this, String(query));
    });
    await expect(enforceRetention(env, settings(30, 0), NOW, AMPLE)).rejects.toThrow("killed");
    cut.mockRestore();
    await enforceRetention(env, settings(30, 0), NOW, AMPLE);
    expect(await rows()).toEqual([`${id} deleted`]);
  });
});

it.each([
  [{ RETENTION_DAYS: "1", LOG_RETENTION_DAYS: "3" }, true],
  [{ RETENTION_DAYS: "-1" }, false],
  [{ LOG_RETENTION_DAYS: "2" }, false],
  [{ RETENTION_DAYS: "36501" }, false],
])("the settings %o are valid: %s", (variables, isValid) => {
  const read = () => readConfig({ ...variables });
  if (isValid) expect(read()).toMatchObject({ RETENTION_DAYS: 1, LOG_RETENTION_DAYS: 3 });
  else expect(read).toThrow("RETENTION_DAYS");
});
