import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Answer, call, creditsOf, eventually, newKey, newUser, type TestUser } from "../support/http.ts";
import { Failed, Generated, Pending, refusal, Succeeded } from "../support/shapes.ts";
import { provide, tinyImage } from "../support/tiny-provider.ts";

/** GET /api/v1/generations/:id. */
let user: TestUser;

beforeEach(async () => {
  user = await newUser(100);
  provide();
});

afterEach(() => {
  vi.restoreAllMocks();
});

const generate = (json: Record<string, unknown> = {}) =>
  call("POST", "/api/v1/images/generations", {
    key: user.key,
    json: { model: "gpt-image-2", prompt: "a hill", ...json },
  });
const read = (id: string, key = user.key) => call("GET", `/api/v1/generations/${id}`, { key });

/** Polls until it has ended. */
async function ended(id: string): Promise<Answer> {
  return await eventually(async () => {
    const answer = await read(id);
    return Pending.safeParse(answer.body).success ? null : answer;
  });
}

describe("reading a generation", () => {
  it("returns what its own call returned, without the balance", async () => {
    const { balance: _, ...generated } = Generated.parse((await generate({ n: 2, size: "1024x1024" })).body);
    const answer = await read(generated.id);
    expect([answer.status, Succeeded.parse(answer.body)]).toEqual([200, generated]);
    expect(answer.headers.get("Retry-After")).toBe(null);
  });

  it("returns the same with another key of its user, and every time", async () => {
    const { id } = Generated.parse((await generate()).body);
    const { key } = await newKey(user.id);
    const bodies = [await read(id), await read(id, key), await read(id)].map((answer) => answer.body);
    expect(bodies[1]).toEqual(bodies[0]);
    expect(bodies[2]).toEqual(bodies[0]);
  });

  it("reads from the account while it is not logged", async () => {
    const { id, ...rest } = Generated.parse((await generate()).body);
    await env.LOG.prepare("DELETE FROM generations WHERE id = ?").bind(id).run();
    expect((await read(id)).body).toMatchObject({ id, images: rest.images, usage: rest.usage });
  });

  it("reads from the log when the account no longer has it", async () => {
    const { id, images } = Generated.parse((await generate()).body);
    await runInDurableObject(env.ACCOUNT.getByName(user.id), (_account, state) => {
      state.storage.sql.exec("DELETE FROM generations WHERE id = ?", id);
    });
    expect((await read(id)).body).toMatchObject({ id, images });
  });

  it("shows queued, then processing, then succeeded, each time with poll_url and Retry-After", async () => {
    const drawing = Promise.withResolvers<void>();
    const provider = provide().mockImplementation(async function* () {
      await drawing.promise;
      yield tinyImage();
    });
    const { id } = Pending.parse((await generate({ async: true })).body);
    await eventually(() => provider.mock.calls.length === 1);
    const answer = await read(id);
    expect(Pending.parse(answer.body)).toMatchObject({
      status: "processing",
      usage: { credits: 0, credits_requested: 8 },
      poll_url: `https://hub.test/api/v1/generations/${id}`,
    });
    expect(Number(answer.headers.get("Retry-After"))).toBeGreaterThan(0);
    drawing.resolve();
    const { body } = await ended(id);
    expect(Succeeded.parse(body).usage).toEqual({
      credits: 8,
      credits_requested: 8,
      credits_charged: 8,
      credits_refunded: 0,
    });
    expect(await creditsOf(user)).toBe(92);
  });

  it("shows the code and the refund of a failed generation", async () => {
    provide(0, { reason: "refused" });
    const { id } = Pending.parse((await generate({ async: true, n: 3 })).body);
    const answer = await ended(id);
    expect([answer.status, Failed.parse(answer.body)]).toMatchObject([
      200,
      { status: "failed", error: { code: "contentPolicyViolation" }, usage: { credits_requested: 24 } },
    ]);
    expect(await creditsOf(user)).toBe(100);
  });

  it("uses the origin of the request that created it, not of the one that reads it", async () => {
    const { id } = Generated.parse((await generate()).body);
    const answer = await call("GET", `https://other.test/api/v1/generations/${id}`, { key: user.key });
    expect(Succeeded.parse(answer.body).images[0]?.url).toMatch(/^https:\/\/hub\.test\/images\//);
  });

  it("answers HEAD with the headers alone", async () => {
    const { id } = Generated.parse((await generate()).body);
    const answer = await call("HEAD", `/api/v1/generations/${id}`, { key: user.key });
    expect([answer.status, answer.text]).toEqual([200, ""]);
  });
});

describe("another user's generation", () => {
  it("looks like one that never existed", async () => {
    const stranger = await newUser(100);
    const { id } = Generated.parse((await generate()).body);
    const pending = Pending.parse((await generate({ async: true })).body);
    const ids = [
      ...[id, pending.id, "gen_01KNKKFJ0000000000000000AA", "gen_7ZZZZZZZZZZZZZZZZZZZZZZZZZ"],
      ...[
        id.toLowerCase(),
        id.slice(0, -1),
        `${id}0`,
        id.replace("gen_", ""),
        "gen_",
        "nonsense",
        "%00",
        "%ff",
      ],
      ...[
        "..%2f..%2fcredits",
        `${id}%00`,
        `${id}%20`,
        "'%20OR%201=1--",
        "a".repeat(8_000),
        "%F0%9F%98%80",
        "*",
      ],
    ];
    const answers = await Promise.all(ids.map((each) => read(each, stranger.key)));
    for (const answer of answers) {
      expect(refusal(answer)).toMatchObject({ status: 404, code: "notFound", param: null });
    }
    const told = answers.map(({ text, headers }) => ({
      text: text.replace(headers.get("X-Request-Id") ?? "", ""),
      headers: [...headers].filter(([name]) => name !== "x-request-id"),
    }));
    expect(new Set(told.map((each) => JSON.stringify(each))).size).toBe(1);
  });

  it("stays hidden while it runs, and while only the account has it", async () => {
    const stranger = await newUser();
    const drawing = Promise.withResolvers<void>();
    provide().mockImplementation(async function* () {
      await drawing.promise;
      yield tinyImage();
    });
    const { id } = Pending.parse((await generate({ async: true })).body);
    expect((await read(id, stranger.key)).status).toBe(404);
    drawing.resolve();
    await ended(id);
    await env.LOG.prepare("DELETE FROM generations WHERE id = ?").bind(id).run();
    expect((await read(id, stranger.key)).status).toBe(404);
    expect((await read(id)).status).toBe(200);
  });
});
