/**
 * `npm run chaos -- --kills 200 --seed 7`: checks that nothing is lost when the service is killed. Under a mixed load
 * with webhooks and canceling, the whole service is killed with SIGKILL repeatedly and restarted on the same state. Then
 * every account is compared with the responses that its clients got, the webhooks that arrived and the provider's calls.
 * Exit code 1 on any difference.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { audit } from "./chaos/audit.mjs";
import { findDifferences } from "./chaos/books.mjs";
import { createClients, keepBusy, makeGate } from "./chaos/load.mjs";
import { startProduct, startProvider } from "./chaos/processes.mjs";
import { randomFrom } from "./chaos/random.mjs";
import { startReceiver } from "./chaos/receiver.mjs";
import { tableOf } from "./chaos/table.mjs";
import { Failure, install, main, temporaryDirectory } from "./lib.mjs";
import { pick } from "./service/api.mjs";

const USAGE = "Usage: npm run chaos -- [--kills 200] [--seed 7] [--users 8]";
/** How long the service runs between being ready and being killed. */
const UPTIME_MS = /** @type {const} */ ([100, 1_300]);
/** The part of kills that happen during the start. */
const STARTING_PART = 0.1;
const STARTING_MS = /** @type {const} */ ([100, 2_500]);
/**
 * A lease lasts 150 s, so only a generation with a longer deadline is run again after a kill. The last kills use a short
 * deadline, so that everything ends soon. Together they take longer than the long deadline of the kills before them.
 */
const RUN_SECONDS_LONG = 200;
const RUN_SECONDS_SHORT = 20;
const LAST_KILLS = 70;
const QUEUE_SECONDS_LONG = 120;
const QUEUE_SECONDS_SHORT = 60;
/** Longer than the short deadlines, the retries of webhooks and the alarm that writes the log. */
const SETTLE_WITHIN_MS = 180_000;

/**
 * @typedef {import("./chaos/load.mjs").Settings & {
 *   port: number, stateDirectory: string, logFile: string, providerUrl: string, kills: number,
 * }} Settings
 */

await main(async (stop) => {
  const { kills, seed, users } = readArguments();
  await install({ stop, say: console.log });
  const began = Date.now();
  const directory = temporaryDirectory("chaos");
  const logFile = join(directory, "output.log");
  const stateDirectory = join(directory, "state");
  mkdirSync(stateDirectory);
  const provider = await startProvider(logFile);
  const receiver = await startReceiver(seed);
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const adminToken = randomBytes(24).toString("base64url");
  const settings = {
    origin,
    adminToken,
    seed,
    port,
    stateDirectory,
    logFile,
    providerUrl: provider.url,
    receiverUrl: receiver.url,
    kills,
  };
  const product = makeProduct(settings);
  let good = false;
  try {
    const calledPrompts = watchProvider(provider.url);
    const { clients, ...history } = await runLoad(settings, product, users, calledPrompts, stop);
    console.log("Waiting for all generations to end…");
    const outside = { calls: receiver.calls, called: await calledPrompts() };
    const books = await audit(settings, clients, outside, { withinMs: SETTLE_WITHIN_MS, stop });
    await calledPrompts();
    const differences = books.flatMap(findDifferences);
    const wallMs = Date.now() - began;
    // Without generations there are no differences.
    if (books.every(({ pictures }) => Object.keys(pictures).length === 0)) {
      differences.push("no image was generated, so nothing was tested");
    }
    for (const line of differences) console.error(`DIFFERENCE ${line}`);
    console.log(tableOf({ ...history, seed, books, clients, differences: differences.length, wallMs }));
    good = differences.length === 0;
    return good ? 0 : 1;
  } finally {
    // An error here must not hide an earlier one.
    await Promise.allSettled([product.kill(), provider.kill(), receiver.close()]);
    if (good) rmSync(directory, { recursive: true });
    else console.error(`The state and the logs are in ${directory}`);
  }
});

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        kills: { type: "string", default: "200" },
        seed: { type: "string", default: "7" },
        users: { type: "string", default: "8" },
      },
    });
    const [kills, seed, users] = [values.kills, values.seed, values.users].map((text) =>
      /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN,
    );
    if (kills !== undefined && seed !== undefined && users && kills >= 0 && seed >= 0)
      return { kills, seed, users };
  } catch (error) {
    throw new Failure(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  }
  throw new Failure(USAGE);
}

