import { afterEach, expect, it, vi } from "vitest";
import * as z from "zod";
import { handled } from "../../src/http/openapi/routes.ts";
import { newId } from "../../src/id.ts";
import { pages } from "../../src/pages/routes.tsx";
import { png } from "../images/samples.ts";
import { call, newTestKey, newUser, operate, type TestUser } from "../support/http.ts";
import { provide } from "../support/tiny-provider.ts";

/** The owner of the ids in a path. `open` and `operator` have no single user; test/pages covers `page`. */
type Ids = "generation" | "reference" | "open" | "operator" | "page";

/** Every route with a parameter in its path. A new one fails the first test until it is added here. */
const ROUTES: Record<string, Ids> = {
  "GET /api/v1/generations/:id": "generation",
  "DELETE /api/v1/generations/:id": "generation",
  "DELETE /api/v1/references/:id": "reference",
  "GET /api/v1/generations/:id/deliveries": "generation",
  "POST /api/v1/generations/:id/deliveries": "generation",
  "POST /api/v1/generations/:id/cancel": "generation",
  "GET /api/v1/generations/:id/events": "generation",
  "GET /api/v1/models/:id": "open",
  "GET /images/:generation/:file": "open",
  "GET /assets/:version{[0-9a-f-]{36}}/:name{.+}": "open",
  "GET /language/:lang": "open",
  "GET /openai/v1/models/:id": "open",
  "POST /sign-in/with/:provider": "open",
  "GET /sign-in/with/callback/:provider": "open",
  "GET /account/generations/:id": "page",
  "GET /account/generations/:id/state": "page",
  "GET /account/generations/:id/events": "page",
  "GET /account/generations/:id/deliveries": "page",
  "POST /account/generations/:id/deliveries": "page",
  "POST /account/generations/:id/cancel": "page",
  "POST /account/generations/:id/delete": "page",
  "GET /account/generations/:id/delete": "page",
  "GET /account/credits/purchases/:id/receipt": "page",
  "GET /account/keys/:id": "page",
  "POST /account/keys/:id": "page",
  "GET /account/keys/:id/revoke": "page",
  "POST /account/keys/:id/revoke": "page",
  "POST /account/settings/sessions/:id/end": "page",
  "POST /account/settings/passkeys/:id/remove": "page",
  "PATCH /api/admin/users/:id": "operator",
  "DELETE /api/admin/users/:id": "operator",
  "DELETE /api/admin/users/:id/sessions": "operator",
  "POST /api/admin/users/:id/credits": "operator",
  "GET /api/admin/users/:id/credits": "operator",
  "POST /api/admin/users/:id/api_keys": "operator",
  "GET /api/admin/users/:id/api_keys": "operator",
  "PATCH /api/admin/api_keys/:id": "operator",
  "DELETE /api/admin/api_keys/:id": "operator",
  "GET /api/admin/users/:id/purchases": "operator",
  "POST /api/admin/users/:id/grants/:grant_id/reverse": "operator",
  "POST /api/admin/users/:id/rewind": "operator",
  "GET /api/admin/generations/:id": "operator",
  "POST /api/admin/providers/:name": "operator",
};

const named = (kind: Ids) => Object.keys(ROUTES).filter((route) => ROUTES[route] === kind);
const Made = z.looseObject({ id: z.string() });
const Refused = z.looseObject({ error: z.looseObject({ request_id: z.string() }) });

afterEach(() => {
  vi.restoreAllMocks();
});

it("covers every route with an id in its path", () => {
  const routes = [...handled, ...pages.routes].filter(
    ({ method, path }) => method !== "ALL" && path.includes(":"),
  );
  expect([...new Set(routes.map(({ method, path }) => `${method} ${path}`))].toSorted()).toEqual(
    Object.keys(ROUTES).toSorted(),
  );
});

