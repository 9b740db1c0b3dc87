import {
  createExecutionContext,
  createMessageBatch,
  evictDurableObject,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, inject, vi } from "vitest";
import * as z from "zod";
import type { Account } from "../../src/account/account.ts";
import type { GenerationRecord } from "../../src/account/views.ts";
import type { Ask } from "../../src/dispatch/gate.ts";
import type { ProviderGate } from "../../src/dispatch/provider-gate.ts";
import { consume } from "../../src/generations/consume.ts";
import { reconcile } from "../../src/generations/reconcile.ts";
import { PART_BYTES } from "../../src/images/upload.ts";
import worker from "../../src/index.ts";
import { ProviderError, type ProviderFailure } from "../../src/providers/provider.ts";
import { sketch } from "../../src/providers/sketch/index.ts";
import { SCENARIO } from "../../src/scenario.ts";
import { withTimeout } from "../../src/time.ts";
import { png } from "../images/samples.ts";
import { submissionsOf } from "../support/polled.ts";
import { newUser } from "../support/user.ts";
import { dieNow, type Fault, Scene, setScene, step, withoutActor } from "./steps.ts";

const CREDITS = 100;
const PRICE = 8;
/** The price of `flux-2-pro`. */
const POLLED_PRICE = 36;
/** Long enough for every lease, retry and cleanup; shorter than the account keeps generations. */
const QUIET_AFTER_MS = 12 * 3_600_000;
const ROUNDS_MAX = 60;
/** When nothing is left to do, the client must have its response within this time. */
const RESPONSE_MS = 3_000;
/** The API asks the gate again when its cached status is older, so every run makes the same steps. */
const GATE_STATUS_OLD_MS = 60_001;
const ORIGIN = "https://hub.test";

/** The next step of a provider call; `dies` kills its caller, `gate dies` the gate that let it through. */
type Line = Uint8Array | ProviderFailure | "dies" | "gate dies";
export type Scenario = {
  name: string;
  images: number;
  async?: true;
  /** Cancels the generation once it is accepted. */
  cancels?: true;
  /** Deletes the generation after the response. */
  deletes?: true;
  references?: readonly Uint8Array[];
  /** The failures in a row that the gate has seen. Undefined for the provider without a gate. */
  gateFailures?: number;
  /** Whether the gate loses its storage before its first alarm. */
  gateForgets?: true;
  /** Uploads a reference, lists it with a URL and a data URL, and deletes it after the response. */
  isListed?: true;
  /** Calls with a test key: delivers one image of those requested, and charges nothing. */
  isTest?: true;
  /** Buys the images of `flux-2-pro` from the double of Black Forest Labs, which is polled. `calls` is not used. */
  isPolled?: true;
  /** The steps of each provider call. Further calls return what is requested. */
  calls: readonly (readonly Line[])[];
  /** Status of the response, and what is left of {@link CREDITS}, without a fault. */
  status: number;
  left: number;
};

const A = png(1, 1);
const B = png(2, 1);

function large(): Uint8Array {
  const bytes = new Uint8Array(PART_BYTES + 1);
  bytes.set(png(3, 1));
  return bytes;
}

