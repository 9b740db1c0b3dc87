/**
 * `npm run bench:overload`: the running product behind a provider that takes 20 calls in 10 s and is down for 20 s of the
 * load. With `--failover`: behind two providers, the first of which dies in the middle of the load. Prints what became
 * of the requests and of the provider calls; exit code 1 when a credit is missing.
 */
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { install, main, projectNode, run } from "../scripts/lib.mjs";

const NODE_MAJOR = 22;
const LOAD_SECONDS = 60;
const ASYNC_PER_SECOND = 3;
const SYNC_PER_SECOND = 0.5;
const USERS = 4;
const PRICE = 8;
const FAILOVER = process.argv.includes("--failover");
/** A provider's time for an image, and the outage of the first, in milliseconds from the start of the load. */
const CALL_MS = 2_000;
const OUTAGE = { from: 20_000, to: FAILOVER ? Number.POSITIVE_INFINITY : 40_000 };
const QUOTA = { calls: FAILOVER ? Number.POSITIVE_INFINITY : 20, windowMs: 10_000 };
const ADMIN_TOKEN = "bench-admin-token-of-32-characters";
const SETTLE_MS = 240_000;

await main(async (stop) => {
  await install({ stop, say: console.log });
  if (Number(process.versions.node.split(".")[0]) < NODE_MAJOR) {
    return (await run(projectNode, process.argv.slice(1), { stop, show: true })).code;
  }
  const { build, startWorker, temporaryDirectory } = await import("./worker.mjs");
  const directory = temporaryDirectory();
  await build("src/index.ts", directory, stop);
  const provider = await startProvider(OUTAGE);
  const second = await startProvider({ from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY });
  const fallback = { OPENAI_FALLBACK_BASE_URL: second.url, OPENAI_FALLBACK_API_KEY: "sk-second" };
  const settings = { ADMIN_TOKEN, ...(FAILOVER ? fallback : {}) };
  const worker = await startWorker(directory, { provider: provider.url, queue: true, settings });
  try {
    return await measure(worker, provider, second);
  } finally {
    await worker.stop();
    provider.close();
    second.close();
  }
});

/**
 * A provider that enforces its quota in a sliding window, and counts its answers by status.
 * @param {{ from: number, to: number }} outage
 */
