import { exports } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  AuthenticationError,
  type Client,
  ConflictError,
  ConnectionError,
  createClient,
  GenerationError,
  HubError,
  InsufficientCreditsError,
  InvalidRequestError,
  NotFoundError,
  RateLimitError,
  ServiceError,
  verifyWebhook,
  WebhookSignatureError,
} from "../../clients/typescript/src/index.ts";
import { ProviderError } from "../../src/providers/provider.ts";
import { sketch } from "../../src/providers/sketch/index.ts";
import { png } from "../images/samples.ts";
import { creditsOf, newUser, ORIGIN, type TestUser } from "../support/http.ts";
import { holdQueue } from "../support/queue.ts";

const ASKED = { model: "gpt-image-2", prompt: "a lighthouse at dusk", size: "1024x1024" };

type Sent = { method: string; path: string; key: string | null; lastEventId: string | null };

let user: TestUser;
let sent: Sent[];
/**
 * The outcomes of the next requests: request lost, response lost, response cut after its first piece, this response, or
 * `null` for the service's own. Later requests succeed.
 */
let mishaps: ("lost" | "answer lost" | "cut" | Response | null)[];
/** Called before each request. */
let beforeSend: () => Promise<void>;

const wire: typeof fetch = async (input, init) => {
  const request = new Request(input, init);
  const { pathname, search } = new URL(request.url);
  const path = pathname + search;
  const { method, headers } = request;
  const lastEventId = headers.get("Last-Event-ID");
  sent.push({ method, path, key: headers.get("Idempotency-Key"), lastEventId });
  await beforeSend();
  const mishap = mishaps.shift();
  if (mishap === "lost") throw new TypeError("fetch failed");
  if (mishap instanceof Response) return mishap;
  const answer = await exports.default.fetch(request);
  if (mishap === "cut") return await cut(answer);
  if (mishap !== "answer lost") return answer;
  await answer.arrayBuffer();
  throw new TypeError("fetch failed");
};

/** The first piece of a response, and then a broken connection. */
async function cut({ status, body }: Response): Promise<Response> {
  const reader = body?.getReader();
  const first = await reader?.read();
  await reader?.cancel();
  const pieces = first?.value ? [first.value] : [];
  const broken = new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = pieces.shift();
      if (piece) controller.enqueue(piece);
      else controller.error(new TypeError("terminated"));
    },
  });
  return new Response(broken, { status });
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const clientOf = (apiKey: string): Client => createClient({ apiKey, baseUrl: `${ORIGIN}/`, fetch: wire });

function provide(...pictures: Uint8Array[]) {
  return vi.spyOn(sketch, "generate").mockImplementation(async function* () {
    for (const bytes of pictures) yield { body: new Blob([bytes]).stream() };
  });
}

beforeEach(async () => {
  user = await newUser(100);
  sent = [];
  mishaps = [];
  beforeSend = async () => {};
});

afterEach(() => vi.restoreAllMocks());

describe("generate", () => {
  it("submits, waits with progress, and downloads", async () => {
    const picture = png(1024, 1024);
    provide(picture);
    const client = clientOf(user.key);
    const seen: string[] = [];
    const { images, usage } = await client.generate(ASKED, { onProgress: ({ status }) => seen.push(status) });
    expect(seen.at(-1)).toBe("succeeded");
    expect(usage.credits).toBe(8);
    const [image] = images;
    if (!image) throw new Error("no image");
    expect(await client.download(image)).toEqual(picture);
    expect(await client.credits()).toMatchObject({ object: "credit_balance", credits: 92 });
  });

  it("sends references as a form", async () => {
    const spy = provide(png(1024, 1024));
    const references = [new Blob([png(8, 8)]), new Blob([png(9, 9)])];
    await clientOf(user.key).generate({ ...ASKED, n: 1 }, { references });
    await clientOf(user.key).edit(references, ASKED);
    expect(spy.mock.calls.map(([, { references }]) => references.length)).toEqual([2, 2]);
  });

  it("throws an error with the failed generation", async () => {
    vi.spyOn(sketch, "generate").mockImplementation(async function* () {
      yield await Promise.reject(new ProviderError({ reason: "refused" }, "as the test has it"));
    });
    const error = await clientOf(user.key)
      .generate(ASKED)
      .catch((reason: unknown) => reason);
    if (!(error instanceof GenerationError)) throw error;
    expect(error.generation).toMatchObject({ status: "failed", error: { code: "contentPolicyViolation" } });
    expect(await creditsOf(user)).toBe(100);
  });

  it("can stop waiting, and find the generation again", async () => {
    provide(png(1024, 1024));
    const client = clientOf(user.key);
    const { id } = await client.submit(ASKED);
    const left = client.wait(id, { signal: AbortSignal.abort(new Error("left")) });
    await expect(left).rejects.toThrow("left");
    expect(await client.wait(id)).toMatchObject({ id, status: "succeeded" });
  });

  it("polls again after the time that a service requests which does not wait", async () => {
    provide(png(1024, 1024));
    const client = clientOf(user.key);
    const { id } = await client.submit(ASKED);
    const ended = await client.wait(id);
    const waiting = { ...ended, status: "processing" };
    mishaps = [Response.json(waiting, { headers: { "Retry-After": "0" } })];
    expect(await client.wait(id)).toEqual(ended);
    expect(await client.get(id)).toEqual(ended);
  });
});

