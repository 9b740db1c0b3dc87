/**
 * Compares the service with Portkey's gateway, which passes a call on and stores nothing. The gateway is installed into
 * its own directory for the run, and is not a dependency of the project.
 */
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, projectNode, run } from "../scripts/lib.mjs";
import { drive, interleave, quantile } from "./load.mjs";
import { contestant, direct, post } from "./throughput.mjs";
import { API_KEY, residentMiBMax, startProvider, temporaryDirectory } from "./worker.mjs";

const PACKAGE = "@portkey-ai/gateway@1.15.2";
const READY_WITHIN_MS = 30_000;
const LARGE_BYTES = 15_000_000;
const LARGE_AT_ONCE = 4;
const REQUEST = JSON.stringify({ model: "gpt-image-2", prompt: "a lighthouse at dusk", size: "1024x1024" });
/** The gateway listens on every address of the machine, and has no option to change that. */
const LOOPBACK_ONLY = `import net from "node:net"; const { listen } = net.Server.prototype;
  net.Server.prototype.listen = function (port, ...rest) { return listen.call(this, port, "127.0.0.1", rest.findLast((item) => typeof item === "function")); };`;

/**
 * @typedef {{ connections: number, added: Record<"ours" | "peer", { median: number, p99: number }> }} Added milliseconds
 * @typedef {{ kind: "skipped", why: string }
 *   | { kind: "measured", added: Added[], residentMiB: Record<"ours" | "peer", { idle: number, busy: number }> }} PeerResult
 */

/**
 * @param {import("./throughput.mjs").Bench} bench
 * @returns {Promise<PeerResult>}
 */
export async function measurePeer(bench) {
  const directory = temporaryDirectory();
  bench.say(`installing ${PACKAGE}`);
  const options = ["--prefix", directory, "--no-audit", "--no-fund", "--ignore-scripts"];
  const { code, output } = await run("npm", ["install", ...options, PACKAGE], bench);
  if (code !== 0) {
    return { kind: "skipped", why: `${PACKAGE} could not be installed: ${output.split("\n").at(-1)}` };
  }
  const added = await measureAdded(bench, directory);
  return { kind: "measured", added, residentMiB: await measureMemory(bench, directory) };
}

/** @param {import("./throughput.mjs").Bench} bench @param {string} directory */
async function measureAdded({ directories, rounds, scale, say, stop }, directory) {
  return await withBoth(directories.ours, directory, 1_000_000, async ({ ours, peer, provider }) => {
    const added = [];
    for (const connections of [1, 16]) {
      say(`beside Portkey's gateway, ${connections} at a time`);
      const options = { connections, count: Math.ceil((connections === 1 ? 40 : 96) * scale) };
      const results = await interleave(
        { rounds, stop },
        {
          ours: () => drive(ours, { ...options, call: (index) => post(ours, index, REQUEST) }),
          peer: () => drive(peer, { ...options, call: () => throughPeer(provider) }),
          direct: () =>
            drive({ origin: new URL(provider).origin }, { ...options, call: () => direct(REQUEST) }),
        },
      );
      const at = (/** @type {"ours" | "peer" | "direct"} */ name, /** @type {number} */ part) =>
        quantile(
          results.flatMap((loads) => loads[name].milliseconds).sort((a, b) => a - b),
          part,
        );
      const beyond = (/** @type {"ours" | "peer"} */ name) => ({
        median: at(name, 0.5) - at("direct", 0.5),
        p99: at(name, 0.99) - at("direct", 0.99),
      });
      added.push({ connections, added: { ours: beyond("ours"), peer: beyond("peer") } });
    }
    return added;
  });
}

/** @param {import("./throughput.mjs").Bench} bench @param {string} directory */
async function measureMemory({ directories, say }, directory) {
  return await withBoth(directories.ours, directory, LARGE_BYTES, async ({ ours, peer, provider }) => {
    say("memory beside Portkey's gateway");
    const now = () => ({ ours: ours.residentMiBMax(), peer: residentMiBMax(peer.pid) });
    const options = { connections: LARGE_AT_ONCE, count: 3 * LARGE_AT_ONCE };
    const idle = now();
    await drive(ours, { ...options, call: (index) => post(ours, index, REQUEST) });
    await drive(peer, { ...options, call: () => throughPeer(provider) });
    const busy = now();
    return { ours: { idle: idle.ours, busy: busy.ours }, peer: { idle: idle.peer, busy: busy.peer } };
  });
}

/**
 * @template T
 * @param {string} built
 * @param {string} directory
 * @param {number} imageBytes
 * @param {(started: { ours: import("./throughput.mjs").Contestant, peer: { origin: string, pid: number }, provider: string }) => Promise<T>} work
 */
async function withBoth(built, directory, imageBytes, work) {
  const provider = await startProvider(imageBytes);
  const ours = await contestant(built, provider.url);
  const peer = await startPeer(directory);
  try {
    return await work({ ours, peer, provider: provider.url });
  } finally {
    await ours.stop();
    peer.stop();
    provider.stop();
  }
}

/** @param {string} directory */
async function startPeer(directory) {
  const port = await freePort();
  const script = join(directory, "node_modules/@portkey-ai/gateway/build/start-server.js");
  const hold = `data:text/javascript,${encodeURIComponent(LOOPBACK_ONLY)}`;
  const child = spawn(projectNode, ["--import", hold, script, `--port=${port}`, "--headless"], {
    cwd: directory,
    env: { ...process.env, NODE_ENV: "production", TRUSTED_CUSTOM_HOSTS: "127.0.0.1" },
    stdio: "ignore",
  });
  process.once("exit", () => child.kill());
  const origin = `http://127.0.0.1:${port}`;
  for (const until = Date.now() + READY_WITHIN_MS; Date.now() < until; await sleep(100)) {
    const answered = await fetch(origin).catch(() => null);
    if (answered && child.pid !== undefined) return { origin, pid: child.pid, stop: () => child.kill() };
  }
  child.kill();
  throw new Failure("Portkey's gateway did not start.");
}

/** @param {string} provider @returns {import("./load.mjs").Call} */
function throughPeer(provider) {
  const headers = {
    Authorization: `Bearer ${API_KEY}`,
    "Content-Type": "application/json",
    "x-portkey-provider": "openai",
    "x-portkey-custom-host": provider,
  };
  return { method: "POST", path: "/v1/images/generations", headers, body: REQUEST };
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
