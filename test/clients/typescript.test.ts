import { exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from "vitest";
import type * as z from "zod";
import {
  AuthenticationError,
  type Client,
  ConflictError,
  ConnectionError,
  type CreditBalance,
  createClient,
  type Generation,
  GenerationError,
  type GenerationRequest,
  HubError,
  InsufficientCreditsError,
  InvalidRequestError,
  NotFoundError,
  RateLimitError,
  ServiceError,
} from "../../clients/typescript/index.ts";
import type * as credits from "../../src/http/v1/credits.ts";
import type { GenerationBody } from "../../src/http/v1/generate.ts";
import type * as generations from "../../src/http/v1/generations.ts";
import { ProviderError } from "../../src/providers/provider.ts";
import { sketch } from "../../src/providers/sketch/index.ts";
import { png } from "../images/samples.ts";
import { creditsOf, newUser, ORIGIN, type TestUser } from "../support/http.ts";

const ASKED = { model: "gpt-image-2", prompt: "a lighthouse at dusk", size: "1024x1024" };

type Sent = { method: string; path: string; key: string | null };

let user: TestUser;
let sent: Sent[];
/** The outcomes of the next requests: request lost, response lost, or this response. Later requests succeed. */
let mishaps: ("lost" | "answer lost" | Response)[];

const wire: typeof fetch = async (input, init) => {
  const request = new Request(input, init);
  const { pathname: path } = new URL(request.url);
  sent.push({ method: request.method, path, key: request.headers.get("Idempotency-Key") });
  const mishap = mishaps.shift();
  if (mishap === "lost") throw new TypeError("fetch failed");
  if (mishap instanceof Response) return mishap;
  const answer = await exports.default.fetch(request);
  if (mishap !== "answer lost") return answer;
  await answer.arrayBuffer();
  throw new TypeError("fetch failed");
};

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
});

afterEach(() => vi.restoreAllMocks());

it("has the types of the OpenAPI document", () => {
  expectTypeOf<Omit<z.input<typeof GenerationBody>, Unsent>>().branded.toEqualTypeOf<GenerationRequest>();
  expectTypeOf<z.output<typeof generations.Generation>>().branded.toEqualTypeOf<Generation>();
  expectTypeOf<z.output<typeof credits.CreditBalance>>().branded.toEqualTypeOf<CreditBalance>();
});

/** `async` is always true, references have their own argument, and the last field is ignored. */
type Unsent = "async" | "reference_image" | "response_format";

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
    expect(spy.mock.calls[0]?.[1].references).toHaveLength(2);
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
