import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ProviderError, type ProviderFailure } from "../../src/providers/provider.ts";
import { call, creditsOf, eventually, newUser, storedReferences, type TestUser } from "../support/http.ts";
import { Failed, Generated, Pending, refusal, Succeeded } from "../support/shapes.ts";
import { provide, tinyImage } from "../support/tiny-provider.ts";

/** Responses of sync calls when the provider returns fewer images, none, or is too slow. */
let user: TestUser;

beforeEach(async () => {
  user = await newUser(100);
});

afterEach(() => {
  vi.restoreAllMocks();
});

const generate = (json: Record<string, unknown> = {}, settings = {}) =>
  call("POST", "/api/v1/images/generations", {
    key: user.key,
    json: { model: "gpt-image-2", prompt: "a hill", ...json },
    settings,
  });

async function readBack(id: string) {
  return (await call("GET", `/api/v1/generations/${id}`, { key: user.key })).body;
}

describe("a provider that returns fewer images than requested", () => {
  it.each([1, 2, 3])("%i of 4: delivers them, and refunds the rest", async (made) => {
    provide(made);
    const answer = await generate({ n: 4 });
    const generated = Generated.parse(answer.body);
    expect([answer.status, generated.images.length]).toEqual([200, made]);
    expect(generated.usage).toEqual({
      credits: 8 * made,
      credits_requested: 32,
      credits_charged: 32,
      credits_refunded: 32 - 8 * made,
    });
    expect(generated.balance.credits).toBe(100 - 8 * made);
    expect(await creditsOf(user)).toBe(100 - 8 * made);
    expect(Succeeded.parse(await readBack(generated.id)).usage).toEqual(generated.usage);
  });

  it("delivers the images before its failure", async () => {
    provide(2, { reason: "misconfigured" });
    const generated = Generated.parse((await generate({ n: 3 })).body);
    expect([generated.images.length, generated.usage.credits]).toEqual([2, 16]);
  });

  it("is asked again only for the missing images when it was unavailable", async () => {
    const provider = provide(1, { reason: "unavailable", retryAfterMs: null });
    const generated = Generated.parse((await generate({ n: 3 })).body);
    expect(provider.mock.calls.map(([request]) => request.n)).toEqual([3, 2, 1]);
    expect([generated.images.length, generated.usage.credits]).toEqual([3, 24]);
  }, 15_000);

  it("does not count bytes that are not an image", async () => {
    provide().mockImplementation(async function* () {
      yield tinyImage();
      yield { body: new Blob(["<html>sorry</html>"]).stream() };
    });
    expect(Generated.parse((await generate({ n: 2 })).body).usage.credits).toBe(8);
  });

  it("loses surplus images", async () => {
    provide().mockImplementation(async function* () {
      for (let made = 0; made < 9; made++) yield tinyImage();
    });
    const generated = Generated.parse((await generate({ n: 2 })).body);
    expect([generated.images.length, generated.usage.credits]).toEqual([2, 16]);
  });
});

describe("a generation without any image", () => {
  const failures: [string, number, ProviderFailure | undefined, number, string, number][] = [
    ["gives none", 0, undefined, 500, "generationFailed", 1],
    ["cannot take the request", 0, { reason: "invalid" }, 500, "generationFailed", 1],
    ["refuses our account", 0, { reason: "misconfigured" }, 500, "generationFailed", 1],
    ["refuses the prompt", 0, { reason: "refused" }, 400, "contentPolicyViolation", 1],
    ["loses what it may have made", 0, { reason: "undelivered" }, 500, "generationFailed", 2],
    ["is down", 0, { reason: "unavailable", retryAfterMs: null }, 500, "generationFailed", 3],
  ];

  it.each(failures)(
    "when the provider %s",
    async (_name, made, failure, status, code, calls) => {
      // The shortest back-off.
      vi.spyOn(Math, "random").mockReturnValue(0);
      const provider = provide(made, failure);
      const error = refusal(await generate({ n: 2 }));
      expect(error).toEqual({
        ...{ status, code, param: null, message: expect.stringMatching(/The credits were returned\.$/) },
        generation_id: expect.stringMatching(/^gen_/),
      });
      expect(provider).toHaveBeenCalledTimes(calls);
      expect(await creditsOf(user)).toBe(100);
      expect(Failed.parse(await readBack(error.generation_id ?? ""))).toMatchObject({
        id: error.generation_id,
        error: { code, message: error.message },
        usage: { credits: 0, credits_requested: 16 },
      });
    },
    15_000,
  );

  it("results from every response without an image", async () => {
    provide().mockImplementation(async function* () {
      yield { body: new Blob(["not a picture"]).stream() };
    });
    expect(refusal(await generate())).toMatchObject({ status: 500, code: "generationFailed" });
    expect(await creditsOf(user)).toBe(100);
  });

  it("reveals no internals", async () => {
    const secret = "very secret, at 10.0.0.7";
    provide().mockImplementation(() => {
      throw new ProviderError({ reason: "misconfigured" }, secret);
    });
    const answer = await generate();
    expect(refusal(answer)).toMatchObject({ status: 500, code: "generationFailed" });
    expect(answer.text + JSON.stringify([...answer.headers])).not.toContain("secret");
    expect(await creditsOf(user)).toBe(100);
  });

  it("leaves no reference", async () => {
    provide(0, { reason: "refused" });
    const body = new FormData();
    body.append("model", "gpt-image-2");
    body.append("prompt", "a hill");
    body.append("reference_image", await new Response(tinyImage().body).blob());
    const answer = await call("POST", "/api/v1/images/generations", { key: user.key, body });
    expect(refusal(answer)).toMatchObject({ status: 400, code: "contentPolicyViolation" });
    expect(await storedReferences()).toEqual([]);
  });
});

describe("a generation that takes longer than SYNC_WAIT_SECONDS", () => {
  it("returns 202, continues, and can be read after its end", async () => {
    const drawing = Promise.withResolvers<void>();
    provide().mockImplementation(async function* () {
      await drawing.promise;
      yield tinyImage();
    });
    const started = Date.now();
    const answer = await generate({}, { SYNC_WAIT_SECONDS: "1" });
    expect(Date.now() - started).toBeGreaterThanOrEqual(6_000);
    const pending = Pending.parse(answer.body);
    expect([answer.status, pending.status]).toEqual([202, "processing"]);
    expect(answer.headers.get("Location")).toBe(pending.poll_url);
    expect(Number(answer.headers.get("Retry-After"))).toBeGreaterThan(0);
    drawing.resolve();
    const read = await eventually(async () => Succeeded.safeParse(await readBack(pending.id)).data);
    expect(read.usage).toEqual({ credits: 8, credits_requested: 8, credits_charged: 8, credits_refunded: 0 });
    expect(await creditsOf(user)).toBe(92);
  }, 20_000);
});
