/** Clients that request images in every way, cancel some, and record every response. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { numberOf, pick, textOf } from "../service/api.mjs";
import { isEnded } from "./books.mjs";
import { bounded, call, mustCall } from "./call.mjs";
import { randomFrom } from "./random.mjs";

/**
 * @typedef {import("./books.mjs").Book} Book
 * @typedef {import("./random.mjs").Random} Random
 * @typedef {"rich" | "poor" | "careful" | "expiring"} Purse careful clients repeat a request, with the same idempotency
 * key, until they get a response
 * @typedef {Pick<Book, "user_id" | "complaints" | "granted" | "requests" | "cancels" | "seen"> & {
 *   key: string, purse: Purse, webhookUrl: string, webhookSecret: string, pending: string[], tally: Map<string, number>,
 * }} Client what one user has seen; `pending` are accepted generations whose end the client has not seen
 * @typedef {ReturnType<typeof makeGate>} Gate
 * @typedef {{ origin: string, adminToken: string, seed: number, receiverUrl: string }} Settings
 */

const CLIENTS_A_USER = 2;
const PRICES = /** @type {const} */ ({ "1K": 8, "2K": 10, "4K": 12 });
const GRANT_TRIES_MAX = 10;
const GRANT_WITHIN_MS = 5_000;

/** @type {readonly [Purse, ...Purse[]]} */
const PURSES = ["rich", "poor", "careful", "expiring"];
const PURSE_CREDITS = { rich: 100_000, poor: 40, careful: 100_000, expiring: 60 };

/** The part of a client's actions that grant more credits. */
const TOP_UPS = { rich: 0, poor: 0.06, careful: 0, expiring: 0.15 };

/** Faults of the provider, which the prompt selects. About half of these generations succeed after a retry. */
const FAULTS = /** @type {const} */ ([
  "429-rate-limit-ms*1",
  "429-slow-down*1",
  "500*1",
  "500",
  "503*1",
  "502-html*1",
  "reset-headers*1",
  "reset-body*1",
  "reset-after-1*1",
  "truncated*1",
  "bad-base64*1",
  "too-few",
  "too-many",
  "empty-data",
  "moderation-input",
  "429-quota",
]);

/** The part of async requests with a `webhook_url`. */
const WEBHOOK_PART = 0.5;
/** The part of accepted generations that their client cancels at once, and how long it waits before that. */
const CANCEL_PART = 0.25;
const CANCEL_AFTER_MS = /** @type {const} */ ([0, 20]);

/** A reference image of one pixel. */
const PIXEL = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

/**
 * Creates the users, each with a key and the first credits.
 * @param {Settings} settings
 * @param {number} count
 * @returns {Promise<Client[]>}
 */
export async function createClients(settings, count) {
  const users = `${settings.origin}/api/admin/users`;
  return await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const email = `chaos-${index}@example.com`;
      const user = await mustCall(users, settings.adminToken, { json: { email } });
      const id = textOf(user.body, "id");
      const keys = `${users}/${id}/api_keys`;
      const issued = await mustCall(keys, settings.adminToken, { json: { name: "chaos" } });
      const key = textOf(issued.body, "api_key");
      const secret = await mustCall(`${settings.origin}/api/v1/webhooks/secret`, key);
      /** @type {Client} */
      const client = {
        ...{ user_id: id, key, purse: PURSES[index % PURSES.length] ?? "rich" },
        webhookUrl: `${settings.receiverUrl}/${id}`,
        webhookSecret: textOf(secret.body, "secret"),
        ...{
          complaints: [],
          granted: [],
          requests: [],
          cancels: [],
          seen: [],
          pending: [],
          tally: new Map(),
        },
      };
      await topUp(settings, client, randomFrom(settings.seed + index));
      return client;
    }),
  );
}

/**
 * Where the clients wait while the service is down.
 * @param {AbortSignal} stop makes `passed` reject
 */