describe("a client", () => {
  it.each(["hub.test", "localhost:8787", "", "ftp://hub.test"])(
    "refuses the base URL %j at once",
    (baseUrl) => {
      const make = () => createClient({ apiKey: user.key, baseUrl, fetch: wire });
      expect(make).toThrow(
        new TypeError(
          `baseUrl must begin with https:// or http://, such as https://hub.example.org: ${baseUrl}`,
        ),
      );
    },
  );

  it.each(["", "gih_live_a b", "gih_live_a\n"])("refuses the key %j at once", (apiKey) => {
    expect(() => createClient({ apiKey, baseUrl: ORIGIN })).toThrow(TypeError);
  });

  it.each(["", "/", "/api/v1", "/api/v1/"])("accepts a base URL that ends in %j", async (end) => {
    const client = createClient({ apiKey: user.key, baseUrl: ORIGIN + end, fetch: wire });
    expect((await client.models()).map(({ id }) => id)).toContain("gpt-image-2");
    expect(sent.map(({ path }) => path)).toEqual(["/api/v1/models"]);
  });
});

describe("delete", () => {
  it("deletes a generation, also when its first response is lost", async () => {
    provide(png(1024, 1024));
    const client = clientOf(user.key);
    const { id } = await client.generate(ASKED);
    mishaps = ["answer lost"];
    await client.delete(id);
    await expect(client.get(id)).rejects.toBeInstanceOf(NotFoundError);
    await client.delete(id);
  });

  it("throws an error of its own when the generation has not ended", async () => {
    holdQueue();
    const client = clientOf(user.key);
    const { id } = await client.submit(ASKED);
    await expect(client.delete(id)).rejects.toBeInstanceOf(ConflictError);
  });
});

describe("cancel", () => {
  it("returns the canceled generation, also when its first response is lost", async () => {
    holdQueue();
    const client = clientOf(user.key);
    const { id } = await client.submit(ASKED);
    mishaps = ["answer lost"];
    expect(await client.cancel(id)).toMatchObject({ id, status: "canceled" });
    expect(await creditsOf(user)).toBe(100);
    await expect(client.wait(id)).rejects.toThrow("The generation was canceled.");
  });

  it("throws an error of its own when it is too late", async () => {
    provide(png(1024, 1024));
    const client = clientOf(user.key);
    const { id } = await client.generate(ASKED);
    const error = await client.cancel(id).catch((reason: unknown) => reason);
    if (!(error instanceof ConflictError)) throw error;
    expect([error.status, error.code]).toEqual([409, "notCancelable"]);
    expect(error.requestId).toMatch(/^req_/);
  });
});

