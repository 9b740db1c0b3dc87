import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { newId } from "../../src/id.ts";
import { ACTIVE_KEYS_MAX, issueKey, revokeKey } from "../../src/keys/manage.ts";
import { newUser } from "../support/user.ts";

const NOW = 1_800_000_000_000;

const make = (userId: string, id = newId("key")) =>
  issueKey(env.DB, { id, userId, name: "a program", mode: "live", expiresAt: null }, NOW);

async function fill(userId: string, keys: number): Promise<void> {
  const insert = env.DB.prepare(
    "INSERT INTO api_keys (id, user_id, name, hash, display, created_at) VALUES (?, ?, 'many', ?, 'x', 1)",
  );
  const rows = Array.from({ length: keys }, () => insert.bind(newId("key"), userId, crypto.randomUUID()));
  await env.DB.batch(rows);
}

describe("issueKey", () => {
  it("creates no second key for the same id", async () => {
    const { id: userId } = await newUser(1);
    const id = newId("key");
    expect(await make(userId, id)).toMatchObject({ kind: "issued", key: { id, userId } });
    expect(await make(userId, id)).toMatchObject({ kind: "exists", key: { id } });
  });

  it("stops at the limit, even when keys are created in parallel", async () => {
    const { id: userId } = await newUser(1);
    // The new user has one key.
    await fill(userId, ACTIVE_KEYS_MAX - 2);
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => make(userId)));
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(["issued", ...Array(4).fill("too_many")]);
  });

  it("counts neither revoked nor expired keys", async () => {
    const { id: userId } = await newUser(1);
    await fill(userId, ACTIVE_KEYS_MAX - 2);
    const issued = await make(userId);
    if (issued.kind !== "issued") throw new Error(issued.kind);
    expect(await make(userId)).toMatchObject({ kind: "too_many" });
    expect(await revokeKey(env.DB, { id: issued.key.id, userId }, NOW)).toBe(true);
    expect(await make(userId)).toMatchObject({ kind: "issued" });
  });
});

describe("revokeKey", () => {
  it("does not revoke another user's key, or a key that does not exist", async () => {
    const [owner, other] = [await newUser(1), await newUser(1)];
    const issued = await make(owner.id);
    if (issued.kind !== "issued") throw new Error(issued.kind);
    const { id } = issued.key;
    expect(await revokeKey(env.DB, { id, userId: other.id }, NOW)).toBe(false);
    expect(await revokeKey(env.DB, { id: newId("key") }, NOW)).toBe(false);
    const revokedAt = () =>
      env.DB.prepare("SELECT revoked_at FROM api_keys WHERE id = ?").bind(id).first("revoked_at");
    expect(await revokedAt()).toBeNull();
    expect(await revokeKey(env.DB, { id }, NOW)).toBe(true);
    expect(await revokeKey(env.DB, { id }, NOW + 1)).toBe(true);
    expect(await revokedAt()).toBe(NOW);
  });
});
