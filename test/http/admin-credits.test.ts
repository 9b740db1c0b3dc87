import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { ADMIN_TOKEN, call, creditsOf, newUser, operate } from "../support/http.ts";
import { Granted, invalid, refusal, Statement } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

/** The operator's API: a user's credits. */
afterEach(() => {
  vi.restoreAllMocks();
});

const grant = (userId: string, json: object) =>
  operate("POST", `/users/${userId}/credits`, { id: crypto.randomUUID(), ...json });
const statement = async (userId: string, query = "") =>
  Statement.parse((await operate("GET", `/users/${userId}/credits${query}`)).body);

describe("POST /api/admin/users/:id/credits", () => {
  it("adds credits at once", async () => {
    const user = await newUser(0, "PRO");
    const answer = await grant(user.id, { credits: 120, reason: "a gift" });
    expect(answer.status).toBe(201);
    expect(Granted.parse(answer.body)).toMatchObject({
      grant: { credits: 120, remaining: 120, expires_at: null, reason: "a gift" },
      balance: { credits: 120, account_type: "PRO", next_expiration: null },
    });
    expect(await creditsOf(user)).toBe(120);
  });

  it("adds nothing when the id is repeated, and returns the first grant", async () => {
    const user = await newUser();
    const json = { id: "order-17", credits: 50, reason: "first" };
    const first = await grant(user.id, json);
    const again = await grant(user.id, { ...json, reason: "second" });
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(again.body).toEqual(first.body);
    expect(await creditsOf(user)).toBe(50);
  });

  it("shows what is left of a grant when its id is repeated", async () => {
    provide();
    const user = await newUser();
    await grant(user.id, { id: "order", credits: 20 });
    await call("POST", "/api/v1/images/generations", {
      key: user.key,
      json: { model: "gpt-image-2", prompt: "a" },
    });
    const { body } = await grant(user.id, { id: "order", credits: 20 });
    expect(body).toMatchObject({ grant: { credits: 20, remaining: 12 }, balance: { credits: 12 } });
  });

  it("refuses the same id with other credits", async () => {
    const user = await newUser();
    await grant(user.id, { id: "order-17", credits: 50 });
    expect(refusal(await grant(user.id, { id: "order-17", credits: 51 }))).toMatchObject({
      ...{ status: 409, code: "conflict", param: "id" },
    });
    expect(await creditsOf(user)).toBe(50);
  });

  it("refuses the same id with another expiry, or without one", async () => {
    const user = await newUser();
    const json = { id: "order-17", credits: 50, expires_at: "2099-01-31T12:00:00Z" };
    expect((await grant(user.id, json)).status).toBe(201);
    for (const expires_at of ["2099-01-31T12:00:01Z", null, undefined]) {
      expect(refusal(await grant(user.id, { ...json, expires_at }))).toMatchObject({
        ...{ status: 409, code: "conflict", param: "id" },
      });
    }
    expect((await grant(user.id, { ...json, expires_at: "2099-01-31T15:00:00+03:00" })).status).toBe(200);
    expect(await creditsOf(user)).toBe(50);
  });

  it("returns the same for a repeated id after the grant has expired", async () => {
    const user = await newUser();
    const json = { id: "order-17", credits: 50, expires_at: new Date(Date.now() + 1_000).toISOString() };
    expect((await grant(user.id, json)).status).toBe(201);
    await vi.waitFor(async () => expect(await creditsOf(user)).toBe(0), { timeout: 5_000 });
    const again = await grant(user.id, json);
    expect(again).toMatchObject({ status: 200, body: { grant: { credits: 50, remaining: 0 } } });
    const later = { ...json, expires_at: "2099-01-31T12:00:00Z" };
    expect(refusal(await grant(user.id, later))).toMatchObject({ status: 409, code: "conflict" });
  });

  it("accepts the same id for another user", async () => {
    const [one, other] = [await newUser(), await newUser()];
    expect((await grant(one.id, { id: "order", credits: 5 })).status).toBe(201);
    expect((await grant(other.id, { id: "order", credits: 6 })).status).toBe(201);
    expect([await creditsOf(one), await creditsOf(other)]).toEqual([5, 6]);
  });

  it("adds once for twenty parallel calls with the same id", async () => {
    const user = await newUser();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => grant(user.id, { id: "order", credits: 5 })),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([...Array(19).fill(200), 201]);
    expect(await creditsOf(user)).toBe(5);
  });

  it.each<[string, Record<string, unknown>]>([
    ["1 credit", { credits: 1 }],
    ["a billion", { credits: 1_000_000_000 }],
    ["an id of 128 characters", { credits: 5, id: "i".repeat(128) }],
    ["an id like a reserved one", { credits: 5, id: "signup2" }],
    ["an id with refund_ inside", { credits: 5, id: "a_refund_" }],
    ["a reason of 200 characters", { credits: 5, reason: "r".repeat(200) }],
    ["expires_at null", { credits: 5, expires_at: null }],
    ["expires_at with an offset", { credits: 5, expires_at: "2099-01-31T12:00:00+03:00" }],
  ])("takes %s", async (_name, json) => {
    const user = await newUser();
    expect((await grant(user.id, json)).status).toBe(201);
    expect(await creditsOf(user)).toBe(json["credits"]);
  });

  it("shows every time in UTC", async () => {
    const { id } = await newUser();
    const { body } = await grant(id, { credits: 5, expires_at: "2099-01-31T12:00:00+03:00" });
    expect(body).toMatchObject({
      grant: { expires_at: "2099-01-31T09:00:00.000Z" },
      balance: { next_expiration: "2099-01-31T09:00:00.000Z" },
    });
  });

  it.each([
    ["refuses an expiry in the past", -1, 400],
    ["refuses an expiry of now", 0, 400],
    ["takes an expiry 1 ms ahead", 1, 201],
  ])("%s", async (_name, milliseconds, status) => {
    const { id } = await newUser();
    const now = Date.now();
    vi.spyOn(Date, "now").mockReturnValue(now);
    const answer = await grant(id, { credits: 5, expires_at: new Date(now + milliseconds).toISOString() });
    expect(answer.status).toBe(status);
    if (status === 400)
      expect(refusal(answer)).toEqual(invalid("expires_at", "expires_at must be in the future."));
  });

  it.each<[object, string | null, string]>([
    [{}, "credits", "credits is required."],
    [{ credits: 0 }, "credits", "credits must be at least 1."],
    [{ credits: -5 }, "credits", "credits must be at least 1."],
    [{ credits: 1.5 }, "credits", "credits must be a whole number."],
    [{ credits: 1_000_000_001 }, "credits", "credits must be at most 1000000000."],
    [{ credits: 2 ** 53 + 2 }, "credits", "credits must be at most 1000000000."],
    [{ credits: 1e300 }, "credits", "credits must be at most 1000000000."],
    [{ credits: "5" }, "credits", "credits must be a number."],
    [{ credits: null }, "credits", "credits must be a number."],
    [{ credits: 5, id: "" }, "id", "id must be 1 to 128 visible ASCII characters."],
    [{ credits: 5, id: "i".repeat(129) }, "id", "id must be 1 to 128 visible ASCII characters."],
    [{ credits: 5, id: "a b" }, "id", "id must be 1 to 128 visible ASCII characters."],
    [{ credits: 5, id: "é" }, "id", "id must be 1 to 128 visible ASCII characters."],
    [{ credits: 5, id: "a\n" }, "id", "id must be 1 to 128 visible ASCII characters."],
    [{ credits: 5, id: "signup" }, "id", "id must not be signup or begin with refund_ or stripe_cs_."],
    [{ credits: 5, id: "refund_" }, "id", "id must not be signup or begin with refund_ or stripe_cs_."],
    [{ credits: 5, id: "stripe_cs_1" }, "id", "id must not be signup or begin with refund_ or stripe_cs_."],
    [{ credits: 5, id: "refund_gen_1" }, "id", "id must not be signup or begin with refund_ or stripe_cs_."],
    [{ credits: 5, id: null }, "id", "id must be a string."],
    [{ credits: 5, expires_at: "tomorrow" }, "expires_at", "expires_at must be an ISO 8601 time"],
    [{ credits: 5, expires_at: "2099-01-31" }, "expires_at", "expires_at must be an ISO 8601 time"],
    [{ credits: 5, expires_at: "2099-01-31T12:00:00" }, "expires_at", "expires_at must be an ISO 8601 time"],
    [{ credits: 5, expires_at: "2099-02-30T12:00:00Z" }, "expires_at", "expires_at must be an ISO 8601 time"],
    [{ credits: 5, expires_at: 4_102_444_800_000 }, "expires_at", "expires_at must be a string."],
    [{ credits: 5, reason: "r".repeat(201) }, "reason", "reason must be at most 200 characters long."],
    [{ credits: 5, expire_at: null }, "expire_at", "expire_at is not a field of this request."],
  ])("refuses %j", async (json, param, message) => {
    const user = await newUser();
    expect(refusal(await grant(user.id, json))).toEqual(invalid(param, message));
    expect(await creditsOf(user)).toBe(0);
  });

  it("returns 404 for an unknown user, and creates no account", async () => {
    expect(refusal(await grant("user_01KNKKFJ0000000000000000AA", { credits: 5 }))).toMatchObject({
      status: 404,
    });
    expect((await operate("GET", "/users/nobody/credits")).status).toBe(404);
  });
});

