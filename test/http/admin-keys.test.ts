import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { hashKey } from "../../src/keys/format.ts";
import { call, newKey, newUser, operate } from "../support/http.ts";
import { IssuedKey, invalid, ListedKey, listOf, refusal } from "../support/shapes.ts";

/** The operator's API: a user's keys. */
const issue = (userId: string, json: unknown) => operate("POST", `/users/${userId}/api_keys`, json);
const KeyPage = listOf(ListedKey).extend({ has_more: z.boolean(), next_cursor: z.string().nullable() });
const list = async (userId: string) => await operate("GET", `/users/${userId}/api_keys`);

describe("POST /api/admin/users/:id/api_keys", () => {
  it("shows the raw key once, and the key works", async () => {
    const user = await newUser(5);
    const answer = await issue(user.id, { name: " laptop " });
    expect(answer.status).toBe(201);
    const key = IssuedKey.parse(answer.body);
    expect(key).toMatchObject({ name: "laptop", expires_at: null, revoked_at: null });
    expect(key.display).toBe(`gih_live_${key.api_key.slice(-4)}`);
    expect((await call("GET", "/api/v1/credits", { key: key.api_key })).body).toMatchObject({ credits: 5 });
  });

  it("creates another key each time", async () => {
    const user = await newUser();
    const answers = await Promise.all(Array.from({ length: 10 }, () => issue(user.id, { name: "same" })));
    expect(new Set(answers.map(({ body }) => IssuedKey.parse(body).api_key)).size).toBe(10);
  });

  it("stores the hash, and never the key", async () => {
    const user = await newUser();
    const { key, keyId } = await newKey(user.id);
    const row = await env.DB.prepare("SELECT * FROM api_keys WHERE id = ?").bind(keyId).first();
    expect(row?.["hash"]).toBe(await hashKey(key));
    expect(JSON.stringify(row)).not.toContain(key.slice("gih_live_".length, -4));
  });

  it("accepts an expiry", async () => {
    const { id } = await newUser();
    const { body } = await issue(id, { name: "short", expires_at: "2099-01-01T00:00:00+01:00" });
    expect(IssuedKey.parse(body).expires_at).toBe("2098-12-31T23:00:00.000Z");
  });

  it.each<[unknown, string, string]>([
    [{}, "name", "name is required."],
    [{ name: "" }, "name", "name must be at least 1"],
    [{ name: " " }, "name", "name must be at least 1"],
    [{ name: "n".repeat(101) }, "name", "name must be at most 100 characters long."],
    [{ name: null }, "name", "name must be a string."],
    [{ name: "a", expires_at: "2001-01-01T00:00:00Z" }, "expires_at", "expires_at must be in the future."],
    [{ name: "a", expires_at: "soon" }, "expires_at", "expires_at must be an ISO 8601 time"],
    [{ name: "a", key: "gih_live_mine" }, "key", "key is not a field of this request."],
  ])("refuses %j", async (json, param, message) => {
    const { id } = await newUser();
    expect(refusal(await issue(id, json))).toEqual(invalid(param, message));
    expect(KeyPage.parse((await list(id)).body).data.length).toBe(1);
  });

  it("returns 404 for an unknown user", async () => {
    expect(refusal(await issue("nobody", { name: "a" }))).toMatchObject({ status: 404, code: "notFound" });
    expect((await list("nobody")).status).toBe(404);
  });
});

describe("GET /api/admin/users/:id/api_keys", () => {
  it("lists the user's keys, newest first, and never a raw key or a hash", async () => {
    const [user, other] = [await newUser(), await newUser()];
    const second = await newKey(user.id);
    const answer = await list(user.id);
    const { data } = KeyPage.parse(answer.body);
    expect(data.map((key) => key.id)).toEqual([second.keyId, user.keyId]);
    for (const key of [user.key, second.key, other.key]) {
      expect(answer.text).not.toContain(key);
      expect(answer.text).not.toContain(await hashKey(key));
    }
    expect(answer.text).not.toContain(other.keyId);
  });

  it("pages through every key, active ones first, each newest first", async () => {
    const user = await newUser();
    const expired = crypto.randomUUID();
    const keys = [{ keyId: user.keyId }, await newKey(user.id), await newKey(user.id), await newKey(user.id)];
    await env.DB.prepare(
      "INSERT INTO api_keys (id, user_id, name, hash, display, expires_at, created_at) VALUES (?, ?, 'old', ?, 'gih_live_0000', 1, 1)",
    )
      .bind("key_01KNKKFJ0000000000000000BB", user.id, expired)
      .run();
    // Two keys of one millisecond are ordered by their ids.
    const [fourth, third, second, first] = keys
      .map(({ keyId }) => keyId)
      .toSorted()
      .reverse();
    await operate("DELETE", `/api_keys/${third}`);
    const seen: string[] = [];
    let query = "?limit=2";
    for (let pages = 0; pages < 3; pages++) {
      const answer = KeyPage.parse((await operate("GET", `/users/${user.id}/api_keys${query}`)).body);
      seen.push(...answer.data.map(({ id }) => id));
      expect(answer.has_more).toBe(pages < 2);
      query = `?limit=2&cursor=${answer.next_cursor}`;
    }
    expect(seen).toEqual([fourth, second, first, third, "key_01KNKKFJ0000000000000000BB"]);
  });

  it.each([
    ["limit=0", "limit", "limit must be at least 1."],
    ["limit=201", "limit", "limit must be at most 200."],
    ["cursor=x", "cursor", "cursor must be the next_cursor of an earlier answer."],
    ["cursor=2key_x", "cursor", "cursor must be the next_cursor of an earlier answer."],
  ])("refuses %s", async (query, param, message) => {
    const { id } = await newUser();
    expect(refusal(await operate("GET", `/users/${id}/api_keys?${query}`))).toEqual(invalid(param, message));
  });

  it("shows a revoked key with its time", async () => {
    const user = await newUser();
    await operate("DELETE", `/api_keys/${user.keyId}`);
    const [key] = KeyPage.parse((await list(user.id)).body).data;
    expect(Date.now() - Date.parse(key?.revoked_at ?? "")).toBeLessThan(60_000);
  });
});

describe("DELETE /api/admin/api_keys/:id", () => {
  it("revokes that key and no other, from the next request on", async () => {
    const user = await newUser(5);
    const { key, keyId } = await newKey(user.id);
    const answer = await operate("DELETE", `/api_keys/${keyId}`);
    expect([answer.status, answer.text]).toEqual([204, ""]);
    expect(refusal(await call("GET", "/api/v1/credits", { key }))).toMatchObject({ code: "invalidApiKey" });
    expect((await call("GET", "/api/v1/credits", { key: user.key })).status).toBe(200);
  });

  it("changes nothing when repeated", async () => {
    const user = await newUser();
    await operate("DELETE", `/api_keys/${user.keyId}`);
    const before = (await list(user.id)).body;
    expect((await operate("DELETE", `/api_keys/${user.keyId}`)).status).toBe(204);
    expect((await list(user.id)).body).toEqual(before);
  });

  it.each(["key_01KNKKFJ0000000000000000AA", "nothing", "%00", "*"])("knows no %s", async (id) => {
    expect(refusal(await operate("DELETE", `/api_keys/${id}`))).toMatchObject({
      status: 404,
      code: "notFound",
    });
  });
});
