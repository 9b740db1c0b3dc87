/**
 * `npm run chaos -- --kills 200 --seed 7`: checks that nothing is lost when the service is killed. Under a mixed load,
 * the whole service is killed with SIGKILL again and again and restarted on the same state. Then every account is compared
 * with the responses that its clients got. Exit code 1 on any difference.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { audit } from "./chaos/audit.mjs";
import { findDifferences } from "./chaos/books.mjs";
import { createClients, keepBusy, makeGate } from "./chaos/load.mjs";
import { startProduct, startProvider } from "./chaos/processes.mjs";
import { randomFrom } from "./chaos/random.mjs";
import { tableOf } from "./chaos/table.mjs";
import { Failure, install, main } from "./lib.mjs";

const USAGE = "Usage: npm run chaos -- [--kills 200] [--seed 7] [--users 8]";
/** How long the service runs between being ready and being killed. */
const UPTIME_MS = /** @type {const} */ ([100, 1_300]);
/** Some kills happen during the start. */
const STARTING_PART = 0.1;
const STARTING_MS = /** @type {const} */ ([100, 2_500]);
/**
 * A lease lasts 150 s: only a run with more time than that is taken up again after a kill. The last kills leave less, so
 * that what they break ends soon; they take longer than the longest run of those before them may last.
 */
const RUN_SECONDS_LONG = 200;
const RUN_SECONDS_SHORT = 20;
const LAST_KILLS = 70;
const QUEUE_SECONDS_LONG = 120;
const QUEUE_SECONDS_SHORT = 60;
/** The time of everything that is short, and that of the alarm to tell the log of it. */
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
  const directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-chaos-"));
  const logFile = join(directory, "output.log");
  const stateDirectory = join(directory, "state");
  mkdirSync(stateDirectory);
  const provider = await startProvider(logFile);
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
    kills,
  };
  const product = makeProduct(settings);
  let good = false;
  try {
    const { clients, ...history } = await wreck(settings, product, users, stop);
    console.log("Settling…");
    const books = await audit(settings, clients, { withinMs: SETTLE_WITHIN_MS, stop });
    const differences = books.flatMap(findDifferences);
    const wallMs = Date.now() - began;
    // An empty book is in order too.
    if (books.every(({ pictures }) => Object.keys(pictures).length === 0)) {
      differences.push("no image was made in all that time, so nothing is proved");
    }
    for (const line of differences) console.error(`DIFFERENCE ${line}`);
    console.log(tableOf({ ...history, seed, books, clients, differences: differences.length, wallMs }));
    good = differences.length === 0;
    return good ? 0 : 1;
  } finally {
    // What failed before this is what is to be told.
    await Promise.allSettled([product.kill(), provider.kill()]);
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
 * Runs the load and the kills. Afterwards the service runs without load.
 * @param {Settings} settings
 * @param {ReturnType<typeof makeProduct>} product
 * @param {number} users
 * @param {AbortSignal} stop
 */
async function wreck(settings, product, users, stop) {
  const random = randomFrom(settings.seed);
  const gate = makeGate(stop);
  const enough = new AbortController();
  /** @type {number[]} */
  const killedAt = [];
  /** @type {number[]} */
  const startsMs = [await product.start(0)];
  const clients = await createClients(settings, users);
  const load = keepBusy(settings, clients, gate, enough.signal);
  // Heard below; if a kill fails first, that is what is to be told.
  load.catch(() => {});
  try {
    for (let kill = 1; kill <= settings.kills; kill++) {
      await sleep(random.between(...UPTIME_MS), undefined, { signal: stop });
      await product.kill();
      killedAt.push(Date.now());
      if (kill % 10 === 0) console.log(`${kill} kills`);
      gate.close();
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
 * The one product that runs at a time, on one state directory.
 * @param {Settings} settings
 */
function makeProduct({ port, stateDirectory, logFile, providerUrl, adminToken, kills }) {
  /** @type {import("./chaos/processes.mjs").Tree | undefined} */
  let tree;
  return {
    /** @param {number} kill how many there were before @returns {Promise<number>} milliseconds until it was ready */
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
