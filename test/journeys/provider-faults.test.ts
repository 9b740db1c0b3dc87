import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeEach, expect, inject, it, vi } from "vitest";
import * as z from "zod";
import { gateStatus } from "../../src/dispatch/client.ts";
import { IDLE_MS } from "../../src/providers/wire/call.ts";
import { png } from "../images/samples.ts";
import type { Call } from "../support/openai-double/index.ts";
import { scripted } from "../support/provider.ts";
import { answerOf, FAULT_ROWS, FAULTS, type FaultRow, IMAGES_ASKED, PRICE } from "./provider-faults.ts";

const ORIGIN = "https://hub.test";
const CREDITS = 100;
const CHARGE = PRICE * IMAGES_ASKED;
/** Replaces 720 s without a response, and 60 s within one. */
const SILENCE_MS = 300;
/** How long a run may call the provider: nine tenths of its 800 s. */
const WORK_MS = 720_000;
/** The first and the second wait of the back-off, with jitter. No other timer of the service has these durations. */
const BACKOFF_MS = { least: 500, most: 2_000 };
const PROMPT = "a heron over the weir";
/** Texts that must not leak: secrets, the prompt, and upstream text. */
const SECRETS =
  /sk-|gih_(live|test)_|admin-token|heron|Free text|Bad Gateway|no picture today|Incorrect API key/;

/** The output of the service during a test: its responses and its log. */
const said: { answers: string[]; lines: string[] } = { answers: [], lines: [] };
/** The waits between calls, in milliseconds: recorded and skipped. */
const waits: number[] = [];

beforeEach(async () => {
  // Each test has a fresh gate whose breaker does not open: the rows are about attempts.
  const gate = env.PROVIDER_GATE.getByName("openai");
  await runInDurableObject(gate, (_, { storage }) => {
    storage.sql.exec("DELETE FROM state");
    storage.sql.exec("DELETE FROM waiting");
  });
  await evictDurableObject(gate);
  await env.PROVIDER_GATE.getByName("openai").operate("closed");
  waits.length = 0;
  said.answers.length = 0;
  said.lines.length = 0;
  for (const method of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, method).mockImplementation((...words) => said.lines.push(words.map(String).join(" ")));
  }
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

it("has a row for every fault of the double", () => {
  expect(FAULT_ROWS.map(({ fault }) => fault).toSorted()).toEqual(FAULTS.toSorted());
});

/** The date of `429-rate-limit-date` is half a minute away. Another test covers how it is parsed. */
const LIMITED = FAULT_ROWS.filter(({ isLimited, fault }) => isLimited && fault !== "429-rate-limit-date");
const ROWS = FAULT_ROWS.filter(({ isLimited }) => !isLimited);

it.each(ROWS)("sync: $fault", async (row) => {
  shortenWaits(row);
  const account = await openAccount();
  const ofReferences = row.ends === "unreadableReference";
  const body = ofReferences ? formFor(bodyFor(row), [reference(1_000, 1)]) : JSON.stringify(bodyFor(row));
  const answer = await account.call("/api/v1/images/generations", { body });

  const { status, code } = answerOf(row);
  expect(answer.status).toBe(status);
  const id = code === null ? Id.parse(answer.body).id : Failed.parse(answer.body).error.generation_id;
  if (code !== null) expect(answer.body).toMatchObject({ error: { code, param: null } });
  await expectEnd(row, account, id);
});

it.each(ROWS)("async, with references: $fault", async (row) => {
  shortenWaits(row);
  const account = await openAccount();
  const files = [reference(70_000, 1), reference(12_345, 2)];
  const answer = await account.call("/api/v1/images/generations", {
    body: formFor({ ...bodyFor(row), async: true }, files),
  });

  expect(answer.status).toBe(202);
  const { id } = Id.parse(answer.body);
  await expectEnd(row, account, id);
  const sent = await Promise.all(files.map(sha256));
  for (const { uploads } of await callsOf(id)) expect(uploads.map((upload) => upload.sha256)).toEqual(sent);
  await vi.waitFor(async () => expect((await env.REFERENCES.list({ prefix: id })).objects).toEqual([]));
});

it.each(LIMITED.flatMap((row) => [false, true].map((async) => [row.fault, async, row] as const)))(
  "waits for its turn after %s (async: %s), which is not an attempt",
  async (fault, async, row) => {
    const account = await openAccount();
    const prompt = `${PROMPT} ${crypto.randomUUID()} [fault:${fault}*1]`;
    const body = JSON.stringify({ ...bodyFor(row), prompt, async });
    const answer = await account.call("/api/v1/images/generations", { body });
    expect(answer.status).toBe(async ? 202 : 200);
    const { id } = Id.parse(answer.body);
    await vi.waitFor(async () => expectGeneration(row, account, id), { timeout: 14_000, interval: 100 });
    await expectBook(row, account, id);
    await expectImages(row, account, id);
    expect((await callsOf(id)).map(({ fields }) => fields["n"])).toEqual(row.asks);
    const detail = await env.ACCOUNT.getByName(account.id).generation(id);
    expect(detail).toMatchObject({ status: "succeeded" });
    expectNothingLeaked();
  },
  20_000,
);

it("refuses sync work before the charge while the provider is down, replays earlier results, and lets async work wait", async () => {
  const account = await openAccount();
  const gate = env.PROVIDER_GATE.getByName("openai");
  const route = {
    name: "openai" as const,
    provider: scripted(),
    providerModel: "gpt-image-2",
    gate: "openai",
  };
  const path = "/api/v1/images/generations";
  const fields = { model: "gpt-image-2", prompt: `${PROMPT} ${crypto.randomUUID()}` };
  const body = JSON.stringify(fields);
  const before = await account.call(path, { body, key: "made-before" });
  expect(before.status).toBe(200);
  await gate.operate("open");
  // The status of a calm gate is cached for ten seconds.
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + 11_000);
  await vi.waitFor(async () =>
    expect(await gateStatus(env, [route], "anyone/sync")).toMatchObject({ isDown: true }),
  );

  const refused = await account.call(path, { body });
  expect(refused).toMatchObject({ status: 503, body: { error: { code: "serviceUnavailable" } } });
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(5);
  const repeated = await account.call(path, { body, key: "made-before" });
  expect([repeated.status, Id.parse(repeated.body).id]).toEqual([200, Id.parse(before.body).id]);
  expect((await account.call("/api/v1/credits")).body).toMatchObject({ credits: CREDITS - PRICE });

  const waiting = await account.call(path, { body: JSON.stringify({ ...fields, async: true }) });
  expect(waiting).toMatchObject({ status: 202, body: { status: "queued", estimated_wait_seconds: null } });
  const { id } = Id.parse(waiting.body);
  expect(await gate.view()).toMatchObject({ state: "open", waiting: 1 });
  expect(await callsOf(id)).toEqual([]);
  vi.useRealTimers();
  await gate.operate("auto");
  await vi.waitFor(async () => expectStatus(account, id, "succeeded"), { timeout: 10_000, interval: 50 });
  expect(await callsOf(id)).toHaveLength(1);
  expect((await account.call("/api/v1/credits")).body).toMatchObject({ credits: CREDITS - 2 * PRICE });
});

