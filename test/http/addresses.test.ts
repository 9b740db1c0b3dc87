import { beforeEach, describe, expect, it, vi } from "vitest";
import { call, newUser, ORIGIN, respond, type TestUser } from "../support/http.ts";
import { provide } from "../support/tiny-provider.ts";

let user: TestUser;
beforeEach(async () => {
  vi.restoreAllMocks();
  user = await newUser(100);
});

describe("a slightly wrong base URL", () => {
  const json = { model: "gpt-image-2", prompt: "a hill" };

  it.each([
    ["GET", `${ORIGIN}//api/v1/credits`],
    ["GET", "/api//v1/credits"],
    ["GET", "/api/v1//credits"],
    ["GET", "/api/v1/credits/"],
    ["GET", "/api/v1/v1/credits"],
    ["GET", "/api/v1/models/"],
    ["GET", `${ORIGIN}//openai/v1/models`],
    ["GET", "/openai/v1/v1/models/gpt-image-2/"],
    ["POST", "/api/v1//images/generations"],
    ["POST", "/api/v1/v1/images/generations"],
    ["POST", "/openai/v1//images/generations"],
    ["POST", "/openai/v1/v1/images/generations/"],
  ])("leads to the same place: %s %s", async (method, path) => {
    provide();
    const answer = await call(method, path, { key: user.key, ...(method === "POST" ? { json } : {}) });
    expect([answer.status, answer.headers.get("Location")]).toEqual([200, null]);
  });

  const openai = `${ORIGIN}/openai/v1`;
  const native = `${ORIGIN}/api/v1`;
  it.each([
    ["POST", "/v1/images/generations", [openai, native]],
    ["POST", "/images/generations", [openai, native]],
    ["POST", "/openai/images/edits", [openai]],
    ["POST", "/api/v1/images/edits", [openai]],
    ["GET", "/api/credits", [native]],
    ["GET", "/openai/v1/credits", [native]],
    ["GET", "/v1/models", [openai, native]],
  ])("is told the right one: %s %s", async (method, path, bases) => {
    const answer = await call(method, path, { key: user.key, ...(method === "POST" ? { json } : {}) });
    expect(answer.status).toBe(404);
    for (const base of bases) expect(answer.text).toContain(`${base} for`);
  });

  it.each(["/api/v3/models.json", "/openai/v1/chatter", "/api/v1/v10/credit"])(
    "gets no hint when no route is meant: %s",
    async (path) => {
      expect((await call("POST", path, { key: user.key })).body).toMatchObject({
        error: { message: "Nothing exists at this URL." },
      });
    },
  );
});

it.each([
  ["/chat/completions", "chat"],
  ["/responses", "responses"],
  ["/images/variations", "images/variations"],
  ["/embeddings", "embeddings"],
  ["/files", "files"],
])("a part of OpenAI's API that is not made here says what is: %s", async (path, part) => {
  const answer = await call("POST", `/openai/v1${path}`, { key: user.key, json: {} });
  expect([answer.status, answer.headers.get("X-Should-Retry")]).toEqual([404, "false"]);
  expect(answer.body).toMatchObject({
    error: {
      message: expect.stringContaining(
        `This service makes images only, and has no ${part}. There are POST /openai/v1/images/`,
      ),
      code: "not_found",
    },
  });
});

describe("scripts of another origin", () => {
  const preflight = {
    Origin: "https://app.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,x-stainless-retry-count",
  };

  it.each(["/api/v1/images/generations", "/openai/v1/images/edits", "/openai/v1/nothing"])(
    "may ask for %s before they have a key",
    async (path) => {
      const { status, text, headers } = await answerTo("OPTIONS", path, preflight);
      expect([status, text]).toEqual([204, ""]);
      expect(Object.fromEntries(headers)).toMatchObject({
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, HEAD, POST, DELETE",
        "access-control-allow-headers": preflight["Access-Control-Request-Headers"],
      });
      expect(headers.has("access-control-allow-credentials")).toBe(false);
    },
  );

  it.each([
    ["GET", "/api/v1/models", 200],
    ["GET", "/api/v1/credits", 401],
    ["POST", "/openai/v1/images/generations", 401],
    ["GET", "/openai/v1/nothing", 404],
    ["GET", "/api/v1/images/generations", 405],
  ])("may read the answer to %s %s", async (method, path, status) => {
    const answer = await call(method, path, { headers: { Origin: "https://app.example" } });
    expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([status, "*"]);
    const exposed = answer.headers.get("access-control-expose-headers")?.split(", ");
    expect(exposed).toEqual(
      expect.arrayContaining([
        ...["X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy", "Location"],
        ...["Idempotent-Replayed", "Preference-Applied"],
      ]),
    );
  });

  it.each(["/api/admin/users", "/api/health", "/account", "/sign-in"])("may not read %s", async (path) => {
    for (const method of ["GET", "OPTIONS"]) {
      const { headers } = await answerTo(method, path, preflight);
      expect(headers.has("access-control-allow-origin")).toBe(false);
    }
  });
});

/** The answer as it came: no route documents a preflight. */
async function answerTo(method: string, path: string, headers: Record<string, string>) {
  const response = await respond(method, path, { headers });
  return { status: response.status, headers: response.headers, text: await response.text() };
}