/**
 * Collects the prompts of the provider's calls. The double remembers its last 1,000 calls, so this is called more often.
 * @param {string} url of the double
 */
function watchProvider(url) {
  const calls = new URL("/_calls", url);
  /** @type {Set<string>} */
  const prompts = new Set();
  return async () => {
    const body = await (await fetch(calls)).json();
    for (const call of Object(body).calls) prompts.add(String(pick(call, "fields", "prompt")));
    return prompts;
  };
}

/**
 * Runs the load and the kills. Afterwards the service runs without load.
 * @param {Settings} settings
 * @param {ReturnType<typeof makeProduct>} product
 * @param {number} users
 * @param {ReturnType<typeof watchProvider>} calledPrompts
 * @param {AbortSignal} stop
 */
async function runLoad(settings, product, users, calledPrompts, stop) {
  const random = randomFrom(settings.seed);
  const gate = makeGate(stop);
  const enough = new AbortController();
  /** @type {number[]} */
  const killedAt = [];
  /** @type {number[]} */
  const startsMs = [await product.start(0)];
  const clients = await createClients(settings, users);
  const load = keepBusy(settings, clients, gate, enough.signal);
  // Awaited below, after an error of a kill.
  load.catch(() => {});
  try {
    for (let kill = 1; kill <= settings.kills; kill++) {
      await sleep(random.between(...UPTIME_MS), undefined, { signal: stop });
      await product.kill();
      killedAt.push(Date.now());
      gate.close();
      await calledPrompts();
      if (kill % 10 === 0) console.log(`${kill} kills`);
      const starting = product.start(kill);
      if (kill < settings.kills && random.chance(STARTING_PART)) {
        starting.catch(() => {});
        await sleep(random.between(...STARTING_MS), undefined, { signal: stop });
        continue;
      }
      startsMs.push(await starting);
      gate.open();
    }
    await sleep(UPTIME_MS[1], undefined, { signal: stop });
  } finally {
    enough.abort();
    gate.open();
  }
  await load;
  return { clients, killedAt, startsMs };
}

/**
 * Starts and kills the service, which runs once at a time, on one state directory.
 * @param {Settings} settings
 */
function makeProduct({ port, stateDirectory, logFile, providerUrl, adminToken, kills }) {
  /** @type {import("./chaos/processes.mjs").Tree | undefined} */
  let tree;
  return {
    /** @param {number} kill the kills before this start @returns {Promise<number>} milliseconds until it was ready */
    async start(kill) {
      const last = kills - kill <= LAST_KILLS;
      const began = Date.now();
      tree = startProduct({
        stateDirectory,
        logFile,
        environment: {
          ...{
            PORT: String(port),
            ADMIN_TOKEN: adminToken,
            IMAGE_PROVIDER: "openai",
            OPENAI_API_KEY: "sk-test",
          },
          OPENAI_BASE_URL: providerUrl,
          ALLOW_INSECURE_URLS: "true",
          RUN_DEADLINE_SECONDS: String(last ? RUN_SECONDS_SHORT : RUN_SECONDS_LONG),
          QUEUE_DEADLINE_SECONDS: String(last ? QUEUE_SECONDS_SHORT : QUEUE_SECONDS_LONG),
        },
      });
      await tree.ready;
      return Date.now() - began;
    },
    async kill() {
      await tree?.kill();
    },
  };
}

/** @returns {Promise<number>} */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Failure("There is no free port.");
  return address.port;
}
