import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { models, priceOf } from "../../src/catalogue/models.ts";
import { newId } from "../../src/id.ts";
import { ACTIVE_KEYS_MAX } from "../../src/keys/manage.ts";
import { png } from "../images/samples.ts";
import { aCommand, aRequest } from "../support/account.ts";
import { call } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";
import { provide } from "../support/tiny-provider.ts";
import { findUser, SITE, Visitor } from "./visitor.ts";

const Accepted = z.object({ id: z.string() });
const KEY = /gih_live_[0-9A-Za-z]{32}/;

/** A signed-in user with credits. */
async function member(credits = 100) {
  const visitor = new Visitor();
  visitor.headers = { ...visitor.headers, "cf-connecting-ip": crypto.randomUUID() };
  const user = await findUser(await visitor.signUp());
  if (!user) throw new Error("The sign-up failed.");
  if (credits > 0) await env.ACCOUNT.getByName(user.id).grant("gift", credits, null, "A gift");
  return { visitor, userId: user.id };
}

async function createKey(visitor: Visitor, name = "a program") {
  const page = await (await visitor.post("/account/keys", { name, expires: "30" })).text();
  return { page, key: KEY.exec(page)?.[0] ?? "" };
}

async function balanceWith(key: string) {
  const visitor = new Visitor();
  visitor.headers = { authorization: `Bearer ${key}` };
  return (await visitor.get("/api/v1/credits")).status;
}

const hrefs = async (response: Response, pattern: RegExp) =>
  Array.from((await response.text()).matchAll(pattern), ([href]) => href);

describe("private pages", () => {
  it.each([
    "/account",
    "/account/keys",
    "/account/credits",
    "/account/generations",
    "/account/playground",
    "/account/settings",
  ])("%s are not cached and cannot be framed", async (path) => {
    const { visitor } = await member(0);
    const { status, headers } = await visitor.get(path);
    expect(status).toBe(200);
    expect(headers.get("cache-control")).toBe("private, no-store");
    expect(headers.get("content-security-policy")).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self'; .*frame-ancestors 'none'$/,
    );
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  });

  it.each(["/account/keys", "/account/playground", "/account/settings/password"])(
    "%s reject forms from other sites",
    async (path) => {
      const { visitor, userId } = await member();
      const fields = { name: "stolen", expires: "never", prompt: "a lighthouse" };
      expect((await visitor.post(path, fields, "https://evil.test")).status).toBe(403);
      expect(await (await visitor.get("/account/keys")).text()).not.toContain("stolen");
      expect((await env.ACCOUNT.getByName(userId).balance()).credits).toBe(100);
    },
  );

  it("show a signed-in user the way back, also when they do not exist", async () => {
    const { visitor } = await member(0);
    for (const path of ["/account/nothing", `/account/generations/${newId("gen")}`]) {
      const response = await visitor.get(path);
      const page = await response.text();
      expect(response.status).toBe(404);
      expect(page).toContain("Sign out");
      expect(page).not.toContain("Create an account");
    }
  });

  it("answer scripts with 401 when the session has ended", async () => {
    const visitor = new Visitor();
    visitor.headers = { accept: "application/json" };
    expect((await visitor.get("/account/playground/preview")).status).toBe(401);
  });
});

afterEach(() => vi.restoreAllMocks());