export const SCENARIOS: readonly Scenario[] = [
  { name: "sync", images: 1, calls: [[A]], status: 200, left: 92 },
  { name: "async", images: 1, async: true, calls: [[A]], status: 202, left: 92 },
  {
    name: "references and a large image",
    images: 1,
    references: [A, B],
    calls: [[large()]],
    status: 200,
    left: 92,
  },
  {
    name: "partial",
    images: 2,
    calls: [[A, { reason: "unavailable", retryAfterMs: null }], [{ reason: "invalid" }]],
    status: 200,
    left: 92,
  },
  { name: "failing", images: 1, references: [A], calls: [[{ reason: "refused" }]], status: 400, left: 100 },
  { name: "recovered", images: 2, references: [A], calls: [[A, "dies"], [B]], status: 200, left: 84 },
  {
    name: "recovered by the queue",
    images: 2,
    async: true,
    references: [A],
    calls: [[A, "dies"], [B]],
    status: 202,
    left: 84,
  },
  { name: "sync through a gate", images: 1, gateFailures: 1, calls: [[A]], status: 200, left: 92 },
  {
    name: "async through a gate that dies meanwhile",
    images: 1,
    async: true,
    gateFailures: 1,
    calls: [["gate dies", A]],
    status: 202,
    left: 92,
  },
  { name: "sync while the provider is down", images: 1, gateFailures: 2, calls: [], status: 503, left: 100 },
  {
    name: "async while the provider is down",
    images: 1,
    async: true,
    gateFailures: 2,
    calls: [[A]],
    status: 202,
    left: 92,
  },
  {
    name: "async that the gate forgets",
    images: 1,
    async: true,
    gateFailures: 2,
    gateForgets: true,
    calls: [[A]],
    status: 202,
    left: 92,
  },
  {
    name: "sync that is turned away once, and waits in place",
    images: 1,
    gateFailures: 0,
    calls: [[{ reason: "limited", by: "rate", retryAfterMs: null }], [A]],
    status: 200,
    left: 92,
  },
  {
    name: "async that is turned away once, and is deferred",
    images: 1,
    async: true,
    gateFailures: 0,
    calls: [[{ reason: "limited", by: "rate", retryAfterMs: 7_000 }], [A]],
    status: 202,
    left: 92,
  },
  {
    name: "references by id, URL and data URL",
    images: 1,
    isListed: true,
    calls: [[A]],
    status: 200,
    left: 92,
  },
  {
    name: "canceled while the provider is down",
    images: 1,
    async: true,
    cancels: true,
    gateFailures: 2,
    calls: [[A]],
    status: 200,
    left: 100,
  },
  {
    name: "async with a test key",
    images: 2,
    async: true,
    isTest: true,
    calls: [[A]],
    status: 202,
    left: 100,
  },
  {
    name: "canceled",
    images: 2,
    async: true,
    cancels: true,
    references: [A],
    calls: [[A, B]],
    status: 200,
    left: 100,
  },
  { name: "deleted", images: 1, deletes: true, references: [A], calls: [[B]], status: 204, left: 92 },
  {
    name: "sync from a provider that is polled",
    images: 2,
    isPolled: true,
    gateFailures: 0,
    calls: [],
    status: 200,
    left: 28,
  },
  {
    name: "async from a provider that is polled",
    images: 2,
    async: true,
    isPolled: true,
    gateFailures: 0,
    calls: [],
    status: 202,
    left: 28,
  },
];

export type Played = {
  scene: Scene;
  userId: string;
  key: string;
  response: { status: number; body: unknown } | null;
  calls: number;
};

/** The clock never goes back, so that each run's user is the newest, and its reconciliation finds no other user. */
let playedUntil = 0;

/** Runs a scenario from the request until nothing is left to do, with queue, alarms and redelivery as in production. */
export async function play(scenario: Scenario, fault: Fault | null): Promise<Played> {
  vi.setSystemTime(Math.max(Date.now(), playedUntil));
  // Removes what a failed run left.
  await Promise.all([empty(env.IMAGES), empty(env.REFERENCES)]);
  const user = await newUser(CREDITS, scenario.isTest ? "test" : "live");
  const account = env.ACCOUNT.getByName(user.id);
  // Runs the pending alarm, so that every later alarm belongs to the scenario.
  await runInDurableObject<Account, void>(account, async (instance, { storage }) => {
    await storage.deleteAlarm();
    await instance.alarm();
  });
  const calls = perform(scenario, user.key);
  const variables = configure(scenario);
  if (scenario.gateFailures !== undefined) await prepareGate(scenario, scenario.gateFailures);
  const scene = new Scene(fault);
  scene.gateForgets = scenario.gateForgets === true;
  setScene(scene);
  try {
    const responding = scene.play("api", () => request(scenario, user.key, variables)).catch(() => null);
    await untilQuiet(scenario, scene, user.id, variables);
    const answer = await withTimeout(RESPONSE_MS, responding);
    return { scene, userId: user.id, key: user.key, response: answer, calls: await calls() };
  } finally {
    playedUntil = Date.now() + GATE_STATUS_OLD_MS;
    setScene(null);
  }
}

