/** The service and the provider that it calls, each a tree of processes that can be killed as a whole. */
import { execFile, spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Failure, projectNode, root, signalGroup } from "../lib.mjs";

const call = promisify(execFile);

const GONE_WITHIN_MS = 10_000;
const LOOK_AGAIN_MS = 20;

/**
 * @typedef {{ pid: number, parent: number, group: number, zombie: boolean }} Process
 * @typedef {{ ready: Promise<string>, kill: () => Promise<void> }} Tree
 * `ready`: the line that says so. It rejects when the tree ends by itself; so does a `kill` after that.
 */

/**
 * Runs `npm start` with its own state directory. Its output is appended to a file.
 * @param {{ stateDirectory: string, logFile: string, environment: Record<string, string> }} settings
 * @returns {Tree}
 */
export function startProduct({ stateDirectory, logFile, environment }) {
  const variables = { ...environment, STATE_DIR: stateDirectory };
  return startTree(process.execPath, [join(root, "scripts/start.mjs")], variables, /^Ready on /, logFile);
}

/**
 * Starts the double of the provider, which outlives every kill.
 * @param {string} logFile
 * @returns {Promise<{ url: string, kill: () => Promise<void> }>}
 */
export async function startProvider(logFile) {
  const args = ["--no-warnings", join(root, "test/support/openai-double/index.ts")];
  const tree = startTree(projectNode, args, {}, /^"http:/, logFile);
  return { url: JSON.parse(await tree.ready), kill: tree.kill };
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {Record<string, string>} environment
 * @param {RegExp} readyLine
 * @param {string} logFile
 * @returns {Tree}
 */
function startTree(command, args, environment, readyLine, logFile) {
  // The supervisor ends the tree if this process is killed.
  const supervisor = spawn(process.execPath, [join(root, "scripts/supervise.mjs"), command, ...args], {
    cwd: root,
    env: { ...process.env, ...environment },
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  supervisor.stdin.on("error", () => supervisor.kill());
  /** @type {string[]} */
  const lines = [];
  let killed = false;
  /** @type {Failure | undefined} */
  let fault;
  /** @type {Promise<string>} */
  const ready = new Promise((resolve, reject) => {
    for (const stream of [supervisor.stdout, supervisor.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        appendFileSync(logFile, `${line}\n`);
        if (lines.push(line) > 20) lines.shift();
        if (readyLine.test(line)) resolve(line);
      });
    }
    supervisor.on("error", reject);
    supervisor.on("close", () => {
      if (killed) return;
      fault = new Failure(`${args.at(-1)} ended by itself:\n${lines.join("\n")}`);
      reject(fault);
    });
  });
  // A kill before anybody waits must not count as an unhandled rejection.
  ready.catch(() => {});
  return {
    ready,
    async kill() {
      killed = true;
      if (supervisor.pid !== undefined) await killTree(supervisor.pid);
      if (fault !== undefined) throw fault;
    },
  };
}

/**
 * Sends SIGKILL to a process and everything below it, until none of it runs.
 * @param {number} top
 */
async function killTree(top) {
  /** @type {Set<number>} */
  const groups = new Set([top]);
  const deadline = Date.now() + GONE_WITHIN_MS;
  // Stops the process that starts the others, so that it starts none in a new group meanwhile.
  signalGroup(top, "SIGSTOP");
  for (;;) {
    const alive = (await listProcesses()).filter(({ zombie }) => !zombie);
    for (const { group } of below(top, alive)) groups.add(group);
    // The runtime first: a child whose parent is gone would begin a graceful stop.
    for (const group of [...groups].reverse()) signalGroup(group, "SIGKILL");
    const left = alive.filter(({ group }) => groups.has(group));
    if (left.length === 0) return;
    if (Date.now() > deadline)
      throw new Failure(`Processes ${left.map(({ pid }) => pid).join()} could not be killed.`);
    await sleep(LOOK_AGAIN_MS);
  }
}

/**
 * @param {number} top
 * @param {Process[]} processes
 */
function below(top, processes) {
  const found = new Set(processes.filter(({ pid }) => pid === top));
  for (const { pid } of found) {
    for (const child of processes) if (child.parent === pid) found.add(child);
  }
  return found;
}

/** @returns {Promise<Process[]>} */
async function listProcesses() {
  const { stdout } = await call("ps", ["-A", "-o", "pid=,ppid=,pgid=,stat="]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => {
      const [pid, parent, group, state = ""] = line.trim().split(/ +/);
      return {
        pid: Number(pid),
        parent: Number(parent),
        group: Number(group),
        zombie: state.startsWith("Z"),
      };
    });
}