it("opens the breaker in an outage, and runs waiting work when the provider is back", async () => {
  const gate = env.PROVIDER_GATE.getByName("openai");
  await gate.operate("auto");
  const account = await openAccount();
  const prompt = `${PROMPT} ${crypto.randomUUID()} [fault:500*3]`;
  const body = JSON.stringify({ model: "gpt-image-2", prompt, async: true });
  const { id } = Id.parse((await account.call("/api/v1/images/generations", { body })).body);
  await vi.waitFor(async () => expect(await gate.view()).toMatchObject({ state: "open" }), 10_000);
  await vi.waitFor(async () => expectStatus(account, id, "succeeded"), { timeout: 25_000, interval: 200 });
  // Two attempts opened the breaker, a probe failed, and the next one succeeded: four calls, of three attempts.
  expect(await callsOf(id)).toHaveLength(4);
  expect(await gate.view()).toMatchObject({ state: "closed", failures: 0 });
  expect((await account.call("/api/v1/credits")).body).toMatchObject({ credits: CREDITS - PRICE });
}, 40_000);

async function expectStatus(account: Account, id: string, status: string): Promise<void> {
  expect((await account.call(`/api/v1/generations/${id}`)).body).toMatchObject({ status });
}

it("sends the references again with a retry, keeps the images of the first call, and then deletes the references", async () => {
  const account = await openAccount();
  const files = Array.from({ length: 16 }, (_, index) => reference(1_000 + index, index));
  const prompt = `${PROMPT} [fault:reset-after-1*1]`;
  const answer = await account.call("/api/v1/images/generations", {
    body: formFor({ model: "gpt-image-2", prompt, n: 2 }, files),
  });

  expect(answer).toMatchObject({ status: 200, body: { usage: { credits: 2 * PRICE } } });
  const { id } = Id.parse(answer.body);
  const calls = await callsOf(id);
  expect(calls.map(({ fields }) => fields["n"])).toEqual([2, 1]);
  const sent = await Promise.all(files.map(sha256));
  for (const { uploads } of calls) expect(uploads.map((upload) => upload.sha256)).toEqual(sent);
  expect((await env.REFERENCES.list({ prefix: id })).objects).toEqual([]);
  expectNothingLeaked();
});

