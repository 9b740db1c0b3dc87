import { afterEach, describe, expect, it, vi } from "vitest";
import { call, newUser, operate } from "../support/http.ts";
import { CreditBalance, EntryPage, GrantPage, invalid, refusal, Statement } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

const DAY_MS = 86_400_000;

afterEach(() => {
  vi.restoreAllMocks();
});

async function balance(key: string) {
  const answer = await call("GET", "/api/v1/credits", { key });
  expect(answer.status).toBe(200);
  return CreditBalance.parse(answer.body);
}

const grant = (userId: string, credits: number, expires_at: string | null = null) =>
  operate("POST", `/users/${userId}/credits`, { id: crypto.randomUUID(), credits, expires_at });

const inDays = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString();

describe("GET /api/v1/credits", () => {
  it("is 0 for a new user", async () => {
    const { key } = await newUser();
    expect(await balance(key)).toEqual({
      object: "credit_balance",
      credits: 0,
      account_type: "FREE",
      next_expiration: null,
    });
  });

  it("shows a change of the account type at once", async () => {
    const { id, key } = await newUser();
    await operate("PATCH", `/users/${id}`, { account_type: "PRO" });
    expect(await balance(key)).toMatchObject({ account_type: "PRO" });
  });

  it("is the rest after each charge", async () => {
    provide();
    const { key } = await newUser(30);
    const json = { model: "gpt-image-2", prompt: "a hill", quality: "2K", n: 2 };
    await call("POST", "/api/v1/images/generations", { key, json });
    expect(await balance(key)).toMatchObject({ credits: 10 });
  });

  it("has the earliest expiry of remaining credits", async () => {
    provide();
    const { id, key } = await newUser(5);
    expect(await balance(key)).toMatchObject({ next_expiration: null });
    const [soon, later] = [inDays(20), inDays(40)];
    await grant(id, 10, later);
    expect(await balance(key)).toMatchObject({ credits: 15, next_expiration: later });
    await grant(id, 8, soon);
    expect(await balance(key)).toMatchObject({ credits: 23, next_expiration: soon });
    await call("POST", "/api/v1/images/generations", {
      key,
      json: { model: "gpt-image-2", prompt: "a hill" },
    });
    expect(await balance(key)).toMatchObject({ credits: 15, next_expiration: later });
  });

  it.each([
    ["counts credits 1 ms before they expire", -1, 12],
    ["no longer counts them at that very time", 0, 5],
  ])("%s", async (_name, milliseconds, credits) => {
    const { id, key } = await newUser(5);
    const expiry = Date.now() + DAY_MS;
    await grant(id, 7, new Date(expiry).toISOString());
    vi.spyOn(Date, "now").mockReturnValue(expiry + milliseconds);
    expect(await balance(key)).toMatchObject({ credits });
  });
});

const entries = async (key: string, query = "") =>
  EntryPage.parse((await call("GET", `/api/v1/credits/entries${query}`, { key })).body);
const grants = async (key: string, query = "") =>
  GrantPage.parse((await call("GET", `/api/v1/credits/grants${query}`, { key })).body);

describe("GET /api/v1/credits/entries", () => {
  it("is empty for a new user", async () => {
    const { key } = await newUser();
    expect(await entries(key)).toEqual({ object: "list", data: [], has_more: false, next_cursor: null });
  });

  it("has the same entries as the operator's statement, in the same pages", async () => {
    provide(1);
    const { id, key } = await newUser(30);
    const json = { model: "gpt-image-2", prompt: "a hill", n: 2 };
    await call("POST", "/api/v1/images/generations", { key, json });
    for (const query of ["", "?limit=1", "?limit=2"]) {
      const { body } = await operate("GET", `/users/${id}/credits${query}`);
      expect(await entries(key, query)).toEqual(Statement.parse(body).entries);
    }
    const { data } = await entries(key);
    expect(data.map((entry) => [entry.kind, entry.credits, entry.balance_after])).toEqual([
      ["refund", 8, 22],
      ["charge", -16, 14],
      ["grant", 30, 30],
    ]);
  });

  it("has credits that have just expired", async () => {
    const { id, key } = await newUser(4);
    const expiry = Date.now() + DAY_MS;
    await grant(id, 6, new Date(expiry).toISOString());
    vi.spyOn(Date, "now").mockReturnValue(expiry);
    expect((await entries(key)).data[0]).toMatchObject({ kind: "expiry", credits: -6, balance_after: 4 });
  });

  it("has only the entries of the key's user", async () => {
    const [one, other] = [await newUser(5), await newUser(6)];
    expect((await entries(one.key)).data.map(({ credits }) => credits)).toEqual([5]);
    expect((await entries(other.key)).data.map(({ credits }) => credits)).toEqual([6]);
  });
});