describe("API keys", () => {
  it("are shown once, work, and stop working when revoked", async () => {
    const { visitor } = await member();
    const { key } = await createKey(visitor);
    expect(await balanceWith(key)).toBe(200);
    const list = await visitor.get("/account/keys");
    const page = await list.clone().text();
    expect(page).not.toContain(key);
    expect(page).toContain(`gih_live_…${key.slice(-4)}`);
    const [revoke = ""] = await hrefs(list, /\/account\/keys\/key_\w+\/revoke/g);
    expect(await (await visitor.get(revoke)).text()).toContain("Revoke “a program”?");
    expect(await balanceWith(key)).toBe(200);
    const done = await visitor.post(revoke);
    expect([done.status, done.headers.get("location")]).toEqual([303, "/account/keys?revoked=1"]);
    expect(await (await visitor.get("/account/keys?revoked=1")).text()).toContain("Key revoked.");
    expect(await balanceWith(key)).toBe(401);
  });

  it("are created once for each form, however often it is sent", async () => {
    const { visitor, userId } = await member(0);
    const form = await (await visitor.get("/account/keys")).text();
    const [, id = ""] = /name="id" value="(key_\w+)"/.exec(form) ?? [];
    const fields = { id, name: "a program", expires: "never" };
    const answers = await Promise.all([1, 2, 3].map(() => visitor.post("/account/keys", fields)));
    const pages = await Promise.all(answers.map((answer) => answer.text()));
    expect(pages.filter((page) => KEY.test(page))).toHaveLength(1);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409, 409]);
    const again = await visitor.post("/account/keys", fields);
    expect(again.status).toBe(409);
    expect(await again.text()).toContain(`/account/keys/${id}/revoke`);
    const { results } = await env.DB.prepare("SELECT id FROM api_keys WHERE user_id = ?").bind(userId).all();
    expect(results).toEqual([{ id }]);
    const stranger = await member(0);
    expect((await stranger.visitor.post("/account/keys", fields)).status).toBe(400);
  });

  it("are listed with active keys first, in pages", async () => {
    const { visitor, userId } = await member(0);
    const rows = Array.from({ length: 60 }, (_, at) => {
      const revoked = at < 10 ? null : 1;
      return env.DB.prepare(
        "INSERT INTO api_keys (id, user_id, name, hash, display, revoked_at, created_at) VALUES (?, ?, ?, ?, 'gih_live_0000', ?, 1)",
      ).bind(`key_${String(at).padStart(2, "0")}${userId}`, userId, `key ${at}`, `${userId}${at}`, revoked);
    });
    await env.DB.batch(rows);
    const first = await (await visitor.get("/account/keys")).text();
    const names = (page: string) => Array.from(page.matchAll(/<strong>key (\d+)</g), ([, at]) => Number(at));
    expect(names(first)).toHaveLength(50);
    expect(names(first).slice(0, 11)).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 59]);
    const [, next = ""] = /href="(\/account\/keys\?after=[^"]+)"/.exec(first) ?? [];
    const second = await (await visitor.get(next)).text();
    expect(names(second)).toEqual([19, 18, 17, 16, 15, 14, 13, 12, 11, 10]);
    expect(second).not.toContain("?after=");
  });

  it("can be test keys, whose generations have a list of their own and say so", async () => {
    provide();
    const { visitor, userId } = await member(0);
    const fields = { name: "ci", mode: "test", expires: "never" };
    const created = await (await visitor.post("/account/keys", fields)).text();
    const [key = ""] = /gih_test_[0-9A-Za-z]{32}/.exec(created) ?? [];
    const list = await (await visitor.get("/account/keys")).text();
    expect(list).toContain(`gih_test_…${key.slice(-4)}`);
    expect(list).toContain("Test · Never used");
    expect((await visitor.post("/account/keys", { ...fields, mode: "other" })).status).toBe(422);
    const json = { model: "gpt-image-2", prompt: "a hill of a test" };
    const { body } = await call("POST", "/api/v1/images/generations", { key, json });
    const { id } = z.looseObject({ id: z.string() }).parse(body);
    for (const isForgotten of [false, true]) {
      if (isForgotten)
        await runInDurableObject(env.ACCOUNT.getByName(userId), (_, { storage }) => {
          storage.sql.exec("DELETE FROM generations WHERE id = ?", id);
        });
      expect(await (await visitor.get("/account/generations")).text()).not.toContain(id);
      expect(await (await visitor.get("/account/generations?mode=test")).text()).toContain(id);
      const page = await (await visitor.get(`/account/generations/${id}`)).text();
      expect(page).toMatch(/<dt>Mode<\/dt><dd>Test<\/dd>/);
    }
  });

  it("show the day of their last use", async () => {
    const { visitor } = await member();
    const { key } = await createKey(visitor);
    const page = async () => await (await visitor.get("/account/keys")).text();
    expect(await page()).toContain("Never used");
    expect(await balanceWith(key)).toBe(200);
    const today = new Date().toISOString().slice(0, 10);
    await vi.waitFor(async () => expect(await page()).toContain(`Last used <time datetime="${today}">`));
  });

  it("have their names escaped", async () => {
    const { visitor } = await member();
    const name = `"><script>alert('x')</script>`;
    const { page } = await createKey(visitor, name);
    const list = await (await visitor.get("/account/keys")).text();
    for (const html of [page, list]) {
      expect(html).not.toContain("<script>");
      expect(html).toContain("&lt;script&gt;");
    }
  });

  it("of other users can be neither seen nor revoked", async () => {
    const owner = await member();
    const { key } = await createKey(owner.visitor, "mine");
    const [revoke = ""] = await hrefs(
      await owner.visitor.get("/account/keys"),
      /\/account\/keys\/key_\w+\/revoke/g,
    );
    const { visitor } = await member();
    expect(await (await visitor.get("/account/keys")).text()).not.toContain("mine");
    expect([(await visitor.get(revoke)).status, (await visitor.post(revoke)).status]).toEqual([404, 404]);
    expect(await balanceWith(key)).toBe(200);
  });

  it.each([
    ["no name", { name: " ", expires: "30" }, "name-error"],
    ["a name of 101 characters", { name: "x".repeat(101), expires: "30" }, "name-error"],
    ["an unknown lifetime", { name: "x", expires: "31" }, "expires-error"],
  ])("with %s are rejected, with the error at the field", async (_, fields, errorId) => {
    const { visitor } = await member(0);
    const response = await visitor.post("/account/keys", fields);
    const page = await response.text();
    expect([response.status, KEY.test(page)]).toEqual([422, false]);
    expect(page).toContain(`id="${errorId}"`);
  });

  it("have terms, which can be changed, and show what they spent", async () => {
    holdQueue();
    const { visitor } = await member(200);
    const terms = { terms: "1", scope_generate: "on", "model_gpt-image-2": "on", limit: "20", period: "day" };
    const fields = { name: "shop", expires: "never", ...terms };
    const [key = ""] = KEY.exec(await (await visitor.post("/account/keys", fields)).text()) ?? [];
    const generate = () =>
      call("POST", "/api/v1/images/generations", {
        key,
        json: { model: "gpt-image-2", prompt: "x", async: true },
      });
    expect([(await generate()).status, (await generate()).status, (await generate()).status]).toEqual([
      202, 202, 402,
    ]);
    expect((await call("GET", "/api/v1/credits", { key })).status).toBe(403);
    const list = await visitor.get("/account/keys");
    const [change = ""] = await hrefs(list.clone(), /\/account\/keys\/key_\w+(?=")/g);
    const words = "Spent 16 of 20 credits today · only: Generate images · only gpt-image-2";
    expect(await list.text()).toContain(words);
    const form = await (await visitor.get(change)).text();
    expect(form).toMatch(/name="limit"[^>]*value="20"/);
    expect(form).toMatch(/name="scope_generate" checked/);
    expect(form).not.toMatch(/name="scope_read" checked/);
    const changed = {
      name: "store",
      terms: "1",
      scope_generate: "on",
      scope_read: "on",
      limit: "",
      period: "day",
    };
    expect((await visitor.post(change, changed)).status).toBe(303);
    expect((await generate()).status).toBe(202);
    expect((await call("GET", "/api/v1/key", { key })).body).toMatchObject({
      ...{ name: "store", scopes: ["generate", "read"], models: null, credit_limit: null, credits_used: 24 },
    });
    expect(await (await visitor.get("/account/keys")).text()).toContain("Spent 24 credits");
    for (const wrong of [
      { limit: "0" },
      { limit: "1000000001" },
      { limit: "x" },
      { period: "week" },
      { name: " " },
    ]) {
      expect((await visitor.post(change, { ...changed, ...wrong })).status).toBe(422);
      expect((await visitor.post("/account/keys", { ...fields, ...wrong })).status).toBe(422);
    }
    expect((await visitor.post(change, { name: "a", terms: "1", limit: "", period: "day" })).status).toBe(
      422,
    );
    const stranger = await member(0);
    expect((await stranger.visitor.get(change)).status).toBe(404);
    expect((await stranger.visitor.post(change, changed)).status).toBe(404);
  });

  it("may have a name of 100 characters, which is escaped", async () => {
    const { visitor } = await member(0);
    const { page } = await createKey(visitor, `<script>alert(1)</script>${"x".repeat(75)}`);
    expect(page).toMatch(KEY);
    expect(page).not.toContain("<script>alert");
  });

  it("are limited", async () => {
    const { visitor, userId } = await member(0);
    const rows = Array.from({ length: ACTIVE_KEYS_MAX - 1 }, (_, at) =>
      env.DB.prepare(
        "INSERT INTO api_keys (id, user_id, name, hash, display, created_at) VALUES (?, ?, 'many', ?, 'gih_live_0000', 1)",
      ).bind(`key_${userId}${at}`, userId, `${userId}${at}`),
    );
    await env.DB.batch(rows);
    expect((await createKey(visitor, "the last")).key).toMatch(KEY);
    expect((await createKey(visitor, "one more")).page).toContain(
      `You already have ${ACTIVE_KEYS_MAX} active keys`,
    );
  });
});