it.each([
  ["401", true],
  ["403", true],
  ["429-quota", true],
  ["bad-size", true],
  ["500", false],
  ["empty-data", false],
])("tells an SDK whether a retry is in vain: %s", async (fault, permanent) => {
  const row = FAULT_ROWS.find((one) => one.fault === fault);
  if (!row) throw new Error("no such row");
  shortenWaits(row);
  const account = await openAccount();
  const body = JSON.stringify({ model: "gpt-image-2", prompt: `${PROMPT} [fault:${fault}]` });
  const answer = await account.call("/openai/v1/images/generations", { body });
  expect(answer).toMatchObject({ status: 500, body: { error: { code: "image_generation_failed" } } });
  expect(answer.headers.get("x-should-retry")).toBe(permanent ? "false" : null);
});

it("reports an unreadable reference to an SDK", async () => {
  const account = await openAccount();
  const body = new FormData();
  body.append("prompt", `${PROMPT} [fault:bad-image]`);
  body.append("image", new File([reference(1_000, 1)], "reference.png"));
  const answer = await account.call("/openai/v1/images/edits", { body });
  const error = { type: "image_generation_user_error", code: "invalid_image_file" };
  expect(answer).toMatchObject({ status: 400, body: { error } });
  expect(answer.headers.get("x-should-retry")).toBe("false");
});

/** Compares the generation, its credits, its images and its log lines with the row. */
async function expectEnd(row: FaultRow, account: Account, id: string): Promise<void> {
  await vi.waitFor(async () => expectGeneration(row, account, id), { timeout: 10_000, interval: 20 });
  await expectBook(row, account, id);
  await expectImages(row, account, id);
  const calls = await callsOf(id);
  expect(calls.map(({ fields }) => fields["n"])).toEqual(row.asks);
  expect(new Set(calls.map(({ headers }) => headers["authorization"]))).toEqual(new Set(["Bearer sk-test"]));
  expect(waits).toHaveLength(row.asks.length - 1);
  for (const wait of waits) expect(wait).toBeGreaterThanOrEqual(row.retryAfterMs);
  expectLog(row, id);
  expectNothingLeaked();
}

async function expectGeneration(row: FaultRow, account: Account, id: string): Promise<void> {
  const { status, body } = await account.call(`/api/v1/generations/${id}`);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    status: row.ends === "succeeded" ? "succeeded" : "failed",
    images: Array.from({ length: row.images }, () => ({ width: 1024, height: 1024, bytes: 20_000 })),
    usage: { credits: PRICE * row.images, credits_requested: CHARGE },
    ...(row.ends !== "succeeded" && { error: { code: row.ends } }),
  });
}

async function expectBook({ images }: FaultRow, account: Account, id: string): Promise<void> {
  const refund = CHARGE - PRICE * images;
  const balance = CREDITS - CHARGE + refund;
  expect((await account.call("/api/v1/credits")).body).toMatchObject({ credits: balance });
  const charged = { kind: "charge", credits: -CHARGE, balance_after: CREDITS - CHARGE, generation_id: id };
  const refunded = { kind: "refund", credits: refund, balance_after: balance, generation_id: id };
  const { entries, grants } = Statement.parse(await account.statement());
  expect(entries.data).toMatchObject([
    ...(refund === 0 ? [] : [refunded]),
    charged,
    { kind: "grant", credits: CREDITS, balance_after: CREDITS, generation_id: null },
  ]);
  expect(grants).toMatchObject([{ credits: CREDITS, remaining: balance }]);
}

/** Exactly the delivered images are stored: complete, and all different. */
async function expectImages({ images }: FaultRow, account: Account, id: string): Promise<void> {
  const { objects } = await env.IMAGES.list({ prefix: `${id}/` });
  expect(objects.map(({ size }) => size)).toEqual(Array.from({ length: images }, () => 20_000));
  expect(new Set(objects.map(({ etag }) => etag)).size).toBe(images);
  for (const { key } of objects) expect((await account.call(`/images/${key}`)).status).toBe(200);
}

function expectLog(row: FaultRow, id: string): void {
  const lines = said.lines.map((line) => Line.parse(JSON.parse(line)));
  const calls = lines.filter((line) => line.generation_id === id && line.upstream_request_id !== undefined);
  expect(calls).toHaveLength(row.asks.length);
  expect(calls.at(-1)).toMatchObject(row.logged);
  for (const { status, upstream_request_id } of calls) {
    if (status === null) expect(upstream_request_id).toBeNull();
    else expect(upstream_request_id).toMatch(/^req_[0-9a-f]+$/);
  }
}

function expectNothingLeaked(): void {
  expect(said.answers.length * said.lines.length).toBeGreaterThan(0);
  for (const text of [...said.answers, ...said.lines]) expect(text).not.toMatch(SECRETS);
}

