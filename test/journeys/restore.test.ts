import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import * as z from "zod";
import { statementsOf } from "../../scripts/restore-sql.mjs";
import type { Account } from "../../src/account/account.ts";
import { backUp } from "../../src/users/backup.ts";
import { call, creditsOf, newKey, newUser, operate, respond, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { Generated } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

/** The drill of docs/operations.md: both databases are put back to an hour ago, while the accounts go on. */
const ASKED = { model: "gpt-image-2", prompt: "a hill" };
const TABLES: readonly [D1Database, readonly string[]][] = [
  [env.DB, ["users", "sessions", "accounts", "api_keys", "signup_mailboxes", "purchases", "passkeys"]],
  [env.LOG, ["generations", "test_generations", "credit_entries"]],
];
const Row = z.record(z.string(), z.union([z.string(), z.number(), z.null()]));

beforeEach(() => {
  spyOnLog();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** What D1's Time Travel does. */
async function bookmark(): Promise<() => Promise<void>> {
  const copies = await Promise.all(
    TABLES.flatMap(([d1, names]) =>
      names.map(async (name) => {
        const { results } = await d1.prepare(`SELECT * FROM ${name}`).all();
        return { d1, name, rows: z.array(Row).parse(results) };
      }),
    ),
  );
  return async () => {
    for (const { d1, name } of copies.toReversed()) await d1.prepare(`DELETE FROM ${name}`).run();
    for (const { d1, name, rows } of copies) {
      for (const row of rows) {
        const places = Object.keys(row).map(() => "?");
        await d1
          .prepare(`INSERT INTO ${name} VALUES (${places.join(", ")})`)
          .bind(...Object.values(row))
          .run();
      }
    }
  };
}

async function generate({ key }: Pick<TestUser, "key">, idempotencyKey: string) {
  provide();
  const headers = { "Idempotency-Key": idempotencyKey };
  const { body } = await call("POST", "/api/v1/images/generations", { key, json: ASKED, headers });
  return Generated.parse(body);
}

/** What `npm run restore -- backup --newer` and `wrangler d1 execute` do. */
async function restoreUsers(): Promise<void> {
  const { objects } = await env.BACKUPS.list();
  for (const { key } of objects.filter((object) => object.key.endsWith(".gz"))) {
    const part = await env.BACKUPS.get(key);
    if (part === null) throw new Error(`${key} is missing`);
    const text = await new Response(part.body.pipeThrough(new DecompressionStream("gzip"))).text();
    for (const line of text.split("\n").filter((one) => one !== ""))
      for (const statement of statementsOf(line, true)) await env.DB.prepare(statement).run();
  }
}

async function reconcile(method: "GET" | "POST"): Promise<unknown[]> {
  const differences: unknown[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const query = cursor === "" ? "" : `?cursor=${cursor}`;
    const { body } = await operate(method, `/reconcile${query}`);
    const page = z
      .object({ differences: z.array(z.unknown()), next_cursor: z.string().nullable() })
      .parse(body);
    differences.push(...page.differences);
    cursor = page.next_cursor;
  }
  return differences;
}

async function entriesOf({ key }: TestUser): Promise<string[]> {
  const { body } = await call("GET", "/api/v1/credits/entries", { key });
  const { data } = z.object({ data: z.array(z.object({ kind: z.string(), credits: z.int() })) }).parse(body);
  return data.map(({ kind, credits }) => `${kind} ${credits}`);
}

it("loses nothing and charges nothing twice when the databases go back to an hour ago", async () => {
  const old = await newUser(100);
  const stolen = await newKey(old.id);
  const first = await generate(old, "first");
  const goBack = await bookmark();

  const second = await generate(old, "second");
  await operate("POST", `/users/${old.id}/credits`, { id: "invoice-2", credits: 50 });
  await operate("DELETE", `/api_keys/${stolen.keyId}`);
  const late = await newUser(30);
  const third = await generate(late, "third");
  const suspended = await newUser(30);
  await env.DB.prepare(
    `INSERT INTO passkeys (id, user_id, credential_id, public_key, counter, device_type, backed_up)
       VALUES ('passkey', ?, 'credential', 'key', 0, 'singleDevice', 0)`,
  )
    .bind(late.id)
    .run();
  await backUp(env, Date.now());
  await operate("PATCH", `/users/${suspended.id}`, { suspended: true });

  await goBack();
  expect((await call("GET", "/api/v1/credits", { key: late.key })).status, "its user is gone").toBe(401);
  expect(await creditsOf(old), "the accounts are not in D1").toBe(134);
  const fourth = await generate(old, "fourth");
  expect((await generate(old, "second")).id, "a repeat while D1 is old").toBe(second.id);

  await restoreUsers();
  expect(await env.DB.prepare("SELECT user_id FROM passkeys").first("user_id")).toBe(late.id);
  expect((await call("GET", "/api/v1/credits", { key: stolen.key })).status, "revoked again").toBe(401);
  expect((await reconcile("GET")).length, "the log lacks what came after").toBeGreaterThan(0);
  await reconcile("POST");
  for (const { id } of [old, late])
    await runInDurableObject<Account, void>(env.ACCOUNT.getByName(id), (account) => account.alarm());
  expect(await reconcile("GET")).toEqual([]);

  expect(await entriesOf(old)).toEqual(["charge -8", "grant 50", "charge -8", "charge -8", "grant 100"]);
  expect(await entriesOf(late)).toEqual(["charge -8", "grant 30"]);
  expect([await creditsOf(old), await creditsOf(late)]).toEqual([126, 22]);
  const owners = [old, old, late, old];
  for (const [index, made] of [first, second, third, fourth].entries()) {
    const { key } = owners[index] ?? old;
    expect((await call("GET", `/api/v1/generations/${made.id}`, { key })).status).toBe(200);
    expect((await respond("GET", made.images[0]?.url ?? "")).status).toBe(200);
  }
  const logged = await env.LOG.prepare("SELECT count(*) AS n FROM generations").first("n");
  expect(logged).toBe(4);
});