async function startProvider(outage) {
  const { answer } = await import("../test/support/openai-double/answer.ts");
  const call = { prompt: "", n: 1, format: /** @type {const} */ ("png"), width: 1024, height: 1024 };
  const options = { quality: "low", background: "opaque", safetyIdentifier: null };
  const pieces = [];
  for await (const piece of answer({ ...call, ...options }, null, 20_000, 1)) pieces.push(piece);
  const body = Buffer.concat(pieces);
  /** @type {number[]} */
  let taken = [];
  let loadFrom = Number.POSITIVE_INFINITY;
  const counts = { served: 0, turnedAway: 0, down: 0 };
  const server = createServer((request, response) => {
    request.resume().on("end", async () => {
      const now = Date.now();
      const at = now - loadFrom;
      if (at >= outage.from && at < outage.to) {
        counts.down++;
        // A process that died refuses connections; one that is down answers.
        if (FAILOVER) request.socket.destroy();
        else response.writeHead(503).end("{}");
        return;
      }
      taken = taken.filter((time) => time > now - QUOTA.windowMs);
      if (taken.length >= QUOTA.calls) {
        counts.turnedAway++;
        const seconds = Math.ceil(((taken[0] ?? now) + QUOTA.windowMs - now) / 1_000);
        const error = { message: "Too many requests.", type: "requests", code: "rate_limit_exceeded" };
        const headers = { "Retry-After": String(seconds), "Content-Type": "application/json" };
        response.writeHead(429, headers).end(JSON.stringify({ error }));
        return;
      }
      taken.push(now);
      await sleep(CALL_MS);
      const end = Date.now() - loadFrom;
      if (FAILOVER && end >= outage.from && end < outage.to) {
        counts.down++;
        request.socket.destroy();
        return;
      }
      counts.served++;
      response.writeHead(200, { "Content-Type": "application/json" }).end(body);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    counts,
    begin: () => {
      loadFrom = Date.now();
    },
    close: () => server.close(),
  };
}

/**
 * @param {import("./worker.mjs").Worker} worker
 * @param {Awaited<ReturnType<typeof startProvider>>} provider
 * @param {Awaited<ReturnType<typeof startProvider>>} second
 */
async function measure(worker, provider, second) {
  const users = await worker.addUsers(USERS);
  const before = await balanceOf(worker, users);
  provider.begin();
  const began = Date.now();
  const opened = FAILOVER ? whenOpen(worker, began) : Promise.resolve(null);
  const tick = 1_000 / (ASYNC_PER_SECOND + SYNC_PER_SECOND);
  /** @type {Promise<{ kind: string, isAsync: boolean, id: string, user: { key: string } }>[]} */
  const asked = [];
  for (let index = 0; index * tick < LOAD_SECONDS * 1_000; index++) {
    await sleep(Math.max(0, began + index * tick - Date.now()));
    const user = users[index % users.length];
    if (!user) throw new Error("There are no users.");
    const isAsync = index % (1 + ASYNC_PER_SECOND / SYNC_PER_SECOND) !== 0;
    asked.push(ask(worker, user, isAsync, index));
  }
  const answers = await Promise.all(asked);
  const ends = await Promise.all(answers.map((answer) => endOf(worker, answer)));
  const seconds = (Date.now() - began) / 1_000;
  const after = await balanceOf(worker, users);
  const rows = [true, false].map((isAsync) => {
    const of = (/** @type {string} */ kind) =>
      ends.filter((end) => end.isAsync === isAsync && end.kind === kind).length;
    const offered = ends.filter((end) => end.isAsync === isAsync).length;
    return `| ${isAsync ? "async" : "sync"} | ${offered} | ${of("refused")} | ${of("succeeded")} | ${of("failed")} | ${of("unfinished")} |`;
  });
  const { served, turnedAway, down } = provider.counts;
  console.log(
    [
      "| | offered | refused before the charge | succeeded | failed and refunded | unfinished |",
      "|---|--:|--:|--:|--:|--:|",
      ...rows,
      "",
      `Provider calls: ${served} served, ${turnedAway} turned away, ${down} during the outage.`,
      ...(FAILOVER
        ? [`The second provider served ${second.counts.served} calls.`, (await opened) ?? ""]
        : []),
      `The last generation ended ${(seconds - LOAD_SECONDS).toFixed(0)} s after the load.`,
    ].join("\n"),
  );
  const paid = ends.filter(({ kind }) => kind === "succeeded").length * PRICE;
  console.log(`Credits charged: ${before - after}, for images: ${paid}.`);
  return before - after === paid ? 0 : 1;
}

/**
 * Watches the gate of the first provider until its breaker opens.
 * @param {import("./worker.mjs").Worker} worker @param {number} began
 */
async function whenOpen(worker, began) {
  while (Date.now() - began < LOAD_SECONDS * 1_000) {
    const response = await fetch(`${worker.origin}/api/admin/providers`, {
      headers: { Authorization: `Bearer ${ADMIN_TOKEN}` },
    });
    /** @type {{ data: { name: string, state: string }[] }} */
    const { data } = await response.json();
    if (data.some(({ name, state }) => name === "openai" && state === "open")) {
      const seconds = (Date.now() - began - OUTAGE.from) / 1_000;
      return `The breaker opened ${seconds.toFixed(1)} s after the first provider died.`;
    }
    await sleep(100);
  }
  return "The breaker did not open.";
}

/**
 * @param {import("./worker.mjs").Worker} worker @param {{ key: string }} user
 * @param {boolean} isAsync @param {number} index
 */
async function ask(worker, user, isAsync, index) {
  const response = await fetch(`${worker.origin}/api/v1/images/generations`, {
    method: "POST",
    headers: { Authorization: `Bearer ${user.key}`, "Content-Type": "application/json" },
    body: JSON.stringify({
      model: "gpt-image-2",
      prompt: `load ${index}`,
      size: "1024x1024",
      async: isAsync,
    }),
  });
  const body = await response.json();
  const kind = { 200: "succeeded", 202: "accepted", 503: "refused" }[response.status] ?? "failed";
  return { kind, isAsync, id: String(body.id), user };
}

/** @param {import("./worker.mjs").Worker} worker @param {Awaited<ReturnType<typeof ask>>} answer */
async function endOf(worker, { kind, isAsync, id, user }) {
  const until = Date.now() + SETTLE_MS;
  while (kind === "accepted" && Date.now() < until) {
    const response = await fetch(`${worker.origin}/api/v1/generations/${id}`, {
      headers: { Authorization: `Bearer ${user.key}` },
    });
    const { status } = await response.json();
    if (status === "succeeded" || status === "failed") return { kind: status, isAsync };
    await sleep(1_000);
  }
  return { kind: kind === "accepted" ? "unfinished" : kind, isAsync };
}

/** @param {import("./worker.mjs").Worker} worker @param {readonly { key: string }[]} users */
async function balanceOf(worker, users) {
  const balances = await Promise.all(
    users.map(async ({ key }) => {
      const response = await fetch(`${worker.origin}/api/v1/credits`, {
        headers: { Authorization: `Bearer ${key}` },
      });
      return Number((await response.json()).credits);
    }),
  );
  return balances.reduce((sum, credits) => sum + credits, 0);
}