describe("events", () => {
  const opened = () => sent.filter(({ path }) => path.endsWith("/events"));

  it("are each status once, through breaks, until the end", async () => {
    holdQueue();
    const client = clientOf(user.key);
    const { id } = await client.submit(ASKED);
    mishaps = ["cut", "lost", "cut"];
    beforeSend = async () => {
      if (opened().length !== 4) return;
      beforeSend = async () => {};
      await clientOf(user.key).cancel(id);
    };
    const seen = await all(client.events(id));
    expect(seen.map(({ status }) => status)).toEqual(["queued", "canceled"]);
    expect(opened().map(({ lastEventId }) => lastEventId)).toEqual([null, "queued", "queued", "queued"]);
  });

  it("end with an error when the stream cannot be resumed", async () => {
    holdQueue();
    const { id } = await clientOf(user.key).submit(ASKED);
    mishaps = ["cut", "cut"];
    const client = createClient({ apiKey: user.key, baseUrl: ORIGIN, fetch: wire, maxRetries: 1 });
    await expect(all(client.events(id))).rejects.toBeInstanceOf(ConnectionError);
    expect(opened()).toHaveLength(2);
    await expect(all(client.events("gen_none"))).rejects.toBeInstanceOf(NotFoundError);
  });

  it("can be left, and aborted", async () => {
    holdQueue();
    const client = clientOf(user.key);
    const { id } = await client.submit(ASKED);
    for await (const { status } of client.events(id)) {
      expect(status).toBe("queued");
      break;
    }
    const left = new AbortController();
    const reading = async () => {
      for await (const _ of client.events(id, left)) left.abort(new Error("left"));
    };
    await expect(reading()).rejects.toThrow("left");
    expect(opened()).toHaveLength(2);
  });
});

describe("the cost", () => {
  it("is estimated without a charge, and reported by day, key and model", async () => {
    provide(png(1024, 1024));
    const client = clientOf(user.key);
    const estimate = await client.estimate({ ...ASKED, n: 1 });
    expect(estimate).toMatchObject({ object: "estimate", credits: 8, affordable: true });
    expect(await client.credits()).toMatchObject({ credits: 100 });
    await client.generate(ASKED);
    const key = await client.key();
    expect(key).toMatchObject({ object: "api_key", credits_used: 8, credit_limit: null });
    const day = new Date().toISOString().slice(0, 10);
    const spent = { generations: 1, images: 1, credits: 8 };
    expect(await client.usage()).toEqual([{ day, api_key_id: key.id, model: "gpt-image-2", ...spent }]);
    expect(await client.usage({ group_by: "", from: undefined })).toEqual([spent]);
  });
});

it("metadata is sent in JSON and in forms, and filters lists", async () => {
  provide(png(1024, 1024));
  const client = clientOf(user.key);
  const labels = [{ project: "website" }, { project: "shop", "a b": "c&d" }] as const;
  const first = await client.generate({ ...ASKED, metadata: labels[0] });
  const second = await client.edit([new Blob([png(8, 8)])], { ...ASKED, metadata: labels[1] });
  expect([first.metadata, second.metadata]).toEqual(labels);
  for (const [index, { id }] of [first, second].entries())
    expect(await all(client.list({ metadata: labels[index] }))).toMatchObject([{ id }]);
});

describe("lists", () => {
  it("are of the ledger and the generations", async () => {
    provide(png(1024, 1024));
    const client = clientOf(user.key);
    const { id } = await client.generate(ASKED);
    const entries = await all(client.entries());
    expect(entries.map(({ kind, credits }) => [kind, credits])).toEqual([
      ["charge", -8],
      ["grant", 100],
    ]);
    expect(await all(client.grants())).toMatchObject([{ object: "credit_grant", remaining: 92 }]);
    expect(await all(client.list({ status: "succeeded", model: "gpt-image-2" }))).toMatchObject([{ id }]);
    expect(await all(client.list({ status: "failed" }))).toEqual([]);
  });

  it("request the next page when it is needed", async () => {
    const pageOf = (id: string, next_cursor: string | null) =>
      Response.json({ data: [{ id }], has_more: next_cursor !== null, next_cursor });
    mishaps = [pageOf("entry_2", "a+b="), pageOf("entry_1", null)];
    const entries = clientOf(user.key).entries();
    expect(await entries.next()).toMatchObject({ value: { id: "entry_2" } });
    expect(sent).toHaveLength(1);
    expect(await all(entries)).toMatchObject([{ id: "entry_1" }]);
    expect(sent.map(({ path }) => path)).toEqual([
      "/api/v1/credits/entries?limit=100",
      "/api/v1/credits/entries?limit=100&cursor=a%2Bb%3D",
    ]);
  });
});