/** Sets the Worker's variables for the scenario. Objects that are created later see them; other code gets those returned. */
function configure({ gateFailures, isPolled }: Scenario): Env {
  const isGated = gateFailures !== undefined;
  Object.assign(env, { IMAGE_PROVIDER: isGated ? "openai" : "sketch", OPENAI_API_KEY: "sk-test" });
  Object.assign(env, { BFL_BASE_URL: inject("bflDouble"), BFL_API_KEY: isPolled ? "bfl-test" : "" });
  return { ...env };
}

const openGate = ({ isPolled }: Scenario) =>
  env.PROVIDER_GATE.getByName(isPolled ? "black-forest-labs" : "openai");

/** Removes the memory and the storage of the gate. */
async function emptyGate(scenario: Scenario): Promise<void> {
  await runInDurableObject(openGate(scenario), async (_, { storage }) => {
    await storage.deleteAlarm();
    await storage.deleteAll();
  });
  await evictDurableObject(openGate(scenario));
}

/** Creates a new gate that has seen so many failures in a row. */
async function prepareGate(scenario: Scenario, failures: number): Promise<void> {
  await emptyGate(scenario);
  for (let failure = 0; failure < failures; failure++) {
    const id = `before ${failure}`;
    const ask: Ask = { id, userId: id, flow: id, images: 1, deadline: Date.now() + 1, isAgain: false };
    await openGate(scenario).take(ask, 0, false);
    await openGate(scenario).report(id, { kind: "failed", reason: "unavailable", retryAfterMs: null });
  }
}

async function empty(bucket: R2Bucket): Promise<void> {
  const { objects } = await bucket.list();
  if (objects.length > 0) await bucket.delete(objects.map(({ key }) => key));
}

async function request(scenario: Scenario, key: string, variables: Env) {
  const { images: n, references = [] } = scenario;
  const model = scenario.isPolled ? "flux-2-pro" : "gpt-image-2";
  const prompt = scenario.isPolled ? promptOf(key) : "a lighthouse";
  const fields = { model, prompt, n, async: scenario.async === true };
  const headers = new Headers({ Authorization: `Bearer ${key}` });
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, String(value));
  for (const content of references) form.append("reference_image", new File([content], "a.png"));
  if (references.length === 0) headers.set("Content-Type", "application/json");
  if (scenario.isTest) headers.set(SCENARIO, "partial=1");
  const body = references.length === 0 ? JSON.stringify(fields) : form;
  const sent = new Request(`${ORIGIN}/api/v1/images/generations`, { method: "POST", headers, body });
  if (scenario.isListed) return await requestListed(fields, key, variables);
  const response = await worker.fetch(sent, variables, createExecutionContext());
  const accepted = { status: response.status, body: await response.json() };
  const { id } = ResponseBody.parse(accepted.body);
  if (scenario.deletes && response.status === 200) {
    const path = `${ORIGIN}/api/v1/generations/${id}`;
    const init = { method: "DELETE", headers: { Authorization: `Bearer ${key}` } };
    const deleted = await worker.fetch(new Request(path, init), variables, createExecutionContext());
    return deleted.status === 204 ? { status: 204, body: accepted.body } : accepted;
  }
  if (scenario.cancels === undefined || response.status !== 202) return accepted;
  const cancel = `${ORIGIN}/api/v1/generations/${id}/cancel`;
  const canceled = await worker.fetch(
    new Request(cancel, { method: "POST", headers: { Authorization: `Bearer ${key}` } }),
    variables,
    createExecutionContext(),
  );
  if (canceled.status !== 200) return accepted;
  return { status: canceled.status, body: await canceled.json() };
}

