import { env, listDurableObjectIds } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { app } from "../../src/http/app.ts";
import { routes } from "../../src/http/openapi/routes.ts";
import { expectDocumented } from "../support/contract.ts";
import { call, ORIGIN } from "../support/http.ts";

describe("the OpenAPI document", () => {
  it("has every API route, and no other", () => {
    const answered = app.routes
      .filter(({ method, path }) => method !== "ALL" && /^\/(api|openai|images|\.well-known)\//.test(path))
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
    const documented = routes.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    expect(documented.sort()).toEqual([...new Set(answered)].sort());
  });

  const balance = { object: "credit_balance", credits: 1, account_type: "FREE", next_expiration: null };
  const headers = new Headers({ "Content-Type": "application/json" });

  it.each([
    ["a member that it does not name", 200, { ...balance, extra: 1 }],
    ["a member missing", 200, { ...balance, credits: undefined }],
    ["a status that it does not name", 409, {}],
    ["an error of another shape", 401, { error: { message: "no", code: "invalidApiKey" } }],
  ])("fails an answer with %s", (_, status, body) => {
    const answer = { status, headers, body };
    expect(() => expectDocumented("GET", "/api/v1/credits", answer)).toThrow(
      /GET \/api\/v1\/credits answered/,
    );
  });

  it("names each operation once", () => {
    expect(new Set(routes.map(({ id }) => id)).size).toBe(routes.length);
  });
});

describe("the health of the service", () => {
  const parts = ["database", "log", "images", "references", "objects", "queue", "provider"];
  const allBut = (...failing: string[]) =>
    Object.fromEntries(parts.map((part) => [part, failing.includes(part) ? "failing" : "ok"]));

  it("is reported for every dependency", async () => {
    const { status, body } = await call("GET", "/api/health");
    expect([status, body]).toEqual([200, { status: "ok", checks: allBut() }]);
  });

  it("creates no account", async () => {
    const before = await listDurableObjectIds(env.ACCOUNT);
    expect((await call("GET", "/api/health", { settings: {} })).status).toBe(200);
    expect(await listDurableObjectIds(env.ACCOUNT)).toEqual(before);
  });

  const broken = new Proxy(env.DB, {
    get: () => () => {
      throw new Error("the secret is hunter2");
    },
  });

  it.each([
    ["database", { DB: broken }],
    ["log", { LOG: broken }],
    ["provider", { IMAGE_PROVIDER: "openai" }],
  ])("is a 503 that names %s, and nothing of the reason", async (part, settings) => {
    const { status, text, body } = await call("GET", "/api/health", { settings });
    expect([status, body]).toEqual([503, { status: "failing", checks: allBut(part) }]);
    expect(text).not.toContain("hunter2");
  });
});

it("the API catalog is a linkset that names both APIs and their document", async () => {
  const { status, headers, text } = await call("GET", "/.well-known/api-catalog");
  expect([status, headers.get("Content-Type")]).toEqual([
    200,
    'application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"',
  ]);
  const { linkset } = JSON.parse(text);
  expect(linkset).toMatchObject([{ anchor: `${ORIGIN}/api/v1` }, { anchor: `${ORIGIN}/openai/v1` }]);
  expect(linkset[0]["service-desc"][0].href).toBe(`${ORIGIN}/openapi.json`);
  const head = await call("HEAD", "/.well-known/api-catalog");
  expect(head.headers.get("Link")).toBe(`<${ORIGIN}/.well-known/api-catalog>; rel="api-catalog"`);
});