describe("the transactions on the credits page", () => {
  it("name the grant that an entry is of", async () => {
    const { visitor, userId } = await member();
    await env.ACCOUNT.getByName(userId).grant("plain", 5, null, null);
    const page = await (await visitor.get("/account/credits")).text();
    expect(page).toContain("<td>Credits granted: A gift</td>");
    expect(page).toContain("<td>Credits granted</td>");
  });

  it.each(["the account", "the log"])("show what was generated, as %s has it", async (source) => {
    const { visitor, userId } = await member();
    const { key } = await createKey(visitor, "shop & co");
    provide();
    const prompt = `a <b>lighthouse</b> ${"at dusk ".repeat(40)}`;
    const json = { model: "gpt-image-2", prompt };
    expect((await call("POST", "/api/v1/images/generations", { key, json })).status).toBe(200);
    const account = env.ACCOUNT.getByName(userId);
    const own = aCommand(newId("gen"), "async", aRequest({ prompt: "mine", n: 1 }), 8);
    await account.submit({ ...own, keyId: null });
    if (source === "the log") {
      await runInDurableObject(account, (_, { storage }) => {
        storage.sql.exec("DELETE FROM generations WHERE ended_at IS NOT NULL");
      });
    }
    const page = await (await visitor.get("/account/credits")).text();
    const rows = Array.from(page.matchAll(/subject-prompt">(.*?)<.*?subject-of">(.*?)</g), ([, ...of]) => of);
    expect(rows).toEqual([
      ["mine", "gpt-image-2, Playground"],
      [
        expect.stringMatching(/^a &lt;b&gt;lighthouse&lt;\/b&gt; (at dusk )+at dusk…$/),
        "gpt-image-2, shop &amp; co",
      ],
    ]);
    expect(page.length).toBeLessThan(100_000);
  });

  it("say only what kind they are of when the generation is deleted, or the log does not respond", async () => {
    const { visitor, userId } = await member();
    const { key } = await createKey(visitor);
    provide();
    const generate = async (prompt: string) => {
      const json = { model: "gpt-image-2", prompt };
      return Accepted.parse((await call("POST", "/api/v1/images/generations", { key, json })).body).id;
    };
    const [kept, deleted] = [await generate("a harbor"), await generate("a secret")];
    expect((await call("DELETE", `/api/v1/generations/${deleted}`, { key })).status).toBe(204);
    const account = env.ACCOUNT.getByName(userId);
    const pages = [await (await visitor.get("/account/credits")).text()];
    await runInDurableObject(account, (_, { storage }) => {
      storage.sql.exec("DELETE FROM generations");
    });
    pages.push(await (await visitor.get("/account/credits")).text());
    for (const page of pages) {
      expect(page).toContain("a harbor");
      expect(page).not.toContain("a secret");
      expect(page).toContain("<td>Charge</td>");
      expect(page).toContain(`href="/account/generations/${kept}"`);
      expect(page).not.toContain(deleted);
    }
    const logged = spyOnLog();
    vi.spyOn(env.LOG, "prepare").mockImplementation(() => {
      throw new Error("the log is gone");
    });
    const response = await visitor.get("/account/credits");
    expect(response.status).toBe(200);
    expect(await response.text()).not.toContain("a harbor");
    expect(JSON.stringify(logged.mock.calls)).toContain("page_part_failed");
  });
});

