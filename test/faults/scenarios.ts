import { createExecutionContext, createMessageBatch, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, vi } from "vitest";
import * as z from "zod";
import type { Account } from "../../src/account/account.ts";
import type { GenerationRecord } from "../../src/account/views.ts";
import { consume } from "../../src/generations/consume.ts";
import { reconcile } from "../../src/generations/reconcile.ts";
import { app } from "../../src/http/app.ts";
import { PART_BYTES } from "../../src/images/upload.ts";
import { ProviderError, type ProviderFailure } from "../../src/providers/provider.ts";
import { sketch } from "../../src/providers/sketch/index.ts";
import { withTimeout } from "../../src/time.ts";
import { png } from "../images/samples.ts";
import { newUser } from "../support/user.ts";
import { abortOf, dieNow, type Fault, Scene, setScene, step } from "./steps.ts";

const CREDITS = 100;
const PRICE = 8;
/** Long enough for every lease, retry and cleanup; shorter than the account keeps generations. */
const QUIET_AFTER_MS = 12 * 3_600_000;
const ROUNDS_MAX = 60;
/** When nothing is left to do, the client must have its response within this time. */
const RESPONSE_MS = 3_000;
const ORIGIN = "https://hub.test";

/** The next step of a provider call; `dies` kills its caller. */
type Line = Uint8Array | ProviderFailure | "dies";
export type Scenario = {
  name: string;
  images: number;
  async?: true;
  references?: readonly Uint8Array[];
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
  const user = await newUser(CREDITS);
  const account = env.ACCOUNT.getByName(user.id);
  // Runs the pending alarm, so that every later alarm belongs to the scenario.
  await runInDurableObject<Account, void>(account, async (instance, { storage }) => {
    await storage.deleteAlarm();
    await instance.alarm();
  });
  const calls = perform(scenario);
  const scene = new Scene(fault);
  setScene(scene);
  try {
    const responding = scene.play("api", () => request(scenario, user.key)).catch(() => null);
    await untilQuiet(scene, user.id);
    const answer = await withTimeout(RESPONSE_MS, responding);
    return { scene, userId: user.id, key: user.key, response: answer, calls: calls() };
  } finally {
    playedUntil = Date.now() + 1;
    setScene(null);
  }
}

async function empty(bucket: R2Bucket): Promise<void> {
  const { objects } = await bucket.list();
  if (objects.length > 0) await bucket.delete(objects.map(({ key }) => key));
}

async function request(scenario: Scenario, key: string) {
  const { images: n, references = [] } = scenario;
  const fields = { model: "gpt-image-2", prompt: "a lighthouse", n, async: scenario.async === true };
  const headers = new Headers({ Authorization: `Bearer ${key}` });
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, String(value));
  for (const content of references) form.append("reference_image", new File([content], "a.png"));
  if (references.length === 0) headers.set("Content-Type", "application/json");
  const body = references.length === 0 ? JSON.stringify(fields) : form;
  const sent = new Request(`${ORIGIN}/api/v1/images/generations`, { method: "POST", headers, body });
  const response = await app.fetch(sent, env, createExecutionContext());
  return { status: response.status, body: await response.json() };
}

/** Replaces the embedded provider by the scenario's. Returns a function that counts its calls. */
function perform({ calls, images }: Scenario): () => number {
  let called = 0;
  vi.spyOn(sketch, "generate").mockImplementation(async function* ({ n }) {
    let lines: readonly Line[] = [];
    await step("provider call", () => {
      called += 1;
      const whole = Array.from({ length: n }, (_, at) => png(called, images + at));
      lines = calls[called - 1] ?? whole;
    });
    for (const line of lines) {
      if (line === "dies") return await dieNow();
      if (!(line instanceof Uint8Array)) throw new ProviderError(line, "from the scenario");
      yield { body: new Blob([line]).stream() };
    }
  });
  return () => called;
}

async function untilQuiet(scene: Scene, userId: string): Promise<void> {
  const until = Date.now() + QUIET_AFTER_MS;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    await vi.waitUntil(() => scene.running.size === 0, { timeout: 4_000, interval: 1 });
    if (scene.messages.length > 0) await deliver(scene);
    else if (!(await nextAlarm(scene, userId, until))) return;
  }
  throw new Error(`The scenario does not end: ${scene.steps.slice(-20).join("; ")}`);
}

