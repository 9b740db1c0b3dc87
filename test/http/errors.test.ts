import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { png } from "../images/samples.ts";
import {
  ADMIN_TOKEN,
  type Answer,
  type CallOptions,
  call,
  creditsOf,
  newKey,
  newUser,
  operate,
  type TestUser,
} from "../support/http.ts";
import { IssuedKey, refusal } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

const GENERATE = "/api/v1/images/generations";
const plain = { model: "gpt-image-2", prompt: "a hill" };
const SECRET = "a secret of the inside";

afterEach(() => {
  vi.restoreAllMocks();
});

/** A binding whose every use fails with a text that must not leak. */
function failing<T extends object>(binding: T): T {
  return new Proxy(binding, {
    get: () => () => {
      throw new Error(SECRET);
    },
  });
}

/** One request for each code, by a user with 8 credits, and its headers and members. */
const codes: Record<string, (user: TestUser) => Promise<{ answer: Answer; status: number; has?: object }>> = {
  invalid_request: async ({ key }) => ({
    status: 400,
    answer: await call("POST", GENERATE, { key, json: { ...plain, n: 9 } }),
    has: { param: "n" },
  }),
  missingApiKey: async () => ({ status: 401, answer: await call("GET", "/api/v1/credits") }),
  invalidApiKey: async () => ({
    status: 401,
    answer: await call("GET", "/api/v1/credits", { key: "gih_live_x" }),
  }),
  expiredApiKey: async ({ id }) => {
    const expiry = Date.now() + 1_000;
    const { key } = await newKey(id, new Date(expiry).toISOString());
    vi.spyOn(Date, "now").mockReturnValue(expiry);
    return { status: 401, answer: await call("GET", "/api/v1/credits", { key }) };
  },
  insufficientCredits: async ({ key }) => ({
    status: 402,
    answer: await call("POST", GENERATE, { key, json: { ...plain, n: 2 } }),
    has: { required: 16, available: 8 },
  }),
  keyLimitExceeded: async ({ id }) => {
    const body = { name: "poor", credit_limit: { credits: 7, period: "total" } };
    const { api_key: key } = IssuedKey.parse((await operate("POST", `/users/${id}/api_keys`, body)).body);
    return {
      ...{ status: 402, answer: await call("POST", GENERATE, { key, json: plain }) },
      has: { required: 8, available: 7, resets_at: null },
    };
  },
  forbidden: async ({ id }) => {
    const body = { name: "reader", scopes: ["read"] };
    const { api_key: key } = IssuedKey.parse((await operate("POST", `/users/${id}/api_keys`, body)).body);
    return { status: 403, answer: await call("POST", GENERATE, { key, json: plain }) };
  },
  notFound: async ({ key }) => ({
    status: 404,
    answer: await call("GET", "/api/v1/generations/gen_1", { key }),
  }),
  methodNotAllowed: async () => ({ status: 405, answer: await call("PUT", "/api/v1/models") }),
  conflict: async ({ email }) => ({
    status: 409,
    answer: await operate("POST", "/users", { email }),
    has: { param: "email" },
  }),
  payloadTooLarge: async ({ key }) => ({
    status: 413,
    answer: await call("POST", GENERATE, { key, json: { ...plain, prompt: "a".repeat(1024 * 1024) } }),
  }),
  unsupportedMediaType: async ({ key }) => ({
    status: 415,
    answer: await call("POST", GENERATE, { key, body: "x" }),
  }),
  generationFailed: async ({ key }) => {
    provide(0, { reason: "misconfigured" });
    const answer = await call("POST", GENERATE, { key, json: plain });
    return { status: 500, answer, has: { generation_id: expect.stringMatching(/^gen_/) } };
  },
  contentPolicyViolation: async ({ key }) => {
    provide(0, { reason: "refused" });
    const answer = await call("POST", GENERATE, { key, json: plain });
    return { status: 400, answer, has: { generation_id: expect.stringMatching(/^gen_/) } };
  },
  unreadableReference: async ({ key }) => {
    provide(0, { reason: "unreadable" });
    const body = new FormData();
    for (const [name, value] of Object.entries(plain)) body.append(name, String(value));
    body.append("reference_image", new File([png(8, 8)], "reference.png"));
    const answer = await call("POST", GENERATE, { key, body });
    return { status: 400, answer, has: { generation_id: expect.stringMatching(/^gen_/) } };
  },
  internalError: async () => ({
    status: 500,
    answer: await call("GET", "/images/gen_01KNKKFJ0000000000000000AA/img_01KNKKFJ0000000000000000AA.png", {
      settings: { IMAGES: failing(env.IMAGES) },
    }),
  }),
  serviceUnavailable: async ({ key }) => ({
    status: 503,
    answer: await call("POST", GENERATE, { key, json: plain, settings: { IMAGE_PROVIDER: "openai" } }),
  }),
};