describe("the usage on the credits page", () => {
  it("is plotted by model or key, with a table and a file", async () => {
    holdQueue();
    const { visitor, userId } = await member(200);
    const { key } = await createKey(visitor, "=shop");
    const json = { model: "gpt-image-2", prompt: "x", n: 2, async: true };
    expect((await call("POST", "/api/v1/images/generations", { key, json })).status).toBe(202);
    await env.ACCOUNT.getByName(userId).submit(aCommand(newId("gen"), "async", aRequest(), 8));
    const page = async (view: string) => await (await visitor.get(`/account/credits?usage=${view}`)).text();
    expect(await page("model")).toContain("</span> gpt-image-2: 24 credits");
    expect(await page("model")).toContain("Credits used in the last 30 days: 24 in total.");
    const byKey = await page("key");
    expect(byKey).toContain("</span> =shop: 16 credits");
    expect(byKey).toContain("</span> Playground: 8 credits");
    expect(byKey).toMatch(/24 credits \(=shop: 16, Playground: 8\)<\/title>/);
    expect(byKey).toMatch(/<td>=shop<\/td><td class="number">16<\/td>/);
    const file = await visitor.get("/account/credits/usage.csv");
    expect(file.headers.get("content-type")).toBe("text/csv; charset=utf-8");
    const [head, ...rows] = (await file.text()).split("\r\n");
    expect(head).toBe("day,key,api_key_id,model,generations,images,credits");
    expect(rows.map((row) => row.replace(/key_\w+/, "id").slice(11)).sort()).toEqual([
      ...["", "'=shop,id,gpt-image-2,1,0,16", "Playground,,gpt-image-2,1,0,8"],
    ]);
  });

  it("shows the five largest keys, and the rest as one", async () => {
    holdQueue();
    const { visitor, userId } = await member(1_000);
    for (let at = 1; at <= 7; at++) {
      const command = aCommand(newId("gen"), "async", aRequest({ n: 1 }), 8 * at);
      await env.ACCOUNT.getByName(userId).submit({ ...command, keyId: `key_${at}` });
    }
    const page = await (await visitor.get("/account/credits?usage=key")).text();
    const legend = Array.from(page.matchAll(/<\/span> ([^<]+): (\d+) credits/g), ([, name, credits]) => [
      name,
      credits,
    ]);
    expect(legend).toEqual([
      ...[7, 6, 5, 4, 3].map((at) => [`key_${at}`, String(8 * at)]),
      ["2 others", "24"],
    ]);
  });
});

describe("the list of images", () => {
  it("shows running generations, and those that ended while D1 was down, like the API's list", async () => {
    const { visitor, userId } = await member(100);
    const { key } = await createKey(visitor);
    const account = env.ACCOUNT.getByName(userId);
    vi.spyOn(env.GENERATIONS, "sendBatch").mockRejectedValue(new Error("held back"));
    const ids = [newId("gen"), newId("gen"), newId("gen")];
    for (const id of ids) await account.submit(aCommand(id, "async", aRequest({ prompt: `of ${id}` }), 8));
    const [logged = "", unlogged = "", running = ""] = ids;
    const image = { id: newId("img"), contentType: "image/png", width: 1, height: 1, bytes: 1, createdAt: 1 };
    for (const id of [logged, unlogged]) {
      await account.begin(id);
      if (id === unlogged) {
        vi.spyOn(Object.getPrototypeOf(env.DB), "batch").mockRejectedValueOnce(new Error("D1 is down."));
      }
      await account.finish(id, 1, { images: [{ ...image, key: `${id}/${image.id}.png` }], failure: null });
    }
    vi.restoreAllMocks();
    const program = new Visitor();
    program.headers = { authorization: `Bearer ${key}` };
    const List = z.object({ data: z.array(z.object({ id: z.string() })) });
    const { data } = List.parse(await (await program.get("/api/v1/generations")).json());
    const shown = async (path: string) =>
      Array.from(
        (await (await visitor.get(path)).text()).matchAll(/href="\/account\/generations\/(gen_\w+)"/g),
        ([, id]) => id,
      );
    const newestFirst = ids.toSorted().reverse();
    expect(data.map(({ id }) => id)).toEqual(newestFirst);
    expect(await shown("/account/generations")).toEqual(newestFirst);
    expect(await shown("/account")).toEqual(newestFirst);
    expect(await shown("/account/generations?status=succeeded")).toEqual(
      newestFirst.filter((id) => id !== running),
    );
    expect(await (await visitor.get("/account/generations")).text()).toContain(`of ${unlogged}`);
    expect(await (await visitor.get(`/account/generations/${unlogged}`)).text()).toContain(`of ${unlogged}`);
  });
});

