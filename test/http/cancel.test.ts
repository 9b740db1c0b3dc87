import { createMessageBatch, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { consume } from "../../src/generations/consume.ts";
import { newId } from "../../src/id.ts";
import { png } from "../images/samples.ts";
import { call, creditsOf, newUser, operate, storedReferences, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";
import { Canceled, EntryPage, Generated, Pending, refusal } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

/** POST /api/v1/generations/:id/cancel. */
const ASKED = { model: "gpt-image-2", prompt: "a hill" };
const DAY_MS = 86_400_000;
let user: TestUser;

beforeEach(async () => {
  spyOnLog();
  holdQueue();
  user = await newUser(100);
});

afterEach(() => {
  vi.restoreAllMocks();
});

const generate = (json: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
  call("POST", "/api/v1/images/generations", { key: user.key, json: { ...ASKED, ...json }, headers });
const cancel = (id: string, key = user.key) => call("POST", `/api/v1/generations/${id}/cancel`, { key });
const read = (id: string) => call("GET", `/api/v1/generations/${id}`, { key: user.key });
const queued = async (json = {}, headers = {}) =>
  Pending.parse((await generate({ ...json, async: true }, headers)).body);

async function deliver(generationId: string): Promise<void> {
  const body = { userId: user.id, generationId };
  await consume(
    createMessageBatch("generations", [{ id: "1", timestamp: new Date(), attempts: 1, body }]),
    env,
  );
}

describe("canceling a queued generation", () => {
  it("refunds it whole, and never calls the provider", async () => {
    const provider = provide();
    const { id } = await queued({ n: 3 });
    expect(await creditsOf(user)).toBe(76);
    const answer = await cancel(id);
    expect(answer.status).toBe(200);
    expect(Canceled.parse(answer.body)).toMatchObject({
      id,
      usage: { credits: 0, credits_requested: 24, credits_charged: 24, credits_refunded: 24 },
    });
    expect(await creditsOf(user)).toBe(100);
    await deliver(id);
    expect(provider).not.toHaveBeenCalled();
    expect((await read(id)).body).toEqual(answer.body);
  });

  it("gives the same answer again, at once, later, and when only the log has it", async () => {
    const { id } = await queued();
    const first = await cancel(id);
    expect(await cancel(id)).toMatchObject({ status: 200, body: first.body });
    await runInDurableObject(env.ACCOUNT.getByName(user.id), (_, { storage }) => {
      storage.sql.exec("DELETE FROM generations WHERE id = ?", id);
    });
    expect(await cancel(id)).toMatchObject({ status: 200, body: first.body });
    expect(await creditsOf(user)).toBe(100);
  });

  it("cancels once for ten parallel calls", async () => {
    const { id } = await queued();
    const answers = await Promise.all(Array.from({ length: 10 }, () => cancel(id)));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    const { data } = EntryPage.parse((await call("GET", "/api/v1/credits/entries", { key: user.key })).body);
    expect(data.map(({ kind, credits }) => `${kind} ${credits}`)).toEqual([
      "refund 8",
      "charge -8",
      "grant 100",
    ]);
  });

  it("returns credits with their own expiry", async () => {
    const expires_at = new Date(Date.now() + DAY_MS).toISOString();
    await operate("POST", `/users/${user.id}/credits`, { id: "soon", credits: 8, expires_at });
    const { id } = await queued();
    await cancel(id);
    const { body } = await call("GET", "/api/v1/credits/grants", { key: user.key });
    expect(body).toMatchObject({
      data: expect.arrayContaining([expect.objectContaining({ id: "soon", remaining: 8, expires_at })]),
    });
    expect(body).toMatchObject({ data: { length: 2 } });
  });

  it("deletes its references", async () => {
    const form = new FormData();
    for (const [name, value] of Object.entries({ ...ASKED, async: "true" })) form.set(name, value);
    form.set("reference_image", new File([png(1, 1)], "a.png"));
    const { body } = await call("POST", "/api/v1/images/generations", { key: user.key, body: form });
    expect(await storedReferences()).toHaveLength(1);
    await cancel(Pending.parse(body).id);
    expect(await storedReferences()).toEqual([]);
  });

  it("shows it as canceled in lists and in the log", async () => {
    const { id } = await queued();
    await cancel(id);
    const { body } = await call("GET", "/api/v1/generations?status=canceled", { key: user.key });
    expect(
      z
        .object({ data: z.array(Canceled) })
        .parse(body)
        .data.map((each) => each.id),
    ).toEqual([id]);
    const row = await env.LOG.prepare("SELECT status, error FROM generations WHERE id = ?").bind(id).first();
    expect(row).toEqual({ status: "canceled", error: null });
  });

  it("answers a request that repeats its idempotency key with the canceled generation", async () => {
    const headers = { "Idempotency-Key": "a-key" };
    const { id } = await queued({}, headers);
    await cancel(id);
    for (const async of [true, false]) {
      const answer = await generate({ async }, headers);
      expect(answer).toMatchObject({ status: 200, body: { id, status: "canceled", images: [] } });
    }
    const compatible = await call("POST", "/openai/v1/images/generations", {
      key: user.key,
      json: ASKED,
      headers,
    });
    expect(compatible).toMatchObject({ status: 409, body: { error: { code: "conflict" } } });
    expect(await creditsOf(user)).toBe(100);
  });

  it("answers a call that waits for it", async () => {
    const headers = { "Idempotency-Key": "a-key" };
    const { id } = await queued({}, headers);
    const waiting = generate({}, headers);
    await cancel(id);
    expect(await waiting).toMatchObject({ status: 200, body: { id, status: "canceled" } });
  });
});

describe("a generation that cannot be canceled", () => {
  it.each(["succeeded", "failed"])("has %s", async (status) => {
    provide(status === "failed" ? 0 : 1, status === "failed" ? { reason: "invalid" } : undefined);
    const { id } = await queued();
    await deliver(id);
    const before = (await read(id)).body;
    expect(refusal(await cancel(id))).toEqual({
      ...{ status: 409, code: "notCancelable", param: null, generationStatus: status },
      message: `The generation is ${status} and cannot be canceled.`,
    });
    expect((await read(id)).body).toEqual(before);
  });

  it("is only in the log", async () => {
    provide();
    const { id } = Generated.parse((await generate()).body);
    await runInDurableObject(env.ACCOUNT.getByName(user.id), (_, { storage }) => {
      storage.sql.exec("DELETE FROM generations WHERE id = ?", id);
    });
    expect(refusal(await cancel(id))).toMatchObject({ status: 409, generationStatus: "succeeded" });
  });

  it("is processing", async () => {
    const { id } = await queued();
    await env.ACCOUNT.getByName(user.id).begin(id);
    expect(refusal(await cancel(id))).toMatchObject({
      ...{ status: 409, code: "notCancelable", generationStatus: "processing" },
    });
    expect(await creditsOf(user)).toBe(92);
  });

  it("is queued again after a run that may have called the provider", async () => {
    const account = env.ACCOUNT.getByName(user.id);
    const { id } = await queued();
    await account.begin(id);
    expect(await account.defer(id, 1, null, 0)).toBe("deferred");
    expect(refusal(await cancel(id))).toMatchObject({
      ...{ status: 409, code: "notCancelable", generationStatus: "queued" },
      message: "The generation waits for another attempt and can no longer be canceled.",
    });
  });

  it("can be canceled while it is queued again and no run has called the provider", async () => {
    const account = env.ACCOUNT.getByName(user.id);
    const { id } = await queued();
    await account.begin(id);
    expect(await account.defer(id, 1, null, 1)).toBe("deferred");
    expect((await cancel(id)).status).toBe(200);
  });

  it.each(["x", "gen_x", newId("gen")])("does not exist: %s", async (id) => {
    expect(refusal(await cancel(id))).toMatchObject({ status: 404, code: "notFound" });
  });

  it("belongs to another user", async () => {
    const { id } = await queued();
    const other = await newUser();
    expect(refusal(await cancel(id, other.key))).toMatchObject({ status: 404, code: "notFound" });
    expect(Pending.parse((await read(id)).body).status).toBe("queued");
  });

  it("takes only POST", async () => {
    const { id } = await queued();
    const answer = await call("GET", `/api/v1/generations/${id}/cancel`, { key: user.key });
    expect([answer.status, answer.headers.get("Allow")]).toEqual([405, "POST"]);
  });
});
