import { env, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Account } from "../../src/account/account.ts";
import { LEASE_MS } from "../../src/account/lifecycle.ts";
import { migrate, SCHEMA_VERSION } from "../../src/account/schema.ts";
import { isSchemaTooNew } from "../../src/schema-steps.ts";
import { aCommand, aRequest, imagesOf } from "../support/account.ts";
import { call, newUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import schema1 from "./fixtures/schema-1.sql?raw";

/** Later than every time in the fixtures. */
const NOW = Date.parse("2026-11-27T08:00:10Z");
const queue: Queue = Object.getPrototypeOf(env.GENERATIONS);
const id = (n: number) => `gen_01M8TCH20000000000000000${String(n).padStart(2, "0")}`;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW });
  spyOnLog();
  vi.spyOn(queue, "sendBatch").mockImplementation(async () => ({
    metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } },
  }));
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** An account as an older release left it: its tables and rows, in an object that wakes with the current code. */
async function accountOf(fixture: string): Promise<DurableObjectStub<Account>> {
  const account = env.ACCOUNT.getByName(`user_${crypto.randomUUID()}`);
  await runInDurableObject(account, (_, { storage }) => {
    const tables = storage.sql
      .exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
      )
      .toArray();
    for (const { name } of tables) storage.sql.exec(`DROP TABLE ${name}`);
    storage.sql.exec(fixture);
  });
  await evictDurableObject(account);
  return account;
}

function versionOf(account: DurableObjectStub<Account>) {
  return runInDurableObject(account, (_, { storage }) =>
    storage.sql.exec<{ version: number }>("SELECT version FROM schema_version").one(),
  );
}

describe.each([["version 1", schema1]])("an account of %s", (_, fixture) => {
  it("is migrated when it wakes, and keeps every row", async () => {
    const account = await accountOf(fixture);
    const { balance, grants, entries } = await account.statement(Number.MAX_SAFE_INTEGER, 100);
    expect(balance).toEqual({ credits: 1114, nextExpiration: Date.parse("2027-01-26T08:00:00Z") });
    expect(grants.map((grant) => [grant.id, grant.remaining])).toEqual([
      ...[
        ["later", 64],
        ["never", 1000],
        ["untold", 50],
      ],
      ...[
        ["refund_gen_01M8TCH2000000000000000002", 0],
        ["expired", 0],
        ["soon", 0],
        ["spent", 0],
      ],
    ]);
    expect(entries.map((entry) => entry.seq)).toEqual(Array.from({ length: 22 }, (_, at) => 22 - at));
    expect(await versionOf(account)).toEqual({ version: SCHEMA_VERSION });
    const statuses = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((n) => account.generation(id(n))));
    expect(statuses.map((generation) => generation?.status)).toEqual([
      ...["succeeded", "failed", "failed", "succeeded", "queued", "processing", "processing", "succeeded"],
    ]);
    const ofMode = (livemode: boolean) =>
      account.generations(
        { livemode, status: null, model: null, createdAfter: null, createdBefore: null },
        null,
        100,
      );
    expect([(await ofMode(true)).length, await ofMode(false)], "all are live").toEqual([8, []]);
  });

  it("counts the usage of before from its entries", async () => {
    const account = await accountOf(fixture);
    const by = { day: false, key: true, model: false };
    const query = { livemode: true, firstDay: 0, lastDay: 1_000_000, by };
    const { entries } = await account.statement(Number.MAX_SAFE_INTEGER, 100);
    const charged = entries.filter(({ kind }) => kind === "charge" || kind === "refund");
    const ids = new Set(charged.map(({ generationId }) => generationId));
    const [row, ...others] = await account.usage(query, 10);
    expect(others).toEqual([]);
    expect(row).toMatchObject({
      ...{ keyId: "", generations: ids.size },
      credits: -charged.reduce((sum, { credits }) => sum + credits, 0),
    });
  });

  it("continues its work and keeps its credits", async () => {
    const account = await accountOf(fixture);
    // New work.
    const accepted = await account.submit(aCommand("gen_new", "sync", aRequest(), 8));
    expect(accepted).toMatchObject({ kind: "accepted", job: { fence: 1 } });
    // A generation that has not begun.
    const work = await account.begin(id(5));
    if (work.kind !== "run") throw new Error(`The work is ${work.kind}.`);
    expect(work.job.request).toMatchObject({ prompt: "A lighthouse at dusk", n: 1, references: [] });
    const all = { images: imagesOf(id(5), 1), failure: null };
    expect(await account.finish(id(5), work.job.fence, all)).toMatchObject({ kind: "settled" });
    // A generation leased by a run of the older release, which reports its result to this one.
    expect(await account.renew(id(6), 1, 0)).toBe("yours");
    const failed = { images: [], failure: "generationFailed" } as const;
    expect(await account.finish(id(6), 1, failed)).toMatchObject({
      kind: "settled",
      generation: { status: "failed", creditsRefunded: 8 },
      balance: { credits: 1114 },
    });
    // An idempotency key still finds its generation.
    expect(await account.generationOfKey("k-2")).toMatchObject({ id: id(2), status: "failed" });
    const { balance, held, entries } = await account.audit("", 100);
    expect([held, entries.credits]).toEqual([balance, balance]);
  });

  it("exports with its alarm what the older release could not", async () => {
    const account = await accountOf(fixture);
    vi.setSystemTime(NOW + LEASE_MS);
    await runInDurableObject<Account, void>(account, (instance) => instance.alarm());
    const { results } = await env.LOG.prepare("SELECT id FROM generations WHERE id = ? AND user_id = ?")
      .bind(id(8), account.name)
      .all();
    expect(results).toEqual([{ id: id(8) }]);
  });
});