describe("the search among images", () => {
  /** Ended generations, some in the account and some only in the log. */
  async function searched() {
    const { visitor, userId } = await member(1000);
    const created = await createKey(visitor);
    const [keyId = ""] = /key_[0-9A-Z]{26}/.exec(await (await visitor.get("/account/keys")).text()) ?? [];
    const account = env.ACCOUNT.getByName(userId);
    const ids = new Map<string, string>();
    for (const [prompt, payer] of [
      ["A red Lighthouse", null],
      ["a red mill", keyId],
      ["a lighthouse at 100%", keyId],
    ] as const) {
      const id = newId("gen");
      await account.submit({ ...aCommand(id, "async", aRequest({ prompt }), 8), keyId: payer });
      await account.begin(id);
      const image = {
        id: newId("img"),
        contentType: "image/png",
        width: 1,
        height: 1,
        bytes: 1,
        createdAt: 1,
      };
      const key = `${id}/${image.id}.png`;
      await env.IMAGES.put(key, "x");
      await account.finish(id, 1, { images: [{ ...image, key }], failure: null });
      ids.set(prompt, id);
    }
    const find = async (query: string) => {
      const page = await (await visitor.get(`/account/generations?${query}`)).text();
      return [...ids].filter(([, id]) => page.includes(`id="${id}"`)).map(([prompt]) => prompt);
    };
    return { visitor, account, keyId, ids: [...ids.values()], find, secret: created.key };
  }

  it("finds all words in any case, and the key, both in the account and in the log", async () => {
    const { account, keyId, find } = await searched();
    const queries: [string, string[]][] = [
      ["q=LIGHTHOUSE", ["A red Lighthouse", "a lighthouse at 100%"]],
      ["q=lighthouse+red", ["A red Lighthouse"]],
      ["q=100%25", ["a lighthouse at 100%"]],
      ["q=_", []],
      [`key=${keyId}`, ["a red mill", "a lighthouse at 100%"]],
      ["key=playground", ["A red Lighthouse"]],
      [`key=${keyId}&q=red&status=succeeded&model=gpt-image-2`, ["a red mill"]],
      [`q=red&status=failed`, []],
      ["model=flux-2-pro", []],
      [`q=red&q=${"x".repeat(10)}`, ["A red Lighthouse", "a red mill"]],
    ];
    for (const isForgotten of [false, true]) {
      if (isForgotten)
        await runInDurableObject(account, (_, { storage }) => {
          storage.sql.exec("DELETE FROM generations");
        });
      for (const [query, prompts] of queries) expect(await find(query), query).toEqual(prompts);
    }
  });

  it("finds days, of which both ends count, and ignores fields without a meaning", async () => {
    const { find } = await searched();
    const day = (offset: number) => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);
    expect(await find(`from=${day(0)}&to=${day(0)}`)).toHaveLength(3);
    expect(await find(`from=${day(1)}`)).toHaveLength(0);
    expect(await find(`to=${day(-1)}`)).toHaveLength(0);
    expect(await find("from=2026-99-99&to=x&status=x&key=x&mode=x")).toHaveLength(3);
  });

  it("cuts its text after 100 characters and 8 words", async () => {
    const { find } = await searched();
    expect(await find(`q=red${"+".repeat(97)}millions`)).toEqual(["A red Lighthouse", "a red mill"]);
    expect(await find(`q=red${"+".repeat(96)}x`)).toEqual(["A red Lighthouse", "a red mill"].slice(2));
    expect(await find(`q=${"a+".repeat(8)}nothing`)).toHaveLength(3);
    expect(await find(`q=${"a+".repeat(7)}nothing`)).toHaveLength(0);
  });

  it("downloads the selected images as a zip, and those of nobody else", async () => {
    const { visitor, ids } = await searched();
    const query = ids.map((id) => `id=${id}`).join("&");
    const file = await visitor.get(`/account/generations/images.zip?${query}`);
    expect([file.status, file.headers.get("content-type")]).toEqual([200, "application/zip"]);
    expect(file.headers.get("content-disposition")).toBe('attachment; filename="images.zip"');
    const text = Buffer.from(await file.bytes()).toString("latin1");
    expect(text.slice(0, 4)).toBe("PK\x03\x04");
    expect(new Set(text.match(/[a-z0-9-]+-[0-9A-Z]{6}\.png/g)).size).toBe(3);
    expect(text).toMatch(/a-red-mill-[0-9A-Z]{6}\.png/);
    const stranger = await member(0);
    expect((await stranger.visitor.get(`/account/generations/images.zip?${query}`)).status).toBe(404);
    const ask = async (count: number) => {
      const many = Array.from({ length: count }, () => `id=${newId("gen")}`).join("&");
      return (await visitor.get(`/account/generations/images.zip?${query}&${many}`)).status;
    };
    expect([await ask(21), await ask(22)]).toEqual([200, 400]);
    expect((await visitor.get("/account/generations/images.zip")).status).toBe(400);
  });
});

describe("the references of the playground", () => {
  const Uploaded = z.object({ id: z.string() });
  const BODY = png(64, 64);

  async function uploader(credits = 100) {
    const { visitor, userId } = await member(credits);
    visitor.headers = { ...visitor.headers, accept: "application/json" };
    return { visitor, userId };
  }

  it("are uploaded, used by a generation, and of the user only", async () => {
    const { visitor, userId } = await uploader();
    const answer = await visitor.upload("/account/playground/references", BODY);
    expect(answer.status).toBe(201);
    const { id } = Uploaded.parse(await answer.json());
    const fields = { prompt: "a hill", references: id };
    const { page } = Started.parse(await (await visitor.post("/account/playground", fields)).json());
    const detail = await env.ACCOUNT.getByName(userId).detail(page.split("/").at(-1) ?? "");
    expect(detail?.request.references).toBe(1);
    const other = await uploader();
    const refused = await other.visitor.post("/account/playground", fields);
    expect([refused.status, await refused.json()]).toEqual([
      ...[
        422,
        { errors: { references: expect.stringContaining("Reference 1 names no uploaded reference") } },
      ],
    ]);
  });

  it("can be an earlier image of the user's own", async () => {
    const { visitor, userId } = await uploader();
    const account = env.ACCOUNT.getByName(userId);
    const id = newId("gen");
    await account.submit(aCommand(id, "async", aRequest(), 8));
    await account.begin(id);
    const image = {
      id: newId("img"),
      contentType: "image/png",
      width: 64,
      height: 64,
      bytes: 1,
      createdAt: 1,
    };
    const key = `${id}/${image.id}.png`;
    await env.IMAGES.put(key, BODY);
    await account.finish(id, 1, { images: [{ ...image, key }], failure: null });
    const path = `/account/playground/references?image=${key}`;
    expect((await visitor.upload(path, null)).status).toBe(201);
    const other = await uploader();
    expect((await other.visitor.upload(path, null)).status).toBe(404);
    expect((await visitor.upload(`${path}x`, null)).status).toBe(404);
  });

  it.each([
    ["not an image", 422, "The file is not a PNG, JPEG or WebP image."],
    [null, 404, "This image does not exist."],
  ])("are not %j", async (body, status, error) => {
    const { visitor } = await uploader();
    const answer = await visitor.upload("/account/playground/references", body);
    expect([answer.status, await answer.json()]).toEqual([status, { error }]);
  });

  it("need the credits for an image, and a form of this site", async () => {
    const { visitor } = await uploader(0);
    const answer = await visitor.upload("/account/playground/references", BODY);
    expect([answer.status, await answer.json()]).toEqual([
      ...[409, { error: expect.stringContaining("You have 0.") }],
    ]);
    const foreign = await visitor.post("/account/playground/references", {}, "https://evil.test");
    expect(foreign.status).toBe(403);
  });
});

