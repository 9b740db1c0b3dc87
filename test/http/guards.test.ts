import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { RecentSet } from "../../src/http/guards.ts";
import { newId } from "../../src/id.ts";
import { makeKey } from "../../src/keys/format.ts";
import { ADMIN_TOKEN, call, newUser } from "../support/http.ts";

const CREDITS = "/api/v1/credits";
const GENERATIONS = "/api/v1/images/generations";

/** A double of the platform's rate limit: counts calls per key. */
function guardOf(limit: number) {
  const counts = new Map<string, number>();
  return {
    counts,
    limit: async ({ key }: { key: string }) => {
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      return { success: count <= limit };
    },
  };
}

/** D1 with a counter of its queries. */
function countingDatabase() {
  const asked = { count: 0 };
  const database = new Proxy(env.DB, {
    get(target, name) {
      if (name === "prepare") asked.count++;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { asked, database };
}

/** Well-formed, but not issued. */
const madeUp = () => makeKey("live", (count) => crypto.getRandomValues(new Uint8Array(count)));

const limited = { status: 429, body: { error: { code: "rateLimited", param: null } } };

describe("the platform's rate limits, if they are bound", () => {
  it("allow a key that many reads, then return 429 with Retry-After", async () => {
    const { key } = await newUser(8);
    const other = await newUser(8);
    const settings = { READS_GUARD: guardOf(2) };
    for (let reads = 0; reads < 2; reads++)
      expect((await call("GET", CREDITS, { key, settings })).status).toBe(200);
    const answer = await call("GET", CREDITS, { key, settings });
    expect(answer).toMatchObject(limited);
    expect(answer.headers.get("Retry-After")).toBe("59");
    expect((await call("GET", CREDITS, { key: other.key, settings })).status).toBe(200);
    expect((await call("POST", GENERATIONS, { key, settings, json: {} })).status).toBe(400);
  });

  it.each([
    ["POST", `/api/v1/generations/${newId("gen")}/cancel`],
    ["POST", `/api/v1/generations/${newId("gen")}/deliveries`],
    ["POST", "/api/v1/webhooks/secret/rotate"],
    ["DELETE", `/api/v1/references/${newId("ref")}`],
  ])("count %s %s with the reads", async (method, path) => {
    const { key } = await newUser(8);
    const settings = { READS_GUARD: guardOf(1) };
    expect((await call("GET", CREDITS, { key, settings })).status).toBe(200);
    expect(await call(method, path, { key, settings })).toMatchObject(limited);
  });

  it("do not count uploads of references, which the account limits", async () => {
    const { key } = await newUser(8);
    const settings = { READS_GUARD: guardOf(0) };
    expect((await call("POST", "/api/v1/references", { key, settings, body: "x" })).status).toBe(400);
  });

  it("allow a network that many failures, and keep serving keys that worked there", async () => {
    const { key } = await newUser();
    const guard = guardOf(2);
    const settings = { FAILED_KEYS_GUARD: guard };
    const headers = { "CF-Connecting-IP": "192.0.2.1" };
    expect((await call("GET", CREDITS, { key, headers, settings })).status).toBe(200);
    expect((await call("GET", CREDITS, { headers, settings })).status).toBe(401);
    expect((await call("GET", CREDITS, { key: "gih_live_x", headers, settings })).status).toBe(401);
    expect(await call("GET", CREDITS, { headers, settings })).toMatchObject(limited);
    expect((await call("GET", CREDITS, { key, headers, settings })).status).toBe(200);
    expect([...guard.counts]).toEqual([["192.0.2.1", 3]]);
  });

  it("look up no key of a network over the limit, and every key of another one", async () => {
    const { key } = await newUser();
    const { asked, database } = countingDatabase();
    const settings = { FAILED_KEYS_GUARD: guardOf(2), DB: database };
    const headers = { "CF-Connecting-IP": "192.0.2.2" };
    for (const status of [401, 401, 429]) {
      expect((await call("GET", CREDITS, { key: madeUp(), headers, settings })).status).toBe(status);
    }
    const before = asked.count;
    expect(before).toBeGreaterThan(0);
    for (let tries = 0; tries < 20; tries++) {
      expect(await call("GET", CREDITS, { key: madeUp(), headers, settings })).toMatchObject(limited);
      const form = { key: madeUp(), headers, settings, json: {} };
      expect(await call("POST", GENERATIONS, form)).toMatchObject(limited);
    }
    expect(asked.count).toBe(before);
    const elsewhere = { "CF-Connecting-IP": "192.0.2.3" };
    expect((await call("GET", CREDITS, { key, headers: elsewhere, settings })).status).toBe(200);
  });

  it("count IPv6 by /64", async () => {
    const guard = guardOf(2);
    const settings = { FAILED_KEYS_GUARD: guard };
    const statusFrom = async (address: string) =>
      (await call("GET", CREDITS, { headers: { "CF-Connecting-IP": address }, settings })).status;
    expect(await statusFrom("2001:db8:0:1::1")).toBe(401);
    expect(await statusFrom("2001:db8:0:1:ffff:ffff:ffff:ffff")).toBe(401);
    expect(await statusFrom("2001:db8::1:2:3:4:5")).toBe(429);
    expect(await statusFrom("2001:db8:0:2::1")).toBe(401);
    expect([...guard.counts.keys()]).toEqual(["2001:db8:0:1::/64", "2001:db8:0:2::/64"]);
  });

  it("slow down wrong operator's tokens like wrong keys, and not the right one", async () => {
    const settings = { FAILED_KEYS_GUARD: guardOf(2) };
    const headers = { "CF-Connecting-IP": "192.0.2.4" };
    const operate = async (key: string) =>
      await call("GET", "/api/admin/users?email=a@b.co", { key, headers, settings });
    expect((await operate(ADMIN_TOKEN)).status).toBe(200);
    for (const status of [401, 401, 429, 429]) {
      expect((await operate(crypto.randomUUID())).status).toBe(status);
    }
    expect((await operate(ADMIN_TOKEN)).status).toBe(200);
  });
});

describe("RecentSet", () => {
  it("forgets a text after its time", () => {
    const set = new RecentSet(1_000, 10);
    set.add("a", 0);
    expect([set.has("a", 999), set.has("a", 1_000), set.has("b", 0)]).toEqual([true, false, false]);
  });

  it("keeps at most its maximum, and drops the oldest first", () => {
    const set = new RecentSet(1_000, 3);
    for (const text of ["a", "b", "c", "a"]) set.add(text, 0);
    expect(["a", "b", "c"].map((text) => set.has(text, 1))).toEqual([true, true, true]);
    set.add("d", 0);
    expect(["a", "b", "c", "d"].map((text) => set.has(text, 1))).toEqual([true, false, true, true]);
  });
});
