import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PASSWORD, visit } from "../pages/visitor.ts";
import { call, newTestKey, newUser, operate, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";
import { Pending, refusal, User } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

/** The operator's API: suspending and deleting users, and ending their sessions. */
let user: TestUser;
const lines: string[] = [];

beforeEach(async () => {
  lines.length = 0;
  spyOnLog((line) => lines.push(line));
  user = await newUser(100);
});

afterEach(() => {
  vi.restoreAllMocks();
});

const SUSPENDED = {
  ...{ status: 403, code: "forbidden", param: null },
  message: "This account is suspended. Contact the operator of this service.",
};
const models = (key: string) => call("GET", "/api/v1/credits", { key });
const actions = () => lines.filter((line) => line.includes('"admin_action"')).map((line) => JSON.parse(line));

/** A browser that is signed in as a new user. */
async function signedIn() {
  const visitor = visit();
  const email = await visitor.signUp();
  const row = await env.DB.prepare("SELECT id FROM users WHERE email = ?")
    .bind(email)
    .first<{ id: string }>();
  return { visitor, email, id: row?.id ?? "" };
}

describe("a suspended user", () => {
  it("is refused with every key from the next request on, and let in again when resumed", async () => {
    const testKey = await newTestKey(user.id);
    const answer = await operate("PATCH", `/users/${user.id}`, { suspended: true, reason: "chargeback" });
    expect(User.parse(answer.body).suspended_at).toEqual(expect.any(String));
    for (const key of [user.key, testKey]) expect(refusal(await models(key))).toMatchObject(SUSPENDED);
    const json = { model: "gpt-image-2", prompt: "a hill" };
    const compatible = await call("POST", "/openai/v1/images/generations", { key: user.key, json });
    expect(compatible).toMatchObject({ status: 403, body: { error: { message: SUSPENDED.message } } });
    const again = User.parse((await operate("PATCH", `/users/${user.id}`, { suspended: true })).body);
    expect(again.suspended_at).toBe(User.parse(answer.body).suspended_at);
    expect(
      User.parse((await operate("PATCH", `/users/${user.id}`, { suspended: false })).body),
    ).toMatchObject({
      suspended_at: null,
    });
    expect((await models(user.key)).status).toBe(200);
    expect(actions().slice(-3)).toMatchObject([
      { action: "change_user", user_id: user.id, suspended: true, reason: "chargeback" },
      { action: "change_user", user_id: user.id, suspended: true },
      { action: "change_user", user_id: user.id, suspended: false },
    ]);
  });

  it("costs a request no further query", async () => {
    const prepared = vi.spyOn(Object.getPrototypeOf(env.DB), "prepare");
    await models(user.key);
    prepared.mockClear();
    await models(user.key);
    expect(prepared).toHaveBeenCalledTimes(0);
  });

  it("keeps work that was accepted", async () => {
    holdQueue();
    provide();
    const json = { model: "gpt-image-2", prompt: "a hill", async: true };
    const { id } = Pending.parse(
      (await call("POST", "/api/v1/images/generations", { key: user.key, json })).body,
    );
    await operate("PATCH", `/users/${user.id}`, { suspended: true });
    const account = env.ACCOUNT.getByName(user.id);
    expect((await account.begin(id)).kind).toBe("run");
    const ended = await account.finish(id, 1, { images: [], failure: "generationFailed" });
    expect(ended).toMatchObject({ kind: "settled", balance: { credits: 100 } });
  });

  it("is signed out, and a new sign-in only says why", async () => {
    const { visitor, email, id } = await signedIn();
    expect((await visitor.get("/account")).status).toBe(200);
    await operate("PATCH", `/users/${id}`, { suspended: true });
    expect((await visitor.get("/account")).headers.get("location")).toMatch(/^\/sign-in/);
    await visitor.post("/sign-in", { email, password: PASSWORD });
    const page = await visitor.get("/account");
    expect(page.status).toBe(403);
    expect(await page.text()).toContain(SUSPENDED.message);
    expect((await visitor.get("/account")).headers.get("location")).toMatch(/^\/sign-in/);
    await operate("PATCH", `/users/${id}`, { suspended: false });
    await visitor.post("/sign-in", { email, password: PASSWORD });
    expect((await visitor.get("/account")).status).toBe(200);
  });

  it.each([
    [{ suspended: "yes" }, "suspended"],
    [{ suspended: null }, "suspended"],
    [{ reason: "spam" }, null],
    [{ name: "Ada", reason: "spam" }, "reason"],
    [{ suspended: true, reason: "" }, "reason"],
    [{ suspended: true, reason: "r".repeat(201) }, "reason"],
  ])("is not made by %j", async (json, param) => {
    expect(refusal(await operate("PATCH", `/users/${user.id}`, json))).toMatchObject({ status: 400, param });
    expect((await models(user.key)).status).toBe(200);
  });

  it("may have a reason of 200 characters", async () => {
    const json = { suspended: true, reason: "r".repeat(200) };
    expect((await operate("PATCH", `/users/${user.id}`, json)).status).toBe(200);
  });
});

describe("DELETE /api/admin/users/:id/sessions", () => {
  it("signs every browser of the user out, and nobody else", async () => {
    const [one, other] = [await signedIn(), await signedIn()];
    expect((await operate("DELETE", `/users/${one.id}/sessions`)).status).toBe(204);
    expect((await one.visitor.get("/account")).status).toBe(303);
    expect((await other.visitor.get("/account")).status).toBe(200);
    expect(actions().at(-1)).toMatchObject({ action: "end_sessions", user_id: one.id, sessions: 1 });
    expect((await operate("DELETE", `/users/${one.id}/sessions`)).status).toBe(204);
    expect((await operate("DELETE", "/users/nobody/sessions")).status).toBe(404);
  });
});

describe("DELETE /api/admin/users/:id", () => {
  it("refuses keys and sessions, frees the address, and keeps the ledger without a name", async () => {
    const { visitor, email, id } = await signedIn();
    const issued = await operate("POST", `/users/${id}/api_keys`, { name: "Ada's laptop" });
    const { api_key: key } = Object(issued.body);
    await operate("PATCH", `/users/${id}`, { name: "Ada" });
    await operate("POST", `/users/${id}/credits`, { id: "order", credits: 5 });
    for (let times = 0; times < 2; times++)
      expect((await operate("DELETE", `/users/${id}`)).status).toBe(204);
    expect(refusal(await models(key))).toMatchObject({ status: 401, code: "invalidApiKey" });
    expect((await visitor.get("/account")).status).toBe(303);
    expect((await operate("GET", `/users?email=${email}`)).body).toMatchObject({ data: [] });
    const statement = await operate("GET", `/users/${id}/credits`);
    expect(statement.body).toMatchObject({ balance: { credits: 5 }, entries: { data: [{ credits: 5 }] } });
    const tables = await Promise.all(
      ["users", "accounts", "sessions", "api_keys", "verifications"].map(async (table) => {
        const { results } = await env.DB.prepare(`SELECT * FROM ${table}`).all();
        return JSON.stringify(results);
      }),
    );
    expect(tables.join()).not.toContain(email);
    expect(tables.join()).not.toContain("Ada");
    await visitor.post("/sign-up", { email, password: PASSWORD });
    expect((await visitor.get("/account")).status, "the address can sign up again").toBe(200);
  });

  it("cannot be undone by resuming", async () => {
    await operate("DELETE", `/users/${user.id}`);
    const resumed = await operate("PATCH", `/users/${user.id}`, { suspended: false });
    expect(refusal(resumed)).toMatchObject({ status: 404 });
    expect((await operate("DELETE", "/users/nobody")).status).toBe(404);
  });
});
