import { env, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { Account } from "../../src/account/account.ts";
import { call, newUser, operate, type TestUser } from "../support/http.ts";
import { holdQueue } from "../support/queue.ts";
import { provide } from "../support/tiny-provider.ts";

const request = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };
const Made = z.looseObject({ id: z.string(), images: z.array(z.looseObject({ id: z.string() })) });
const Page = z.object({
  object: z.literal("reconciliation"),
  checked: z.object({ accounts: z.number(), generations: z.number(), images: z.number() }),
  differences: z.array(z.looseObject({ kind: z.string(), user_id: z.string() })),
  repaired: z.number(),
  has_more: z.boolean(),
  next_cursor: z.string().nullable(),
});

const again = Account.prototype.writeEntriesAgain;

afterEach(() => vi.restoreAllMocks());

async function userWithPictures(count: number) {
  provide();
  const user = await newUser(100);
  const made: z.infer<typeof Made>[] = [];
  for (let at = 0; at < count; at++) {
    const { body } = await call("POST", "/api/v1/images/generations", { key: user.key, json: request });
    made.push(Made.parse(body));
  }
  return { user, made };
}

/** The differences of this user, from all pages. */
async function reconcile(method: "GET" | "POST", user: TestUser) {
  const found = [];
  let query = "";
  for (let page = 0; page < 50; page++) {
    const { differences, next_cursor } = Page.parse((await operate(method, `/reconcile${query}`)).body);
    found.push(...differences.filter(({ user_id }) => user_id === user.id));
    if (next_cursor === null) return found;
    query = `?cursor=${encodeURIComponent(next_cursor)}`;
  }
  throw new Error("The pages do not end.");
}

async function tell(user: TestUser) {
  await runDurableObjectAlarm(env.ACCOUNT.getByName(user.id));
}

