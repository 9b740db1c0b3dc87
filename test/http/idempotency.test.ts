import { describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { png } from "../images/samples.ts";
import { call, creditsOf, newUser, storedReferences, type TestUser } from "../support/http.ts";
import { provide } from "../support/tiny-provider.ts";

const request = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };
const Made = z.looseObject({ id: z.string(), status: z.string() });

function post({ key }: TestUser, idempotencyKey: string, json: object, headers: Record<string, string> = {}) {
  return call("POST", "/api/v1/images/generations", {
    key,
    headers: { "Idempotency-Key": idempotencyKey, ...headers },
    json,
  });
}

async function postForm({ key }: TestUser, idempotencyKey: string, reference: Uint8Array) {
  const form = new FormData();
  for (const [name, value] of Object.entries(request)) form.set(name, value);
  form.set("reference_image", new Blob([reference]), "r.png");
  const encoded = new Response(form);
  return call("POST", "/api/v1/images/generations", {
    key,
    headers: {
      "Idempotency-Key": idempotencyKey,
      "Content-Type": encoded.headers.get("Content-Type") ?? "",
    },
    body: await encoded.arrayBuffer(),
  });
}

describe("a request with an idempotency key", () => {
  it("is one generation, one charge and one response, however often it is sent in parallel", async () => {
    const provider = provide();
    const user = await newUser(1000);
    const answers = await Promise.all(Array.from({ length: 50 }, () => post(user, "k", request)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    const replayed = answers.filter(({ headers }) => headers.get("Idempotent-Replayed") === "true");
    expect(replayed).toHaveLength(49);
    expect(await creditsOf(user)).toBe(992);
    expect(provider).toHaveBeenCalledTimes(1);
    provider.mockRestore();
  });

  it("joins in another notation: explicit defaults, async, a quoted key", async () => {
    const provider = provide();
    const user = await newUser(100);
    const first = Made.parse((await post(user, "k", request)).body);
    for (const [key, same] of [
      ["k", { ...request, n: 1, quality: "auto", aspect_ratio: "1:1", response_format: "url" }],
      ['"k"', { ...request, async: true }],
    ] as const) {
      const again = await post(user, key, same);
      expect([again.status, Made.parse(again.body).id]).toEqual([200, first.id]);
      expect(again.headers.get("Idempotent-Replayed")).toBe("true");
    }
    expect(await creditsOf(user)).toBe(92);
    provider.mockRestore();
  });

  it.each([
    ["prompt", { ...request, prompt: "a harbour" }],
    ["n", { ...request, n: 2 }],
    ["size", { ...request, size: "1280x720" }],
    ["quality", { ...request, quality: "high" }],
    ["user", { ...request, user: "somebody" }],
  ])("is refused with another %s, and costs nothing", async (_, other) => {
    const provider = provide();
    const user = await newUser(100);
    await post(user, "k", request);
    const answer = await post(user, "k", other);
    expect(answer).toMatchObject({ status: 422, body: { error: { code: "idempotencyMismatch" } } });
    expect(await creditsOf(user)).toBe(92);
    provider.mockRestore();
  });

  it("compares references by content, and deletes repeated uploads", async () => {
    const provider = provide();
    const user = await newUser(8);
    const first = await postForm(user, "k", png(3, 2));
    expect(first.status).toBe(200);
    const again = await postForm(user, "k", png(3, 2));
    expect([again.status, Made.parse(again.body).id]).toEqual([200, Made.parse(first.body).id]);
    expect((await postForm(user, "k", png(2, 3))).status).toBe(422);
    await vi.waitUntil(async () => (await storedReferences()).length === 0);
    expect(await creditsOf(user)).toBe(0);
    provider.mockRestore();
  });

  it("is replayed as failed after a failure", async () => {
    const provider = provide(0, { reason: "refused" });
    const user = await newUser(100);
    const first = await post(user, "k", request);
    const again = await post(user, "k", request);
    expect([first.status, again.status]).toEqual([400, 400]);
    const failure = z.looseObject({ error: z.looseObject({ generation_id: z.string() }) });
    expect(failure.parse(again.body).error.generation_id).toBe(failure.parse(first.body).error.generation_id);
    const asynchronous = await post(user, "k", { ...request, async: true });
    expect(asynchronous).toMatchObject({
      status: 200,
      body: { status: "failed", error: { code: "contentPolicyViolation" } },
    });
    expect(provider).toHaveBeenCalledTimes(1);
    expect(await creditsOf(user)).toBe(100);
    provider.mockRestore();
  });

  it("does not use up the key when it was refused before the charge", async () => {
    const provider = provide();
    const user = await newUser(8);
    expect((await post(user, "k", { ...request, n: 2 })).status).toBe(402);
    expect((await post(user, "k", { ...request, size: "1x1" })).status).toBe(400);
    expect((await post(user, "k", request)).status).toBe(200);
    provider.mockRestore();
  });

  it("is scoped to the user", async () => {
    const provider = provide();
    const [one, two] = [await newUser(8), await newUser(8)];
    const ids = [await post(one, "k", request), await post(two, "k", request)].map(
      ({ body }) => Made.parse(body).id,
    );
    expect(new Set(ids).size).toBe(2);
    provider.mockRestore();
  });

  it("can be found by its key when the response was lost", async () => {
    const provider = provide();
    const user = await newUser(100);
    const { id } = Made.parse((await post(user, "my key/1".replace(" ", "-"), request)).body);
    const list = (query: string) => call("GET", `/api/v1/generations?${query}`, { key: user.key });
    expect((await list("idempotency_key=my-key/1")).body).toMatchObject({ data: [{ id }], has_more: false });
    expect((await list("idempotency_key=other")).body).toMatchObject({ data: [] });
    expect((await list("idempotency_key=my-key/1&status=failed")).body).toMatchObject({ data: [] });
    provider.mockRestore();
  });

  it.each([
    ["255 characters", "k".repeat(255), 200],
    ["256 characters", "k".repeat(256), 400],
    ["nothing", "", 400],
    ["an empty string", '""', 400],
    ["a space", "a b", 400],
    ["a quoted string with a quote inside", String.raw`"a\"b"`, 200],
  ])("takes a key of %s as it should", async (_, key, status) => {
    const provider = provide();
    expect((await post(await newUser(8), key, request)).status).toBe(status);
    provider.mockRestore();
  });
});