export function makeGate(stop) {
  /** @type {Set<() => void>} */
  const waiting = new Set();
  let isOpen = true;
  let life = new AbortController();
  return {
    /** Aborted when this process of the service is killed, because a fetch may wait forever for a killed server. */
    life: () => life.signal,
    /** @returns {Promise<void>} */
    async passed() {
      stop.throwIfAborted();
      if (!isOpen) await new Promise((resolve) => waiting.add(() => resolve(undefined)));
    },
    close: () => {
      isOpen = false;
      life.abort();
    },
    open: () => {
      isOpen = true;
      life = new AbortController();
      for (const resolve of waiting) resolve();
      waiting.clear();
    },
  };
}

/**
 * Keeps every client busy until `enough` is aborted, then waits for running requests.
 * @param {Settings} settings
 * @param {Client[]} clients
 * @param {Gate} gate
 * @param {AbortSignal} enough
 */
export async function keepBusy(settings, clients, gate, enough) {
  const hands = clients.flatMap((client, index) =>
    Array.from({ length: CLIENTS_A_USER }, async (_, hand) => {
      const random = randomFrom(settings.seed * 1000 + index * CLIENTS_A_USER + hand);
      for (let serial = 1; ; serial++) {
        await gate.passed();
        if (enough.aborted) return;
        await act(settings, client, gate, random, `${client.user_id} ${hand} ${serial}`);
        await sleep(random.between(20, 200));
      }
    }),
  );
  await Promise.all(hands);
}

/**
 * @param {Settings} settings
 * @param {Client} client
 * @param {Gate} gate
 * @param {Random} random
 * @param {string} label identifies the request in its prompt
 */
async function act(settings, client, gate, random, label) {
  if (random.chance(TOP_UPS[client.purse])) return await topUp(settings, client, random);
  const [first, ...rest] = client.pending;
  if (first !== undefined && random.chance(0.35)) {
    const id = random.pick([first, ...rest]);
    if (random.chance(0.3)) return await cancel(settings, client, id, gate.life());
    return await poll(settings, client, id, gate.life());
  }
  return await ask(settings, client, gate, random, label);
}

/**
 * One request for images. If its response is lost, the ledger shows at the end whether there is a generation. A careful
 * client repeats the request instead, so it knows all its generations.
 * @param {Settings} settings
 * @param {Client} client
 * @param {Gate} gate
 * @param {Random} random
 * @param {string} label
 */
async function ask(settings, client, gate, random, label) {
  const { body, form, credits, kind, patienceMs } = drawRequest(random, label, client.webhookUrl);
  /** @type {import("./books.mjs").Asked} */
  const asked = {
    ...{ credits, creditsMin: form ? PRICES["1K"] : credits, n: body.n },
    ...{ prompt: body.prompt, webhook: "webhook_url" in body },
    outcome: { kind: "unknown", id: null },
  };
  client.requests.push(asked);
  const idempotencyKey = client.purse === "careful" ? randomUUID() : null;
  const content = { ...(form === null ? { json: body } : { form }), idempotencyKey };
  const send = (/** @type {AbortSignal[]} */ ...signals) =>
    call(`${settings.origin}/api/v1/images/generations`, client.key, {
      ...content,
      signal: AbortSignal.any([gate.life(), ...signals]),
    });
  let reply = await (patienceMs === null ? send() : send(AbortSignal.timeout(patienceMs)));
  // A second attempt that reaches nobody says nothing about the first.
  while (idempotencyKey !== null && !isAnswer(outcomeOf(reply, client))) {
    count(client, `${kind}|asked again`);
    await sleep(random.between(20, 200));
    await gate.passed();
    reply = await send();
  }
  asked.outcome = outcomeOf(reply, client);
  const word = asked.outcome.kind === "refused" ? asked.outcome.code : asked.outcome.kind;
  count(client, `${kind}|${word}`);
  if (asked.outcome.kind === "accepted") {
    const { id } = asked.outcome;
    client.pending.push(id);
    if (!random.chance(CANCEL_PART)) return;
    await sleep(random.between(...CANCEL_AFTER_MS));
    return await cancel(settings, client, id, gate.life());
  }
  if (asked.outcome.kind !== "succeeded" || reply.kind !== "answer") return;
  const { balance: _, ...generation } = Object(reply.body);
  client.seen.push(generation);
  if (random.chance(0.3)) await glance(client, generation, gate.life());
}

