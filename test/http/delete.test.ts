import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import type { Account } from "../../src/account/account.ts";
import { newId } from "../../src/id.ts";
import { call, creditsOf, newTestKey, newUser, respond, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";
import { EntryPage, Generated, Pending, refusal } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

/** DELETE /api/v1/generations/:id. */
const ASKED = { model: "gpt-image-2", prompt: "a secret hill", metadata: { project: "secret" }, user: "u-1" };
const bucket: R2Bucket = Object.getPrototypeOf(env.IMAGES);
const database: D1Database = Object.getPrototypeOf(env.LOG);
const labels = { metadata: z.object({ project: z.literal("secret") }) };
const Made = Generated.extend(labels);
const Accepted = Pending.extend(labels);
let user: TestUser;

beforeEach(async () => {
  spyOnLog();
  holdQueue();
  provide();
  user = await newUser(100);
});

afterEach(() => {
  vi.restoreAllMocks();
});

const generate = (json: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
  call("POST", "/api/v1/images/generations", { key: user.key, json: { ...ASKED, ...json }, headers });
const generated = async (headers: Record<string, string> = {}) =>
  Made.parse((await generate({}, headers)).body);
const remove = (id: string, key = user.key) => call("DELETE", `/api/v1/generations/${id}`, { key });
const read = (path: string, key = user.key) => call("GET", `/api/v1/${path}`, { key });

/** Makes the account forget a generation, as a day after its end. */
async function prune(id: string): Promise<void> {
  await runInDurableObject(env.ACCOUNT.getByName(user.id), (_, { storage }) => {
    storage.sql.exec("DELETE FROM generations WHERE id = ?", id);
  });
}

/** Every text that the account, the log and the bucket have of this user and generation. */
async function traces(id: string): Promise<string> {
  const tables = await runInDurableObject(env.ACCOUNT.getByName(user.id), (_, { storage }) =>
    ["generations", "webhooks", "deletions"].map((table) =>
      storage.sql.exec(`SELECT * FROM ${table}`).toArray(),
    ),
  );
  const rows = await env.LOG.prepare("SELECT * FROM generations WHERE user_id = ?").bind(user.id).all();
  const { objects } = await env.IMAGES.list({ prefix: `${id}/` });
  return JSON.stringify([tables, rows.results, objects.map(({ key }) => `object ${key}`)]);
}

/** Runs the alarm as if it were due. */
async function alarm(later = 60_000): Promise<void> {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + later });
  await runInDurableObject<Account, void>(env.ACCOUNT.getByName(user.id), (account) => account.alarm());
  vi.useRealTimers();
}

