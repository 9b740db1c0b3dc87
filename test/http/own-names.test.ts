import { beforeEach, expect, it, vi } from "vitest";
import { routes } from "../../src/http/openapi/routes.ts";
import { png } from "../images/samples.ts";
import {
  ADMIN_TOKEN,
  type Answer,
  type CallOptions,
  call,
  creditsOf,
  newUser,
  type TestUser,
} from "../support/http.ts";
import { provide } from "../support/tiny-provider.ts";

/** Property names that every JavaScript object inherits. No look-up may find them. */
const NAMES = [
  ...["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf"],
  ...["isPrototypeOf", "toLocaleString", "__defineGetter__", "__lookupSetter__", "length", "name"],
];
const asked = { model: "gpt-image-2", prompt: "a hill" };
const forms = ["/api/v1/images/generations", "/openai/v1/images/generations", "/openai/v1/images/edits"];

let user: TestUser;
// One user per test: uploads without a generation are limited per minute.
beforeEach(async () => {
  vi.restoreAllMocks();
  provide();
  user = await newUser(100);
});

/** Checks for a documented response that reveals no internals, and costs nothing. */
function expectRefused(answer: Answer, status = 400) {
  expect(answer.status).toBe(status);
  expect(answer.text).not.toMatch(/native code|\[object|function/);
}

function send(path: string, options: CallOptions, method = "POST") {
  const key = path.startsWith("/api/admin") ? ADMIN_TOKEN : user.key;
  return call(method, path, { key, ...options });
}

const json = (text: string): CallOptions => ({ body: text, headers: { "Content-Type": "application/json" } });

/** JSON with a member of this name, also if an object literal would treat it specially. */
const withMember = (name: string, value: string) =>
  `${JSON.stringify(asked).slice(0, -1)},"${name}":${value}}`;

it.each(NAMES)("%s is not a field in JSON, forms or queries", async (name) => {
  for (const path of forms) {
    for (const body of [
      `{"${name}":1}`,
      withMember(name, "1"),
      withMember(name, '"x"'),
      withMember(name, "{}"),
    ]) {
      const answer = await send(path, json(body));
      expectRefused(answer);
      expect(answer.body).toMatchObject({
        error: { param: name, message: `${name} is not a field of this request.` },
      });
    }
    for (const value of ["1", new Blob([png(8, 8)])]) {
      const form = new FormData();
      for (const [field, text] of Object.entries(asked)) form.append(field, text);
      form.append(name, value);
      const answer = await send(path, { body: form });
      expectRefused(answer, path.endsWith("v1/images/generations") && path.startsWith("/openai") ? 415 : 400);
    }
  }
  expectRefused(await send(`/api/v1/generations?${name}=1`, {}, "GET"));
  for (const path of ["/api/admin/users", "/api/admin/reconcile"])
    expectRefused(await send(`${path}?${name}=1`, {}, "GET"));
  expect(await creditsOf(user)).toBe(100);
});

it.each(NAMES)("%s is not a valid value of a field", async (name) => {
  const values = [
    "size",
    "quality",
    "aspect_ratio",
    "resolution",
    "output_format",
    "background",
    "moderation",
  ];
  for (const field of values) {
    const answer = await send("/api/v1/images/generations", { json: { ...asked, [field]: name } });
    expectRefused(answer);
    expect(answer.body).toMatchObject({ error: { param: field } });
  }
  for (const field of ["size", "quality", "output_format", "background", "response_format"]) {
    const answer = await send("/openai/v1/images/generations", { json: { ...asked, [field]: name } });
    expectRefused(answer);
    expect(answer.body).toMatchObject({ error: { param: field } });
  }
  expectRefused(await send("/api/v1/images/generations", { json: { ...asked, model: name } }));
  expectRefused(await send("/openai/v1/images/generations", { json: { ...asked, model: name } }), 404);
  for (const query of ["status", "cursor", "limit", "created_after"])
    expectRefused(await send(`/api/v1/generations?${query}=${name}`, {}, "GET"));
  expect(await creditsOf(user)).toBe(100);
});

const withId = routes.filter(({ path }) => path.includes("{"));

it.each(withId.map(({ method, path }) => [method.toUpperCase(), path] as const))(
  "%s %s finds nothing by that name",
  async (method, path) => {
    for (const name of NAMES) {
      const body = method === "POST" || method === "PATCH" ? { json: { name: "a", credits: 1 } } : {};
      const answer = await send(path.replaceAll(/\{\w+\}/g, name), body, method);
      expect([400, 404], `${name}: ${answer.status}`).toContain(answer.status);
    }
  },
);

it.each([
  ...["Content-Type", "Content-Encoding", "Idempotency-Key", "Prefer", "X-Stainless-Retry-Count"],
  ...["X-Test-Scenario", "Accept", "Origin", "Authorization"],
])("a header %s of such a name is no failure of ours", async (header) => {
  for (const name of NAMES) {
    for (const path of forms) {
      const answer = await call("POST", path, {
        ...(header === "Authorization" ? {} : { key: user.key }),
        ...json(JSON.stringify({ prompt: "" })),
        headers: { "Content-Type": "application/json", [header]: name },
      });
      expect(answer.status).toBeLessThan(500);
      expect(answer.status).toBeGreaterThanOrEqual(400);
    }
  }
});