describe("the page of a queued generation", () => {
  async function queued() {
    const { visitor, userId } = await member(10);
    const account = env.ACCOUNT.getByName(userId);
    vi.spyOn(Object.getPrototypeOf(env.GENERATIONS), "sendBatch").mockRejectedValueOnce(new Error("held"));
    const id = newId("gen");
    await account.submit(aCommand(id, "async", aRequest(), 8));
    return { visitor, account, path: `/account/generations/${id}`, id };
  }
  const BUTTON = "Cancel and refund</button>";

  it("has a button that cancels it", async () => {
    const { visitor, account, path } = await queued();
    expect(await (await visitor.get(path)).text()).toContain(BUTTON);
    const answer = await visitor.post(`${path}/cancel`);
    expect([answer.status, answer.headers.get("location")]).toEqual([303, path]);
    const page = await (await visitor.get(path)).text();
    expect(page).toContain("Canceled");
    expect(page).not.toContain(BUTTON);
    expect((await account.balance()).credits).toBe(10);
  });

  it("shows a generation that has begun meanwhile", async () => {
    const { visitor, account, path, id } = await queued();
    await account.begin(id);
    expect((await visitor.post(`${path}/cancel`)).status).toBe(303);
    expect(await (await visitor.get(path)).text()).not.toContain(BUTTON);
    expect((await account.balance()).credits).toBe(2);
  });

  it("tells scripts its state, and streams each change until the end", async () => {
    const { visitor, path } = await queued();
    visitor.headers = { accept: "text/event-stream" };
    const stream = await visitor.get(`${path}/events`);
    expect([stream.status, stream.headers.get("content-type"), stream.headers.get("cache-control")]).toEqual([
      ...[200, "text/event-stream; charset=utf-8", "private, no-store"],
    ]);
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    const next = async () => (await reader?.read())?.value;
    const waiting = { status: "queued", ended: false, message: null, images: [] };
    expect(await next()).toBe(`event: generation\nid: queued\ndata: ${JSON.stringify(waiting)}\n\n`);
    visitor.headers = { accept: "application/json" };
    const canceled = await (await visitor.post(`${path}/cancel`)).json();
    const message = "Canceled. Your credits were returned.";
    expect(canceled).toEqual({ status: "canceled", ended: true, message, images: [] });
    expect(await next()).toBe(`event: generation\nid: canceled\ndata: ${JSON.stringify(canceled)}\n\n`);
    expect(await next()).toBeUndefined();
    expect(await (await visitor.get(`${path}/state`)).json()).toEqual(canceled);
  });

  it("has no stream for other users and strangers", async () => {
    const { path } = await queued();
    const { visitor } = await member(0);
    expect((await visitor.get(`${path}/events`)).status).toBe(404);
    expect((await new Visitor().get(`${path}/events`)).status).toBe(303);
  });

  it("takes no forms from other sites or other users", async () => {
    const { visitor, account, path } = await queued();
    expect((await visitor.post(`${path}/cancel`, {}, "https://evil.test")).status).toBe(403);
    const other = await member(0);
    expect((await other.visitor.post(`${path}/cancel`)).status).toBe(404);
    expect((await account.balance()).credits).toBe(2);
  });
});

describe("deleting on the page of a generation", () => {
  async function ended() {
    const { visitor, userId } = await member(10);
    const account = env.ACCOUNT.getByName(userId);
    const id = newId("gen");
    await account.submit(aCommand(id, "sync", aRequest(), 8));
    await account.begin(id);
    await account.finish(id, 1, { images: [], failure: "generationFailed" });
    return { visitor, account, path: `/account/generations/${id}` };
  }
  const BUTTON = "Delete this generation";

  it("removes it, and keeps the ledger", async () => {
    const { visitor, account, path } = await ended();
    expect(await (await visitor.get(path)).text()).toContain(BUTTON);
    const answer = await visitor.post(`${path}/delete`);
    expect([answer.status, answer.headers.get("location")]).toEqual([303, "/account/generations"]);
    expect((await visitor.get(path)).status).toBe(404);
    expect((await visitor.post(`${path}/delete`)).status).toBe(404);
    expect((await account.balance()).credits).toBe(10);
    // The grant, the charge and the refund.
    expect((await account.statement(Number.MAX_SAFE_INTEGER, 10)).entries).toHaveLength(3);
  });

  it("is not for other users, other sites, or what has not ended", async () => {
    const { visitor, path } = await ended();
    expect((await visitor.post(`${path}/delete`, {}, "https://evil.test")).status).toBe(403);
    const other = await member(10);
    expect((await other.visitor.post(`${path}/delete`)).status).toBe(404);
    expect((await visitor.get(path)).status).toBe(200);
    const id = newId("gen");
    await env.ACCOUNT.getByName(other.userId).submit(aCommand(id, "async", aRequest(), 8));
    const unfinished = `/account/generations/${id}`;
    expect(await (await other.visitor.get(unfinished)).text()).not.toContain(BUTTON);
    const refused = await other.visitor.post(`${unfinished}/delete`);
    expect([refused.status, refused.headers.get("location")]).toEqual([303, unfinished]);
    expect((await other.visitor.get(unfinished)).status).toBe(200);
  });
});

const Started = z.object({ page: z.string(), state: z.string() });
const State = z.object({
  status: z.string(),
  ended: z.boolean(),
  images: z.array(z.object({ url: z.string() })),
});

