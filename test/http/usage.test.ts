import { env, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { csvOf } from "../../src/http/csv.ts";
import { ROWS_MAX } from "../../src/http/v1/usage.ts";
import { call, newTestKey, newUser, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { provide } from "../support/tiny-provider.ts";

const NOW = Date.UTC(2027, 4, 10, 12);
const DAY_MS = 86_400_000;
const Report = z.object({ object: z.literal("list"), data: z.array(z.looseObject({})) });

let user: TestUser;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW });
  spyOnLog();
  provide();
  user = await newUser(1_000);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const generate = (fields: object = {}, key = user.key) =>
  call("POST", "/api/v1/images/generations", { key, json: { model: "gpt-image-2", prompt: "x", ...fields } });
const usage = (query = "", headers = {}, key = user.key) =>
  call("GET", `/api/v1/usage${query}`, { key, headers });
const dataOf = async (query = "", key = user.key) => Report.parse((await usage(query, {}, key)).body).data;

describe("GET /api/v1/usage", () => {
  it("reports by day, key and model, or any of these", async () => {
    await generate({ n: 2 });
    vi.setSystemTime(NOW + DAY_MS);
    await generate();
    await generate({ model: "nano-banana", async: true });
    const key = { api_key_id: user.keyId };
    const [nano] = await dataOf("?group_by=model");
    const price = z.number().parse(nano?.["credits"]);
    const first = { generations: 1, images: 2, credits: 16 };
    const second = { generations: 1, images: 1, credits: 8 };
    const third = { generations: 1, images: expect.any(Number), credits: price };
    expect(await dataOf()).toEqual([
      { day: "2027-05-10", ...key, model: "gpt-image-2", ...first },
      { day: "2027-05-11", ...key, model: "gemini-nano-banana-2.1", ...third },
      { day: "2027-05-11", ...key, model: "gpt-image-2", ...second },
    ]);
    expect(await dataOf("?group_by=day&to=2027-05-10")).toEqual([{ day: "2027-05-10", ...first }]);
    expect(await dataOf("?group_by=model&from=2027-05-11")).toMatchObject([
      third,
      { model: "gpt-image-2", ...second },
    ]);
    expect(await dataOf("?group_by=")).toMatchObject([{ generations: 3, credits: 24 + price }]);
    expect(await dataOf("?group_by=key,day&from=2027-05-10&to=2027-05-10")).toEqual([
      { day: "2027-05-10", ...key, ...first },
    ]);
    expect(await dataOf("", await newTestKey(user.id))).toEqual([]);
  });

  it("shows a test key what test keys did", async () => {
    const key = await newTestKey(user.id);
    await generate({}, key);
    expect(await dataOf("?group_by=model", key)).toMatchObject([{ generations: 1, images: 1, credits: 0 }]);
    expect(await dataOf()).toEqual([]);
  });

  it.each([
    ["?from=2027-01-01&to=2028-01-02", "from"],
    ["?from=2027-05-02&to=2027-05-01", "from"],
    ["?from=2027-02-30", "from"],
    ["?to=2027-05-01T00:00:00Z", "to"],
    ["?group_by=week", "group_by.0"],
    ["?group_by=day,day", "group_by"],
    ["?limit=1", "limit"],
  ])("refuses %s", async (query, param) => {
    const { status, body } = await usage(query);
    expect([status, body]).toMatchObject([400, { error: { code: "invalid_request", param } }]);
  });

  it("takes 366 days", async () => {
    expect((await usage("?from=2027-01-01&to=2028-01-01")).status).toBe(200);
  });

  it("has at most 10,000 rows", async () => {
    const fill = (rows: number) =>
      runInDurableObject(env.ACCOUNT.getByName(user.id), (_, { storage }) => {
        storage.sql.exec("DELETE FROM usage");
        storage.sql.exec(
          `INSERT INTO usage WITH RECURSIVE rows(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM rows WHERE n + 1 < ?1)
           SELECT 'key_01KQGQ0V5E8H2T7J4M9S' || (100000 + n), ?2, 'gpt-image-2', 1, 1, 1, 8 FROM rows`,
          ...[rows, NOW / DAY_MS - 0.5],
        );
      });
    await fill(ROWS_MAX);
    expect((await dataOf()).length).toBe(ROWS_MAX);
    await fill(ROWS_MAX + 1);
    expect((await usage()).body).toMatchObject({ error: { code: "invalid_request", param: "group_by" } });
    expect(await dataOf("?group_by=model")).toMatchObject([{ credits: 8 * (ROWS_MAX + 1) }]);
  });

  it("is CSV where that is asked for", async () => {
    await generate();
    const headers = { Accept: "text/csv" };
    const answer = await usage("?group_by=model,day", headers);
    expect(answer.headers.get("Content-Type")).toBe("text/csv; charset=utf-8");
    expect(answer.headers.get("Content-Disposition")).toBe('attachment; filename="usage.csv"');
    expect(answer.headers.get("Vary")).toContain("Accept");
    expect(answer.text).toBe("day,model,generations,images,credits\r\n2027-05-10,gpt-image-2,1,1,8\r\n");
    expect((await usage("", headers)).text).toContain(`\r\n2027-05-10,${user.keyId},gpt-image-2,1,1,8\r\n`);
    expect((await usage("?from=2020-01-01&to=2020-01-01", headers)).text).toBe(
      "day,api_key_id,model,generations,images,credits\r\n",
    );
    expect((await usage("", { Accept: "*/*" })).headers.get("Content-Type")).toContain("application/json");
  });
});

describe("csvOf", () => {
  it.each([
    ["plain", "plain"],
    ["a,b", '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ["two\nlines", '"two\nlines"'],
    ["=1+1", "'=1+1"],
    ["+1", "'+1"],
    ["-1", "'-1"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\tx", "'\tx"],
    ['=HYPERLINK("x","y")', `"'=HYPERLINK(""x"",""y"")"`],
    ["a=b", "a=b"],
    ["", ""],
  ])("writes %j", (text, cell) => {
    expect(csvOf(["a", "b"], [[text, -8]])).toBe(`a,b\r\n${cell},-8\r\n`);
  });
});