describe("the JSON columns of a row that an older release wrote", () => {
  it("get the defaults of the members that they lack, and are not written again for it", async () => {
    // As if the release of the fixture had not had these options yet.
    const options = ["size", "renderQuality", "outputFormat", "outputCompression", "background"];
    const others = ["moderation", "endUser", "references"];
    const paths = [...options, ...others].map((name) => `'$.${name}'`).join(", ");
    const account = await accountOf(
      `${schema1}; UPDATE generations SET request = json_remove(request, ${paths});`,
    );
    const work = await account.begin(id(5));
    if (work.kind !== "run") throw new Error(`The work is ${work.kind}.`);
    expect(work.job.request).toEqual({
      ...{ model: "gpt-image-2", providerModel: "gpt-image-2", prompt: "A lighthouse at dusk" },
      ...{ aspectRatio: "1:1", tier: "1K", n: 1, origin: "https://hub.example" },
      ...{ size: "auto", renderQuality: "auto", outputFormat: "png", outputCompression: null },
      ...{ background: "auto", moderation: "auto", endUser: null, references: [] },
    });
    const ended = await account.finish(id(5), work.job.fence, { images: imagesOf(id(5), 1), failure: null });
    expect(ended).toMatchObject({ kind: "settled", generation: { status: "succeeded" } });
    expect(await account.detail(id(8))).toMatchObject({ request: { size: "auto", references: 0 } });
    const stored = await runInDurableObject(account, (_, { storage }) =>
      storage.sql.exec<{ request: string }>("SELECT request FROM generations WHERE id = ?", id(5)).one(),
    );
    expect(stored.request).not.toContain("moderation");
  });

  it("keep the members that only a newer release knows", async () => {
    const account = await accountOf(
      `${schema1}; UPDATE generations SET request = json_set(request, '$.style', 'vivid');`,
    );
    const work = await account.begin(id(5));
    expect(work).toMatchObject({ kind: "run", job: { request: { style: "vivid" } } });
  });
});

