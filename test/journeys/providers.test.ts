import { createMessageBatch, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import * as z from "zod";
import type { ProviderName } from "../../src/catalogue/model.ts";
import { findModel, models, priceOf } from "../../src/catalogue/models.ts";
import { gates } from "../../src/dispatch/routes.ts";
import { consume } from "../../src/generations/consume.ts";
import { GenerationRunner } from "../../src/generations/runner.ts";
import { DATA_URL_REFERENCE_BYTES_MAX } from "../../src/providers/workers-ai/models.ts";
import { png } from "../images/samples.ts";
import { call, creditsOf, newUser, respond, type Settings, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";
import { invalid, refusal } from "../support/shapes.ts";
import { type WorkersAIDouble, workersAIDouble } from "../support/workers-ai-double.ts";

/** Every route of every model through the whole service, each with its provider's double. */

const PATH = "/api/v1/images/generations";
const CREDITS = 2_000;
/** More than the smallest JPEG of the doubles has. */
const IMAGE_BYTES = 5_000;
/** A host that answers 503. */
const DOWN = "https://down.test";

const FORMATS = {
  png: { type: "image/png", start: "89504e47" },
  jpeg: { type: "image/jpeg", start: "ffd8ffe0" },
};

let user: TestUser;
let ai: WorkersAIDouble;
/** The provider of each call to a provider, and its outcome, as the log names them. */
let calls: { provider: string; outcome: string; images: number }[];

const Line = z.looseObject({ event: z.string(), provider: z.string().optional() });
const Called = z.object({ provider: z.string(), outcome: z.string(), images: z.number() });

beforeEach(async () => {
  for (const name of gates) await emptyGate(name);
  user = await newUser(CREDITS, "PRO");
  ai = workersAIDouble({ imageBytes: IMAGE_BYTES });
  calls = [];
  spyOnLog((text) => {
    const line = Line.parse(JSON.parse(String(text)));
    if (line.event === "provider_call") calls.push(Called.parse(line));
  });
  const { fetch } = globalThis;
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) =>
    String(input).startsWith(DOWN) ? new Response(null, { status: 503 }) : await fetch(input, init),
  );
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Limits and failures that earlier tests have left. */
async function emptyGate(name: string): Promise<void> {
  const gate = env.PROVIDER_GATE.getByName(name);
  await runInDurableObject(gate, (_, { storage }) => storage.deleteAll());
  await evictDurableObject(gate);
}

/** The settings of a deployment with this provider; `url` in place of its double. */
function settingsOf(provider: ProviderName, url?: string): Settings {
  switch (provider) {
    case "openai":
      return { OPENAI_API_KEY: "sk-test", OPENAI_BASE_URL: url ?? inject("openaiDouble") };
    case "openai-fallback":
      return {
        OPENAI_FALLBACK_API_KEY: "sk-test",
        OPENAI_FALLBACK_BASE_URL: url ?? inject("openaiDouble"),
      };
    case "google":
      return { GEMINI_API_KEY: "AIza-test", GEMINI_BASE_URL: url ?? inject("googleDouble") };
    case "black-forest-labs":
      return { BFL_API_KEY: "bfl-test", BFL_BASE_URL: url ?? inject("bflDouble") };
    case "fal":
      return { FAL_KEY: "fal:test", FAL_BASE_URL: url ?? inject("falDouble") };
    case "workers-ai":
      return { AI: bindingOf(ai) };
  }
}

/** The binding, of which the service uses no more than the double has. */
function bindingOf(double: WorkersAIDouble): Ai {
  return new Proxy(Object.create(null), {
    get: (_, name) => Reflect.get(double, name),
    has: (_, name) => name in double,
  });
}

/** The Worker with these settings, which its runners have too. */
function deploy(...parts: Settings[]) {
  const settings: Settings = Object.assign({ IMAGE_PROVIDER: "openai" }, ...parts);
  const { run } = GenerationRunner.prototype;
  vi.spyOn(GenerationRunner.prototype, "run").mockImplementation(function (this: GenerationRunner, ...work) {
    Reflect.set(this, "env", { ...env, ...settings });
    return run.apply(this, work);
  });
  return {
    post: (json: object) => call("POST", PATH, { key: user.key, json, settings }),
    send: (body: FormData) => call("POST", PATH, { key: user.key, body, settings }),
    deliver: (body: unknown) =>
      consume(createMessageBatch("generations", [{ id: "1", timestamp: new Date(), attempts: 1, body }]), {
        ...env,
        ...settings,
      }),
  };
}

const Made = z.object({
  id: z.string(),
  status: z.string(),
  images: z.array(
    z.object({ url: z.string(), width: z.number(), height: z.number(), content_type: z.string() }),
  ),
  usage: z.object({ credits: z.number() }),
});

/** Checks that these are whole and different images of 1024×1024 pixels, and that they were paid once. */
async function expectImages(body: unknown, model: string, format: keyof typeof FORMATS, n: number) {
  const { status, images, usage } = Made.parse(body);
  const { type, start } = FORMATS[format];
  const shape = { width: 1024, height: 1024, content_type: type };
  expect([status, images]).toMatchObject(["succeeded", Array(n).fill(shape)]);
  const pictures = await Promise.all(
    images.map(async ({ url }) => Buffer.from(await (await respond("GET", url)).bytes())),
  );
  expect(pictures.map((bytes) => [bytes.length, bytes.subarray(0, 4).toString("hex")])).toEqual(
    Array(n).fill([IMAGE_BYTES, start]),
  );
  expect(new Set(pictures.map((bytes) => bytes.toString("hex"))).size).toBe(n);
  const found = findModel(model);
  const price = found && priceOf(found, "1K", n);
  expect([usage.credits, CREDITS - (await creditsOf(user))]).toEqual([price, price]);
}

/** The calls, with those of an image each as one. */
function callsMade() {
  const made: typeof calls = [];
  for (const { provider, outcome, images } of calls) {
    const last = made.at(-1);
    if (last?.provider === provider && last.outcome === outcome) last.images += images;
    else made.push({ provider, outcome, images });
  }
  return made;
}

/** A prompt that the double knows again, and for which polled doubles have the image at the first poll. */
const newPrompt = () => `a lighthouse ${crypto.randomUUID()} [bytes:${IMAGE_BYTES}] [latency:1]`;

const fieldsOf = (model: string, n: number) => ({
  ...{ model, prompt: newPrompt(), n },
  ...(model === "gpt-image-2" && { size: "1024x1024" }),
});

/** The number of references that the provider got with this prompt. */
async function referencesSeen(provider: ProviderName, prompt: string): Promise<number> {
  if (provider === "workers-ai") {
    const [seen] = ai.calls;
    return Object.values(seen?.input ?? {}).flatMap((value) => (typeof value === "object" ? value : []))
      .length;
  }
  const url = Object.values(settingsOf(provider)).find((value) => String(value).startsWith("http"));
  const response = await fetch(new URL("/_calls", String(url)));
  const { calls: seen = [], submissions = [] } = Seen.parse(await response.json());
  const [found] = [...seen, ...submissions].filter((one) => JSON.stringify(one).includes(prompt));
  return (found?.references ?? found?.uploads ?? []).length;
}

const list = z.array(z.unknown()).optional();
const seenCalls = z.array(z.looseObject({ references: list, uploads: list })).optional();
const Seen = z.object({ calls: seenCalls, submissions: seenCalls });

/** The format in which each route sends an image when none is asked for. */
const ROUTES = models.flatMap(({ id, routes, reference_image_limit: most }) =>
  routes.map(({ provider }) => ({
    model: id,
    provider,
    format: formatOf(id, provider),
    takesReferences: most > 0,
  })),
);

function formatOf(model: string, provider: ProviderName): keyof typeof FORMATS {
  const isChosen = findModel(model)?.supported_output_formats.includes("png");
  return provider === "workers-ai" && !isChosen ? "jpeg" : "png";
}

describe.each(ROUTES)("$model by $provider", ({ model, provider, format }) => {
  it("delivers three images to a sync call", async () => {
    const { post } = deploy(settingsOf(provider));
    const answer = await post(fieldsOf(model, 3));
    expect(answer.status).toBe(200);
    await expectImages(answer.body, model, format, 3);
    expect(callsMade()).toEqual([{ provider, outcome: "succeeded", images: 3 }]);
  });

  it("delivers to an async call, by the queue", async () => {
    const sent = holdQueue();
    const { post, deliver } = deploy(settingsOf(provider));
    const accepted = await post({ ...fieldsOf(model, 1), async: true });
    expect(accepted.status).toBe(202);
    for (const { body } of sent.mock.calls.flatMap(([messages]) => [...messages])) await deliver(body);
    const { id } = z.object({ id: z.string() }).parse(accepted.body);
    const read = await call("GET", `/api/v1/generations/${id}`, { key: user.key });
    await expectImages(read.body, model, format, 1);
    expect(callsMade()).toEqual([{ provider, outcome: "succeeded", images: 1 }]);
  });
});

describe("a reference", () => {
  it.each(ROUTES.filter(({ takesReferences }) => takesReferences))(
    "for $model arrives at $provider",
    async ({ model, provider, format }) => {
      const { send } = deploy(settingsOf(provider));
      const fields = fieldsOf(model, 1);
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.append(name, String(value));
      form.append("reference_image", new File([png(300, 300)], "a.png"));
      const answer = await send(form);
      expect(answer.status).toBe(200);
      await expectImages(answer.body, model, format, 1);
      expect(await referencesSeen(provider, fields.prompt)).toBe(1);
    },
  );
});

describe("references of more bytes than the only provider takes", () => {
  it("are refused before any charge", async () => {
    const { send } = deploy(settingsOf("workers-ai"));
    const form = new FormData();
    for (const [name, value] of Object.entries(fieldsOf("flux-2-pro", 1))) form.append(name, String(value));
    const large = new Uint8Array(DATA_URL_REFERENCE_BYTES_MAX + 1);
    large.set(png(300, 300));
    form.append("reference_image", new File([large], "a.png"));
    expect(refusal(await send(form))).toEqual(invalid("model", "fewer or smaller references"));
    expect([await creditsOf(user), ai.calls]).toEqual([CREDITS, []]);
  });
});

const PAIRS = models.flatMap(({ id, routes: [first, ...others] }) =>
  first ? others.map(({ provider }) => ({ model: id, first: first.provider, second: provider })) : [],
);

describe("a first route whose provider answers 503", () => {
  it.each(PAIRS)("$model: $first is replaced by $second", async ({ model, first, second }) => {
    const { post } = deploy(settingsOf(first, DOWN), settingsOf(second));
    const answer = await post(fieldsOf(model, 2));
    expect(answer.status).toBe(200);
    await expectImages(answer.body, model, formatOf(model, second), 2);
    expect(callsMade()).toEqual([
      { provider: first, outcome: "unavailable", images: 0 },
      { provider: second, outcome: "succeeded", images: 2 },
    ]);
  });
});
