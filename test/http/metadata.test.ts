import { env } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { SEARCHED_ROWS_MAX } from "../../src/generations/read.ts";
import { lowestGenerationId } from "../../src/id.ts";
import { call, creditsOf, newTestKey, newUser, type TestUser } from "../support/http.ts";
import { provide } from "../support/tiny-provider.ts";

const PATH = "/api/v1/images/generations";
const asked = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };
const Made = z.looseObject({ id: z.string(), metadata: z.record(z.string(), z.string()).optional() });
const Page = z.object({
  object: z.literal("list"),
  data: z.array(Made),
  has_more: z.boolean(),
  next_cursor: z.string().nullable(),
});
/** Names and values that SQL, JSON paths and URLs could take for something else. */
const ODD = { 'a"b.c[0]': "100%'_\\", "$.x y": "Çay ☕\n", constructor: "toString" };

let user: TestUser;

beforeEach(async () => {
  provide();
  user = await newUser(1000);
});
afterEach(() => vi.restoreAllMocks());

const post = (fields: object, key = user.key) => call("POST", PATH, { key, json: { ...asked, ...fields } });
const make = async (fields: object, key = user.key) => Made.parse((await post(fields, key)).body);

async function list(labels: object, more = "", key = user.key) {
  const query = Object.entries(labels).map(
    ([name, value]) => `metadata[${encodeURIComponent(name)}]=${encodeURIComponent(String(value))}`,
  );
  const answer = await call("GET", `/api/v1/generations?${[...query, more].filter(Boolean).join("&")}`, {
    key,
  });
  return Page.parse(answer.body);
}

const idsOf = ({ data }: z.infer<typeof Page>) => data.map(({ id }) => id);

describe("metadata", () => {
  it("is shown with the generation: made, read from the log, listed", async () => {
    const made = await make({ metadata: ODD });
    expect(made.metadata).toEqual(ODD);
    expect(Made.parse((await call("GET", `/api/v1/generations/${made.id}`, user)).body).metadata).toEqual(
      ODD,
    );
    expect((await list({})).data[0]?.metadata).toEqual(ODD);
    const row = await env.LOG.prepare("SELECT request FROM generations WHERE id = ?").bind(made.id).first();
    expect(JSON.parse(z.object({ request: z.string() }).parse(row).request)).toMatchObject({ metadata: ODD });
    expect((await list(ODD)).data[0]?.metadata).toEqual(ODD);
  });

  it.each([{}, { metadata: {} }])("is left out where there is none: %j", async (fields) => {
    expect(await make(fields)).not.toHaveProperty("metadata");
  });

  it("is JSON as text in a form", async () => {
    const send = async (metadata: string) => {
      const body = new FormData();
      for (const [name, value] of Object.entries({ ...asked, metadata, max_credits: "8" }))
        body.set(name, value);
      return await call("POST", PATH, { key: user.key, body });
    };
    expect(Made.parse((await send(JSON.stringify(ODD))).body).metadata).toEqual(ODD);
    for (const wrong of ["x", "[]", '"a"', "null", '{"a":"1","a":"2"}']) {
      expect((await send(wrong)).body).toMatchObject({ error: { param: "metadata" } });
    }
  });

  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, at) => [`n${at}`, "v"]));

  it.each([
    ["16 entries", many(16)],
    ["a name of 64 characters", { ["☕".repeat(64)]: "" }],
    ["a value of 512 characters", { a: "😀".repeat(512) }],
  ])("may have %s", async (_, metadata) => {
    expect((await make({ metadata })).metadata).toEqual(metadata);
  });

  it.each([
    ["17 entries", many(17), "metadata", "metadata must have at most 16 entries."],
    ["a name of 65 characters", { ["n".repeat(65)]: "" }, "metadata", /1 to 64 characters/],
    ["an empty name", { "": "x" }, "metadata", /1 to 64 characters/],
    [
      "a value of 513 characters",
      { a: "x".repeat(513) },
      "metadata",
      "metadata.a must be at most 512 characters.",
    ],
    ["a number", { a: 1 }, "metadata.a", "metadata.a must be a string."],
    ["null", { a: null }, "metadata.a", "metadata.a must be a string."],
    ["a list", [], "metadata", "metadata must be a JSON object."],
    ["half of a surrogate pair", { a: "\ud83d" }, "metadata", /well-formed/],
    ["__proto__", JSON.parse('{"__proto__":"x"}'), "metadata", /not have the name __proto__/],
  ])("may not have %s, which costs nothing", async (_, metadata, param, message) => {
    const { status, body } = await post({ metadata });
    expect([status, body]).toMatchObject([400, { error: { code: "invalid_request", param } }]);
    expect(body).toMatchObject({ error: { message: expect.stringMatching(message) } });
    expect(await creditsOf(user)).toBe(1000);
  });

  it("belongs to the request that an idempotency key names, in any order", async () => {
    const send = (fields: object) =>
      call("POST", PATH, {
        key: user.key,
        json: { ...asked, ...fields },
        headers: { "Idempotency-Key": "k" },
      });
    const { id } = Made.parse((await send({ metadata: { a: "1", b: "2" } })).body);
    expect((await send({ metadata: { b: "2", a: "1" } })).body).toMatchObject({ id });
    expect((await send({ metadata: { a: "1" } })).status).toBe(422);
    expect((await send({ metadata: { a: "1", b: "2" }, max_credits: 8 })).status).toBe(422);
  });
});