it("references are uploaded, used and deleted", async () => {
  const spy = provide(png(1024, 1024));
  const client = clientOf(user.key);
  const reference = await client.uploadReference(new Blob([png(8, 8)], { type: "image/png" }));
  expect(reference).toMatchObject({ object: "reference", content_type: "image/png", width: 8, height: 8 });
  await client.generate({ ...ASKED, reference_images: [reference.id] });
  expect(spy.mock.calls[0]?.[1].references).toHaveLength(1);
  mishaps = ["answer lost"];
  await client.deleteReference(reference.id);
  const gone = client.submit({ ...ASKED, reference_images: [reference.id] });
  await expect(gone).rejects.toMatchObject({ name: "InvalidRequestError", param: "reference_images[0]" });
  await expect(clientOf("gih_live_nobody").deleteReference(reference.id)).rejects.toBeInstanceOf(
    AuthenticationError,
  );
});

describe("webhooks", () => {
  it("are verified, listed and sent again", async () => {
    provide(png(1024, 1024));
    const calls: { headers: Headers; body: string }[] = [];
    vi.spyOn(globalThis, "fetch").mockImplementation(async (_, init) => {
      calls.push({ headers: new Headers(init?.headers), body: String(init?.body) });
      return new Response(null, { status: 204 });
    });
    const client = clientOf(user.key);
    const generation = await client.generate({ ...ASKED, webhook_url: "https://example.com/hook" });
    const { id } = generation;
    await vi.waitFor(async () => expect(await client.deliveries(id)).toHaveLength(1));
    const { secret } = await client.webhookSecret();
    const [call] = calls;
    if (!call) throw new Error("no webhook");
    const event = await verifyWebhook(call.body, call.headers, secret);
    expect(event).toMatchObject({ type: "generation.succeeded", data: generation });
    expect(await client.resendWebhook(id)).toMatchObject([{ attempt: 1, response_status: 204 }]);
    await vi.waitFor(async () => expect(await client.deliveries(id)).toHaveLength(2));
  });

  it("have signatures of both secrets after a rotation, which is not retried", async () => {
    const client = clientOf(user.key);
    const { secret } = await client.webhookSecret();
    mishaps = ["lost"];
    await expect(client.rotateWebhookSecret()).rejects.toBeInstanceOf(ConnectionError);
    expect(sent).toHaveLength(2);
    const rotated = await client.rotateWebhookSecret();
    expect(rotated.previous_secret_expires_at).not.toBeNull();
    const body = JSON.stringify({ type: "generation.failed" });
    const sentAt = new Date();
    const signatures = [rotated.secret, secret].map((one) => new Webhook(one).sign("msg_1", sentAt, body));
    const headers = headersOf(sentAt, signatures.join(" "));
    for (const one of [rotated.secret, secret, [`whsec_${btoa("x".repeat(32))}`, secret]])
      expect(await verifyWebhook(body, headers, one)).toEqual({ type: "generation.failed" });
  });

  it("are refused with another body, another secret, an old time or no signature", async () => {
    const secret = `whsec_${btoa("k".repeat(32))}`;
    const now = new Date();
    const old = new Date(now.getTime() - 302_000);
    const sign = (at: Date) => headersOf(at, new Webhook(secret).sign("msg_1", at, "{}"));
    expect(await verifyWebhook("{}", sign(now), secret)).toEqual({});
    expect(await verifyWebhook("{}", Object.fromEntries(sign(now)), secret)).toEqual({});
    expect(await verifyWebhook("{}", sign(old), secret, { toleranceSeconds: 400 })).toEqual({});
    const refused = [
      verifyWebhook("{ }", sign(now), secret),
      verifyWebhook("{}", sign(now), `whsec_${btoa("x".repeat(32))}`),
      verifyWebhook("{}", sign(old), secret),
      verifyWebhook("{}", headersOf(now, "v1,?"), secret),
      verifyWebhook("{}", new Headers(), secret),
    ];
    for (const outcome of await Promise.allSettled(refused))
      expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(WebhookSignatureError) });
  });

  function headersOf(sentAt: Date, signature: string) {
    return new Headers({
      "webhook-id": "msg_1",
      "webhook-timestamp": String(Math.floor(sentAt.getTime() / 1000)),
      "webhook-signature": signature,
    });
  }
});