/** Headers by status, for every code. */
const headersOf: Record<number, Record<string, string>> = {
  401: { "WWW-Authenticate": "Bearer" },
  405: { Allow: "GET, HEAD" },
  503: { "Retry-After": "5" },
};

describe("each error code", () => {
  it.each(Object.keys(codes))(
    "%s has its status, its shape and its headers, and costs nothing",
    async (code) => {
      const user = await newUser(8);
      const { answer, status, has = {} } = (await codes[code]?.(user)) ?? { answer: null, status: 0 };
      if (answer === null) throw new Error("no request for this code");
      expect(refusal(answer)).toEqual({ status, code, param: null, message: expect.any(String), ...has });
      const expected = headersOf[status] ?? {};
      for (const name of ["WWW-Authenticate", "Allow", "Retry-After"]) {
        expect([name, answer.headers.get(name)]).toEqual([name, expected[name] ?? null]);
      }
      expect(answer.headers.get("Content-Type")).toBe("application/json");
      vi.restoreAllMocks();
      expect(await creditsOf(user)).toBe(8);
    },
  );

  it("names the accepted media types", async () => {
    const { key } = await newUser(8);
    const answer = await call("POST", GENERATE, { key, body: "x", headers: { "Content-Type": "image/png" } });
    expect(refusal(answer).message).toBe(
      "The body must be application/json, or multipart/form-data with reference images.",
    );
  });
});

describe("a method that a path does not support", () => {
  it.each([
    ["POST", "/api/v1/models", "GET, HEAD"],
    ["DELETE", "/api/v1/models/gpt-image-2", "GET, HEAD"],
    ["PATCH", "/api/v1/credits", "GET, HEAD"],
    ["GET", GENERATE, "POST"],
    ["HEAD", GENERATE, "POST"],
    ["OPTIONS", GENERATE, "POST"],
    ["PROPFIND", GENERATE, "POST"],
    ["POST", "/api/v1/generations/gen_1", "DELETE, GET, HEAD"],
    ["PATCH", "/api/v1/generations/gen_1", "DELETE, GET, HEAD"],
    ["POST", "/images/a/b.png", "GET, HEAD"],
  ])("%s %s", async (method, path, allow) => {
    const answer = await call(method, path);
    expect([answer.status, answer.headers.get("Allow")]).toEqual([405, allow]);
    if (method !== "HEAD") expect(refusal(answer).message).toBe(`This URL supports ${allow}.`);
  });

  it.each([
    ["DELETE", "/users", "GET, HEAD, POST"],
    ["GET", "/users/u", "DELETE, PATCH"],
    ["PUT", "/users/u/credits", "GET, HEAD, POST"],
    ["DELETE", "/users/u/api_keys", "GET, HEAD, POST"],
    ["GET", "/api_keys/k", "DELETE, PATCH"],
  ])("%s /api/admin%s, of an operator", async (method, path, allow) => {
    const answer = await operate(method, path);
    expect([answer.status, answer.headers.get("Allow")]).toEqual([405, allow]);
  });
});

describe("an unknown path", () => {
  it.each([
    ...["/api", "/api/v1", "/api/v2/models", "/api/v1/Models", "/api/v1/models;x"],
    ...["/api/v1/images", "/favicon.ico", "/.env", "/%2e%2e/etc/passwd"],
  ])("%s is 404 in JSON, without a key", async (path) => {
    expect(refusal(await call("GET", path))).toMatchObject({ status: 404, code: "notFound", param: null });
  });
});