/** Delivers the messages of the queue. Those that are not acknowledged stay in it. */
async function deliver(scene: Scene): Promise<void> {
  const bodies = scene.messages;
  scene.messages = [];
  const batch = createMessageBatch(
    "generations",
    bodies.map((body, at) => ({ id: String(at), timestamp: new Date(), attempts: 1, body })),
  );
  const acked = batch.messages.map((message) => vi.spyOn(message, "ack"));
  await scene
    .play("consumer", () => consume(batch, env))
    .catch(() => {
      for (const ack of acked) ack.mockClear();
    });
  scene.messages.push(...bodies.filter((_, at) => acked[at]?.mock.calls.length === 0));
}

/** Moves the clock to the alarm and runs it. One that dies runs again, as on the platform. */
async function nextAlarm(scene: Scene, userId: string, until: number): Promise<boolean> {
  const open = () => env.ACCOUNT.getByName(userId);
  const due = await runInDurableObject(open(), async (_, { storage }) => {
    const time = await storage.getAlarm();
    if (time === null || time > until) return false;
    vi.setSystemTime(Math.max(time, Date.now()));
    await storage.deleteAlarm();
    return true;
  });
  if (!due) return false;
  for (let attempt = 0; attempt < 6; attempt++) {
    const ended = await runInDurableObject<Account, boolean>(open(), async (instance) => {
      await scene.play("alarm", () => instance.alarm(), abortOf(instance));
      return true;
    }).catch(() => false);
    if (ended) return true;
    expect(scene.struck?.actor).toBe("alarm");
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
  const all = await account.generations(
    { status: null, model: null, createdAfter: null, createdBefore: null },
    null,
    10,
  );
  expect(all.length, "one request creates at most one generation").toBeLessThanOrEqual(1);
  expect(audited.generations, "every accepted generation has ended").toEqual(all);
  const [made] = all;
  const used = made ? PRICE * made.images.length : 0;
  expect(audited.balance, "only delivered images are paid").toBe(CREDITS - used);
  const { entries } = await account.statement(Number.MAX_SAFE_INTEGER, 100);
  const charges = entries.filter(({ kind }) => kind === "charge").map(({ credits }) => credits);
  expect(charges, "charged once").toEqual(made ? [-PRICE * scenario.images] : []);
  if (made) expect(made.creditsCharged - made.creditsRefunded, "charged = used + refunded").toBe(used);
  expect(played.calls, "provider calls").toBeLessThanOrEqual(3);
  const from = { userId: userId.slice(0, -1), generationId: "" };
  expect((await reconcile(env, from, false, Date.now())).differences, "the log equals the ledger").toEqual(
    [],
  );
  await auditStorage(played, made);
  await auditAnswer(played, made);
  if (scene.struck === null)
    expect([response?.status, audited.balance]).toEqual([scenario.status, scenario.left]);
}

async function auditStorage({ scene }: Played, made: GenerationRecord | undefined): Promise<void> {
  const references = (await env.REFERENCES.list()).objects.map(({ key }) => key);
  // If a request was not accepted and the API died, the lifecycle rule deletes its references.
  const lifecycle = made === undefined && scene.struck?.actor === "api";
  expect(lifecycle ? [] : references, "no reference is left").toEqual([]);
  const images = (await env.IMAGES.list()).objects.map(({ key }) => key);
  expect(images, "exactly the named images are stored").toEqual(
    (made?.images ?? []).map(({ key }) => key).toSorted(),
  );
}

/** Checks that the client's response is still true. */
async function auditAnswer(
  { response, key, scene }: Played,
  made: GenerationRecord | undefined,
): Promise<void> {
  if (response === null) {
    expect(scene.struck?.actor).toBe("api");
    return;
  }
  const { id, images, error } = ResponseBody.parse(response.body);
  const headers = { Authorization: `Bearer ${key}` };
  const read = await app.fetch(
    new Request(`${ORIGIN}/api/v1/generations/${made?.id}`, { headers }),
    env,
    createExecutionContext(),
  );
  const now = ResponseBody.parse(await read.json());
  switch (`${response.status} ${error?.code ?? ""}`) {
    case "200 ":
      expect([id, images], "a 200 stays true").toEqual([now.id, now.images]);
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
    case "503 serviceUnavailable":
      expect(made, "nothing was charged").toBeUndefined();
      return;
    default:
      throw new Error(`Undocumented response: ${response.status} ${JSON.stringify(response.body)}`);
  }
}
