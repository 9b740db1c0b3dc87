import { createExecutionContext, env, waitOnExecutionContext } from "cloudflare:test";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { afterEach, describe, expect, it, vi } from "vitest";
import { apiKeys } from "../../src/db/schema.ts";
import worker from "../../src/index.ts";
import { call, newKey, newUser, ORIGIN, operate, type Settings } from "../support/http.ts";
import { refusal } from "../support/shapes.ts";

/** Every route that needs a key, and the status of a request with only a valid key. */
const routes: [string, string, number][] = [
  ["GET", "/api/v1/credits", 200],
  ["HEAD", "/api/v1/credits", 200],
  ["POST", "/api/v1/images/generations", 415],
  ["GET", "/api/v1/generations/gen_01KNKKFJ0000000000000000AA", 404],
];

/** A database that always fails. */
const noDatabase: Settings = {
  DB: new Proxy(env.DB, {
    get: () => () => {
      throw new Error("the database was asked");
    },
  }),
};

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(routes)("%s %s", (method, path, admitted) => {
  const withHeader = (value: string, settings?: Settings) =>
    call(method, path, { headers: { Authorization: value }, ...(settings ? { settings } : {}) });

  it.each(["Bearer", "bearer", "BEARER", "Bearer  "])("accepts a key after %s", async (scheme) => {
    const { key } = await newUser();
    expect((await withHeader(`${scheme} ${key}`)).status).toBe(admitted);
  });

  it("refuses a request without a key", async () => {
    expectUnauthorized(await call(method, path), "missingApiKey");
  });

  it.each<[string, (key: string) => string]>([
    ["another scheme", (key) => `Basic ${key}`],
    ["no scheme", (key) => key],
    ["a scheme alone", () => "Bearer"],
    ["two keys", (key) => `Bearer ${key} ${key}`],
    ["a key and more", (key) => `Bearer ${key},`],
    ["another prefix", (key) => `Bearer ${key.replace("gih_live_", "gih_prod_")}`],
    ["a prefix in capitals", (key) => `Bearer ${key.replace("gih_", "GIH_")}`],
    ["one character too few", (key) => `Bearer ${key.slice(0, -1)}`],
    ["one character too many", (key) => `Bearer ${key}0`],
    ["a wrong checksum", (key) => `Bearer ${key.slice(0, -1)}${key.endsWith("a") ? "b" : "a"}`],
    [
      "a changed character",
      (key) => `Bearer ${key.slice(0, 12)}${key[12] === "a" ? "b" : "a"}${key.slice(13)}`,
    ],
    ["10,000 characters", () => `Bearer ${"a".repeat(10_000)}`],
  ])("refuses %s without a look-up", async (_name, credentials) => {
    const { key } = await newUser();
    expectUnauthorized(await withHeader(credentials(key), noDatabase), "invalidApiKey");
  });

  it("refuses a well-formed but unknown key", async () => {
    // 26 zeros, and the CRC-32 of them.
    const unknown = "gih_live_00000000000000000000000000" + "3vSKjy";
    expectUnauthorized(await withHeader(`Bearer ${unknown}`), "invalidApiKey");
  });

  it("refuses a revoked key on the very next request", async () => {
    const { key, keyId } = await newUser();
    expect((await withHeader(`Bearer ${key}`)).status).toBe(admitted);
    expect((await operate("DELETE", `/api_keys/${keyId}`)).status).toBe(204);
    expectUnauthorized(await withHeader(`Bearer ${key}`), "invalidApiKey");
  });

  it.each([
    ["accepts a key 1 ms before it expires", -1, null],
    ["refuses it at that very time", 0, "expiredApiKey"],
    ["refuses it 1 ms later", 1, "expiredApiKey"],
  ])("%s", async (_name, milliseconds, code) => {
    const user = await newUser();
    const expiresAt = Date.now() + 3_600_000;
    const { key } = await newKey(user.id, new Date(expiresAt).toISOString());
    vi.spyOn(Date, "now").mockReturnValue(expiresAt + milliseconds);
    const answer = await withHeader(`Bearer ${key}`);
    if (code === null) expect(answer.status).toBe(admitted);
    else expectUnauthorized(answer, code);
  });

  it("refuses a key that is both expired and revoked as invalid", async () => {
    const user = await newUser();
    const expiresAt = Date.now() + 3_600_000;
    const { key, keyId } = await newKey(user.id, new Date(expiresAt).toISOString());
    await operate("DELETE", `/api_keys/${keyId}`);
    vi.spyOn(Date, "now").mockReturnValue(expiresAt);
    expectUnauthorized(await withHeader(`Bearer ${key}`), "invalidApiKey");
  });

  it("returns 503 with Retry-After while the database is down", async () => {
    const { key } = await newUser();
    const answer = await withHeader(`Bearer ${key}`, noDatabase);
    expect([answer.status, answer.headers.get("Retry-After")]).toEqual([503, "5"]);
    if (method !== "HEAD") expect(refusal(answer)).toMatchObject({ code: "serviceUnavailable", param: null });
  });

  function expectUnauthorized(answer: Awaited<ReturnType<typeof call>>, code: string): void {
    expect([answer.status, answer.headers.get("WWW-Authenticate")]).toEqual([401, "Bearer"]);
    // A response to HEAD has only status and headers.
    if (method === "HEAD") expect(answer.text).toBe("");
    else expect(refusal(answer)).toEqual({ status: 401, code, param: null, message: expect.any(String) });
  }
});

describe("the day of a key's last use", () => {
  const DAY_MS = 86_400_000;

  it("is written only by the first request of each day", async () => {
    const { key, keyId } = await newUser();
    const lastUse = async () => {
      const rows = await drizzle(env.DB).select().from(apiKeys).where(eq(apiKeys.id, keyId));
      return rows[0]?.lastUsedAt;
    };
    expect(await lastUse()).toBe(null);
    const midnight = Math.ceil(Date.now() / DAY_MS) * DAY_MS;
    for (const [at, written] of [
      [midnight, midnight],
      [midnight + DAY_MS - 1, midnight],
      [midnight + DAY_MS, midnight + DAY_MS],
    ]) {
      vi.spyOn(Date, "now").mockReturnValue(at ?? 0);
      const context = createExecutionContext();
      const headers = { Authorization: `Bearer ${key}` };
      const request = new Request(`${ORIGIN}/api/v1/credits`, { headers });
      expect((await worker.fetch(request, env, context)).status).toBe(200);
      await waitOnExecutionContext(context);
      expect(await lastUse()).toBe(written);
    }
  });
});

describe("a key", () => {
  it("opens only its own user's account", async () => {
    const [rich, poor] = [await newUser(50, "PRO"), await newUser(3)];
    const read = async (key: string) => (await call("GET", "/api/v1/credits", { key })).body;
    expect(await read(rich.key)).toMatchObject({ credits: 50, account_type: "PRO" });
    expect(await read(poor.key)).toMatchObject({ credits: 3, account_type: "FREE" });
  });

  it("does not open the operator's API", async () => {
    const { key, id } = await newUser();
    expect(refusal(await call("GET", `/api/admin/users/${id}/credits`, { key }))).toMatchObject({
      status: 401,
      code: "invalidApiKey",
    });
  });

  it("opens the same account as the user's other keys", async () => {
    const user = await newUser(20);
    const { key } = await newKey(user.id);
    expect((await call("GET", "/api/v1/credits", { key })).body).toMatchObject({ credits: 20 });
  });
});