describe("migrate", () => {
  it("changes nothing when repeated", async () => {
    const account = await accountOf(schema1);
    const schema = () =>
      runInDurableObject(account, (_, { storage }) => {
        migrate(storage);
        return storage.sql.exec("SELECT name, sql FROM sqlite_master ORDER BY name").toArray();
      });
    expect(await schema()).toEqual(await schema());
  });

  it("creates the same tables for a new account as for one of version 1", async () => {
    const columnsOf = (account: DurableObjectStub<Account>) =>
      runInDurableObject(account, (_, { storage }) =>
        storage.sql
          .exec(
            `SELECT t.name AS tableName, c.name, c.type, c."notnull", c.dflt_value, t.wr
             FROM pragma_table_list AS t JOIN pragma_table_info(t.name) AS c
             WHERE t.name NOT LIKE '\\_cf%' ESCAPE '\\' AND t.name NOT LIKE 'sqlite%' ORDER BY 1, c.cid`,
          )
          .toArray(),
      );
    const fresh = env.ACCOUNT.getByName(`user_${crypto.randomUUID()}`);
    expect(await columnsOf(await accountOf(schema1))).toEqual(await columnsOf(fresh));
  });

  it("rolls back every step when one fails, and stores no version", async () => {
    const account = await accountOf(schema1);
    const outcome = await runInDurableObject(account, (_, { storage }) => {
      const { version } = storage.sql.exec<{ version: number }>("SELECT version FROM schema_version").one();
      const steps = Array.from({ length: version }, () => "");
      const more = [...steps, "CREATE TABLE half (id INTEGER)", "CREATE TABLE half (id INTEGER)"];
      let failure = "none";
      try {
        migrate(storage, more);
      } catch (error) {
        failure = String(error);
      }
      const tables = storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'half'").toArray();
      return { failure, tables, version: storage.sql.exec("SELECT version FROM schema_version").one() };
    });
    expect(outcome.failure).toContain("half already exists");
    expect(outcome.tables).toEqual([]);
    expect(outcome.version).toEqual({ version: SCHEMA_VERSION });
  });

  it("lets an older release use extended tables after a rollback", async () => {
    const account = await accountOf(schema1);
    await runInDurableObject(account, (_, { storage }) => {
      storage.sql.exec("ALTER TABLE generations ADD COLUMN of_a_newer_release TEXT");
      storage.sql.exec("UPDATE schema_version SET version = ?", SCHEMA_VERSION + 1);
    });
    await evictDurableObject(account);
    expect(await account.submit(aCommand("gen_new", "sync", aRequest(), 8))).toMatchObject({
      kind: "accepted",
    });
    expect(await versionOf(account)).toEqual({ version: SCHEMA_VERSION + 1 });
  });

  it("refuses tables that only a newer release can read, and changes nothing", async () => {
    const account = await accountOf(schema1);
    const failure = await runInDurableObject(account, (_, { storage }) => {
      storage.sql.exec("UPDATE schema_version SET version = ?1, oldest_reader = ?1", SCHEMA_VERSION + 1);
      try {
        migrate(storage);
        return null;
      } catch (error) {
        return { tooNew: isSchemaTooNew(error), message: String(error) };
      }
    });
    expect(failure).toEqual({
      tooNew: true,
      message: `SchemaTooNewError: the tables need code of version ${SCHEMA_VERSION + 1}, and this is version ${SCHEMA_VERSION}`,
    });
  });

  it("makes the API return 503 for such an account, without a charge", async () => {
    const user = await newUser(50);
    const account = env.ACCOUNT.getByName(user.id);
    const readers = (oldest: number) =>
      runInDurableObject(account, (_, { storage }) => {
        storage.sql.exec("UPDATE schema_version SET oldest_reader = ?", oldest);
      });
    await readers(SCHEMA_VERSION + 1);
    await evictDurableObject(account);
    const json = { model: "gpt-image-2", prompt: "A lighthouse" };
    const answers = [
      await call("GET", "/api/v1/credits", { key: user.key }),
      await call("POST", "/api/v1/images/generations", { key: user.key, json }),
    ];
    expect(answers.map(({ status, body }) => [status, body])).toEqual([
      [503, { error: expect.objectContaining({ code: "serviceUnavailable" }) }],
      [503, { error: expect.objectContaining({ code: "serviceUnavailable" }) }],
    ]);
  });
});

it("knows its user when it is opened by its id instead of its name", async () => {
  const name = `user_${crypto.randomUUID()}`;
  await env.ACCOUNT.getByName(name).grant("first", 5, null, null);
  await evictDurableObject(env.ACCOUNT.getByName(name));
  const id = env.ACCOUNT.idFromString(env.ACCOUNT.idFromName(name).toString());
  await env.ACCOUNT.get(id).grant("second", 5, null, null);
  const rows = await env.LOG.prepare("SELECT grant_id FROM credit_entries WHERE user_id = ?")
    .bind(name)
    .all();
  expect(rows.results).toEqual([{ grant_id: "first" }, { grant_id: "second" }]);
});