async function requestListed(fields: object, key: string, variables: Env) {
  // Loopback addresses may be called.
  const development = { ...variables, ALLOW_INSECURE_URLS: "true" };
  const send = (method: string, path: string, body?: BodyInit) => {
    const type = typeof body === "string" ? "application/json" : "image/png";
    const headers = { Authorization: `Bearer ${key}`, "Content-Type": type };
    const request = new Request(`${ORIGIN}/api/v1${path}`, { method, headers, ...(body && { body }) });
    return worker.fetch(request, development, createExecutionContext());
  };
  const upload = await send("POST", "/references", A);
  const uploaded: unknown = await upload.json();
  if (upload.status !== 201) return { status: upload.status, body: uploaded };
  const { id } = z.object({ id: z.string() }).parse(uploaded);
  const dataUrl = `data:image/png;base64,${Buffer.from(B).toString("base64")}`;
  const reference_images = [id, `${inject("pictureServer")}/picture/8`, dataUrl];
  const made = await send("POST", "/images/generations", JSON.stringify({ ...fields, reference_images }));
  const answer = { status: made.status, body: await made.json() };
  await send("DELETE", `/references/${id}`);
  return answer;
}

const { fetch: fetchUnwatched } = globalThis;

/** By which the double knows the images of this run; small, so that they are stored in one piece. */
const promptOf = (key: string) => `a lighthouse ${key.slice(-8)} [bytes:2000]`;

/**
 * Replaces both providers by the scenario's; that which is polled is its double. Returns a function that counts the
 * calls, or the images that the double was asked for.
 */
function perform(
  { calls, images, isListed, isPolled }: Scenario,
  key: string,
): () => number | Promise<number> {
  let called = 0;
  if (isPolled) {
    vi.spyOn(globalThis, "fetch").mockImplementation((input, init) =>
      step(polledKind(String(input), init), () => fetchUnwatched(input, init)),
    );
    return () => withoutActor(async () => (await submissionsOf(inject("bflDouble"), promptOf(key))).length);
  }
  const nextLines = async (n: number) => {
    let lines: readonly Line[] = [];
    await step("provider call", () => {
      called += 1;
      const whole = Array.from({ length: n }, (_, at) => png(called, images + at));
      lines = calls[called - 1] ?? whole;
    });
    return lines;
  };
  vi.spyOn(sketch, "generate").mockImplementation(async function* ({ n }) {
    for (const line of await nextLines(n)) {
      if (line === "dies") return await dieNow();
      if (line === "gate dies") throw new Error("This provider has no gate.");
      if (!(line instanceof Uint8Array)) throw new ProviderError(line, "from the scenario");
      yield { body: new Blob([line]).stream() };
    }
  });
  const passOn: typeof fetch = (input, init) => step("fetch", () => fetchUnwatched(input, init));
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    if (isListed) return await passOn(input, init);
    const data: { b64_json: string }[] = [];
    for (const line of await nextLines(images)) {
      if (line === "dies") return await dieNow();
      if (line === "gate dies") await killGate();
      else if (line instanceof Uint8Array) data.push({ b64_json: Buffer.from(line).toString("base64") });
      else return refusal(line);
    }
    return Response.json({ data });
  });
  return () => called;
}

function polledKind(url: string, init: RequestInit | undefined): string {
  if (url.endsWith("/_calls")) return "fetch";
  if (init?.method === "POST") return "provider submission";
  return url.includes("/_pictures/") ? "provider picture" : "provider poll";
}