describe("a submission", () => {
  it.each([
    ["lost in transit", ["lost"]],
    ["whose answer is lost", ["answer lost", "answer lost"]],
    ["that is told to come again", [new Response("", { status: 503, headers: { "Retry-After": "0" } })]],
    ["that a gateway could not hand on", [new Response("<html>", { status: 502 })]],
  ] as const)("%s is sent again with its one key, and paid once", async (_, trouble) => {
    provide(png(1024, 1024));
    mishaps = [...trouble];
    const { id } = await clientOf(user.key).submit(ASKED);
    const keys = new Set(sent.map(({ key }) => key));
    expect([sent.length, keys.size]).toEqual([trouble.length + 1, 1]);
    expect(await clientOf(user.key).wait(id)).toMatchObject({ status: "succeeded" });
    expect(await creditsOf(user)).toBe(92);
  });

  it("has its own idempotency key each time, or the caller's", async () => {
    provide(png(1024, 1024));
    const client = clientOf(user.key);
    await client.submit(ASKED);
    await client.submit(ASKED);
    const first = await client.submit(ASKED, { idempotencyKey: "mine" });
    const again = await client.submit(ASKED, { idempotencyKey: "mine" });
    expect(new Set(sent.map(({ key }) => key)).size).toBe(3);
    expect(again.id).toBe(first.id);
  });

  it("without any response throws its own error", async () => {
    mishaps = ["lost", "lost"];
    const client = createClient({ apiKey: user.key, baseUrl: ORIGIN, fetch: wire, maxRetries: 1 });
    await expect(client.submit(ASKED)).rejects.toBeInstanceOf(ConnectionError);
    expect(sent.length).toBe(2);
  });
});

describe("a refusal", () => {
  const gateway = () => new Response("<html>", { status: 500 });
  const limited = () =>
    Response.json({ error: { code: "rateLimited" } }, { status: 429, headers: { "Retry-After": "0" } });

  it.each([
    ["a wrong field", InvalidRequestError, 400, "invalid_request", "size", { size: "1x1" }, []],
    ["a limit", RateLimitError, 429, "rateLimited", null, {}, [limited(), limited()]],
    ["a failing service", ServiceError, 500, "unknown", null, {}, [gateway(), gateway()]],
  ] as const)("for %s is of its class", async (_, Class, status, code, param, more, trouble) => {
    mishaps = [...trouble];
    const client = createClient({ apiKey: user.key, baseUrl: ORIGIN, fetch: wire, maxRetries: 1 });
    const error = await client.submit({ ...ASKED, ...more }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Class);
    expect(error).toBeInstanceOf(HubError);
    expect(error).toMatchObject({ name: Class.name, status, code, param });
  });

  it("for credits has the required and available credits", async () => {
    const poor = await newUser(7);
    const error = await clientOf(poor.key)
      .submit(ASKED)
      .catch((reason: unknown) => reason);
    if (!(error instanceof InsufficientCreditsError)) throw error;
    expect([error.status, error.required, error.available]).toEqual([402, 8, 7]);
    expect(error.requestId).toMatch(/^req_/);
    expect(sent.length).toBe(1);
  });

  it("for a key, an id and a conflict has its own class", async () => {
    provide(png(1024, 1024));
    const client = clientOf(user.key);
    await expect(clientOf("gih_live_nobody").credits()).rejects.toBeInstanceOf(AuthenticationError);
    await expect(client.wait("gen_none")).rejects.toBeInstanceOf(NotFoundError);
    await client.submit(ASKED, { idempotencyKey: "mine" });
    const other = client.submit({ ...ASKED, n: 2 }, { idempotencyKey: "mine" });
    await expect(other).rejects.toBeInstanceOf(ConflictError);
  });
});

it("a partial download is an error", async () => {
  mishaps = [new Response(new Uint8Array(3))];
  const image = { url: `${ORIGIN}/images/x`, bytes: 4 };
  const whole = {
    id: "",
    object: "image",
    created_at: "",
    width: 1,
    height: 1,
    content_type: "image/png",
  } as const;
  const reading = clientOf(user.key).download({ ...whole, ...image });
  await expect(reading).rejects.toBeInstanceOf(ConnectionError);
});