describe("the playground", () => {
  it("generates an image, charges for it and shows it on every page", async () => {
    const { visitor } = await member(10);
    visitor.headers = { ...visitor.headers, accept: "application/json" };
    const asked = await visitor.post("/account/playground", {
      prompt: "a <b>lighthouse</b>",
      aspect_ratio: "1:1",
    });
    expect(asked.status).toBe(202);
    const { page, state } = Started.parse(await asked.json());
    const ended = await vi.waitUntil(
      async () => {
        const now = State.parse(await (await visitor.get(state)).json());
        return now.ended ? now : null;
      },
      { timeout: 20_000, interval: 100 },
    );
    expect(ended.status).toBe("succeeded");
    const [image] = ended.images;
    const picture = await visitor.get(image?.url ?? "");
    expect([picture.status, picture.headers.get("content-type")]).toEqual([200, "image/png"]);
    expect((await picture.arrayBuffer()).byteLength).toBeGreaterThan(10_000);

    visitor.headers = { accept: "text/html" };
    const detail = await (await visitor.get(page)).text();
    expect(detail).toContain("a &lt;b&gt;lighthouse&lt;/b&gt;");
    expect(detail).toContain("1024 × 1024");
    expect(detail).toMatch(/Paid.*8 credits/s);
    for (const path of ["/account", "/account/generations", "/account/generations?status=succeeded"]) {
      expect(await (await visitor.get(path)).text(), path).toContain(page);
    }
    expect(await (await visitor.get("/account/generations?status=failed")).text()).not.toContain(page);
    const credits = await (await visitor.get("/account/credits")).text();
    expect(credits).toMatch(/Charge.*−8/s);
    expect(credits).toContain("Credits used in the last 30 days: 8 in total.");
    expect(await (await visitor.get(`/account/playground?from=${page.split("/").at(-1)}`)).text()).toMatch(
      /<option value="1:1" selected/,
    );

    const stranger = await member();
    expect([(await stranger.visitor.get(page)).status, (await stranger.visitor.get(state)).status]).toEqual([
      404, 404,
    ]);
  });

  it.each(models)("offers the options of $id, and its price", async (model) => {
    const { visitor } = await member(0);
    const page = await (await visitor.get("/account/playground")).text();
    expect(page).toContain(`<option value="${model.id}"`);
    const preview = await visitor.get(`/account/playground/preview?model=${model.id}`);
    expect(await preview.json()).toMatchObject({
      credits: priceOf(model, model.default_quality, 1),
      choices: {
        aspect_ratio: { values: model.supported_aspect_ratios, fallback: model.default_aspect_ratio },
        resolution: { values: model.supported_qualities, fallback: model.default_quality },
        quality: { values: model.supported_render_qualities, fallback: "auto" },
        n: { values: ["1", "2", "3", "4"], fallback: "1" },
      },
    });
  });

  it("says what a newly chosen model offers instead of what it does not have", async () => {
    const { visitor } = await member(0);
    const preview = await visitor.get(
      "/account/playground/preview?model=flux-2-pro&aspect_ratio=auto&quality=high",
    );
    expect([preview.status, await preview.json()]).toMatchObject([
      422,
      { error: expect.stringContaining("The nearest is"), choices: { aspect_ratio: { fallback: "1:1" } } },
    ]);
  });

  it("shows the form of the model that was sent, with the error beside its field", async () => {
    const { visitor, userId } = await member(100);
    const fields = { model: "flux-1-schnell", prompt: "a hill", aspect_ratio: "16:9", resolution: "1K" };
    const answer = await visitor.post("/account/playground", fields);
    const page = await answer.text();
    expect(answer.status).toBe(422);
    expect(page).toMatch(/<option value="flux-1-schnell" selected/);
    expect(page).toContain("aspect_ratio must be 1:1.");
    expect(page).not.toContain('<option value="16:9"');
    expect((await env.ACCOUNT.getByName(userId).balance()).credits).toBe(100);
  });

  it("charges once for a form, however often it is sent, and again for a changed one", async () => {
    const { visitor, userId } = await member(100);
    visitor.headers = { ...visitor.headers, accept: "application/json" };
    const rendered = async () => {
      const page = await (await visitor.get("/account/playground")).text();
      return /name="attempt" value="([\w-]{36})"/.exec(page)?.[1] ?? "";
    };
    const [attempt, other] = [await rendered(), await rendered()];
    expect(attempt).not.toBe(other);
    const send = async (fields: Record<string, string>) =>
      Started.parse(await (await visitor.post("/account/playground", fields)).json()).page;
    const same = { attempt, prompt: "a lighthouse", aspect_ratio: "1:1" };
    const pages = await Promise.all([send(same), send(same), send(same)]);
    expect(new Set(pages).size).toBe(1);
    expect(await send(same)).toBe(pages[0]);
    expect((await env.ACCOUNT.getByName(userId).balance()).credits).toBe(92);
    const others = [
      { ...same, prompt: "a mill" },
      { ...same, n: "2" },
      { ...same, attempt: other },
    ];
    for (const fields of others) expect(await send(fields)).not.toBe(pages[0]);
    expect((await env.ACCOUNT.getByName(userId).balance()).credits).toBe(92 - 8 - 16 - 8);
  });

  it("offers the formats that the provider makes, and takes the other options of the model", async () => {
    const { visitor, userId } = await member(100);
    const preview = await (await visitor.get("/account/playground/preview?background=opaque")).json();
    expect(preview).toMatchObject({
      balance: 100,
      references_max: 16,
      choices: { output_format: { values: ["png"] }, background: { values: ["auto", "opaque"] } },
      curl: expect.stringContaining('"background": "opaque"'),
      openai: expect.stringContaining('background="opaque"'),
    });
    visitor.headers = { ...visitor.headers, accept: "application/json" };
    const fields = { prompt: "a hill", output_format: "png", background: "opaque", moderation: "low" };
    const { page } = Started.parse(await (await visitor.post("/account/playground", fields)).json());
    const account = env.ACCOUNT.getByName(userId);
    const { request } = await runInDurableObject(account, (_, { storage }) =>
      storage.sql.exec<{ request: string }>("SELECT request FROM generations").one(),
    );
    expect(JSON.parse(request)).toMatchObject({
      background: "opaque",
      moderation: "low",
      outputFormat: "png",
    });
    expect(page).toMatch(/gen_/);
    const refused = await visitor.post("/account/playground", { prompt: "a hill", output_format: "webp" });
    expect(await refused.json()).toMatchObject({ errors: { output_format: expect.any(String) } });
  });

  it("keeps a long prompt out of the heading and the title of its page", async () => {
    const { visitor, userId } = await member(100);
    const id = newId("gen");
    const prompt = `${"a long prompt ".repeat(20)}THE END`;
    await env.ACCOUNT.getByName(userId).submit(aCommand(id, "async", aRequest({ prompt }), 8));
    const page = await (await visitor.get(`/account/generations/${id}`)).text();
    const [, heading = ""] = /<h1[^>]*>(.*?)<\/h1>/.exec(page) ?? [];
    expect(heading).toMatch(/^a long prompt .*…$/);
    expect(heading.length).toBeLessThanOrEqual(161);
    expect(/<title>(.*?)<\/title>/.exec(page)?.[1]).toMatch(/^a long prompt [^.]{10,60}… · GPT Image Hub$/);
    expect(page).toMatch(/<details class="whole">.*THE END/);
  });

  it("uses idempotency keys that API callers cannot use", async () => {
    const { visitor, userId } = await member(100);
    const attempt = "a".repeat(16);
    visitor.headers = { ...visitor.headers, accept: "application/json" };
    await visitor.post("/account/playground", { attempt, prompt: "a lighthouse" });
    const account = env.ACCOUNT.getByName(userId);
    const used = await runInDurableObject(account, (_, { storage }) =>
      storage.sql.exec<{ idempotency_key: string }>("SELECT idempotency_key FROM generations").one(),
    );
    // The API rejects keys with spaces.
    expect(used.idempotency_key).toMatch(/^playground a{16} [0-9a-f]{64}$/);
  });

  it.each([
    ["no prompt", { prompt: " " }, 422, { prompt: "Enter a prompt." }],
    ["five images", { prompt: "x", n: "5" }, 422, { n: "n must be a whole number from 1 to 4." }],
    [
      "an unsupported aspect ratio",
      { prompt: "x", aspect_ratio: "7:5" },
      422,
      { aspect_ratio: expect.any(String) },
    ],
    [
      "too few credits",
      { prompt: "x", n: "2" },
      402,
      { form: "Not enough credits: this costs 16, and you have 10." },
    ],
  ])("rejects %s and charges nothing", async (_, fields, status, errors) => {
    const { visitor, userId } = await member(10);
    visitor.headers = { ...visitor.headers, accept: "application/json" };
    const response = await visitor.post("/account/playground", fields);
    expect([response.status, await response.json()]).toEqual([status, { errors }]);
    visitor.headers = { accept: "text/html" };
    const page = await (await visitor.post("/account/playground", fields)).text();
    expect(page).toMatch(/aria-invalid="true"|role="alert"/);
    expect((await env.ACCOUNT.getByName(userId).balance()).credits).toBe(10);
  });

  it.each([
    ["aspect_ratio=16:9&resolution=4K&n=3", "36 credits for 3 images, 3840 × 2160", '"size": "3840x2160"'],
    ["", "8 credits for 1 image, automatic size", '"size": "auto"'],
    ["aspect_ratio=1536x864&n=2", "16 credits for 2 images, 1536 × 864", '"size": "1536x864"'],
    ["prompt=secret", "8 credits for 1 image, automatic size", '"prompt": "__PROMPT__"'],
  ])("previews the price and the code samples of %s", async (query, price, part) => {
    const { visitor } = await member(0);
    const preview = await (await visitor.get(`/account/playground/preview?${query}`)).json();
    expect(preview).toMatchObject({ price, curl: expect.stringContaining(part) });
    expect(preview).toMatchObject({ curl: expect.stringContaining(`${SITE}/api/v1/images/generations`) });
  });
});

