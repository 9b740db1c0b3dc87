import { env, listDurableObjectIds } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { writeState } from "../../src/db/job-state.ts";
import { handled, routes } from "../../src/http/openapi/routes.ts";
import { SAMPLE } from "../../src/watch/sample.ts";
import { expectDocumented } from "../support/contract.ts";
import { call, ORIGIN, operate } from "../support/http.ts";

describe("the OpenAPI document", () => {
  it("has every API route, and no other", () => {
    const answered = handled
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
  const parts = [
    ...["database", "log", "images", "references", "objects", "queue", "provider"],
    ...["circuits", "books"],
  ];
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
    // The state of the books is in DB.
    [["database", "books"], { DB: broken }],
    [["log"], { LOG: broken }],
    [["provider", "circuits"], { IMAGE_PROVIDER: "openai" }],
  ])("is a 503 that names %s, and nothing of the reason", async (failing, settings) => {
    const { status, text, body } = await call("GET", "/api/health", { settings });
    expect([status, body]).toEqual([503, { status: "failing", checks: allBut(...failing) }]);
    expect(text).not.toContain("hunter2");
  });

  const withOpenAI = { IMAGE_PROVIDER: "openai", OPENAI_API_KEY: "sk-none" };

  it("is degraded while the circuit of a configured provider is open", async () => {
    const health = async () => {
      const { status, body } = await call("GET", "/api/health", { settings: { ...withOpenAI } });
      return [status, body];
    };
    const fine = [200, { status: "ok", checks: allBut() }];
    await operate("POST", "/providers/fal", { state: "open" });
    expect(await health()).toEqual(fine);
    await operate("POST", "/providers/openai", { state: "open" });
    expect(await health()).toEqual([200, { status: "degraded", checks: allBut("circuits") }]);
    await operate("POST", "/providers/openai", { state: "auto" });
    await operate("POST", "/providers/fal", { state: "auto" });
    expect(await health()).toEqual(fine);
  });

  it("is degraded while the default model has no route, although another one has", async () => {
    const settings = { IMAGE_PROVIDER: "openai", BFL_API_KEY: "key" };
    const { status, body } = await call("GET", "/api/health", { settings });
    expect([status, body]).toEqual([200, { status: "degraded", checks: allBut("circuits") }]);
  });

  it("is degraded while a book differs from the log", async () => {
    await writeState(env.DB, SAMPLE, { cursor: null, differing: ["user_1"] });
    const { status, body } = await call("GET", "/api/health", { settings: {} });
    await writeState(env.DB, SAMPLE, { cursor: null, differing: [] });
    expect([status, body]).toEqual([200, { status: "degraded", checks: allBut("books") }]);
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
