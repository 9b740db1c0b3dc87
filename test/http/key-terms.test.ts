import { env } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { call, creditsOf, newUser, operate, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { provide } from "../support/tiny-provider.ts";

const PATH = "/api/v1/images/generations";
const asked = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };
const OPENAI = "/openai/v1/images/generations";

let user: TestUser;
let logged: ReturnType<typeof spyOnLog>;

beforeEach(async () => {
  logged = spyOnLog();
  provide();
  user = await newUser(1_000);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

async function issue(terms: object, mode = "live") {
  const answer = await operate("POST", `/users/${user.id}/api_keys`, { name: "limited", mode, ...terms });
  const { id, api_key: key } = z.object({ id: z.string(), api_key: z.string() }).parse(answer.body);
  return { id, key };
}

const generate = (key: string, fields: object = {}) =>
  call("POST", PATH, { key, json: { ...asked, ...fields } });
const errorOf = ({ body }: { body: unknown }) => z.object({ error: z.looseObject({}) }).parse(body).error;

describe("scopes", () => {
  it("read reads, and changes nothing", async () => {
    const { key } = await issue({ scopes: ["read"] });
    for (const path of ["/credits", "/generations", "/usage", "/key", "/webhooks/secret"]) {
      expect((await call("GET", `/api/v1${path}`, { key })).status, path).toBe(200);
    }
    for (const path of [
      "/images/generations",
      "/images/estimate",
      "/references",
      "/webhooks/secret/rotate",
    ]) {
      const answer = await call("POST", `/api/v1${path}`, { key, json: asked });
      expect([answer.status, errorOf(answer)["code"]], path).toEqual([403, "forbidden"]);
    }
    const { id } = z.object({ id: z.string() }).parse((await generate(user.key)).body);
    expect((await call("POST", `/api/v1/generations/${id}/cancel`, { key })).status).toBe(403);
    expect(await creditsOf(user)).toBe(992);
  });

  it("generate generates, and reads nothing but its own key", async () => {
    const { key } = await issue({ scopes: ["generate"] });
    expect((await generate(key)).status).toBe(200);
    expect((await call("POST", "/api/v1/images/estimate", { key, json: asked })).status).toBe(200);
    for (const path of ["/credits", "/generations", "/usage", "/credits/entries"]) {
      expect(errorOf(await call("GET", `/api/v1${path}`, { key })), path).toMatchObject({
        code: "forbidden",
      });
    }
    expect((await call("GET", "/api/v1/key", { key })).body).toMatchObject({ scopes: ["generate"] });
    expect((await call("GET", "/openai/v1/models", { key })).status).toBe(200);
  });

  it("are in OpenAI's shape at its routes", async () => {
    const { key } = await issue({ scopes: ["read"] });
    const { status, headers, body } = await call("POST", OPENAI, { key, json: asked });
    expect([status, headers.get("x-should-retry")]).toEqual([403, "false"]);
    expect(body).toMatchObject({
      error: { type: "invalid_request_error", code: "insufficient_permissions" },
    });
  });
});

describe("models", () => {
  it("are the only ones that the key may use, by any of their names, in both dialects", async () => {
    const { key } = await issue({ models: ["openai/gpt-image-2"] });
    expect((await generate(key)).status).toBe(200);
    expect((await generate(key, { model: "openai/gpt-image-2" })).status).toBe(200);
    const other = { model: "nano-banana", size: undefined };
    const refused = {
      code: "forbidden",
      param: "model",
      message: expect.stringContaining("only gpt-image-2"),
    };
    expect(errorOf(await generate(key, other))).toMatchObject(refused);
    expect(
      errorOf(await call("POST", "/api/v1/images/estimate", { key, json: { ...asked, ...other } })),
    ).toMatchObject(refused);
    const openai = await call("POST", OPENAI, {
      key,
      json: { ...asked, model: "nano-banana", size: "auto" },
    });
    expect([openai.status, openai.body]).toMatchObject([
      403,
      { error: { code: "insufficient_permissions", param: "model" } },
    ]);
    expect((await generate(user.key, other)).status).toBe(200);
  });
});

describe("a credit limit", () => {
  it("lets exactly 5 of 50 parallel requests through", async () => {
    const { key } = await issue({ credit_limit: { credits: 40, period: "day" } });
    const answers = await Promise.all(Array.from({ length: 50 }, () => generate(key, { async: true })));
    const count = (status: number) => answers.filter((answer) => answer.status === status).length;
    expect([count(202), count(402)]).toEqual([5, 45]);
    expect(await creditsOf(user)).toBe(960);
    expect((await call("GET", "/api/v1/key", { key })).body).toMatchObject({ credits_used: 40 });
  });

  it("says what is required, left, and when it resets; other keys and the balance are not touched", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2027, 1, 28, 23, 59) });
    const { key } = await issue({ credit_limit: { credits: 20, period: "month" } });
    await generate(key);
    const { status, body } = await generate(key, { n: 2 });
    const resets_at = "2027-03-01T00:00:00.000Z";
    const message = `This takes 16 credits and the API key may spend 12 more, until ${resets_at}.`;
    const error = { code: "keyLimitExceeded", param: null, message, required: 16, available: 12, resets_at };
    expect([status, body]).toMatchObject([402, { error }]);
    const openai = await call("POST", OPENAI, { key, json: { ...asked, n: 2 } });
    expect([openai.status, openai.headers.get("x-should-retry"), openai.body]).toMatchObject([
      ...[402, "false"],
      { error: { type: "insufficient_quota", code: "key_limit_exceeded" } },
    ]);
    const estimate = async (n: number) =>
      (await call("POST", "/api/v1/images/estimate", { key, json: { ...asked, n } })).body;
    expect(await estimate(1)).toMatchObject({ credits: 8, affordable: true });
    expect(await estimate(2)).toMatchObject({ credits: 16, affordable: false, balance: { credits: 992 } });
    expect((await generate(user.key, { n: 2 })).status).toBe(200);
    expect((await call("GET", "/api/v1/key", { key })).body).toMatchObject({
      ...{ credits_used: 8, resets_at, credit_limit: { credits: 20, period: "month" } },
    });
    vi.setSystemTime(Date.UTC(2027, 2, 1));
    expect((await generate(key, { n: 2 })).status).toBe(200);
  });

  it("gets back what is refunded", async () => {
    const { key } = await issue({ credit_limit: { credits: 16, period: "total" } });
    vi.restoreAllMocks();
    provide(1);
    expect((await generate(key, { n: 2 })).body).toMatchObject({ usage: { credits: 8 } });
    expect((await generate(key)).status).toBe(200);
    expect(errorOf(await generate(key))).toMatchObject({ available: 0, resets_at: null });
  });

  it("is checked before a form is uploaded", async () => {
    const { key } = await issue({ credit_limit: { credits: 1, period: "day" } });
    await generate(key, { model: "flux-1-schnell", size: undefined });
    const body = new FormData();
    body.set("model", "gpt-image-2");
    expect(errorOf(await call("POST", PATH, { key, body }))).toMatchObject({
      code: "keyLimitExceeded",
      available: 0,
    });
  });

  it("of a test key is never reached", async () => {
    const { key } = await issue({ credit_limit: { credits: 1, period: "day" } }, "test");
    expect((await generate(key)).status).toBe(200);
    expect((await call("GET", "/api/v1/key", { key })).body).toMatchObject({ mode: "test", credits_used: 0 });
  });
});

