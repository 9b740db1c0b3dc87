import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { hashKey } from "../../src/keys/format.ts";
import { png } from "../images/samples.ts";
import {
  ADMIN_TOKEN,
  type CallOptions,
  call,
  eventually,
  newKey,
  newUser,
  operate,
} from "../support/http.ts";
import { Generated, Pending } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";
import { BOUNDARY, END, file, streamed, text } from "./forms.ts";

const PATH = "/api/v1/images/generations";
const PROMPT = "a very private hill that nobody else may know of";

const RequestLine = z.strictObject({
  event: z.literal("request"),
  request_id: z.string(),
  method: z.string(),
  route: z.string(),
  status: z.int(),
  code: z.string().optional(),
  ms: z.int().min(0),
  user_id: z.string().optional(),
  generation_id: z.string().optional(),
  version: z.uuid(),
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Collects every console line from now on. */
function capture() {
  const lines: string[] = [];
  for (const method of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, method).mockImplementation((...words: unknown[]) =>
      lines.push(words.map(String).join(" ")),
    );
  }
  return {
    lines,
    requests: () =>
      lines
        .filter((line) => line.includes('"event":"request",'))
        .map((line) => RequestLine.parse(JSON.parse(line))),
  };
}

describe("the log line of a request", () => {
  const body = { model: "gpt-image-2", prompt: PROMPT };
  type Expected = { route: string; status: number; code?: string; mine?: boolean; generation?: boolean };

  it.each<[string, string, CallOptions, Expected]>([
    ["GET", "/api/v1/models", {}, { route: "/api/v1/models", status: 200 }],
    ["HEAD", "/api/v1/models", {}, { route: "/api/v1/models", status: 200 }],
    ["GET", "/api/v1/models/x", {}, { route: "/api/v1/models/:id", status: 404, code: "notFound" }],
    ["GET", "/api/v1/credits?a=b", {}, { route: "/api/v1/credits", status: 200, mine: true }],
    [
      "GET",
      "/api/v1/credits",
      { key: "x" },
      { route: "/api/v1/credits", status: 401, code: "invalidApiKey" },
    ],
    ["POST", PATH, { json: body }, { route: PATH, status: 200, mine: true, generation: true }],
    [
      "POST",
      PATH,
      { json: { ...body, async: true } },
      { route: PATH, status: 202, mine: true, generation: true },
    ],
    [
      "POST",
      PATH,
      { json: { ...body, n: 9 } },
      { route: PATH, status: 400, code: "invalid_request", mine: true },
    ],
    [
      ...(["POST", PATH, { json: { ...body, n: 4, quality: "4K" } }] as const),
      { route: PATH, status: 402, code: "insufficientCredits", mine: true },
    ],
    ["GET", PATH, {}, { route: "/api/v1/*", status: 405, code: "methodNotAllowed" }],
    [
      ...(["GET", "/api/v1/generations/gen_1", {}] as const),
      { route: "/api/v1/generations/:id", status: 404, code: "notFound", mine: true },
    ],
    ["GET", "/images/a/b", {}, { route: "/images/:generation/:file", status: 404, code: "notFound" }],
    ["GET", "/anything/at/all", {}, { route: "/*", status: 404, code: "notFound" }],
  ])("%s %s: exactly one, and it says how it went", async (method, path, options, expected) => {
    provide();
    const user = await newUser(20);
    const { requests } = capture();
    const answer = await call(method, path, { key: user.key, ...options });
    const { mine = false, generation = false, ...rest } = expected;
    const [line, ...others] = requests();
    expect(others).toEqual([]);
    expect(line).toEqual({
      ...{ event: "request", request_id: answer.headers.get("X-Request-Id"), method, ms: expect.any(Number) },
      ...rest,
      version: env.VERSION.id,
      ...(mine ? { user_id: user.id } : {}),
      ...(generation ? { generation_id: z.object({ id: z.string() }).parse(answer.body).id } : {}),
    });
  });

  it("names the generation of a failure, and of a read", async () => {
    provide(0, { reason: "refused" });
    const user = await newUser(20);
    const { requests } = capture();
    const { body: failed } = await call("POST", PATH, { key: user.key, json: body });
    const id = z.object({ error: z.object({ generation_id: z.string() }) }).parse(failed).error.generation_id;
    await call("GET", `/api/v1/generations/${id}`, { key: user.key });
    expect(requests()).toMatchObject([
      { status: 400, code: "contentPolicyViolation", user_id: user.id, generation_id: id },
      { status: 200, user_id: user.id, generation_id: id },
    ]);
  });

  it("names the user of an operator's call", async () => {
    const user = await newUser();
    const { requests } = capture();
    await operate("PATCH", `/users/${user.id}`, { name: "Ada" });
    await operate("POST", `/users/${user.id}/credits`, { id: crypto.randomUUID(), credits: 5 });
    await operate("GET", `/users/${user.id}/credits`);
    await operate("POST", `/users/${user.id}/api_keys`, { name: "a" });
    await operate("GET", `/users/${user.id}/api_keys`);
    expect(requests().map((line) => line.user_id)).toEqual(Array(5).fill(user.id));
  });
});

describe("the log", () => {
  it("contains nothing private, in any request and any failure", async () => {
    const endUser = "somebody-known-to-the-caller";
    const name = "Ada of the private name";
    const reason = "a private reason";
    const fileName = "private-file-name.png";
    provide();
    const { lines, requests } = capture();
    const user = await newUser(500);
    const { key } = user;
    const stranger = await newKey(user.id);
    const json = { model: "gpt-image-2", prompt: PROMPT, user: endUser };
    const headers = { "Content-Type": `multipart/form-data; boundary=${BOUNDARY}` };
    const form = [
      ...[text("model", "gpt-image-2"), text("prompt", PROMPT), text("user", endUser)],
      ...[file(png(8, 8), "reference_image", fileName), END],
    ].flat();

    const { id, images } = Generated.parse((await call("POST", PATH, { key, json })).body);
    const pending = Pending.parse((await call("POST", PATH, { key, json: { ...json, async: true } })).body);
    await eventually(async () => {
      const { body } = await call("GET", `/api/v1/generations/${pending.id}`, { key });
      return !Pending.safeParse(body).success;
    });
    await call("POST", PATH, { key, headers, body: streamed(form).stream });
    await call("POST", PATH, { key, headers, body: streamed(form.slice(0, -1)).stream });
    await call("POST", PATH, { key, json: { ...json, [PROMPT]: 1 } });
    await call("POST", PATH, { key, json: { ...json, n: 9 } });
    await call("POST", PATH, {
      key,
      body: `{"prompt": ${PROMPT}`,
      headers: { "Content-Type": "application/json" },
    });
    await call("GET", `/api/v1/generations/${id}?api_key=${key}`, { key });
    await call("GET", `/api/v1/generations/${key}`, { key });
    await call("GET", `/${key}/${encodeURIComponent(PROMPT)}`);
    await call("GET", images[0]?.url ?? "");
    await call("GET", "/api/v1/credits", { key: `${key}x` });
    await operate("PATCH", `/users/${user.id}`, { name });
    await operate("POST", `/users/${user.id}/credits`, { id: crypto.randomUUID(), credits: 5, reason });
    await operate("GET", `/users?email=${user.email}`);
    await operate("POST", "/users", { email: user.email, name });
    await call("GET", "/api/admin/users?email=a@b.co", { key: `${ADMIN_TOKEN}x` });
    for (const made of [failingQueries(), failingOutright()]) {
      const settings = { DB: made };
      await call("POST", "/api/admin/users", {
        key: ADMIN_TOKEN,
        json: { email: user.email, name },
        settings,
      });
      await call("GET", `/api/admin/users?email=${user.email}`, { key: ADMIN_TOKEN, settings });
      await call("POST", PATH, { key, json, settings });
      await call("GET", `/api/v1/generations/${id}`, { key, settings });
    }
    vi.spyOn(crypto.subtle, "digest").mockRejectedValueOnce(new TypeError("no digest today"));
    await call("POST", PATH, { key, json });
    provide(0, { reason: "refused" });
    await call("POST", PATH, { key, json });
    await operate("DELETE", `/api_keys/${stranger.keyId}`);

    const secrets = [
      ...[
        PROMPT,
        PROMPT.slice(0, 20),
        encodeURIComponent(PROMPT),
        user.email,
        name,
        reason,
        endUser,
        fileName,
      ],
      ...[key, key.slice(9, 30), await hashKey(key), stranger.key, await hashKey(stranger.key), ADMIN_TOKEN],
      ...["Bearer", "IHDR", Buffer.from(png(8, 8)).toString("base64")],
    ];
    const leaks = secrets.filter((secret) => lines.some((line) => line.includes(secret)));
    expect(leaks).toEqual([]);
    expect(lines.filter((line) => line.length > 1_000)).toEqual([]);
    for (const line of lines) expect(JSON.parse(line)).toHaveProperty("event");
    expect(requests().length).toBeGreaterThan(30);
    const ids = requests().map((line) => line.request_id);
    expect(new Set(ids).size).toBe(ids.length);
  }, 30_000);

  it("has the error, with the id of the request", async () => {
    const { key } = await newUser();
    const { lines } = capture();
    const answer = await call("GET", "/api/v1/credits", { key, settings: { DB: failingQueries() } });
    const [line = "{}"] = lines.filter((each) => each.includes("key_lookup_failed"));
    expect(JSON.parse(line)).toEqual({
      event: "key_lookup_failed",
      request_id: answer.headers.get("X-Request-Id"),
      error: expect.stringContaining("no such table: nowhere"),
    });
  });
});

/** A database on which every statement fails. */
function failingQueries(): D1Database {
  return new Proxy(env.DB, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      if (name !== "prepare") return member.bind(target);
      return (query: string) => {
        const places = query
          .split("?")
          .slice(1)
          .map(() => "?");
        return target.prepare(`SELECT ${["1", ...places].join()} FROM nowhere`);
      };
    },
  });
}

function failingOutright(): D1Database {
  return new Proxy(env.DB, {
    get: () => () => {
      throw new Error("the database is gone");
    },
  });
}
