import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call, operate } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { provide } from "../support/tiny-provider.ts";
import { findUser, PASSWORD, SITE, visit } from "./visitor.ts";

/** Taking one's data along, and deleting one's account. */
async function member() {
  const visitor = visit();
  const email = await visitor.signUp();
  const user = await findUser(email);
  if (!user) throw new Error("The sign-up failed.");
  await operate("POST", `/users/${user.id}/credits`, { id: "gift", credits: 1_000 });
  const issued = await operate("POST", `/users/${user.id}/api_keys`, { name: "a program" });
  const { api_key: key } = Object(issued.body);
  return { visitor, email, id: user.id, key: String(key) };
}

beforeEach(() => {
  spyOnLog();
  provide();
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("the download", () => {
  it("has the account, keys without secrets, the ledger and every generation, over several pages", async () => {
    const { visitor, email, id, key } = await member();
    const json = { model: "gpt-image-2", prompt: "a hill", metadata: { project: "x" } };
    const { body } = await call("POST", "/api/v1/images/generations", { key, json });
    const rows = Array.from({ length: 101 }, (_, at) =>
      env.LOG.prepare(
        `INSERT INTO generations SELECT user_id, 'gen_01M8TCH2000000000000000' || ?, status, model, created_at, ended_at,
           credits_charged, credits_refunded, request, error, images, deleted_at FROM generations WHERE user_id = ? LIMIT 1`,
      ).bind(String(at).padStart(3, "0"), id),
    );
    await env.LOG.batch(rows);
    const answer = await visitor.get("/account/settings/data");
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("application/x-ndjson; charset=utf-8");
    expect(answer.headers.get("content-disposition")).toBe('attachment; filename="gpt-image-hub.jsonl"');
    expect(answer.headers.get("cache-control")).toBe("private, no-store");
    const text = new TextDecoder().decode(await answer.bytes());
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const count = (object: string) => lines.filter((line) => line.object === object).length;
    expect(lines[0]).toMatchObject({ object: "user", id, email });
    expect([count("api_key"), count("credit_grant"), count("credit_entry")]).toEqual([1, 1, 2]);
    expect(count("image_generation")).toBe(102);
    expect(new Set(lines.map((line) => line.id)).size).toBe(lines.length);
    const { id: made, images } = Object(body);
    expect(lines.find((line) => line.id === made)).toMatchObject({
      prompt: "a hill",
      metadata: json.metadata,
      images,
    });
    expect(text).not.toContain(key);
  });

  it("is at most ten times in ten minutes", async () => {
    const { visitor } = await member();
    const statuses: number[] = [];
    for (let times = 0; times < 11; times++) {
      const answer = await visitor.get("/account/settings/data");
      await answer.bytes();
      statuses.push(answer.status);
    }
    expect(statuses).toEqual([...Array(10).fill(200), 429]);
  });
});

describe("deleting one's account", () => {
  it("needs the password, then refuses keys and sessions at once", async () => {
    const { visitor, email, id, key } = await member();
    const wrong = await visitor.post("/account/settings/delete", { delete_confirmation: "wrong" });
    expect(wrong.status).toBe(422);
    expect(await wrong.text()).toContain("This is not your password.");
    expect((await call("GET", "/api/v1/credits", { key })).status).toBe(200);
    const done = await visitor.post("/account/settings/delete", { delete_confirmation: PASSWORD });
    expect(done.status).toBe(200);
    expect(await done.text()).toContain("Account deleted");
    expect((await call("GET", "/api/v1/credits", { key })).status).toBe(401);
    expect((await visitor.get("/account")).status).toBe(303);
    expect(await findUser(email)).toBeFalsy();
    expect((await env.ACCOUNT.getByName(id).balance()).credits).toBe(1_000);
  });

  it("needs the address where there is no password", async () => {
    const { visitor, email, id } = await member();
    await env.DB.prepare("UPDATE accounts SET provider_id = 'github' WHERE user_id = ?").bind(id).run();
    expect(await (await visitor.get("/account/settings")).text()).toContain(`To confirm, enter ${email}.`);
    const wrong = await visitor.post("/account/settings/delete", { delete_confirmation: PASSWORD });
    expect(await wrong.text()).toContain("This is not your email address.");
    const done = await visitor.post("/account/settings/delete", {
      delete_confirmation: ` ${email.toUpperCase()}`,
    });
    expect([done.status, await findUser(email)]).toEqual([200, undefined]);
  });

  it("is not begun by another site, and is tried ten times at most", async () => {
    const { visitor, email } = await member();
    const foreign = await visitor.post(
      "/account/settings/delete",
      { delete_confirmation: PASSWORD },
      "https://evil.test",
    );
    expect(foreign.status).toBe(403);
    for (let times = 0; times < 10; times++)
      await visitor.post("/account/settings/delete", { delete_confirmation: "wrong" });
    const late = await visitor.post("/account/settings/delete", { delete_confirmation: PASSWORD }, SITE);
    expect(late.status).toBe(429);
    expect(await findUser(email)).toBeTruthy();
  });
});
