import { type ChildProcess, spawn } from "node:child_process";
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateImage } from "ai";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { isInstalled, root } from "../../scripts/lib.mjs";
import { RETRY_AFTER_SECONDS_MAX } from "../../src/http/limits.ts";
import type { Call, Double } from "../support/openai-double/index.ts";
import { startDouble } from "../support/openai-double/index.ts";

/** Runs real clients against the service with the OpenAI double. The results are in docs/clients.md. */

const MODEL = "gpt-image-2";
const DOCUMENT = join(root, "docs/clients.md");
const HOST = "https://your-host";
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg==",
  "base64",
);

type Trial = { what: string; run: (account: Account) => Promise<void> };
type Client = {
  name: string;
  version: string;
  configuration: [string, string];
  trials: Trial[];
  notes: string;
};
type Account = { userId: string; key: string };

let directory: string;
let origin: string;
let base: string;
let service: ChildProcess;
let double: Double;
let output = "";
let adminToken: string;
let prompts = 0;

beforeAll(async () => {
  if (!isInstalled()) throw new Error("Run the tests by npm test, which installs the dependencies first.");
  directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-"));
  double = await startDouble();
  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  base = `${origin}/openai/v1`;
  service = spawn(process.execPath, [join(root, "scripts/start.mjs")], {
    cwd: directory,
    env: {
      PATH: process.env["PATH"],
      HOME: directory,
      IMAGE_PROVIDER: "openai",
      OPENAI_API_KEY: "sk-test",
      OPENAI_BASE_URL: double.url,
      PROVIDER_ATTEMPTS: "1",
      MAX_CONCURRENT_GENERATIONS: "4",
      PORT: String(port),
      STATE_DIR: join(directory, "state"),
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  service.stdout?.on("data", (text) => {
    output += text;
  });
  await vi.waitUntil(() => /^Ready on /m.test(output) || service.exitCode !== null, { timeout: 60_000 });
  expect(output).toMatch(/^Ready on /m);
  adminToken = readFileSync(join(directory, "state/admin-token"), "utf8");
});

afterAll(async () => {
  const ended = new Promise((resolve) => service.on("close", resolve));
  if (service.kill("SIGTERM")) await ended;
  await double.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A unique prompt, so that the provider's calls for it can be counted. */
function promptOf(directions = ""): string {
  prompts += 1;
  return `a lighthouse at dusk, number ${prompts}${directions}`;
}

async function providerCalls(prompt: string): Promise<Call[]> {
  const answer: { calls: Call[] } = await (await fetch(double.url.replace(/\/v1$/, "/_calls"))).json();
  return answer.calls.filter(({ fields }) => fields["prompt"] === prompt);
}

async function operate(path: string, body: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(`${origin}/api/admin${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return z.record(z.string(), z.unknown()).parse(await response.json());
}

async function newAccount(credits = 1000): Promise<Account> {
  const { id } = await operate("/users", { email: `${crypto.randomUUID()}@example.com` });
  if (credits > 0) await operate(`/users/${id}/credits`, { id: crypto.randomUUID(), credits });
  const { api_key: key } = await operate(`/users/${id}/api_keys`, { name: "client" });
  return { userId: String(id), key: String(key) };
}

async function creditsOf({ key }: Account): Promise<number> {
  const response = await fetch(`${origin}/api/v1/credits`, { headers: { authorization: `Bearer ${key}` } });
  return z.object({ credits: z.number() }).parse(await response.json()).credits;
}

const versionOf = (name: string): string =>
  JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")).version;

const isPng = (bytes: Uint8Array | undefined) =>
  bytes !== undefined && Buffer.from(bytes).toString("latin1", 1, 4) === "PNG";
const isPicture = (b64: string | undefined) => b64 !== undefined && isPng(Buffer.from(b64, "base64"));

/** The OpenAI SDK with its own defaults, or with these. */
const openai = ({ key }: Account, options: ConstructorParameters<typeof OpenAI>[0] = {}) =>
  new OpenAI({ apiKey: key, baseURL: base, ...options });

/** What the SDK throws for a call: its class, status, code, param and whether it has our request id. */
async function thrown(call: Promise<unknown>) {
  const error = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof OpenAI.APIError)) throw new Error(`no APIError: ${error}`);
  expect(error.requestID).toMatch(/^req_/);
  return [error.constructor.name, error.status, error.code, error.param];
}

/** The time before a connection is broken. */
const BREAKS_AFTER_MS = 600;

/** Breaks the connection of the first calls while their images are generated. Later calls succeed. */
function losingAnswers(count: number): typeof fetch {
  let lost = 0;
  return async (input, init) => {
    if (lost === count) return fetch(input, init);
    lost += 1;
    const broken = AbortSignal.timeout(BREAKS_AFTER_MS);
    const answer = fetch(input, { ...init, signal: broken });
    return await answer.catch(() => {
      throw new TypeError("fetch failed");
    });
  };
}

const SDK: Trial[] = [
  {
    what: "generate",
    async run(account) {
      const { data, response } = await openai(account)
        .images.generate({ model: MODEL, prompt: promptOf(), size: "1536x1024", quality: "low" })
        .withResponse();
      expect(isPicture(data.data?.[0]?.b64_json)).toBe(true);
      expect(data).toMatchObject({
        size: "1536x1024",
        quality: "low",
        output_format: "png",
        usage: { total_tokens: 0 },
      });
      const id = response.headers.get("x-generation-id");
      const native = await fetch(`${origin}/api/v1/generations/${id}`, {
        headers: { authorization: `Bearer ${account.key}` },
      });
      expect(await native.json()).toMatchObject({ id, status: "succeeded", usage: { credits: 8 } });
    },
  },
  {
    what: "generate four, as WebP",
    async run(account) {
      const prompt = promptOf();
      const answer = await openai(account).images.generate({
        model: MODEL,
        prompt,
        n: 4,
        output_format: "webp",
        output_compression: 80,
      });
      const types = answer.data?.map(({ b64_json = "" }) =>
        Buffer.from(b64_json, "base64").toString("latin1", 8, 12),
      );
      expect(types).toEqual(["WEBP", "WEBP", "WEBP", "WEBP"]);
      expect((await providerCalls(prompt)).map(({ fields }) => fields["n"])).toEqual([4]);
    },
  },
  {
    what: "edit one image",
    async run(account) {
      const prompt = promptOf();
      const image = await toFile(PNG, "a.png", { type: "image/png" });
      const answer = await openai(account).images.edit({ model: MODEL, prompt, image });
      expect(isPicture(answer.data?.[0]?.b64_json)).toBe(true);
      const [call] = await providerCalls(prompt);
      expect([call?.path, call?.uploads.map(({ bytes }) => bytes)]).toEqual([
        "/v1/images/edits",
        [PNG.length],
      ]);
    },
  },
  {
    what: "edit with three images",
    async run(account) {
      const prompt = promptOf();
      const image = await Promise.all([1, 2, 3].map((n) => toFile(PNG, `${n}.png`)));
      const answer = await openai(account).images.edit({ model: MODEL, prompt, image, n: 2 });
      expect(answer.data?.map(({ b64_json }) => isPicture(b64_json))).toEqual([true, true]);
      expect((await providerCalls(prompt))[0]?.uploads).toHaveLength(3);
    },
  },
  {
    what: "stream with partial images, n above one",
    async run(account) {
      const stream = await openai(account).images.generate({
        model: MODEL,
        prompt: promptOf("[latency:3500]"),
        n: 2,
        stream: true,
        partial_images: 1,
      });
      const events = [];
      for await (const event of stream) events.push([event.type, isPicture(event.b64_json)]);
      expect(events).toEqual(
        ["partial_image", "partial_image", "completed", "completed"].map((type) => [
          `image_generation.${type}`,
          true,
        ]),
      );
    },
  },
  {
    what: "stream an edit with partial images",
    async run(account) {
      const image = await toFile(PNG, "a.png");
      const stream = await openai(account).images.edit({
        model: MODEL,
        prompt: promptOf(),
        image,
        stream: true,
        partial_images: 2,
      });
      const events = [];
      for await (const event of stream) events.push([event.type, isPicture(event.b64_json)]);
      expect(events).toEqual(
        ["partial_image", "partial_image", "completed"].map((type) => [`image_edit.${type}`, true]),
      );
    },
  },
  {
    what: "an error in a stream that has begun",
    async run(account) {
      const prompt = promptOf("[latency:3500][fault:moderation-output]");
      const stream = await openai(account).images.generate({ model: MODEL, prompt, stream: true });
      const reading = (async () => {
        for await (const event of stream) expect(event).toBe("no event");
      })();
      const error = await reading.then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(error).toMatchObject({ code: "moderation_blocked", type: "image_generation_user_error" });
      expect(await creditsOf(account)).toBe(1000);
    },
  },
  {
    what: "models.list, models.retrieve",
    async run(account) {
      const ids = [];
      for await (const model of openai(account).models.list()) ids.push(model.id);
      expect(ids).toEqual([MODEL]);
      expect(await openai(account).models.retrieve(MODEL)).toMatchObject({
        id: MODEL,
        object: "model",
        owned_by: "openai",
      });
    },
  },
  {
    what: "400, 401, 402, 404, 422, 429, 500 as the SDK's own classes",
    async run(account) {
      const once = { maxRetries: 0 };
      const client = openai(account);
      const ask = (prompt: string, more = {}) =>
        client.images.generate({ model: MODEL, prompt, ...more }, once);
      expect(await thrown(ask("a", { size: "512x512" }))).toEqual([
        "BadRequestError",
        400,
        "invalid_value",
        "size",
      ]);
      expect(await thrown(ask(promptOf("[fault:moderation-input]")))).toEqual([
        "BadRequestError",
        400,
        "moderation_blocked",
        null,
      ]);
      const stranger = openai({ ...account, key: "gih_live_nobody" });
      expect(await thrown(stranger.models.list())).toEqual([
        "AuthenticationError",
        401,
        "invalid_api_key",
        null,
      ]);
      const poor = openai(await newAccount(0));
      const unpaid = poor.images.generate({ model: MODEL, prompt: promptOf() });
      expect(await thrown(unpaid)).toEqual(["APIError", 402, "credit_balance_exhausted", null]);
      expect(await thrown(ask("a", { model: "dall-e-3" }))).toEqual([
        "NotFoundError",
        404,
        "model_not_found",
        "model",
      ]);
      const keyed = (prompt: string) =>
        client.images.generate({ model: MODEL, prompt }, { headers: { "Idempotency-Key": "mine" } });
      await keyed("a harbour");
      expect(await thrown(keyed("another harbour"))).toEqual([
        "UnprocessableEntityError",
        422,
        "idempotency_mismatch",
        "Idempotency-Key",
      ]);
      expect(await thrown(ask(promptOf("[fault:500]")))).toEqual([
        "InternalServerError",
        500,
        "image_generation_failed",
        null,
      ]);
      const busy = [1, 2, 3, 4].map(() => ask(promptOf("[latency:1500]")));
      await new Promise((resolve) => setTimeout(resolve, 700));
      expect(await thrown(ask(promptOf()))).toEqual(["RateLimitError", 429, "rate_limit_exceeded", null]);
      await Promise.all(busy);
    },
  },
  {
    what: "two lost responses: its retries join, one provider call, one charge",
    async run(account) {
      const prompt = promptOf("[latency:5000]");
      const client = openai(account, { fetch: losingAnswers(2), maxRetries: 2 });
      const answer = await client.images.generate({ model: MODEL, prompt });
      expect(isPicture(answer.data?.[0]?.b64_json)).toBe(true);
      expect([(await providerCalls(prompt)).length, await creditsOf(account)]).toEqual([1, 992]);
    },
  },
  {
    what: "a lost response of an edit: the same",
    async run(account) {
      const prompt = promptOf("[latency:2500]");
      const client = openai(account, { fetch: losingAnswers(1) });
      const answer = await client.images.edit({ model: MODEL, prompt, image: await toFile(PNG, "a.png") });
      expect(isPicture(answer.data?.[0]?.b64_json)).toBe(true);
      expect([(await providerCalls(prompt)).length, await creditsOf(account)]).toEqual([1, 992]);
    },
  },
  {
    what: "a lost response of an edit with a read stream: not retried; an `Idempotency-Key` finds it",
    async run(account) {
      const prompt = promptOf("[latency:2500]");
      const path = join(directory, "stream.png");
      writeFileSync(path, PNG);
      const client = openai(account, { fetch: losingAnswers(1) });
      const edit = () =>
        client.images.edit(
          { model: MODEL, prompt, image: createReadStream(path) },
          { headers: { "Idempotency-Key": "mine" } },
        );
      await expect(edit()).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
      expect(await creditsOf(account)).toBe(992);
      expect(isPicture((await edit()).data?.[0]?.b64_json)).toBe(true);
      expect([(await providerCalls(prompt)).length, await creditsOf(account)]).toEqual([1, 992]);
    },
  },
  {
    what: "a lost response of an edit with `toFile(buffer)`: its retry joins, one charge",
    async run(account) {
      const prompt = promptOf("[latency:2500]");
      const path = join(directory, "buffer.png");
      writeFileSync(path, PNG);
      const image = await toFile(readFileSync(path), "buffer.png");
      const client = openai(account, { fetch: losingAnswers(1) });
      const answer = await client.images.edit({ model: MODEL, prompt, image });
      expect(isPicture(answer.data?.[0]?.b64_json)).toBe(true);
      expect([(await providerCalls(prompt)).length, await creditsOf(account)]).toEqual([1, 992]);
    },
  },
  {
    what: '`response_format: "url"`: URLs that need no key',
    async run(account) {
      const asked = { model: MODEL, prompt: promptOf(), n: 2, response_format: "url" } as const;
      const { data = [] } = await openai(account).images.generate(asked);
      const pictures = await Promise.all(
        data.map(async ({ url = "" }) => isPng(new Uint8Array(await (await fetch(url)).arrayBuffer()))),
      );
      expect(pictures).toEqual([true, true]);
    },
  },
  {
    what: "a rate limit: waits as long as `Retry-After` says",
    run: () => keepsWaiting((limited) => openai({ userId: "", key: "k" }, { fetch: limited }).models.list()),
  },
  {
    what: "a timeout during the generation: its retry joins and waits",
    async run(account) {
      const prompt = promptOf("[latency:2500]");
      const client = openai(account, { timeout: 1500, maxRetries: 2 });
      const answer = await client.images.generate({ model: MODEL, prompt });
      expect(isPicture(answer.data?.[0]?.b64_json)).toBe(true);
      expect([(await providerCalls(prompt)).length, await creditsOf(account)]).toEqual([1, 992]);
    },
  },
  {
    what: "a failure: its retry is a new attempt, one charge",
    async run(account) {
      const prompt = promptOf("[fault:500*1]");
      const answer = await openai(account).images.generate({ model: MODEL, prompt });
      expect(isPicture(answer.data?.[0]?.b64_json)).toBe(true);
      expect([(await providerCalls(prompt)).length, await creditsOf(account)]).toEqual([2, 992]);
    },
  },
];

/** A call that gets the longest rate limit must be retried after that time, and not before. */
async function keepsWaiting(call: (limited: typeof fetch) => Promise<unknown>): Promise<void> {
  let calls = 0;
  const limited: typeof fetch = async () => {
    calls += 1;
    const headers = { "Retry-After": String(RETRY_AFTER_SECONDS_MAX) };
    if (calls === 1) return Response.json({ error: { message: "Too many." } }, { status: 429, headers });
    return Response.json({ created: 1, data: [{ b64_json: PNG.toString("base64") }] });
  };
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    const answer = call(limited);
    await vi.advanceTimersByTimeAsync((RETRY_AFTER_SECONDS_MAX - 1) * 1000);
    expect(calls).toBe(1);
    await vi.advanceTimersByTimeAsync(2_000);
    await answer;
    expect(calls).toBe(2);
  } finally {
    vi.useRealTimers();
  }
}

type ImageModel = Parameters<typeof generateImage>[0]["model"];

function vercel(modelOf: (account: Account, send?: typeof fetch) => ImageModel): Trial[] {
  return [
    {
      what: "a rate limit: waits as long as `Retry-After` says",
      run: (account) =>
        keepsWaiting((limited) => generateImage({ model: modelOf(account, limited), prompt: "a hill" })),
    },
    {
      what: "generateImage",
      async run(account) {
        const { image } = await generateImage({
          model: modelOf(account),
          prompt: promptOf(),
          size: "1024x1024",
        });
        expect([image.mediaType, isPng(image.uint8Array)]).toEqual(["image/png", true]);
      },
    },
    {
      what: "generateImage, n above one: one call",
      async run(account) {
        const prompt = promptOf();
        const { images } = await generateImage({ model: modelOf(account), prompt, n: 3 });
        expect(images.map(({ uint8Array }) => isPng(uint8Array))).toEqual([true, true, true]);
        expect((await providerCalls(prompt)).map(({ fields }) => fields["n"])).toEqual([3]);
      },
    },
    {
      what: "edit with one image and with two",
      async run(account) {
        for (const images of [[PNG], [PNG, PNG]]) {
          const text = promptOf();
          const { image } = await generateImage({ model: modelOf(account), prompt: { text, images } });
          expect(isPng(image.uint8Array)).toBe(true);
          expect((await providerCalls(text))[0]?.uploads).toHaveLength(images.length);
        }
      },
    },
    {
      what: "402 and 400: thrown once, with our message",
      async run(account) {
        const poor = await newAccount(0);
        const unpaid = await generateImage({ model: modelOf(poor), prompt: promptOf() }).catch(
          (e: unknown) => e,
        );
        const odd = await generateImage({ model: modelOf(account), prompt: "a", size: "512x512" }).catch(
          (e: unknown) => e,
        );
        for (const [error, status, message] of [
          [unpaid, 402, "This takes 8 credits and the account has 0."],
          [odd, 400, /^size/],
        ] as const) {
          if (!APICallError.isInstance(error)) throw new Error(`no APICallError: ${error}`);
          expect([error.statusCode, error.isRetryable, error.message]).toEqual([
            status,
            false,
            typeof message === "string" ? message : expect.stringMatching(message),
          ]);
        }
      },
    },
    {
      what: "a failure: retried, one charge",
      async run(account) {
        const prompt = promptOf("[fault:500*1]");
        const { image } = await generateImage({ model: modelOf(account), prompt });
        expect(isPng(image.uint8Array)).toBe(true);
        expect([(await providerCalls(prompt)).length, await creditsOf(account)]).toEqual([2, 992]);
      },
    },
    {
      what: "an `Idempotency-Key` in `headers`: calls join, one charge",
      async run(account) {
        const prompt = promptOf();
        const ask = () =>
          generateImage({ model: modelOf(account), prompt, headers: { "Idempotency-Key": "mine" } });
        const [first, second] = [await ask(), await ask()];
        expect(second.image.base64).toBe(first.image.base64);
        expect([(await providerCalls(prompt)).length, await creditsOf(account)]).toEqual([1, 992]);
      },
    },
  ];
}

/** A request with the exact bytes that its client sends. */
async function send(
  account: Account,
  path: string,
  body: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; data: Record<string, unknown>[]; usage: Record<string, unknown> }> {
  const response = await fetch(base + path, {
    method: "POST",
    headers: { Authorization: `Bearer ${account.key}`, "Content-Type": "application/json", ...headers },
    body: Buffer.from(body, "latin1"),
  });
  expect(response.headers.get("content-type")).toBe("application/json");
  const { data = [], usage = {} } = z
    .object({
      data: z.array(z.record(z.string(), z.unknown())).optional(),
      usage: z.record(z.string(), z.unknown()).optional(),
    })
    .parse(await response.json());
  return { status: response.status, data, usage };
}

/** A multipart form: text fields, then files, each with the headers of its part. */
function formOf(
  boundary: string,
  fields: Record<string, string>,
  files: [name: string, filename: string, type: string][],
) {
  const texts = Object.entries(fields).map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  const parts = files.map(
    ([name, filename, type]) =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"; filename="${filename}"\r\nContent-Type: ${type}\r\n\r\n${PNG.toString("latin1")}\r\n`,
  );
  return {
    body: `${texts.join("")}${parts.join("")}--${boundary}--\r\n`,
    headers: { "Content-Type": `multipart/form-data; boundary=${boundary}` },
  };
}

/** The response must have `b64_json` and no `url`, which the client would prefer. */
function expectPictures({ status, data }: Awaited<ReturnType<typeof send>>, count = 1) {
  expect([status, data.map(({ url, b64_json }) => [url, isPicture(String(b64_json))])]).toEqual([
    200,
    Array(count).fill([undefined, true]),
  ]);
}

const PYTHON_SDK = {
  Accept: "application/json",
  "User-Agent": "OpenAI/Python 3.22.1",
  "X-Stainless-Lang": "python",
  "X-Stainless-Package-Version": "3.22.1",
  "X-Stainless-Async": "false",
  "x-stainless-retry-count": "0",
  "x-stainless-read-timeout": "600",
};

const LITELLM: Trial[] = [
  {
    what: "image_generation, by the Python SDK",
    async run(account) {
      const prompt = promptOf();
      const body = `{"prompt":"${prompt}","model":"gpt-image-2","n":1,"quality":"low","size":"1024x1024"}`;
      const answer = await send(account, "/images/generations", body, PYTHON_SDK);
      expectPictures(answer);
      const counts = ["input_tokens", "output_tokens", "total_tokens"].map(
        (name) => typeof answer.usage[name],
      );
      expect(counts).toEqual(["number", "number", "number"]);
      // Its answer was delivered: what calls itself a retry is another call.
      await send(account, "/images/generations", body, { ...PYTHON_SDK, "x-stainless-retry-count": "1" });
      expect((await providerCalls(prompt)).length).toBe(2);
    },
  },
  {
    what: "the same under another model name, with `response_format` and `style`",
    async run(account) {
      const body = `{"prompt":"${promptOf()}","model":"gpt-image-2","n":2,"response_format":"b64_json","size":"1024x1024","style":"vivid","user":"u1"}`;
      expectPictures(await send(account, "/images/generations", body, PYTHON_SDK), 2);
    },
  },
  {
    what: "image_edit",
    async run(account) {
      const fields = { model: MODEL, prompt: promptOf(), n: "1", size: "1024x1024" };
      const { body, headers } = formOf("fb1e0c5ad2e74d26", fields, [["image[]", "image.png", "image/png"]]);
      expectPictures(await send(account, "/images/edits", body, headers));
    },
  },
];

const OPEN_WEBUI: Trial[] = [
  {
    what: "generate",
    async run(account) {
      const body = `{"model": "gpt-image-2", "prompt": "${promptOf()}", "n": 1, "size": "1024x1024"}`;
      expectPictures(await send(account, "/images/generations", body));
    },
  },
  {
    what: "generate with `response_format`, as older versions send it",
    async run(account) {
      const body = `{"model": "gpt-image-2", "prompt": "${promptOf()}", "n": 1, "size": "auto", "response_format": "b64_json"}`;
      expectPictures(await send(account, "/images/generations", body));
    },
  },
  {
    what: "its default size of 512x512: refused, not charged",
    async run(account) {
      const body = `{"model": "gpt-image-2", "prompt": "${promptOf()}", "n": 1, "size": "512x512"}`;
      expect((await send(account, "/images/generations", body)).status).toBe(400);
      expect(await creditsOf(account)).toBe(1000);
    },
  },
  {
    what: "edit with one image and with two",
    async run(account) {
      for (const names of [["image"], ["image[]", "image[]"]]) {
        const fields = {
          model: MODEL,
          prompt: promptOf(),
          n: "1",
          size: "1024x1024",
          response_format: "b64_json",
        };
        const files = names.map((name): [string, string, string] => [name, "image.png", "image/png"]);
        const { body, headers } = formOf("c0ffee0123456789", fields, files);
        expectPictures(await send(account, "/images/edits", body, headers));
      }
    },
  },
];

const LIBRECHAT: Trial[] = [
  {
    what: "generate, by the Node SDK",
    async run(account) {
      const answer = await openai(account).images.generate({
        model: MODEL,
        prompt: promptOf(),
        background: "auto",
        n: 1,
        output_format: "png",
        quality: "auto",
        size: "auto",
      });
      expect(isPicture(answer.data?.[0]?.b64_json)).toBe(true);
    },
  },
  {
    what: "edit, by axios",
    async run(account) {
      const fields = { model: MODEL, prompt: promptOf(), quality: "auto", size: "auto" };
      const files: [string, string, string][] = [
        ["image[]", "image_0.png", "image/png"],
        ["image[]", "image_1.png", "image/png"],
      ];
      const { body, headers } = formOf("--------------------------104182345112", fields, files);
      expectPictures(await send(account, "/images/edits", body, headers));
    },
  },
];

const N8N: Trial[] = [
  {
    what: "generate",
    async run(account) {
      const body = `{"prompt":"${promptOf()}","model":"gpt-image-2","n":1,"size":"1024x1024","quality":"medium"}`;
      expectPictures(await send(account, "/images/generations", body));
    },
  },
  {
    what: "generate with `response_format`",
    async run(account) {
      const body = `{"prompt":"${promptOf()}","model":"gpt-image-2","response_format":"b64_json"}`;
      expectPictures(await send(account, "/images/generations", body));
    },
  },
];

const REPLAYED = "replayed requests";

const CLIENTS: Client[] = [
  {
    name: "OpenAI SDK for Node",
    version: versionOf("openai"),
    configuration: [`OPENAI_BASE_URL=${HOST}/openai/v1`, "OPENAI_API_KEY=gih_live_…"],
    trials: SDK,
    notes: [
      "The SDK sends `images.edit` with a read stream as `image` only once, because it cannot rewind a stream. If the",
      "response is lost, it throws `APIConnectionError`, and the image is charged. Pass `await toFile(readFileSync(path),",
      "name)` instead, so that its retry joins the first call, or send an `Idempotency-Key` and repeat the call.",
    ].join("\n"),
  },
  {
    name: "Vercel AI SDK, `@ai-sdk/openai`",
    version: `${versionOf("ai")}, ${versionOf("@ai-sdk/openai")}`,
    configuration: [`baseURL: "${HOST}/openai/v1"`, 'apiKey: "gih_live_…"'],
    trials: vercel(({ key }, send = fetch) =>
      createOpenAI({ baseURL: base, apiKey: key, fetch: send }).image(MODEL),
    ),
    notes:
      "It does not mark a call as a retry. Send an `Idempotency-Key` in `headers`, so that a retry is not charged twice.",
  },
  {
    name: "Vercel AI SDK, `@ai-sdk/openai-compatible`",
    version: `${versionOf("ai")}, ${versionOf("@ai-sdk/openai-compatible")}`,
    configuration: [`baseURL: "${HOST}/openai/v1"`, 'apiKey: "gih_live_…"'],
    trials: vercel(({ key }, send = fetch) =>
      createOpenAICompatible({ name: "hub", baseURL: base, apiKey: key, fetch: send }).imageModel(MODEL),
    ),
    notes: "The same applies as above.",
  },
  {
    name: "LiteLLM",
    version: REPLAYED,
    configuration: [`api_base: ${HOST}/openai/v1`, "api_key: gih_live_…"],
    trials: LITELLM,
    notes: "Use the model name `openai/gpt-image-2`.",
  },
  {
    name: "Open WebUI",
    version: REPLAYED,
    configuration: [`IMAGES_OPENAI_API_BASE_URL=${HOST}/openai/v1`, "IMAGES_OPENAI_API_KEY=gih_live_…"],
    trials: OPEN_WEBUI,
    notes:
      "Set `IMAGE_GENERATION_MODEL=gpt-image-2` and `IMAGE_SIZE=1024x1024`: its default size is too small.",
  },
  {
    name: "LibreChat",
    version: REPLAYED,
    configuration: [`IMAGE_GEN_OAI_BASEURL=${HOST}/openai/v1`, "IMAGE_GEN_OAI_API_KEY=gih_live_…"],
    trials: LIBRECHAT,
    notes: "Set `IMAGE_GEN_OAI_MODEL=gpt-image-2`: its default model does not exist here.",
  },
  {
    name: "n8n, OpenAI node",
    version: REPLAYED,
    configuration: [`Base URL: ${HOST}/openai/v1`, "API Key: gih_live_…"],
    trials: N8N,
    notes: "Set these in the OpenAI credential.",
  },
];

const results = new Map<string, boolean>();
const labelOf = (client: Client, trial: Trial) => `${client.name}: ${trial.what}`;

describe.each(CLIENTS)("$name", (client) => {
  it.each(client.trials)("$what", async (trial) => {
    results.set(labelOf(client, trial), false);
    await trial.run(await newAccount());
    results.set(labelOf(client, trial), true);
  });
});

describe("beside the APIs", () => {
  it.each([
    ["/openapi.json", "application/json", "public/openapi.json"],
    ["/llms.txt", "text/plain; charset=utf-8", "public/llms.txt"],
  ])("%s is served unchanged, to every origin", async (path, type, file) => {
    const { status, headers, text } = await got(path);
    expect([status, headers.get("content-type"), headers.get("access-control-allow-origin")]).toEqual([
      200,
      type,
      "*",
    ]);
    expect(text).toBe(readFileSync(join(root, file), "utf8"));
  });

  it("every URL in /llms.txt works", async () => {
    const { text } = await got("/llms.txt");
    const addresses = [...text.matchAll(/\]\((\/[^)]+)\)/g)].map(([, address = ""]) => address);
    const answers = await Promise.all(
      addresses.map(async (address) => [address, (await got(address)).status]),
    );
    expect(addresses.length).toBeGreaterThan(3);
    expect(answers).toEqual(addresses.map((address) => [address, 200]));
  });

  it("a path without a file reaches the Worker", async () => {
    const { status, text } = await got("/nothing.json");
    expect([status, JSON.parse(text)]).toMatchObject([404, { error: { code: "notFound" } }]);
  });

  async function got(path: string) {
    const response = await fetch(origin + path);
    return { status: response.status, headers: response.headers, text: await response.text() };
  }
});

it("docs/clients.md is up to date", () => {
  const document = documentOf(CLIENTS);
  if (process.env["UPDATE_DOCS"] === "1") writeFileSync(DOCUMENT, document);
  expect(readFileSync(DOCUMENT, "utf8")).toBe(document);
});

function documentOf(clients: Client[]): string {
  const rows = clients.flatMap((client) =>
    client.trials.map((trial) => {
      const works = results.get(labelOf(client, trial));
      return `| ${client.name} | ${client.version} | ${trial.what} | ${works ? "works" : "fails"} |`;
    }),
  );
  const settings = clients.map(({ name, configuration, notes }) =>
    [`### ${name}`, "", "```", ...configuration, "```", ...(notes === "" ? [] : ["", notes]), ""].join("\n"),
  );
  return `# Clients of OpenAI's image API

Programs that use OpenAI's image API need another base URL and another key, and no other change.
\`test/service/clients.test.ts\` runs these clients against the service and generates this page. Clients marked as
*replayed requests* were not run: the test sends requests as their source code writes them, and reads the responses as
it does.

## Configuration

${settings.join("\n")}
## Tested operations

| client | version | operation | result |
|---|---|---|---|
${rows.join("\n")}
${writtenByScript()}`;
}

/** The rest of the page, which `npm run clients` writes. */
function writtenByScript(): string {
  const document = readFileSync(DOCUMENT, "utf8");
  const at = document.indexOf("\n## Other clients and versions\n");
  if (at === -1) throw new Error("docs/clients.md has no section of other clients.");
  return document.slice(at);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("The probe has no port.");
  return address.port;
}