describe("PATCH /api/admin/api_keys/:id", () => {
  const change = (id: string, json: unknown) => operate("PATCH", `/api_keys/${id}`, json);

  it("changes what it names, from the next request on, and logs which", async () => {
    const { id, key } = await issue({ credit_limit: { credits: 8, period: "day" } });
    const all = { scopes: ["generate", "read"], models: null, credit_limit: { credits: 8, period: "day" } };
    expect((await change(id, { name: "Shop" })).body).toMatchObject({ name: "Shop", ...all });
    expect((await change(id, { scopes: ["read"], models: ["nano-banana"] })).body).toMatchObject({
      ...{ scopes: ["read"], models: ["gemini-nano-banana-2.1"], credit_limit: all.credit_limit },
    });
    expect((await generate(key)).status).toBe(403);
    expect(logged.mock.calls.flat().join()).toContain('"fields":"scopes,models"');
    expect(
      (await change(id, { scopes: ["read", "generate"], models: null, credit_limit: null })).body,
    ).toMatchObject({
      ...{ models: null, credit_limit: null },
    });
    expect((await generate(key, { n: 2 })).status).toBe(200);
  });

  it.each([
    [{}, null],
    [{ scopes: [] }, "scopes"],
    [{ scopes: ["read", "read"] }, "scopes"],
    [{ scopes: ["write"] }, "scopes.0"],
    [{ scopes: null }, "scopes"],
    [{ models: [] }, "models"],
    [{ models: ["gpt-image-2", "openai/gpt-image-2"] }, "models"],
    [{ models: ["dall-e-3"] }, "models.0"],
    [{ credit_limit: { credits: 0, period: "day" } }, "credit_limit.credits"],
    [{ credit_limit: { credits: 1_000_000_001, period: "day" } }, "credit_limit.credits"],
    [{ credit_limit: { credits: 1, period: "week" } }, "credit_limit.period"],
    [{ credit_limit: 5 }, "credit_limit"],
    [{ expires_at: null }, "expires_at"],
  ])("refuses %j", async (json, param) => {
    const { id } = await issue({});
    const answer = await change(id, json);
    expect([answer.status, errorOf(answer)]).toMatchObject([400, { code: "invalid_request", param }]);
  });

  it("takes the greatest limit, and is a 404 for an unknown key", async () => {
    const { id } = await issue({});
    const json = { credit_limit: { credits: 1_000_000_000, period: "total" } };
    expect((await change(id, json)).status).toBe(200);
    expect((await change("key_1", json)).status).toBe(404);
  });
});

describe("a key of an older release", () => {
  it("may do everything", async () => {
    expect((await call("GET", "/api/v1/key", user)).body).toMatchObject({
      ...{ scopes: ["generate", "read"], models: null, credit_limit: null, credits_used: 0, resets_at: null },
    });
  });

  it.each([
    ["scopes", '["admin"]'],
    ["models", "{}"],
    ["credit_limit", "5"],
  ])("is refused when its row is malformed: %s", async (column, value) => {
    await env.DB.prepare(`UPDATE api_keys SET ${column} = ? WHERE id = ?`).bind(value, user.keyId).run();
    expect((await call("GET", "/api/v1/credits", user)).status).toBe(503);
  });
});
