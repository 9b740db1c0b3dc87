import { describe, expect, it, vi } from "vitest";
import { ADMIN_TOKEN, call, newUser, operate } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { IssuedKey, invalid, listOf, refusal, User } from "../support/shapes.ts";

/** The operator's API: who may use it, and the users. */
const fresh = () => `${crypto.randomUUID()}@example.com`;

describe("the operator's token", () => {
  const calls: [string, string, number][] = [
    ["POST", "/users", 415],
    ["GET", "/users?email=a@b.co", 200],
    ["PATCH", "/users/u", 415],
    ["POST", "/users/u/credits", 404],
    ["GET", "/users/u/credits", 404],
    ["POST", "/users/u/api_keys", 404],
    ["GET", "/users/u/api_keys", 404],
    ["DELETE", "/api_keys/k", 404],
    ["GET", "/nothing", 404],
    ["PUT", "/users", 405],
  ];

  describe.each(calls)("on %s %s", (method, path, admitted) => {
    const callWith = (value: string | undefined, settings?: Record<string, unknown>) =>
      call(method, `/api/admin${path}`, {
        headers: value === undefined ? {} : { Authorization: value },
        ...(settings === undefined ? {} : { settings }),
      });

    it.each([`Bearer ${ADMIN_TOKEN}`, `bearer ${ADMIN_TOKEN}`, `BEARER   ${ADMIN_TOKEN}`])(
      "lets in %s",
      async (value) => {
        expect((await callWith(value)).status).toBe(admitted);
      },
    );

    it.each([
      [undefined, "missingApiKey"],
      ["", "missingApiKey"],
      ["Bearer", "invalidApiKey"],
      [ADMIN_TOKEN, "invalidApiKey"],
      [`Basic ${ADMIN_TOKEN}`, "invalidApiKey"],
      [`Bearer ${ADMIN_TOKEN}x`, "invalidApiKey"],
      [`Bearer ${ADMIN_TOKEN.slice(1)}`, "invalidApiKey"],
      [`Bearer ${ADMIN_TOKEN.toUpperCase()}`, "invalidApiKey"],
      [`Bearer ${ADMIN_TOKEN} x`, "invalidApiKey"],
      ["Bearer undefined", "invalidApiKey"],
    ])("refuses %s", async (value, code) => {
      const answer = await callWith(value);
      expect(refusal(answer)).toMatchObject({ status: 401, code, param: null });
      expect(answer.headers.get("WWW-Authenticate")).toBe("Bearer");
    });

    it.each([undefined, `Bearer ${ADMIN_TOKEN}`, "Bearer undefined", "Bearer "])(
      "is never compared while none is configured: %s",
      async (value) => {
        for (const unset of [undefined, ""]) {
          const answer = await callWith(value, { ADMIN_TOKEN: unset });
          expect(refusal(answer)).toMatchObject({ status: 404, code: "notFound" });
          expect(answer.headers.get("WWW-Authenticate")).toBe(null);
        }
      },
    );
  });

  it("needs at least 32 characters: with a shorter one the routes do not exist, and the log says why", async () => {
    const said = spyOnLog();
    const path = "/api/admin/users?email=a@b.co";
    const short = "x".repeat(31);
    const answer = await call("GET", path, { key: short, settings: { ADMIN_TOKEN: short } });
    expect(refusal(answer)).toMatchObject({ status: 404, code: "notFound" });
    expect(said.mock.calls.flat().join()).toContain('{"event":"admin_token_too_short","length_min":32}');
    said.mockRestore();
    const long = "x".repeat(32);
    expect((await call("GET", path, { key: long, settings: { ADMIN_TOKEN: long } })).status).toBe(200);
  });

  it("can be the previous one while it is rotated, if that has 32 characters", async () => {
    const callWith = (key: string, previous: string | undefined) =>
      call("GET", "/api/admin/users?email=a@b.co", { key, settings: { ADMIN_TOKEN_PREVIOUS: previous } });
    const old = "o".repeat(32);
    expect((await callWith(old, old)).status).toBe(200);
    expect((await callWith(ADMIN_TOKEN, old)).status).toBe(200);
    const short = "o".repeat(31);
    for (const [key, previous] of [
      [`${old}x`, old],
      [old, undefined],
      [short, short],
      ["", ""],
    ] as const) {
      expect((await callWith(key, previous)).status).toBe(401);
    }
  });

  it("is compared in constant time, whatever its length", async () => {
    const compare = vi.spyOn(crypto.subtle, "timingSafeEqual");
    for (const token of ["x", "x".repeat(5_000), ADMIN_TOKEN]) {
      await call("GET", "/api/admin/users?email=a@b.co", { key: token });
    }
    const lengths = compare.mock.calls.flat().map((digest) => digest.byteLength);
    compare.mockRestore();
    expect(lengths).toEqual([32, 32, 32, 32, 32, 32]);
  });
});

