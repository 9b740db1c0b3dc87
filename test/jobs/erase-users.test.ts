import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { eraseUsers, LATE_REQUESTS_MS } from "../../src/jobs/erase-users.ts";
import { deleteUser } from "../../src/users/users.ts";
import { call, newTestKey, newUser, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";
import { Generated, Pending } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

const ASKED = { model: "gpt-image-2", prompt: "a secret hill" };
let user: TestUser;

beforeEach(async () => {
  spyOnLog();
  holdQueue();
  await env.DB.prepare("UPDATE users SET erased_at = 1 WHERE deleted_at IS NOT NULL").run();
  user = await newUser(1_000);
});

afterEach(() => {
  vi.restoreAllMocks();
});

async function generate(json: Record<string, unknown> = {}, key = user.key) {
  provide();
  const { body } = await call("POST", "/api/v1/images/generations", { key, json: { ...ASKED, ...json } });
  return json["async"] ? Pending.parse(body) : Generated.parse(body);
}

async function stateOf(userId: string) {
  const rows = await env.LOG.prepare("SELECT id FROM generations WHERE user_id = ? AND deleted_at IS NULL")
    .bind(userId)
    .all();
  const tests = await env.LOG.prepare(
    "SELECT id FROM test_generations WHERE user_id = ? AND deleted_at IS NULL",
  )
    .bind(userId)
    .all();
  const erased = await env.DB.prepare("SELECT erased_at AS at FROM users WHERE id = ?")
    .bind(userId)
    .first("at");
  return { left: rows.results.length + tests.results.length, isErased: erased !== null };
}

async function images(): Promise<number> {
  return (await env.IMAGES.list()).objects.length;
}

it("deletes all generations of a deleted user, of both modes, wherever they are", async () => {
  const before = await images();
  const old = await generate();
  await runInDurableObject(env.ACCOUNT.getByName(user.id), (_, { storage }) => {
    storage.sql.exec("DELETE FROM generations WHERE id = ?", old.id);
  });
  await generate();
  const testKey = await newTestKey(user.id);
  await call("POST", "/api/v1/images/generations", { key: testKey, json: ASKED });
  const other = await newUser(100);
  await generate({}, other.key);
  expect((await images()) - before).toBe(4);
  const now = Date.now();
  await deleteUser(env.DB, user.id, now);
  await eraseUsers(env, now);
  expect(await stateOf(user.id)).toEqual({ left: 0, isErased: false });
  expect((await images()) - before).toBe(1);
  expect(await stateOf(other.id)).toEqual({ left: 1, isErased: false });
  expect((await env.ACCOUNT.getByName(user.id).balance()).credits).toBe(984);
  await eraseUsers(env, now + LATE_REQUESTS_MS - 1);
  expect((await stateOf(user.id)).isErased).toBe(false);
  await eraseUsers(env, now + LATE_REQUESTS_MS);
  expect((await stateOf(user.id)).isErased).toBe(true);
});

it("comes back for what has not ended", async () => {
  const { id } = await generate({ async: true });
  const now = Date.now();
  await deleteUser(env.DB, user.id, now - LATE_REQUESTS_MS);
  await eraseUsers(env, now);
  expect((await stateOf(user.id)).isErased).toBe(false);
  const account = env.ACCOUNT.getByName(user.id);
  await account.begin(id);
  await account.finish(id, 1, { images: [], failure: "generationFailed" });
  await eraseUsers(env, now);
  expect(await stateOf(user.id)).toEqual({ left: 0, isErased: true });
});

it("does so many slices in a run, and goes on in the next", async () => {
  for (let count = 0; count < 2; count++) await generate();
  const now = Date.now();
  await deleteUser(env.DB, user.id, now - LATE_REQUESTS_MS);
  await eraseUsers(env, now, { users: 1, slices: 1 });
  expect(await stateOf(user.id)).toEqual({ left: 0, isErased: false });
  await eraseUsers(env, now, { users: 1, slices: 2 });
  expect((await stateOf(user.id)).isErased).toBe(true);
});

it("goes on with the next user when an account does not respond", async () => {
  const other = await newUser(100);
  const now = Date.now();
  for (const { id } of [user, other]) await deleteUser(env.DB, id, now - LATE_REQUESTS_MS);
  await runInDurableObject(env.ACCOUNT.getByName(user.id), (account) => {
    vi.spyOn(account, "setNotices").mockImplementation(() => {
      throw new Error("broken");
    });
  });
  await eraseUsers(env, now);
  expect((await stateOf(user.id)).isErased).toBe(false);
  expect((await stateOf(other.id)).isErased).toBe(true);
});
