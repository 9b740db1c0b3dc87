import { createMessageBatch } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Account } from "../../src/account/account.ts";
import { consume } from "../../src/generations/consume.ts";
import { newId } from "../../src/id.ts";
import { call, newUser, respond, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";
import { Generated, Pending, refusal } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

/** GET /api/v1/generations/:id/events. */
let user: TestUser;

beforeEach(async () => {
  spyOnLog();
  holdQueue();
  user = await newUser(100);
});

afterEach(() => {
  vi.restoreAllMocks();
});

const generate = (json: Record<string, unknown> = {}) =>
  call("POST", "/api/v1/images/generations", {
    key: user.key,
    json: { model: "gpt-image-2", prompt: "a hill", ...json },
  });
const queued = async () => Pending.parse((await generate({ async: true })).body).id;
const current = async (id: string) =>
  (await call("GET", `/api/v1/generations/${id}`, { key: user.key })).body;

async function deliver(generationId: string): Promise<void> {
  const body = { userId: user.id, generationId };
  await consume(
    createMessageBatch("generations", [{ id: "1", timestamp: new Date(), attempts: 1, body }]),
    env,
  );
}

/** Opens the stream. `next` returns its next piece, or null at its end. */
async function open(id: string, headers: Record<string, string> = {}) {
  const response = await respond("GET", `/api/v1/generations/${id}/events`, { key: user.key, headers });
  expect(response.status).toBe(200);
  expect(response.headers.get("Content-Type")).toBe("text/event-stream; charset=utf-8");
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) throw new Error("The response has no body.");
  return { next: async () => (await reader.read()).value ?? null, leave: () => reader.cancel() };
}

/** An event as the stream has it. */
async function eventOf(id: string, status: string) {
  const generation = await current(id);
  expect(generation).toMatchObject({ status });
  return `event: generation\nid: ${status}\ndata: ${JSON.stringify(generation)}\n\n`;
}

describe("the events of a generation", () => {
  it("are its state at once, each change and the end", async () => {
    provide();
    const id = await queued();
    const { next } = await open(id);
    expect(await next()).toBe(await eventOf(id, "queued"));
    const account = env.ACCOUNT.getByName(user.id);
    const begun = await account.begin(id);
    expect(await next()).toBe(await eventOf(id, "processing"));
    if (begun.kind !== "run") throw new Error(begun.kind);
    await account.finish(id, begun.job.fence, { images: [], failure: "generationFailed" });
    expect(await next()).toBe(await eventOf(id, "failed"));
    expect(await next()).toBeNull();
  });

  it("tell the end at once, and leave out states that have passed", async () => {
    provide();
    const id = await queued();
    const { next } = await open(id);
    await next();
    const ended = next();
    await deliver(id);
    expect(await ended).toBe(await eventOf(id, "succeeded"));
    expect(await next()).toBeNull();
  });

  it("tell of a cancellation", async () => {
    const id = await queued();
    const { next } = await open(id);
    await next();
    await call("POST", `/api/v1/generations/${id}/cancel`, { key: user.key });
    expect(await next()).toBe(await eventOf(id, "canceled"));
    expect(await next()).toBeNull();
  });

  it.each(["", "queued", "succeeded", "nonsense"])(
    "of one that has ended are one event, for Last-Event-ID %j too",
    async (lastEventId) => {
      provide();
      const { id } = Generated.parse((await generate()).body);
      const { next } = await open(id, lastEventId === "" ? {} : { "Last-Event-ID": lastEventId });
      expect(await next()).toBe(await eventOf(id, "succeeded"));
      expect(await next()).toBeNull();
    },
  );

  it("have a comment after 15 s of silence", async () => {
    const id = await queued();
    const { next, leave } = await open(id);
    await next();
    const started = Date.now();
    expect(await next()).toBe(": keep-alive\n\n");
    expect(Date.now() - started).toBeGreaterThanOrEqual(14_900);
    await leave();
  }, 40_000);

  it("cost nothing more once the client has left", async () => {
    const id = await queued();
    const { next, leave } = await open(id);
    await next();
    const wait = vi.spyOn(Account.prototype, "wait");
    await leave();
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    // At most the call that was under way, and one that began while the client left.
    expect(wait.mock.calls.length).toBeLessThanOrEqual(1);
  }, 20_000);

  it("are not those of another user, or of an unknown id", async () => {
    const id = await queued();
    const other = await newUser();
    for (const [unknown, key] of [
      [id, other.key],
      [newId("gen"), user.key],
      ["x", user.key],
    ] as const) {
      const answer = await call("GET", `/api/v1/generations/${unknown}/events`, { key });
      expect(refusal(answer)).toMatchObject({ status: 404, code: "notFound" });
    }
  });
});