describe("an operator's change", () => {
  it("logs one line, with ids and amounts, and without names, addresses or secrets", async () => {
    const email = fresh();
    const said = spyOnLog();
    const user = User.parse((await operate("POST", "/users", { email, name: "Ada" })).body);
    await operate("PATCH", `/users/${user.id}`, { account_type: "PRO", name: "Ada L" });
    await operate("POST", `/users/${user.id}/credits`, { id: "order", credits: 50, reason: "Ada's" });
    await operate("POST", `/users/${user.id}/credits`, { id: "order", credits: 50 });
    const issued = await operate("POST", `/users/${user.id}/api_keys`, { name: "Ada's laptop" });
    const key = IssuedKey.parse(issued.body);
    await operate("DELETE", `/api_keys/${key.id}`);
    await operate("POST", "/reconcile?cursor=user_7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    // Calls without a change log none: reads, refusals, and a report without repair.
    await operate("GET", `/users?email=${email}`);
    await operate("POST", "/users", { email });
    await operate("POST", `/users/${user.id}/credits`, { id: "order", credits: 51 });
    await operate("GET", "/reconcile");
    const lines = said.mock.calls.flat().filter((line) => `${line}`.includes('"admin_action"'));
    said.mockRestore();
    const unchanged = { suspended: null, reason: null };
    const grant = { user_id: user.id, grant_id: "order", credits: 50, expires_at: null };
    expect(lines.map((line) => JSON.parse(line))).toEqual(
      [
        { action: "create_user", user_id: user.id, account_type: "FREE" },
        { action: "change_user", user_id: user.id, account_type: "PRO", name_changed: true, ...unchanged },
        { action: "grant_credits", ...grant, repeated: false },
        { action: "grant_credits", ...grant, repeated: true },
        { action: "create_key", user_id: user.id, key_id: key.id, mode: "live", expires_at: null },
        { action: "revoke_key", key_id: key.id },
        { action: "repair_log", from_user_id: "user_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", repaired: 0 },
      ].map((fields) => ({ event: "admin_action", request_id: expect.stringMatching(/^req_/), ...fields })),
    );
    expect(lines.join()).not.toMatch(/Ada|@|gih_(live|test)/);
  });
});

describe("POST /api/admin/users", () => {
  it("creates a user", async () => {
    const email = fresh();
    const answer = await operate("POST", "/users", { email, name: "Ada", account_type: "PRO" });
    expect(answer.status).toBe(201);
    expect(User.parse(answer.body)).toMatchObject({ email, name: "Ada", account_type: "PRO" });
  });

  it("starts with FREE, without a name and without credits", async () => {
    const user = User.parse((await operate("POST", "/users", { email: fresh() })).body);
    expect(user).toMatchObject({ name: null, account_type: "FREE" });
    const { body } = await operate("GET", `/users/${user.id}/credits`);
    expect(body).toMatchObject({ balance: { credits: 0 }, grants: [], entries: { data: [] } });
  });

  it("ignores the case of an email, and accepts it once", async () => {
    const email = fresh();
    const answer = await operate("POST", "/users", { email: ` ${email.toUpperCase()} ` });
    expect(User.parse(answer.body).email).toBe(email);
    expect(refusal(await operate("POST", "/users", { email }))).toMatchObject({
      ...{ status: 409, code: "conflict", param: "email" },
    });
  });

  it("accepts an email once in ten parallel calls", async () => {
    const email = fresh();
    const answers = await Promise.all(Array.from({ length: 10 }, () => operate("POST", "/users", { email })));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(9).fill(409)]);
  });

  it.each<[unknown, string | null, string]>([
    [{}, "email", "email is required."],
    [{ email: null }, "email", "email must be a string."],
    [{ email: "nobody" }, "email", "email must be an e-mail address."],
    [{ email: "" }, "email", "email must be an e-mail address."],
    [{ email: "a@b" }, "email", "email must be an e-mail address."],
    [{ email: "a@b.co\n" }, null, ""],
    [{ email: `${"a".repeat(250)}@b.co` }, "email", "email must be at most 254 characters long."],
    [{ email: "a@b.co", name: "" }, "name", "name must be at least 1"],
    [{ email: "a@b.co", name: "  " }, "name", "name must be at least 1"],
    [{ email: "a@b.co", name: "n".repeat(101) }, "name", "name must be at most 100 characters long."],
    [{ email: "a@b.co", name: 5 }, "name", "name must be a string."],
    [{ email: "a@b.co", account_type: "GOLD" }, "account_type", "account_type must be one of FREE, PRO."],
    [{ email: "a@b.co", account_type: "pro" }, "account_type", "account_type must be one of FREE, PRO."],
    [{ email: "a@b.co", credits: 5 }, "credits", "credits is not a field of this request."],
    [[], null, "The body must be a JSON object."],
  ])("refuses %j", async (json, param, message) => {
    const answer = await operate("POST", "/users", json);
    // White space around an email is accepted.
    if (message === "") expect(answer.status).toBe(201);
    else expect(refusal(answer)).toEqual(invalid(param, message));
  });

  it("accepts a name of 100 characters", async () => {
    expect((await operate("POST", "/users", { email: fresh(), name: "n".repeat(100) })).status).toBe(201);
  });
});