/**
 * @param {Random} random
 * @param {string} label
 * @param {string} webhookUrl
 */
function drawRequest(random, label, webhookUrl) {
  const n = random.pick([1, 1, 1, 2, 2, 3, 4]);
  const resolution = random.pick(/** @type {const} */ (["1K", "1K", "1K", "2K", "4K"]));
  const withFile = random.chance(0.2);
  const later = random.chance(0.45);
  const impatient = random.chance(0.12);
  const fault = random.chance(0.2) ? ` [fault:${random.pick(FAULTS)}]` : "";
  const directions = `[latency:${random.between(20, 1500)}] [bytes:${random.between(2_000, 60_000)}]${fault}`;
  const body = {
    ...{ model: "gpt-image-2", prompt: `chaos ${label} ${directions}`, n, resolution, async: later },
    output_format: random.pick(["png", "png", "jpeg", "webp"]),
    ...(later && random.chance(WEBHOOK_PART) ? { webhook_url: webhookUrl } : {}),
  };
  const [files, hangsUp] = [withFile ? ", files" : "", impatient ? ", hangs up" : ""];
  return {
    body,
    form: withFile ? formOf(body, random.between(1, 3)) : null,
    credits: n * PRICES[resolution],
    kind: `${later ? "async" : "sync"}${"webhook_url" in body ? ", webhook" : ""}${files}${hangsUp}`,
    patienceMs: impatient ? random.between(5, 600) : null,
  };
}

/**
 * @param {Record<string, string | number | boolean>} body
 * @param {number} files
 */
function formOf(body, files) {
  const form = new FormData();
  for (const [name, value] of Object.entries(body)) form.set(name, String(value));
  for (let file = 0; file < files; file++) form.append("reference_image", new Blob([PIXEL]), "pixel.png");
  return form;
}

/**
 * @param {import("./call.mjs").Reply} reply
 * @param {Pick<Client, "complaints">} client
 * @returns {import("./books.mjs").Outcome}
 */
function outcomeOf(reply, client) {
  if (reply.kind === "lost") return { kind: "unknown", id: null };
  if (reply.kind === "unreached") return { kind: "refused", code: "unreached" };
  const { status, body } = reply;
  const code = String(pick(body, "error", "code"));
  if (status === 202) return { kind: "accepted", id: textOf(body, "id") };
  if (status === 200) {
    const generationId = textOf(body, "id");
    // A repeated async request shows its generation as it ended.
    switch (pick(body, "status")) {
      case "failed":
        return { kind: "failed", id: generationId, code };
      case "canceled":
        return { kind: "accepted", id: generationId };
      default:
        return { kind: "succeeded", id: generationId };
    }
  }
  const id = pick(body, "error", "generation_id");
  switch (code) {
    case "generationFailed":
    case "contentPolicyViolation":
    case "unreadableReference":
      return { kind: "failed", id: textOf(body, "error", "generation_id"), code };
    case "insufficientCredits": {
      const [required, available] = [
        numberOf(body, "error", "required"),
        numberOf(body, "error", "available"),
      ];
      return { kind: "refused", code, required, available };
    }
    case "internalError":
      return { kind: "unknown", id: typeof id === "string" ? id : null };
    case "serviceUnavailable":
      return { kind: "refused", code };
    default:
      client.complaints.push(`a good request was answered by ${status} ${JSON.stringify(body)}`);
      return { kind: "refused", code };
  }
}

/** @param {import("./books.mjs").Outcome} outcome */
function isAnswer(outcome) {
  return outcome.kind !== "unknown" && !(outcome.kind === "refused" && outcome.code === "unreached");
}

/**
 * Reads an accepted generation.
 * @param {Settings} settings
 * @param {Client} client
 * @param {string} id
 * @param {AbortSignal} signal
 */
