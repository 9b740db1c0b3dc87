import { describe, expect, it } from "vitest";
import { call, newUser } from "../support/http.ts";

const CREDITS = "/api/v1/credits";
const GENERATIONS = "/api/v1/images/generations";

/** The platform's limit, as a count of calls for each key. */
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

const limited = { status: 429, body: { error: { code: "rateLimited", param: null } } };

describe("the platform's guards, where they are bound", () => {
  it("lets a key read so often, and not once more, with word of when to come back", async () => {
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

  it("lets an address fail so often, whatever it presents, and goes on serving good keys", async () => {
    const { key } = await newUser();
    const guard = guardOf(2);
    const settings = { FAILED_KEYS_GUARD: guard };
    const headers = { "CF-Connecting-IP": "192.0.2.1" };
    expect((await call("GET", CREDITS, { headers, settings })).status).toBe(401);
    expect((await call("GET", CREDITS, { key: "gih_live_x", headers, settings })).status).toBe(401);
    expect(await call("GET", CREDITS, { headers, settings })).toMatchObject(limited);
    expect((await call("GET", CREDITS, { key, headers, settings })).status).toBe(200);
    expect([...guard.counts]).toEqual([["192.0.2.1", 3]]);
  });
});