describe("GET /api/admin/reconcile", () => {
  it("finds nothing when the log equals the ledger", async () => {
    const { user } = await userWithPictures(2);
    expect(await reconcile("GET", user)).toEqual([]);
  });

  it.each<[string, string, object]>([
    ["generation_missing", "DELETE FROM generations WHERE user_id = ?", {}],
    ["generation_differs", "UPDATE generations SET credits_refunded = 8 WHERE user_id = ?", {}],
    [
      "generation_unknown",
      "INSERT INTO generations SELECT user_id, 'gen_01ZZZZZZZZZZZZZZZZZZZZZZZZ', status, model, created_at, ended_at, " +
        "credits_charged, credits_refunded, request, error, images, deleted_at FROM generations WHERE user_id = ?",
      { generation_id: "gen_01ZZZZZZZZZZZZZZZZZZZZZZZZ" },
    ],
    ["entries_differ", "DELETE FROM credit_entries WHERE user_id = ? AND seq = 1", {}],
    ["entries_differ", "UPDATE credit_entries SET credits = 99 WHERE user_id = ? AND seq = 1", {}],
  ])("reports %s, and repairs it by POST from the book: %s", async (kind, damage, details) => {
    const { user } = await userWithPictures(1);
    await env.LOG.prepare(damage).bind(user.id).run();
    expect(await reconcile("GET", user)).toMatchObject([{ kind, ...details }]);
    expect(await reconcile("GET", user)).toHaveLength(1);
    expect(await reconcile("POST", user)).toMatchObject([{ kind }]);
    await tell(user);
    expect(await reconcile("GET", user)).toEqual([]);
  });

  it("reports no account whose work has not been logged yet", async () => {
    const { user } = await userWithPictures(1);
    const batch = vi.spyOn(Object.getPrototypeOf(env.DB), "batch").mockRejectedValue(new Error("D1 is down"));
    await call("POST", "/api/v1/images/generations", { key: user.key, json: request });
    batch.mockRestore();
    holdQueue();
    await call("POST", "/api/v1/images/generations", { key: user.key, json: { ...request, async: true } });
    const rows = () => env.LOG.prepare("SELECT * FROM credit_entries WHERE user_id = ?").bind(user.id).all();
    const before = await rows();
    expect(await reconcile("GET", user)).toEqual([]);
    expect(await reconcile("POST", user)).toEqual([]);
    expect((await rows()).results).toEqual(before.results);
  });

  it("does not report a generation that the account has logged meanwhile", async () => {
    const { user } = await userWithPictures(1);
    holdQueue();
    const json = { ...request, async: true };
    const { id } = Made.parse(
      (await call("POST", "/api/v1/images/generations", { key: user.key, json })).body,
    );
    // As if the generation had ended, and been logged, between the two reads.
    const logged =
      "INSERT INTO generations SELECT user_id, ?2, status, model, created_at, ended_at, credits_charged, " +
      "credits_refunded, request, error, images, deleted_at FROM generations WHERE user_id = ?1";
    await env.LOG.prepare(logged).bind(user.id, id).run();
    expect(await reconcile("GET", user)).toEqual([]);
  });

  it("changes only the entries that differ", async () => {
    const user = await newUser();
    const account = env.ACCOUNT.getByName(user.id);
    await runInDurableObject(account, (_, { storage }) => {
      const numbers = `WITH RECURSIVE n (at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < 1200)`;
      storage.sql.exec(`${numbers} INSERT INTO grants (id, credits, remaining, expires_at, reason, created_at, spent)
        SELECT 'grant_' || at, 1, 1, 8640000000000000, NULL, at, 0 FROM n`);
      storage.sql.exec(`${numbers} INSERT INTO entries (kind, credits, balance_after, grant_id, created_at)
        SELECT 'grant', 1, at, 'grant_' || at, at FROM n`);
    });
    await account.grant("last", 1, null, null);
    await tell(user);
    const damage = "UPDATE credit_entries SET credits = 99 WHERE user_id = ? AND seq = 700";
    await env.LOG.prepare(damage).bind(user.id).run();
    const writes: number[] = [];
    const writing = vi.spyOn(Account.prototype, "writeEntriesAgain");
    writing.mockImplementation(async function (this: Account, after, last) {
      writes.push(last - after);
      await again.call(this, after, last);
    });
    expect(await reconcile("POST", user)).toMatchObject([{ kind: "entries_differ" }]);
    expect(writes).toHaveLength(1);
    expect(writes[0]).toBeLessThanOrEqual(480);
    expect(await reconcile("GET", user)).toEqual([]);
  });

  it("removes entries that the account does not have", async () => {
    const { user } = await userWithPictures(1);
    const more =
      "INSERT INTO credit_entries SELECT user_id, 999, kind, credits, balance_after, generation_id, grant_id, created_at " +
      "FROM credit_entries WHERE user_id = ? AND seq = 1";
    await env.LOG.prepare(more).bind(user.id).run();
    expect(await reconcile("POST", user)).toMatchObject([{ kind: "entries_differ" }]);
    expect(await reconcile("GET", user)).toEqual([]);
  });

  it.each([
    ["grants have another sum", "UPDATE grants SET credits = 500, remaining = 500"],
    ["entries have another sum", "UPDATE entries SET credits = credits + 1 WHERE seq = 1"],
  ])("reports a ledger whose %s than the balance", async (_, damage) => {
    const { user } = await userWithPictures(1);
    await runInDurableObject(env.ACCOUNT.getByName(user.id), (_, { storage }) => {
      storage.sql.exec(damage);
    });
    expect(await reconcile("GET", user)).toContainEqual(expect.objectContaining({ kind: "book_broken" }));
  });

  it("reports a missing image, and cannot repair it", async () => {
    const { user, made } = await userWithPictures(1);
    const [generation] = made;
    const { objects } = await env.IMAGES.list({ prefix: `${generation?.id}/` });
    await env.IMAGES.delete(objects.map(({ key }) => key));
    const gone = {
      kind: "image_missing",
      generation_id: generation?.id,
      image_id: generation?.images[0]?.id,
    };
    expect(await reconcile("GET", user)).toMatchObject([gone]);
    expect(await reconcile("POST", user)).toMatchObject([gone]);
    expect(await reconcile("GET", user)).toMatchObject([gone]);
  });

  it("never changes the ledger", async () => {
    const { user } = await userWithPictures(1);
    const book = async () => (await operate("GET", `/users/${user.id}/credits`)).body;
    const before = await book();
    await env.LOG.prepare("UPDATE credit_entries SET credits = 1 WHERE user_id = ?").bind(user.id).run();
    await reconcile("POST", user);
    await tell(user);
    expect(await book()).toEqual(before);
  });

  it("refuses an invalid cursor", async () => {
    expect(await operate("GET", "/reconcile?cursor=x")).toMatchObject({
      status: 400,
      body: { error: { param: "cursor" } },
    });
  });
});