/** Skips waits between calls, and the timers that end both kinds of silence. */
function shortenWaits({ silence, retryAfterMs }: FaultRow): void {
  const { setTimeout } = globalThis;
  const { now } = Date;
  // The clock advances by the skipped minute.
  let skipped = 0;
  vi.spyOn(Date, "now").mockImplementation(() => now() + skipped);
  vi.spyOn(globalThis, "setTimeout").mockImplementation((work, milliseconds = 0) => {
    const endsWork = milliseconds > WORK_MS - 60_000 && milliseconds <= WORK_MS;
    const skip = () => {
      skipped += milliseconds - SILENCE_MS;
      work();
    };
    if (silence === "never answers" && endsWork) return setTimeout(skip, SILENCE_MS);
    if (silence === "stops answering" && milliseconds > IDLE_MS - 5_000 && milliseconds <= IDLE_MS) {
      return setTimeout(skip, SILENCE_MS);
    }
    const backsOff = milliseconds >= BACKOFF_MS.least && milliseconds <= BACKOFF_MS.most;
    const obeys = milliseconds >= retryAfterMs && milliseconds < retryAfterMs + 2_000;
    if (!backsOff && !(obeys && retryAfterMs > BACKOFF_MS.most)) return setTimeout(work, milliseconds);
    waits.push(milliseconds);
    return setTimeout(work, 1);
  });
}

function bodyFor({ fault }: FaultRow): Record<string, string | number | boolean> {
  return { model: "gpt-image-2", prompt: `${PROMPT} [fault:${fault}]`, size: "1024x1024", n: IMAGES_ASKED };
}

function formFor(fields: Record<string, string | number | boolean>, files: readonly Uint8Array[]): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, String(value));
  for (const file of files) form.append("reference_image", new File([file], "reference.png"));
  return form;
}

/** A structurally valid PNG of that many bytes, different for each seed. */
function reference(bytes: number, seed: number): Uint8Array {
  const content = Uint8Array.from({ length: bytes }, (_, index) => (index * 7 + (index >> 8) + seed) & 255);
  content.set(png(64 + seed, 64));
  return content;
}

async function sha256(bytes: Uint8Array): Promise<string> {
  return Buffer.from(await crypto.subtle.digest("SHA-256", bytes)).toString("hex");
}

/** The upstream requests of a generation, in order. */
async function callsOf(generationId: string): Promise<Call[]> {
  const response = await fetch(new URL("/_calls", inject("openaiDouble")));
  const { calls } = await response.json<{ calls: Call[] }>();
  return calls.filter(({ clientRequestId }) => clientRequestId === generationId);
}

type Account = Awaited<ReturnType<typeof openAccount>>;

/** A new user with credits and a key, created like an operator does. */
async function openAccount() {
  const operate = async (path: string, body?: object) => {
    const headers = {
      authorization: "Bearer test-admin-token-of-32-characters",
      "content-type": "application/json",
    };
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    return (await exports.default.fetch(`${ORIGIN}/api/admin${path}`, { headers, ...init })).json();
  };
  const { id } = Id.parse(await operate("/users", { email: `${crypto.randomUUID()}@example.com` }));
  await operate(`/users/${id}/credits`, { id: crypto.randomUUID(), credits: CREDITS });
  const { api_key: key } = Key.parse(await operate(`/users/${id}/api_keys`, { name: "test" }));
  const call = async (path: string, sent: { body?: string | FormData; key?: string } = {}) => {
    const { body } = sent;
    const headers = new Headers({ authorization: `Bearer ${key}` });
    if (sent.key !== undefined) headers.set("idempotency-key", sent.key);
    if (typeof body === "string") headers.set("content-type", "application/json");
    const init = body === undefined ? { headers } : { method: "POST", headers, body };
    const response = await exports.default.fetch(ORIGIN + path, init);
    const text = new TextDecoder().decode(await response.arrayBuffer());
    said.answers.push(`${JSON.stringify([...response.headers])} ${text}`);
    const json = response.headers.get("content-type")?.startsWith("application/json");
    return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : null };
  };
  return { id, call, statement: () => operate(`/users/${id}/credits`) };
}

const Id = z.object({ id: z.string() });
const Key = z.object({ api_key: z.string() });
const Failed = z.object({ error: z.object({ generation_id: z.string() }) });
const Statement = z.object({
  entries: z.object({ data: z.array(z.unknown()) }),
  grants: z.array(z.unknown()),
});
const Line = z.looseObject({
  generation_id: z.string().nullish(),
  provider: z.string().optional(),
  status: z.number().nullish(),
  upstream_request_id: z.string().nullish(),
});
