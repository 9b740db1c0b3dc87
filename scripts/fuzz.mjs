/**
 * `npm run fuzz -- --seconds 60 --seed 1`: sends random requests to every operation of the OpenAPI document of a fresh
 * local service. Each response must be one that the document names, without a server error or internal text; afterwards
 * the books must balance. Exit code 1 otherwise. The same seed makes the same first requests; later ones use the ids of
 * responses, whose order differs.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startProvider } from "./chaos/processes.mjs";
import { randomFrom } from "./chaos/random.mjs";
import { makeRequest, operationsOf } from "./fuzz/requests.mjs";
import { Failure, install, main, temporaryDirectory } from "./lib.mjs";
import { accepted, callApi, numberOf, pick, textOf } from "./service/api.mjs";
import { startService } from "./service.mjs";

const USAGE = "Usage: npm run fuzz -- [--seconds 60] [--seed 1]";
const AT_ONCE = 8;
const ANSWER_MS_MAX = 60_000;
/** Events of a generation that has not ended come until it has. */
const STREAM_MS_MAX = 1_000;
const SETTLE_MS_MAX = 120_000;
const IDS_MAX = 300;
const FAILURES_SHOWN = 20;
/** The credits of each user. The last one soon has none. */
const CREDITS = [1_000_000, 1_000_000, 100];

/** The operations that cost credits get this part of the requests. */
const MAKERS_PART = 0.4;
const MAKERS = /\/images\/(generations|edits)$/;