/** The answer of an OpenAI that turns a call away, or is down. */
function refusal(failure: ProviderFailure): Response {
  const wait = "retryAfterMs" in failure ? failure.retryAfterMs : null;
  const headers = new Headers(wait === null ? {} : { "Retry-After": String(wait / 1_000) });
  return new Response(null, { status: failure.reason === "limited" ? 429 : 503, headers });
}

/** The gate loses its memory. */
async function killGate(): Promise<void> {
  await withoutActor(() => evictDurableObject(env.PROVIDER_GATE.getByName("openai")));
}

async function untilQuiet(scenario: Scenario, scene: Scene, userId: string, variables: Env): Promise<void> {
  const until = Date.now() + QUIET_AFTER_MS;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    await vi.waitUntil(() => scene.running.size === 0, { timeout: 4_000, interval: 1 });
    if (scene.messages.length > 0) await deliver(scene, variables);
    else if (!(await nextAlarm(scenario, scene, userId, until))) return;
  }
  throw new Error(`The scenario does not end: ${scene.steps.slice(-20).join("; ")}`);
}

/** Delivers the messages of the queue. Those that are not acknowledged stay in it. */
async function deliver(scene: Scene, variables: Env): Promise<void> {
  const bodies = scene.messages;
  scene.messages = [];
  const batch = createMessageBatch(
    "generations",
    bodies.map((body, at) => ({ id: String(at), timestamp: new Date(), attempts: 1, body })),
  );
  const acked = batch.messages.map((message) => vi.spyOn(message, "ack"));
  await scene
    .play("consumer", () => consume(batch, variables))
    .catch(() => {
      for (const ack of acked) ack.mockClear();
    });
  scene.messages.push(...bodies.filter((_, at) => acked[at]?.mock.calls.length === 0));
}

/** Moves the clock to the next alarm, the account's or the gate's, and runs it. */
async function nextAlarm(scenario: Scenario, scene: Scene, userId: string, until: number): Promise<boolean> {
  const openAccount = () => env.ACCOUNT.getByName(userId);
  const ofAccount = await runInDurableObject(openAccount(), (_, { storage }) => storage.getAlarm());
  const ofGate = scene.gateAlarm;
  const at = Math.min(ofAccount ?? Number.POSITIVE_INFINITY, ofGate ?? Number.POSITIVE_INFINITY);
  if (at > until) return false;
  vi.setSystemTime(Math.max(at, Date.now()));
  if (at === ofGate) {
    scene.gateAlarm = null;
    if (scene.gateForgets) await emptyGate(scenario);
    else await runAlarm<ProviderGate>(scene, "gate alarm", () => openGate(scenario));
    scene.gateForgets = false;
  } else await runAlarm<Account>(scene, "alarm", openAccount);
  return true;
}

/** Runs an alarm. One that dies runs again, as on the platform. */
async function runAlarm<T extends Account | ProviderGate>(
  scene: Scene,
  name: string,
  open: () => DurableObjectStub<T>,
): Promise<void> {
  await runInDurableObject(open(), (_, { storage }) => storage.deleteAlarm());
  for (let attempt = 0; attempt < 6; attempt++) {
    const ended = await runInDurableObject<T, boolean>(open(), async (instance) => {
      await scene.play(name, () => instance.alarm(), instance);
      return true;
    }).catch(() => false);
    if (ended) return;
    expect(scene.struck?.actor).toBe(name);
  }
  throw new Error("The alarm was given up.");
}

const ResponseBody = z.looseObject({
  id: z.string().optional(),
  images: z.array(z.looseObject({ url: z.string() })).optional(),
  error: z.looseObject({ code: z.string(), generation_id: z.string().optional() }).optional(),
});