describe("deleting a generation", () => {
  it.each(["the account", "only the log"])("removes everything but its charge: in %s", async (place) => {
    const { id, images } = await generated();
    if (place === "only the log") await prune(id);
    const answer = await remove(id);
    expect([answer.status, answer.text]).toEqual([204, ""]);
    const left = await traces(id);
    expect(left).not.toMatch(/secret|u-1|"object /);
    for (const { url } of images) expect((await respond("GET", url)).status).toBe(404);
    for (const path of [`generations/${id}`, `generations/${id}/events`, `generations/${id}/deliveries`])
      expect(refusal(await read(path))).toMatchObject({ status: 404, code: "notFound" });
    expect((await read("generations")).body).toMatchObject({ data: [] });
    expect((await read("generations?metadata[project]=secret")).body).toMatchObject({ data: [] });
    expect(refusal(await remove(id))).toMatchObject({ status: 404, code: "notFound" });
    expect(await creditsOf(user)).toBe(92);
    const { data } = EntryPage.parse((await read("credits/entries")).body);
    expect(data.map(({ kind, generation_id }) => [kind, generation_id])).toEqual([
      ["charge", id],
      ["grant", null],
    ]);
    expect((await read("usage")).body).toMatchObject({ data: [{ generations: 1, images: 1, credits: 8 }] });
  });

  it("leaves the others alone", async () => {
    const [{ id }, kept] = [await generated(), await generated()];
    await remove(id);
    expect((await read(`generations/${kept.id}`)).body).toMatchObject({
      id: kept.id,
      metadata: ASKED.metadata,
    });
    expect((await respond("GET", kept.images[0]?.url ?? "")).status).toBe(200);
    expect((await read("generations")).body).toMatchObject({ data: [{ id: kept.id }] });
  });

  it("removes what the log gets only afterwards", async () => {
    const broken = vi.spyOn(database, "batch").mockRejectedValue(new Error("the log is away"));
    const { id } = await generated();
    broken.mockRestore();
    expect((await remove(id)).status).toBe(204);
    await alarm();
    const row = await env.LOG.prepare("SELECT request, deleted_at FROM generations WHERE id = ?")
      .bind(id)
      .first();
    expect(row).toMatchObject({ deleted_at: expect.any(Number) });
    expect(await traces(id)).not.toContain("secret");
  });

  it("waits for a write of the log that began before", async () => {
    const gate = Promise.withResolvers<void>();
    const batch = database.batch;
    const held = vi.spyOn(database, "batch").mockImplementationOnce(async function (
      this: D1Database,
      statements,
    ) {
      await gate.promise;
      return await batch.call(this, statements);
    });
    const { id } = Accepted.parse((await generate({ async: true })).body);
    const account = env.ACCOUNT.getByName(user.id);
    await account.begin(id);
    const finishing = account.finish(id, 1, { images: [], failure: "generationFailed" });
    await vi.waitUntil(() => held.mock.calls.length > 0);
    const removing = remove(id);
    gate.resolve();
    await finishing;
    expect((await removing).status).toBe(204);
    expect(await traces(id)).not.toContain("secret");
  });

  it.each(["storage", "the log"])(
    "is a 503 while %s does not answer, and the alarm does the rest",
    async (part) => {
      const { id } = await generated();
      const broken =
        part === "storage"
          ? vi.spyOn(bucket, "list").mockRejectedValue(new Error("storage is away"))
          : vi
              .spyOn(Object.getPrototypeOf(env.LOG.prepare("SELECT 1")), "run")
              .mockRejectedValue(new Error("away"));
      const answer = await remove(id);
      expect(refusal(answer)).toMatchObject({ status: 503, code: "serviceUnavailable" });
      expect(answer.headers.get("Retry-After")).toBe("5");
      broken.mockRestore();
      await alarm();
      expect(await traces(id)).not.toMatch(/secret|"object /);
      expect((await remove(id)).status).toBe(404);
    },
  );

  it("can be repeated after a 503 until it is a 204", async () => {
    const { id } = await generated();
    const broken = vi.spyOn(bucket, "list").mockRejectedValue(new Error("storage is away"));
    expect((await remove(id)).status).toBe(503);
    broken.mockRestore();
    expect((await remove(id)).status).toBe(204);
    expect((await remove(id)).status).toBe(404);
  });

  it("works for a test key", async () => {
    const key = await newTestKey(user.id);
    const { body } = await call("POST", "/api/v1/images/generations", { key, json: ASKED });
    const { id } = z.object({ id: z.string() }).parse(body);
    expect((await remove(id)).status).toBe(404);
    expect((await remove(id, key)).status).toBe(204);
    expect((await read(`generations/${id}`, key)).status).toBe(404);
    const rows = await env.LOG.prepare(
      "SELECT request ->> 'prompt' AS prompt FROM test_generations WHERE id = ?",
    );
    expect(await rows.bind(id).first()).toEqual({ prompt: "" });
  });
});

describe("an idempotency key of a deleted generation", () => {
  it("is not free again, for the same request and for another", async () => {
    const headers = { "Idempotency-Key": "a-key" };
    const { id } = await generated(headers);
    await remove(id);
    const again = refusal(await generate({}, headers));
    expect(again).toMatchObject({ status: 409, code: "conflict", param: "Idempotency-Key" });
    expect(again.message).toMatch(/^The generation that this request made before was deleted\./);
    expect(refusal(await generate({ prompt: "another" }, headers)).code).toBe("idempotencyMismatch");
    const compatible = await call("POST", "/openai/v1/images/generations", {
      ...{ key: user.key, headers, json: { model: ASKED.model, prompt: ASKED.prompt } },
    });
    expect(compatible.status).toBe(422);
    expect((await read("generations?idempotency_key=a-key")).body).toMatchObject({ data: [] });
    expect(await creditsOf(user)).toBe(92);
  });
});

describe("a generation that cannot be deleted", () => {
  it.each(["queued", "processing"])("is %s", async (status) => {
    const { id } = Accepted.parse((await generate({ async: true })).body);
    if (status === "processing") await env.ACCOUNT.getByName(user.id).begin(id);
    expect(refusal(await remove(id))).toMatchObject({
      ...{ status: 409, code: "conflict" },
      message: "The generation has not ended. Cancel it, or wait for its end.",
    });
    expect((await read(`generations/${id}`)).body).toMatchObject({ status, metadata: ASKED.metadata });
  });

  it.each(["x", "gen_x", newId("gen")])("does not exist: %s", async (id) => {
    expect(refusal(await remove(id))).toMatchObject({ status: 404, code: "notFound" });
  });

  it("belongs to another user, in the account and in the log", async () => {
    const { id, images } = await generated();
    const other = await newUser();
    expect((await remove(id, other.key)).status).toBe(404);
    await prune(id);
    expect((await remove(id, other.key)).status).toBe(404);
    expect((await respond("GET", images[0]?.url ?? "")).status).toBe(200);
  });
});

it("sends no webhook of a deleted generation any more", async () => {
  const { id } = await generated();
  const account = env.ACCOUNT.getByName(user.id);
  await runInDurableObject(account, (_, { storage }) => {
    storage.sql.exec(
      "INSERT INTO webhooks VALUES (?, 1, 'https://hook.test/', 'generation.succeeded', 'secret', 1, 1, '[]', 0, ?)",
      ...[id, Date.now()],
    );
  });
  const sent = vi.spyOn(globalThis, "fetch");
  expect((await remove(id)).status).toBe(204);
  await alarm();
  expect(sent).not.toHaveBeenCalled();
  expect(await account.deliveries(id)).toBeNull();
});