describe("GET /api/admin/users?email=", () => {
  it("finds a user by email, ignoring case", async () => {
    const { id, email } = await newUser();
    const answer = await operate("GET", `/users?email=${encodeURIComponent(email.toUpperCase())}`);
    expect(
      listOf(User)
        .parse(answer.body)
        .data.map((user) => user.id),
    ).toEqual([id]);
  });

  it("finds nobody by another email", async () => {
    const answer = await operate("GET", `/users?email=${fresh()}`);
    expect([answer.status, answer.body]).toEqual([200, { object: "list", data: [] }]);
  });

  it.each([
    ["", "email"],
    ["?email=", "email"],
    ["?email=%25", "email"],
    ["?email=a@b.co&limit=5", "limit"],
  ])("refuses %j", async (query, param) => {
    expect(refusal(await operate("GET", `/users${query}`))).toEqual(invalid(param));
  });
});

describe("PATCH /api/admin/users/:id", () => {
  it("changes only the given fields", async () => {
    const { id, email } = await newUser();
    const change = async (json: unknown) => User.parse((await operate("PATCH", `/users/${id}`, json)).body);
    expect(await change({ name: "Ada" })).toMatchObject({ id, email, name: "Ada", account_type: "FREE" });
    expect(await change({ account_type: "PRO" })).toMatchObject({
      id,
      email,
      name: "Ada",
      account_type: "PRO",
    });
    expect(await change({ name: "Eve", account_type: "FREE" })).toMatchObject({
      name: "Eve",
      account_type: "FREE",
    });
  });

  it("changes no other user", async () => {
    const [changed, other] = [await newUser(), await newUser()];
    await operate("PATCH", `/users/${changed.id}`, { account_type: "PRO" });
    const { body } = await operate("GET", `/users?email=${other.email}`);
    expect(listOf(User).parse(body).data).toMatchObject([{ account_type: "FREE" }]);
  });

  it.each<[unknown, string | null, string]>([
    [{}, null, "The body must have name, account_type or suspended."],
    [{ name: null }, "name", "name must be a string."],
    [{ account_type: null }, "account_type", "account_type must be one of FREE, PRO."],
    [{ email: "new@example.com" }, "email", "email is not a field of this request."],
    [{ id: "user_1" }, "id", "id is not a field of this request."],
  ])("refuses %j", async (json, param, message) => {
    const { id } = await newUser();
    expect(refusal(await operate("PATCH", `/users/${id}`, json))).toEqual(invalid(param, message));
  });

  it.each(["user_01KNKKFJ0000000000000000AA", "nobody", "%00", "' OR 1=1 --", "*"])(
    "knows no %s",
    async (id) => {
      const answer = await operate("PATCH", `/users/${encodeURIComponent(id)}`, { name: "Ada" });
      expect(refusal(answer)).toMatchObject({ status: 404, code: "notFound" });
    },
  );
});