describe("GET /api/v1/credits/grants", () => {
  it("shows what is left of each grant, and when it expires", async () => {
    provide();
    const { id, key } = await newUser(5);
    const soon = inDays(20);
    await grant(id, 6, soon);
    await call("POST", "/api/v1/images/generations", {
      key,
      json: { model: "gpt-image-2", prompt: "a hill" },
    });
    const { data } = await grants(key);
    expect(data.map((each) => [each.credits, each.remaining, each.expires_at])).toEqual(
      expect.arrayContaining([
        [6, 0, soon],
        [5, 3, null],
      ]),
    );
    expect(data).toHaveLength(2);
  });

  it("no longer counts what has expired", async () => {
    const { id, key } = await newUser();
    const expiry = Date.now() + DAY_MS;
    await grant(id, 6, new Date(expiry).toISOString());
    expect((await grants(key)).data).toMatchObject([{ credits: 6, remaining: 6 }]);
    vi.spyOn(Date, "now").mockReturnValue(expiry);
    expect((await grants(key)).data).toMatchObject([{ credits: 6, remaining: 0 }]);
  });

  it("pages through each grant once, even if more are added and some are spent meanwhile", async () => {
    provide();
    const { id, key } = await newUser();
    for (let credits = 1; credits <= 5; credits++) await grant(id, credits);
    const first = await grants(key, "?limit=2");
    await grant(id, 99);
    await call("POST", "/api/v1/images/generations", {
      key,
      json: { model: "gpt-image-2", prompt: "a hill" },
    });
    const read = [...first.data];
    for (let cursor = first.next_cursor; cursor !== null; ) {
      const page = await grants(key, `?limit=2&cursor=${encodeURIComponent(cursor)}`);
      expect(page.has_more).toBe(page.next_cursor !== null);
      read.push(...page.data);
      cursor = page.next_cursor;
    }
    expect(read.map(({ credits }) => credits).toSorted()).toEqual([1, 2, 3, 4, 5]);
  });
});

describe.each(["entries", "grants"])("the query of GET /api/v1/credits/%s", (list) => {
  it.each([
    ["limit=0", "limit", "limit must be at least 1."],
    ["limit=101", "limit", "limit must be at most 100."],
    ["limit=", "limit", "limit must be a whole number."],
    ["limit=1&limit=2", "limit", "limit is given twice."],
    ["cursor=", "cursor", "cursor must be the next_cursor of an earlier answer."],
    ["cursor=nonsense", "cursor", "cursor must be the next_cursor of an earlier answer."],
    ["cursor=%00", "cursor", "cursor must be the next_cursor of an earlier answer."],
    [`cursor=${btoa("1 OR 1=1")}`, "cursor", "cursor must be the next_cursor of an earlier answer."],
    [`cursor=${"A".repeat(300)}`, "cursor", "cursor must be the next_cursor of an earlier answer."],
    ["page=2", "page", "page is not a field of this request."],
  ])("refuses ?%s", async (query, param, message) => {
    const { key } = await newUser(5);
    const answer = await call("GET", `/api/v1/credits/${list}?${query}`, { key });
    expect(refusal(answer)).toEqual(invalid(param, message));
  });

  it("takes a limit of 1 and of 100", async () => {
    const { id, key } = await newUser(5);
    await grant(id, 6);
    for (const [limit, count] of [
      [1, 1],
      [100, 2],
    ]) {
      const { body } = await call("GET", `/api/v1/credits/${list}?limit=${limit}`, { key });
      expect(body).toMatchObject({ data: { length: count }, has_more: count === 1 });
    }
  });
});