/** Checks the final state: nothing is lost, doubled or forgotten. */
export async function audit(scenario: Scenario, played: Played): Promise<void> {
  const { userId, scene, response } = played;
  const account = env.ACCOUNT.getByName(userId);
  const audited = await account.audit("", 10);
  expect([audited.held, audited.entries.credits], "the ledger balances").toEqual([
    audited.balance,
    audited.balance,
  ]);
  const deleted = await deletedRow(userId);
  if (deleted !== null) return await auditDeleted(scenario, played, deleted.id);
  expect(response?.status, "what is reported as deleted is deleted").not.toBe(204);
  const all = await account.generations(
    { livemode: !scenario.isTest, status: null, model: null, createdAfter: null, createdBefore: null },
    null,
    10,
  );
  expect(all.length, "one request creates at most one generation").toBeLessThanOrEqual(1);
  expect(audited.generations, "every accepted generation has ended").toEqual(all);
  const [made] = all;
  const price = priceOf(scenario);
  const used = made ? price * made.images.length : 0;
  expect(audited.balance, "only delivered images are paid").toBe(CREDITS - used);
  const { entries } = await account.statement(Number.MAX_SAFE_INTEGER, 100);
  const charges = entries.filter(({ kind }) => kind === "charge").map(({ credits }) => credits);
  expect(charges, "charged once").toEqual(made && price > 0 ? [-price * scenario.images] : []);
  if (made) expect(made.creditsCharged - made.creditsRefunded, "charged = used + refunded").toBe(used);
  auditCalls(scenario, played);
  const from = { userId: userId.slice(0, -1), generationId: "" };
  expect((await reconcile(env, from, false, Date.now())).differences, "the log equals the ledger").toEqual(
    [],
  );
  await auditStorage(played, made);
  if (scenario.gateFailures !== undefined) await auditGate(scenario);
  await auditAnswer(scenario, played, made);
  if (scene.struck === null)
    expect([response?.status, audited.balance]).toEqual([scenario.status, scenario.left]);
}

async function deletedRow(userId: string): Promise<{ id: string } | null> {
  return await runInDurableObject(env.ACCOUNT.getByName(userId), (_, { storage }) => {
    const [row] = storage.sql.exec<{ id: string }>("SELECT id FROM generations WHERE deleted_at IS NOT NULL");
    return row ?? null;
  });
}

/** Nothing of a deleted generation is left but its charge and the rows that reports count. */
async function auditDeleted(scenario: Scenario, { userId, key, scene, response }: Played, id: string) {
  const account = env.ACCOUNT.getByName(userId);
  expect((await account.balance()).credits, "the charge stays").toBe(scenario.left);
  const stored = await Promise.all([env.IMAGES.list(), env.REFERENCES.list()]);
  expect(
    stored.flatMap(({ objects }) => objects.map((object) => object.key)),
    "no object is left",
  ).toEqual([]);
  const row = await env.LOG.prepare(
    "SELECT deleted_at IS NULL AS kept, request ->> 'prompt' AS prompt, credits_charged FROM generations WHERE id = ?",
  )
    .bind(id)
    .first();
  expect(row, "the log has only what reports count").toEqual({ kept: 0, prompt: "", credits_charged: PRICE });
  const left = await runInDurableObject(account, (_, { storage }) =>
    storage.sql.exec("SELECT * FROM deletions").toArray(),
  );
  expect(left, "nothing is left to remove").toEqual([]);
  const from = { userId: userId.slice(0, -1), generationId: "" };
  expect((await reconcile(env, from, false, Date.now())).differences).toEqual([]);
  const headers = { Authorization: `Bearer ${key}` };
  const path = `${ORIGIN}/api/v1/generations/${id}`;
  const read = await worker.fetch(new Request(path, { headers }), env, createExecutionContext());
  expect(read.status, "it does not exist").toBe(404);
  if (scene.struck === null) expect(response?.status).toBe(scenario.status);
}

function priceOf({ isTest, isPolled }: Scenario): number {
  if (isTest) return 0;
  return isPolled ? POLLED_PRICE : PRICE;
}

/**
 * Checks that nothing is bought too often. Of a polled provider, the images whose tasks are saved are never bought
 * again, whatever dies. Only an image whose download fails is.
 */