describe("webhooks", () => {
  it("have a secret that a person can read and replace", async () => {
    const { visitor, userId } = await member(0);
    const account = env.ACCOUNT.getByName(userId);
    const { secret } = await account.webhookSecrets(true);
    expect(await (await visitor.get("/account/settings")).text()).toContain(`<code>${secret}</code>`);
    expect((await visitor.post("/account/settings/webhook-secret", {}, "https://evil.test")).status).toBe(
      403,
    );
    expect((await account.webhookSecrets(true)).secret).toBe(secret);
    expect((await visitor.post("/account/settings/webhook-secret")).status).toBe(303);
    const page = await (await visitor.get("/account/settings")).text();
    expect(page).not.toContain(secret);
    expect(page).toContain(`<code>${(await account.webhookSecrets(true)).secret}</code>`);
    expect(page).toContain("The secret before this one signs until");
  });

  it("are listed with their generation, and sent again by its owner only", async () => {
    const deliver = vi.spyOn(globalThis, "fetch");
    deliver.mockImplementation(async () => new Response(null, { status: 503 }));
    const { visitor, userId } = await member();
    const account = env.ACCOUNT.getByName(userId);
    const [id, plain] = [newId("gen"), newId("gen")];
    const webhookUrl = "https://receiver.example/";
    await account.submit(aCommand(id, "sync", aRequest({ webhookUrl }), 8));
    await account.submit(aCommand(plain, "sync", aRequest(), 8));
    for (const one of [id, plain]) await account.finish(one, 1, { images: [], failure: "generationFailed" });
    await vi.waitUntil(async () => (await account.deliveries(id))?.length === 1);
    const address = `/account/generations/${id}`;
    const page = await (await visitor.get(address)).text();
    expect(page).toContain('<td data-label="Answer">503</td>');
    expect(page).toContain(`action="${address}/deliveries"`);
    expect(await (await visitor.get(`/account/generations/${plain}`)).text()).not.toContain("Webhook");

    const stranger = await member(0);
    expect((await stranger.visitor.post(`${address}/deliveries`)).status).toBe(404);
    expect((await visitor.post(`/account/generations/${plain}/deliveries`)).status).toBe(404);
    expect((await account.deliveries(id))?.length).toBe(1);
    expect((await visitor.post(`${address}/deliveries`)).status).toBe(303);
    await vi.waitUntil(async () => (await account.deliveries(id))?.length === 2);
    deliver.mockRestore();
  });
});