describe("a grant without an id", () => {
  const send = (userId: string, headers: Record<string, string>) =>
    call("POST", `/api/admin/users/${userId}/credits`, { key: ADMIN_TOKEN, headers, json: { credits: 5 } });

  it("takes the Idempotency-Key as its id, and is added once", async () => {
    const user = await newUser();
    const first = await send(user.id, { "Idempotency-Key": "order-18" });
    expect(first).toMatchObject({ status: 201, body: { grant: { id: "order-18" } } });
    expect((await send(user.id, { "Idempotency-Key": '"order-18"' })).status).toBe(200);
    expect((await grant(user.id, { id: "order-18", credits: 5 })).status).toBe(200);
    expect(await creditsOf(user)).toBe(5);
  });

  it.each([
    [undefined, /^Name the grant: send id in the body or the header Idempotency-Key/],
    ["i".repeat(129), /^Idempotency-Key must have at most 128 characters/],
    ["signup", /must not be signup or begin with refund_ or stripe_cs_\.$/],
    ["a b", /^Idempotency-Key must be 1 to 255 visible ASCII characters\.$/],
  ])("is refused with the Idempotency-Key %s", async (key, message) => {
    const user = await newUser();
    const answer = await send(user.id, key === undefined ? {} : { "Idempotency-Key": key });
    expect(refusal(answer)).toMatchObject({ status: 400, param: "Idempotency-Key" });
    expect(refusal(answer).message).toMatch(message);
    expect(await creditsOf(user)).toBe(0);
  });

  it("may have a key of 128 characters", async () => {
    const { id } = await newUser();
    expect((await send(id, { "Idempotency-Key": "i".repeat(128) })).status).toBe(201);
  });
});