function auditCalls({ isPolled, images }: Scenario, { calls, scene }: Played): void {
  expect(calls, "calls, or images bought").toBeLessThanOrEqual(isPolled ? 2 * images : 3);
  if (!isPolled) return;
  const { steps, struck } = scene;
  const saved = steps.findIndex((step) => /^(runner|consumer): provider poll$/.test(step));
  const isLate = struck !== null && saved >= 0 && struck.at >= saved;
  if (struck === null || (isLate && !struck.step.endsWith("provider picture")))
    expect(calls, "images bought, once their tasks are saved").toBe(images);
}

/** Nothing waits at the gate, in its memory or in its storage. */
async function auditGate(scenario: Scenario): Promise<void> {
  expect((await openGate(scenario).view()).waiting, "nothing waits in memory").toBe(0);
  const rows = await runInDurableObject(openGate(scenario), (_, { storage }) =>
    storage.sql.exec("SELECT * FROM waiting").toArray(),
  );
  expect(rows, "nothing waits in storage").toEqual([]);
}

/** Where the references lie that the account lists. */
async function uploadedReferences(userId: string): Promise<string[]> {
  return await runInDurableObject(env.ACCOUNT.getByName(userId), (_, { storage }) =>
    storage.sql
      .exec<{ key: string }>("SELECT key FROM uploaded_references ORDER BY key")
      .toArray()
      .map(({ key }) => key),
  );
}

async function auditStorage({ scene, userId }: Played, made: GenerationRecord | undefined): Promise<void> {
  const references = (await env.REFERENCES.list()).objects.map(({ key }) => key);
  // If a request was not accepted and the API died, the lifecycle rule deletes its references.
  const lifecycle = made === undefined && scene.struck?.actor === "api";
  const kept = lifecycle ? references : await uploadedReferences(userId);
  expect(references, "no reference is left, except those that the account lists").toEqual(kept);
  const images = (await env.IMAGES.list()).objects.map(({ key }) => key);
  expect(images, "exactly the named images are stored").toEqual(
    (made?.images ?? []).map(({ key }) => key).toSorted(),
  );
}

/** Checks that the client's response is still true. */
async function auditAnswer(
  { cancels }: Scenario,
  { response, key, scene, calls }: Played,
  made: GenerationRecord | undefined,
): Promise<void> {
  if (response === null) {
    expect(scene.struck?.actor).toBe("api");
    return;
  }
  const { id, images, error } = ResponseBody.parse(response.body);
  const headers = { Authorization: `Bearer ${key}` };
  const read = await worker.fetch(
    new Request(`${ORIGIN}/api/v1/generations/${made?.id}`, { headers }),
    env,
    createExecutionContext(),
  );
  const now = ResponseBody.parse(await read.json());
  switch (`${response.status} ${error?.code ?? ""}`) {
    case "200 ":
      expect([id, images], "a 200 stays true").toEqual([now.id, now.images]);
      if (made?.status === "canceled") expect(calls, "the provider was not called").toBe(0);
      expect(made?.status, "canceled, and only if asked").toBe(cancels ? "canceled" : "succeeded");
      return;
    case "202 ":
      expect(id).toBe(made?.id);
      return;
    case "500 generationFailed":
    case "400 contentPolicyViolation":
      expect(made).toMatchObject({ id: error?.generation_id, status: "failed", error: error?.code });
      return;
    case "500 internalError":
      // Without an id, nothing may have been charged.
      if (error?.generation_id === undefined) expect(made).toBeUndefined();
      else if (made) expect(made.id).toBe(error.generation_id);
      return;
    case "400 invalid_request":
    case "503 serviceUnavailable":
      expect(made, "nothing was charged").toBeUndefined();
      return;
    default:
      throw new Error(`Undocumented response: ${response.status} ${JSON.stringify(response.body)}`);
  }
}