async function poll({ origin }, client, id, signal) {
  const reply = await call(`${origin}/api/v1/generations/${id}`, client.key, { signal });
  count(client, `poll|${reply.kind === "answer" ? reply.status : reply.kind}`);
  if (reply.kind !== "answer") return;
  if (reply.status !== 200) client.complaints.push(`${id} was accepted, and a poll got ${reply.status}`);
  noteEnd(client, id, reply.body);
}

/**
 * Cancels an accepted generation, whatever its state is.
 * @param {Settings} settings
 * @param {Client} client
 * @param {string} id
 * @param {AbortSignal} signal
 */
async function cancel({ origin }, client, id, signal) {
  /** @type {import("./books.mjs").Cancel} */
  const asked = { id, result: "unknown" };
  client.cancels.push(asked);
  const reply = await call(`${origin}/api/v1/generations/${id}/cancel`, client.key, { json: {}, signal });
  if (reply.kind === "answer") {
    const code = pick(reply.body, "error", "code");
    if (reply.status === 200) asked.result = "canceled";
    else if (code === "notCancelable") asked.result = "refused";
    else if (reply.status < 500) client.complaints.push(`canceling ${id} got ${reply.status} ${code}`);
    noteEnd(client, id, reply.body);
  }
  count(client, `cancel|${asked.result}`);
}

/**
 * Remembers a generation that has ended as the client was shown it.
 * @param {Client} client
 * @param {string} id
 * @param {unknown} body
 */
function noteEnd(client, id, body) {
  const status = pick(body, "status");
  if (typeof status !== "string" || !isEnded(status)) return;
  client.seen.push(Object(body));
  client.pending = client.pending.filter((other) => other !== id);
}

/**
 * Checks that an image of a response exists at once.
 * @param {Client} client
 * @param {import("./books.mjs").Generation} generation
 * @param {AbortSignal} signal
 */
async function glance(client, generation, signal) {
  for (const { id, url, bytes } of generation.images.slice(0, 1)) {
    const reply = await fetchPicture(url, signal);
    count(client, `picture|${reply?.status ?? "lost"}`);
    if (reply !== null && (reply.status !== 200 || reply.bytes !== bytes)) {
      client.complaints.push(`${id} of ${bytes} bytes was answered by ${reply.status}, ${reply.bytes} bytes`);
    }
  }
}

/**
 * @param {string} url
 * @param {AbortSignal | null} signal
 * @returns {Promise<Book["pictures"][string] | null>} null when the connection broke
 */
export async function fetchPicture(url, signal = null) {
  try {
    return await bounded(signal, async (end) => {
      const response = await fetch(url, { signal: end });
      const { byteLength } = await response.arrayBuffer();
      return {
        status: response.status,
        contentType: response.headers.get("content-type"),
        bytes: byteLength,
      };
    });
  } catch {
    // The service was killed. All images are fetched again at the end.
    return null;
  }
}

/**
 * Grants more credits, with an id of its own, and repeats the request until there is a response.
 * @param {Settings} settings
 * @param {Client} client
 * @param {Random} random
 */
async function topUp({ origin, adminToken }, client, random) {
  const expiresInMs = client.purse === "expiring" ? random.between(20_000, 60_000) : null;
  const grant = { id: `chaos-${client.granted.length + 1}`, credits: PURSE_CREDITS[client.purse] };
  const asked = { ...grant, acknowledged: false };
  client.granted.push(asked);
  const expires_at = expiresInMs === null ? null : new Date(Date.now() + expiresInMs).toISOString();
  for (let attempt = 0; attempt < GRANT_TRIES_MAX && !asked.acknowledged; attempt++) {
    const reply = await call(`${origin}/api/admin/users/${client.user_id}/credits`, adminToken, {
      json: { ...grant, expires_at },
      signal: AbortSignal.timeout(GRANT_WITHIN_MS),
    });
    count(client, `grant|${reply.kind === "answer" ? reply.status : reply.kind}`);
    asked.acknowledged = reply.kind === "answer" && (reply.status === 201 || reply.status === 200);
    if (!asked.acknowledged) await sleep(random.between(200, 1000));
  }
}

/** @param {Client} client @param {string} what */
function count({ tally }, what) {
  tally.set(what, (tally.get(what) ?? 0) + 1);
}