/** Another key's generations: one logged, one failed, one not begun. */
async function generationsOf(owner: Pick<TestUser, "key">): Promise<string[]> {
  const json = { model: "gpt-image-2", prompt: "a hill" };
  const ids: string[] = [];
  for (const fields of [{}, { n: 2 }, { async: true }]) {
    provide();
    const { body } = await call("POST", "/api/v1/images/generations", {
      key: owner.key,
      json: { ...json, ...fields },
    });
    ids.push(Made.parse(body).id);
  }
  return ids;
}

/** The response without values that differ for every request. */
async function answerTo(route: string, id: string, key: string) {
  const [method = "", path = ""] = route.split(" ");
  const answer = await call(method, path.replace(/:\w+/, id), { key });
  const { error } = Refused.parse(answer.body);
  return { status: answer.status, error: { ...error, request_id: "" } };
}

it.each(named("generation"))("%s: another user's id looks like an unknown one", async (route) => {
  const [owner, other] = [await newUser(100), await newUser(100)];
  const unknown = await answerTo(route, newId("gen"), other.key);
  expect(unknown).toMatchObject({ status: 404, error: { code: "notFound" } });
  for (const id of await generationsOf(owner)) {
    expect(await answerTo(route, id, other.key)).toEqual(unknown);
    const own = await call("GET", `/api/v1/generations/${id}`, { key: owner.key });
    expect(own.status, "its own user finds it").toBe(200);
  }
});

it.each(named("reference"))("%s: another user's id looks like an unknown one", async (route) => {
  const [owner, other] = [await newUser(100), await newUser(100)];
  const headers = { "Content-Type": "image/png" };
  const body = png(8, 8);
  const uploaded = await call("POST", "/api/v1/references", { key: owner.key, body, headers });
  const { id } = Made.parse(uploaded.body);
  const unknown = await answerTo(route, newId("ref"), other.key);
  expect(unknown).toMatchObject({ status: 404, error: { code: "notFound" } });
  expect(await answerTo(route, id, other.key)).toEqual(unknown);
  const own = await call("DELETE", `/api/v1/references/${id}`, { key: owner.key });
  expect(own.status, "its own user finds it").toBe(204);
});

/** The live key and the test key of one user, in both orders. */
async function modesOf(credits: number): Promise<[own: string, other: string][]> {
  const user = await newUser(credits);
  const testKey = await newTestKey(user.id);
  return [
    [user.key, testKey],
    [testKey, user.key],
  ];
}

it.each(named("generation"))("%s: an id of the other mode looks like an unknown one", async (route) => {
  for (const [own, other] of await modesOf(100)) {
    const unknown = await answerTo(route, newId("gen"), other);
    expect(unknown).toMatchObject({ status: 404, error: { code: "notFound" } });
    for (const id of await generationsOf({ key: own })) {
      expect(await answerTo(route, id, other)).toEqual(unknown);
      expect((await call("GET", `/api/v1/generations/${id}`, { key: own })).status).toBe(200);
    }
  }
});

it.each(named("reference"))("%s: an id of the other mode looks like an unknown one", async (route) => {
  const upload = { body: png(8, 8), headers: { "Content-Type": "image/png" } };
  for (const [own, other] of await modesOf(100)) {
    const { id } = Made.parse((await call("POST", "/api/v1/references", { key: own, ...upload })).body);
    const unknown = await answerTo(route, newId("ref"), other);
    expect(await answerTo(route, id, other)).toEqual(unknown);
    expect((await call("DELETE", `/api/v1/references/${id}`, { key: own })).status).toBe(204);
  }
});

it("never lists another user's generations", async () => {
  const [owner, other] = [await newUser(100), await newUser(100)];
  await generationsOf(owner);
  expect((await call("GET", "/api/v1/generations", { key: other.key })).body).toMatchObject({ data: [] });
});

it.each(named("operator"))("%s: no user's key opens it", async (route) => {
  const user = await newUser();
  expect(await answerTo(route, user.id, user.key)).toMatchObject({
    status: 401,
    error: { code: "invalidApiKey" },
  });
  expect((await operate("GET", `/users/${user.id}/credits`)).status).toBe(200);
});