describe("a list by metadata", () => {
  it("has the generations with all of the labels, logged or not", async () => {
    const both = await make({ metadata: { project: "web", run: "7" } });
    const one = await make({ metadata: { project: "web", run: "8" } });
    await make({ metadata: { project: "app" } });
    await make({});
    const { body } = await post({ metadata: { project: "web" }, async: true });
    const { id: queued } = Made.parse(body);
    expect(idsOf(await list({ project: "web" }))).toEqual([queued, one.id, both.id]);
    expect(idsOf(await list({ project: "web", run: "7" }))).toEqual([both.id]);
    expect(idsOf(await list({ project: "web", run: "9" }))).toEqual([]);
    expect(idsOf(await list({ project: "we" }))).toEqual([]);
    const page = await list({ project: "web" }, "limit=2");
    expect([idsOf(page), page.next_cursor]).toEqual([[queued, one.id], one.id]);
    expect(idsOf(await list({ project: "web" }, `cursor=${page.next_cursor}`))).toEqual([both.id]);
    expect(idsOf(await list({ project: "web" }, "status=failed"))).toEqual([]);
    const test = await newTestKey(user.id);
    expect(idsOf(await list({ project: "web" }, "", test))).toEqual([]);
  });

  it.each([
    ["metadata[a]=1&metadata[a]=2", "metadata[a]"],
    ["metadata=x", "metadata"],
    [`metadata[a]=${"x".repeat(513)}`, "metadata"],
    ["metadata[]=x", "metadata"],
  ])("refuses %.40s", async (query, param) => {
    const { status, body } = await call("GET", `/api/v1/generations?${query}`, user);
    expect([status, body]).toMatchObject([400, { error: { code: "invalid_request", param } }]);
  });

  it("looks at a bounded number of rows for each page", async () => {
    const id = (index: number) =>
      `${lowestGenerationId(Date.UTC(2026, 0, 1)).slice(0, -6)}${100_000 + index}`;
    const log = async (count: number) => {
      const last = env.LOG.prepare("DELETE FROM generations WHERE user_id = ?").bind(user.id);
      const insert = env.LOG.prepare(
        `INSERT INTO generations WITH RECURSIVE rows(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM rows WHERE n + 1 < ?1)
         SELECT ?2, substr(?3, 1, 24) || (100000 + n), 'failed', 'gpt-image-2', 1, 1, 8, 8,
           json_object('prompt', 'x', 'aspectRatio', '1:1', 'tier', '1K', 'origin', 'https://hub.test',
             'metadata', json_object('first', CASE n WHEN 0 THEN 'yes' ELSE 'no' END)),
           'generationFailed', '[]', NULL FROM rows`,
      ).bind(count, user.id, id(0));
      await env.LOG.batch([last, insert]);
    };
    await log(SEARCHED_ROWS_MAX - 1);
    expect(await list({ first: "yes" })).toMatchObject({ data: [{ id: id(0) }], has_more: false });
    await log(SEARCHED_ROWS_MAX + 1);
    expect(await list({ first: "yes" })).toMatchObject({ data: [], has_more: true, next_cursor: id(1) });
    expect(await list({ first: "yes" }, `cursor=${id(1)}`)).toMatchObject({
      ...{ data: [{ id: id(0) }], has_more: false, next_cursor: null },
    });
  });
});

describe("max_credits", () => {
  it("lets through a price that equals it", async () => {
    expect((await post({ n: 2, max_credits: 16 })).status).toBe(200);
    expect((await post({ n: 2, max_credits: 16 }, await newTestKey(user.id))).status).toBe(200);
  });

  it("refuses a higher price, says it, and charges nothing", async () => {
    const error = { code: "invalid_request", param: "max_credits" };
    const message = "This takes 16 credits, and max_credits is 15.";
    const keys = [user.key, await newTestKey(user.id)];
    for (const key of keys) {
      const { status, body } = await post({ n: 2, max_credits: 15 }, key);
      expect([status, body]).toMatchObject([400, { error: { ...error, message } }]);
    }
    for (const max_credits of [0, 1.5, "8", null, 1_000_000_001]) {
      expect((await post({ max_credits })).body).toMatchObject({ error });
    }
    expect(await creditsOf(user)).toBe(1000);
  });
});