describe("an internal failure", () => {
  const requests: [string, string, CallOptions, number, string][] = [
    [
      "the account, when it is read",
      "/api/v1/credits",
      { settings: { ACCOUNT: failing(env.ACCOUNT) } },
      500,
      "internalError",
    ],
    ["the database", "/api/v1/credits", { settings: { DB: failing(env.DB) } }, 503, "serviceUnavailable"],
    [
      "the database",
      "/api/v1/generations/gen_1",
      { settings: { DB: failing(env.DB) } },
      503,
      "serviceUnavailable",
    ],
    ...["/api/v1/generations", "/api/v1/generations/gen_01KNKKFJ0000000000000000AA"].map(
      (path): (typeof requests)[number] => [
        "the log",
        path,
        { settings: { LOG: failing(env.LOG) } },
        503,
        "serviceUnavailable",
      ],
    ),
  ];

  it.each(requests)("in %s (%s) reveals no internals", async (_name, path, options, status, code) => {
    const { key } = await newUser();
    const answer = await call("GET", path, { key, ...options });
    expect(refusal(answer)).toMatchObject({ status, code, param: null });
    expectSilent(answer);
  });

  it("reveals no internals in the operator's API", async () => {
    const settings = { DB: failing(env.DB) };
    const answer = await call("GET", "/api/admin/users?email=a@b.co", { key: ADMIN_TOKEN, settings });
    expect(refusal(answer).status).toBeGreaterThanOrEqual(500);
    expectSilent(answer);
  });

  it("before the charge reveals no internals", async () => {
    const user = await newUser(8);
    vi.spyOn(crypto.subtle, "digest").mockImplementationOnce(() => Promise.reject(new TypeError(SECRET)));
    const answer = await call("POST", GENERATE, { key: user.key, json: plain });
    expect(refusal(answer)).toMatchObject({ status: 500, code: "internalError", param: null });
    expectSilent(answer);
    expect(await creditsOf(user)).toBe(8);
  });

  it("with an unknown charge names the generation", async () => {
    const { key } = await newUser(8);
    const ACCOUNT = new Proxy(env.ACCOUNT, {
      get: () => () => ({ submit: () => Promise.reject(new Error(SECRET)) }),
    });
    const answer = await call("POST", GENERATE, { key, json: plain, settings: { ACCOUNT } });
    expect(refusal(answer)).toEqual({
      ...{ status: 500, code: "internalError", param: null },
      message: expect.stringContaining("Look the generation up by its id"),
      generation_id: expect.stringMatching(/^gen_/),
    });
    expectSilent(answer);
  });

  it("of an overloaded account is a 503, and nothing was charged", async () => {
    const { key } = await newUser(8);
    const overloaded = Object.assign(new Error(SECRET), { overloaded: true });
    const ACCOUNT = new Proxy(env.ACCOUNT, {
      get: () => () => ({ submit: () => Promise.reject(overloaded) }),
    });
    const answer = await call("POST", GENERATE, { key, json: plain, settings: { ACCOUNT } });
    expect(refusal(answer)).toMatchObject({ status: 503, code: "serviceUnavailable" });
  });

  it.each([
    { IMAGE_PROVIDER: "dalle" },
    { SYNC_WAIT_SECONDS: "0" },
    { PUBLIC_BASE_URL: "ftp://secret.example" },
    { RUN_DEADLINE_SECONDS: "a while" },
    { PUBLIC_BASE_URL: "" },
  ])("in the configuration is 503 before any charge, and is not quoted: %j", async (settings) => {
    const user = await newUser(8);
    const answer = await call("POST", GENERATE, { key: user.key, json: plain, settings });
    expect(refusal(answer)).toMatchObject({ status: 503, code: "serviceUnavailable" });
    expect(answer.text).not.toMatch(/dalle|SECONDS|secret|while/);
    expect(await creditsOf(user)).toBe(8);
  });

  it("treats an empty setting as not set", async () => {
    provide();
    const { key } = await newUser(8);
    const settings = { SYNC_WAIT_SECONDS: "", IMAGES_BASE_URL: "" };
    expect((await call("POST", GENERATE, { key, json: plain, settings })).status).toBe(200);
  });

  function expectSilent(answer: Answer): void {
    expect(answer.text + JSON.stringify([...answer.headers])).not.toContain(SECRET);
    expect(answer.text).not.toMatch(/Error:|at \w+ \(|\.ts|select |D1_/);
  }
});

describe("a response of the API, including an error,", () => {
  it.each([
    "/api/v1/models",
    "/api/v1/models/x",
    "/api/v1/credits",
    "/api/nothing",
    "/api/admin/users",
    GENERATE,
  ])("is not kept by anybody, and taken for nothing but JSON: %s", async (path) => {
    const { headers } = await call("GET", path);
    const names = ["Cache-Control", "X-Content-Type-Options", "Content-Type"];
    expect(names.map((name) => headers.get(name))).toEqual(["no-store", "nosniff", "application/json"]);
  });
});

describe("the id of a request", () => {
  it("differs for every request, and cannot be chosen by the client", async () => {
    const headers = { "X-Request-Id": "mine" };
    const answers = await Promise.all([1, 2, 3].map(() => call("GET", "/api/v1/models", { headers })));
    const ids = answers.map((answer) => answer.headers.get("X-Request-Id"));
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) expect(id).toMatch(/^req_[0-9A-Z]{26}$/);
  });
});