/** A provider's failure is documented, and the test scenarios order it. */
const ORDERED_500 = new Set(["generationFailed", "image_generation_failed"]);
/** Responses that any path can have, because the fuzzer changes methods and paths. */
const ANYWHERE = new Set([400, 401, 404, 405, 413, 415]);
/** What internal text looks like. */
const INTERNAL =
  /SQLITE|D1_ERROR|TypeError|ReferenceError|RangeError|ZodError|\bat \S+ \(|\.ts:\d|node_modules|workerd/;

/**
 * @typedef {import("./fuzz/requests.mjs").Request} Request
 * @typedef {{ origin: string, adminToken: string }} Target
 * @typedef {{ id: string, key: string, testKey: string, keyIds: string[], credits: number }} User
 * @typedef {{ requests: number, statuses: Map<number, number>, failures: string[], slowestMs: number, reached: Set<string> }} Tally
 */

await main(async (stop) => {
  const { seconds, seed } = readArguments();
  await install({ stop, say: console.log });
  const stateDirectory = temporaryDirectory("fuzz");
  mkdirSync(stateDirectory, { recursive: true });
  // Draws nothing, so that many requests fit in the time. Test keys still use the built-in provider.
  const provider = await startProvider(join(stateDirectory, "provider.log"));
  process.env["IMAGE_PROVIDER"] = "openai";
  process.env["OPENAI_API_KEY"] = "sk-fuzz";
  process.env["OPENAI_BASE_URL"] = provider.url;
  const port = await freePort();
  const settings = { port, origin: `http://127.0.0.1:${port}`, stateDirectory };
  /** @type {Awaited<ReturnType<typeof startService>> | undefined} */
  let service;
  try {
    service = await startService(settings, { stop, say: () => undefined });
    const adminToken =
      process.env["ADMIN_TOKEN"] || readFileSync(join(stateDirectory, "admin-token"), "utf8");
    const target = { origin: settings.origin, adminToken };
    const users = await Promise.all(CREDITS.map((credits) => newUser(target, credits)));
    const tally = await sendAll(target, users, { seconds, seed, stop });
    tally.failures.push(...(await checkBooks(target, users)));
    tally.failures.push(...loggedFailures(join(stateDirectory, "wrangler.log")));
    report(tally, seed);
    return tally.failures.length === 0 ? 0 : 1;
  } finally {
    await service?.stop();
    await provider.kill();
    rmSync(stateDirectory, { recursive: true, force: true });
  }
});

function readArguments() {
  try {
    const options = /** @type {const} */ ({
      seconds: { type: "string", default: "60" },
      seed: { type: "string", default: "1" },
    });
    const { values } = parseArgs({ options });
    const [seconds, seed] = [values.seconds, values.seed].map((text) =>
      /^\d{1,6}$/.test(text) ? Number(text) : null,
    );
    if (seconds && seed !== null && seed !== undefined) return { seconds, seed };
  } catch (error) {
    throw new Failure(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  }
  throw new Failure(USAGE);
}

/** @returns {Promise<number>} */
async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", () => resolve(null)));
  const port = numberOf(probe.address(), "port");
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** @param {Target} target @param {number} credits @returns {Promise<User>} */
async function newUser({ origin, adminToken }, credits) {
  const users = `${origin}/api/admin/users`;
  const email = `${crypto.randomUUID()}@example.com`;
  const id = textOf(accepted(await callApi(users, adminToken, { email })), "id");
  accepted(await callApi(`${users}/${id}/credits`, adminToken, { id: "start", credits }));
  const issue = async (/** @type {string} */ mode) =>
    accepted(await callApi(`${users}/${id}/api_keys`, adminToken, { name: "fuzz", mode }));
  const [live, test] = [await issue("live"), await issue("test")];
  const keyIds = [textOf(live, "id"), textOf(test, "id")];
  return { id, key: textOf(live, "api_key"), testKey: textOf(test, "api_key"), keyIds, credits };
}

/**
 * @param {Target} target
 * @param {User[]} users
 * @param {{ seconds: number, seed: number, stop: AbortSignal }} options
 * @returns {Promise<Tally>}
 */
async function sendAll(target, users, { seconds, seed, stop }) {
  const random = randomFrom(seed);
  const document = await (await fetch(`${target.origin}/openapi.json`)).json();
  const operations = operationsOf(document);
  const makers = operations.filter(({ path }) => MAKERS.test(path));
  const [first, ...others] = users.flatMap(({ key, testKey }) => [key, testKey]);
  if (first === undefined) throw new Failure("There are no users.");
  /** @type {readonly [string, ...string[]]} */
  const keys = [first, ...others];
  const credentials = { operator: target.adminToken, keys };
  /** @type {Tally} */
  const tally = { requests: 0, statuses: new Map(), failures: [], slowestMs: 0, reached: new Set() };
  /** @type {string[]} */
  const ids = [];
  // The keys and users of this run must stay.
  const kept = new Set(users.flatMap(({ id, keyIds }) => [id, ...keyIds]));
  const endAt = Date.now() + seconds * 1_000;
  const work = async () => {
    while (Date.now() < endAt && !stop.aborted) {
      const from = random.chance(MAKERS_PART) ? makers : operations;
      const operation = from[random.between(0, from.length - 1)];
      if (operation === undefined) throw new Failure("The document has no operations.");
      const request = makeRequest(operation, random, credentials, ids);
      await sendOne(target, request, tally, (id) => {
        if (ids.length < IDS_MAX && !kept.has(id)) ids.push(id);
      });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return tally;
}

/**
 * @param {Target} target
 * @param {Request} request
 * @param {Tally} tally
 * @param {(id: string) => void} learn
 */
async function sendOne({ origin }, request, tally, learn) {
  const { method, path, headers, body, operation } = request;
  const began = Date.now();
  tally.requests++;
  try {
    const response = await fetch(origin + path, {
      ...{ method, headers, redirect: "manual", signal: AbortSignal.timeout(ANSWER_MS_MAX) },
      ...(body === null ? {} : { body }),
    });
    const text = await readText(response);
    tally.statuses.set(response.status, (tally.statuses.get(response.status) ?? 0) + 1);
    if (response.status < 300) tally.reached.add(`${operation.method} ${operation.path}`);
    for (const problem of problemsOf(request, response, text))
      tally.failures.push(describe(request, problem, text));
    for (const [id] of text.matchAll(/\b(?:gen|user|key|ref)_[0-9A-Z]{26}\b/g)) learn(id);
  } catch (error) {
    // A header that fetch itself refuses was never sent.
    if (error instanceof TypeError && /header|ByteString/i.test(error.message)) return;
    tally.failures.push(
      describe(request, `no response: ${error instanceof Error ? error.message : error}`, ""),
    );
  }
  tally.slowestMs = Math.max(tally.slowestMs, Date.now() - began);
}

/** The body, or the begin of a stream. @param {Response} response */
async function readText(response) {
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return await response.text();
  const reader = response.body?.getReader();
  const first = await Promise.race([reader?.read(), sleep(STREAM_MS_MAX)]);
  await reader?.cancel();
  return new TextDecoder().decode(first?.value);
}

/**
 * What is wrong with a response.
 * @param {Request} request
 * @param {Response} response
 * @param {string} text
 * @returns {string[]}
 */
function problemsOf({ operation, method, headers }, response, text) {
  const { status } = response;
  const problems = [];
  const code = errorCode(text);
  const isOrdered = status === 500 && ORDERED_500.has(code ?? "");
  if (status >= 500 && !isOrdered) problems.push(`server error ${status}`);
  const documented = Reflect.has(Object(operation.operation["responses"]), String(status));
  if (!documented && !ANYWHERE.has(status)) problems.push(`${status} is not documented`);
  if (status >= 400 && method !== "HEAD" && !hasErrorShape(text)) problems.push("not the shape of an error");
  if (!/^req_/.test(response.headers.get("x-request-id") ?? "")) problems.push("no X-Request-Id");
  if (status >= 400 && INTERNAL.test(text)) problems.push("internal text");
  if (
    status < 300 &&
    method !== "GET" &&
    headers["Authorization"] === undefined &&
    operation.operation["security"] !== undefined
  )
    problems.push("accepted without a key");
  return problems;
}

/** @param {string} text */
function errorCode(text) {
  try {
    const code = pick(JSON.parse(text), "error", "code");
    return typeof code === "string" ? code : null;
  } catch {
    return null;
  }
}

/** @param {string} text */
function hasErrorShape(text) {
  try {
    const error = pick(JSON.parse(text), "error");
    return (
      typeof pick(error, "message") === "string" &&
      pick(error, "message") !== "" &&
      pick(error, "code") !== undefined
    );
  } catch {
    return false;
  }
}

/** @param {Request} request @param {string} problem @param {string} text */
function describe({ method, path, headers, body }, problem, text) {
  const { Authorization, ...others } = headers;
  const sent =
    typeof body === "string"
      ? body
      : body === null
        ? ""
        : JSON.stringify([...body.entries()].map(([name]) => name));
  return `${problem}: ${method} ${path.slice(0, 300)} ${JSON.stringify(others).slice(0, 300)} ${sent.slice(0, 600)} → ${text.slice(0, 400)}`;
}

/**
 * Each user's balance must be the sum of the entries, and reconciliation must find nothing.
 * @param {Target} target
 * @param {User[]} users
 */
async function checkBooks({ origin, adminToken }, users) {
  const problems = [];
  for (const { id, key, credits } of users) {
    await settled(origin, key);
    const { sum, charged, refunded } = await sumEntries(origin, key);
    const balance = numberOf(accepted(await callApi(`${origin}/api/v1/credits`, key)), "credits");
    if (balance !== sum) problems.push(`${id}: the balance is ${balance}, its entries sum to ${sum}`);
    if (balance < 0) problems.push(`${id}: the balance is ${balance}`);
    if (charged === 0) problems.push(`${id}: nothing was charged of ${credits}, so nothing was tested`);
    if (refunded > charged) problems.push(`${id}: ${refunded} refunded of ${charged}`);
  }
  for (let cursor = ""; ; ) {
    const page = accepted(await callApi(`${origin}/api/admin/reconcile${cursor}`, adminToken));
    const differences = pick(page, "differences");
    if (Array.isArray(differences))
      problems.push(...differences.map((difference) => `reconcile: ${JSON.stringify(difference)}`));
    if (pick(page, "has_more") !== true) return problems;
    cursor = `?cursor=${encodeURIComponent(textOf(page, "next_cursor"))}`;
  }
}

/** Waits until no generation of a key is open. @param {string} origin @param {string} key */
async function settled(origin, key) {
  const endAt = Date.now() + SETTLE_MS_MAX;
  for (const status of ["queued", "processing"]) {
    for (;;) {
      const list = accepted(await callApi(`${origin}/api/v1/generations?limit=1&status=${status}`, key));
      if (pick(list, "data", 0) === undefined) break;
      if (Date.now() > endAt) throw new Failure(`A generation is ${status} for ever.`);
      await sleep(1_000);
    }
  }
}

/** @param {string} origin @param {string} key */
async function sumEntries(origin, key) {
  let [sum, charged, refunded] = [0, 0, 0];
  for (let cursor = ""; ; ) {
    const page = accepted(await callApi(`${origin}/api/v1/credits/entries?limit=100${cursor}`, key));
    for (const entry of /** @type {unknown[]} */ (pick(page, "data"))) {
      const credits = numberOf(entry, "credits");
      sum += credits;
      if (pick(entry, "kind") === "charge") charged -= credits;
      if (pick(entry, "kind") === "refund") refunded += credits;
    }
    if (pick(page, "has_more") !== true) return { sum, charged, refunded };
    cursor = `&cursor=${encodeURIComponent(textOf(page, "next_cursor"))}`;
  }
}

/** What the service logged of its own errors. @param {string} file */
function loggedFailures(file) {
  const events =
    /"event":"(request_failed|run_failed|generation_broken|alarm_failed|submit_outcome_unknown)"/;
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => events.test(line))
    .map((line) => `logged: ${line.slice(0, 500)}`);
}

/** @param {Tally} tally @param {number} seed */
function report({ requests, statuses, failures, slowestMs, reached }, seed) {
  for (const failure of failures.slice(0, FAILURES_SHOWN)) console.error(failure);
  const counts = [...statuses].sort().map(([status, count]) => `${status} × ${count}`);
  console.log(
    `seed ${seed}: ${requests} requests, ${reached.size} operations accepted one; ${counts.join(", ")}; slowest ${slowestMs} ms`,
  );
  console.log(failures.length === 0 ? "No failures; the books balance." : `${failures.length} failures.`);
}