describe("GET /api/admin/users/:id/credits", () => {
  it("shows the balance, the grants and the entries, newest first", async () => {
    provide(1);
    const user = await newUser();
    const expiry = "2099-01-01T00:00:00.000Z";
    await grant(user.id, { id: "forever", credits: 10 });
    await grant(user.id, { id: "soon", credits: 20, expires_at: expiry });
    const json = { model: "gpt-image-2", prompt: "a hill", n: 3 };
    const { body } = await call("POST", "/api/v1/images/generations", { key: user.key, json });
    const { id } = z.object({ id: z.string() }).parse(body);

    const { balance, grants, entries } = await statement(user.id);
    expect(balance).toMatchObject({ credits: 22, next_expiration: expiry });
    expect(grants.map((each) => [each.id, each.credits, each.remaining, each.expires_at])).toEqual([
      ["soon", 20, 12, expiry],
      ["forever", 10, 10, null],
    ]);
    const lines = entries.data.map((each) => [each.kind, each.credits, each.balance_after, each.grant_id]);
    expect(lines).toEqual([
      ["refund", 12, 22, "soon"],
      ["refund", 4, 10, "forever"],
      ["charge", -4, 6, "forever"],
      ["charge", -20, 10, "soon"],
      ["grant", 20, 30, "soon"],
      ["grant", 10, 10, "forever"],
    ]);
    expect(entries.data.map((each) => each.generation_id)).toEqual([id, id, id, id, null, null]);
    expect([entries.has_more, entries.next_cursor]).toEqual([false, null]);
    expect(new Set(entries.data.map((each) => each.id)).size).toBe(6);
  });

  it("books expired credits when it is read", async () => {
    const user = await newUser(4);
    const expiry = Date.now() + 60_000;
    await grant(user.id, { credits: 6, expires_at: new Date(expiry).toISOString() });
    vi.spyOn(Date, "now").mockReturnValue(expiry);
    const { balance, entries } = await statement(user.id);
    expect([balance.credits, entries.data[0]]).toMatchObject([
      4,
      { kind: "expiry", credits: -6, balance_after: 4 },
    ]);
  });

  it("pages through each entry once, even if more are added meanwhile", async () => {
    const user = await newUser();
    for (let credits = 1; credits <= 45; credits++) await grant(user.id, { credits });
    const first = await statement(user.id);
    expect([first.entries.data.length, first.entries.has_more]).toEqual([20, true]);
    await grant(user.id, { credits: 999 });
    const read = first.entries.data.map((each) => each.credits);
    let cursor = first.entries.next_cursor;
    while (cursor !== null) {
      const { entries } = await statement(user.id, `?limit=10&cursor=${encodeURIComponent(cursor)}`);
      expect(entries.has_more).toBe(entries.next_cursor !== null);
      read.push(...entries.data.map((each) => each.credits));
      cursor = entries.next_cursor;
    }
    expect(read).toEqual(Array.from({ length: 45 }, (_, at) => 45 - at));
  });

  it.each([
    ["?limit=1", 1, true],
    ["?limit=3", 3, false],
    ["?limit=100", 3, false],
    ["?limit=2", 2, true],
  ])("gives as many as are asked for: %s", async (query, count, hasMore) => {
    const user = await newUser();
    for (const credits of [1, 2, 3]) await grant(user.id, { credits });
    const { entries } = await statement(user.id, query);
    expect([entries.data.length, entries.has_more]).toEqual([count, hasMore]);
  });

  it.each([
    ["limit=0", "limit", "limit must be at least 1."],
    ["limit=101", "limit", "limit must be at most 100."],
    ["limit=ten", "limit", "limit must be a whole number."],
    ["limit=", "limit", "limit must be a whole number."],
    ["limit=-1", "limit", "limit must be a whole number."],
    ["limit=1.5", "limit", "limit must be a whole number."],
    ["limit=9999999999999999", "limit", "limit must be a whole number."],
    ["cursor=", "cursor", "cursor must be the next_cursor of an earlier answer."],
    ["cursor=nonsense", "cursor", "cursor must be the next_cursor of an earlier answer."],
    ["cursor=5", "cursor", "cursor must be the next_cursor of an earlier answer."],
    [`cursor=${btoa("0")}`, "cursor", "cursor must be the next_cursor of an earlier answer."],
    [`cursor=${btoa("-5")}`, "cursor", "cursor must be the next_cursor of an earlier answer."],
    [`cursor=${btoa("1 OR 1=1")}`, "cursor", "cursor must be the next_cursor of an earlier answer."],
    [`cursor=${"A".repeat(60)}`, "cursor", "cursor must be the next_cursor of an earlier answer."],
    ["page=2", "page", "page is not a field of this request."],
  ])("refuses ?%s", async (query, param, message) => {
    const { id } = await newUser();
    expect(refusal(await operate("GET", `/users/${id}/credits?${query}`))).toEqual(invalid(param, message));
  });
});

describe("POST /api/admin/users/:id/grants/:grant_id/reverse", () => {
  const reverse = (userId: string, grantId: string) =>
    operate("POST", `/users/${userId}/grants/${encodeURIComponent(grantId)}/reverse`);

  it("takes back what is left, once, and lists it", async () => {
    const user = await newUser();
    await grant(user.id, { credits: 30, id: "a/b" });
    await grant(user.id, { credits: 5, id: "other" });
    for (const _ of ["once", "again"]) {
      const { status, body } = await reverse(user.id, "a/b");
      expect(status).toBe(200);
      expect(body).toMatchObject({
        grant: { id: "a/b", credits: 30, remaining: 0 },
        taken: 30,
        shortfall: 0,
        balance: { credits: 5 },
      });
    }
    const { body } = await operate("GET", `/users/${user.id}/credits`);
    expect(body).toMatchObject({
      entries: { data: [{ kind: "reversal", credits: -30, balance_after: 5, grant_id: "a/b" }, {}, {}] },
    });
  });

  it("finds neither an unknown grant nor an unknown user", async () => {
    const user = await newUser();
    expect((await reverse(user.id, "nothing")).status).toBe(404);
    expect((await reverse("user_nobody", "nothing")).status).toBe(404);
  });
});
