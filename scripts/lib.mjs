/**
 * Shared by the scripts. They run on the machine's own Node (20 or newer) before the dependencies are installed, so
 * this file imports only Node's modules. The tools need Node 22, which is a dependency of the project.
 */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  readFileSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";

const NODE_MAJOR_MIN = 20;
const OUTPUT_LINES_KEPT = 30;
const KILL_AFTER_MS = 5_000;

if (Number(process.versions.node.split(".")[0]) < NODE_MAJOR_MIN) {
  console.error(`GPT Image Hub needs Node ${NODE_MAJOR_MIN} or newer; this is ${process.version}.`);
  process.exit(1);
}

/** The project's directory. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** Node 22, which the tools run on. */
export const projectNode = join(root, "node_modules/node/bin/node");

/** Entry files of tools, for {@link projectNode}. */
export const wrangler = join(root, "node_modules/wrangler/bin/wrangler.js");
export const vitest = join(root, "node_modules/vitest/vitest.mjs");

/** An error that the user can fix: shown as its message, without a stack. */
export class Failure extends Error {}

/**
 * Runs a script. Its exit code is the result of `work`, 1 with one line for a {@link Failure}, or `stopped` after a
 * signal. Ctrl-C and SIGTERM abort `stop`; `work` then ends what it started and returns or throws.
 * @param {(stop: AbortSignal) => Promise<number>} work
 * @param {{ stopped?: number }} [options] 130, the shell's code for an interruption, unless a stop is a success
 */
export async function main(work, { stopped = 130 } = {}) {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stop.abort());
  try {
    process.exitCode = await work(stop.signal);
  } catch (error) {
    if (stop.signal.aborted) process.exitCode = stopped;
    else if (error instanceof Failure) {
      console.error(error.message);
      process.exitCode = 1;
    } else throw error;
  }
}

/**
 * Runs a command to its end. Its output is shown, or its last lines are returned. `stop` ends the command and all its
 * children, and this rejects.
 * @param {string} command
 * @param {string[]} args
 * @param {{ stop: AbortSignal, show?: boolean, filter?: (line: string) => boolean, environment?: NodeJS.ProcessEnv }}
 * options `filter` shows only the lines it returns true for
 * @returns {Promise<{ code: number, output: string }>}
 */
export async function run(command, args, { stop, show = false, filter, environment = process.env }) {
  stop.throwIfAborted();
  // A new process group, so that its children can be ended with it.
  const child = spawn(command, args, {
    cwd: root,
    env: environment,
    detached: true,
    stdio: ["ignore", show ? "inherit" : "pipe", show ? "inherit" : "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    if (filter === undefined) {
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
      });
    } else {
      createInterface({ input: stream }).on("line", (line) => {
        if (filter(stripVTControlCharacters(line))) console.log(line);
      });
    }
  }
  const end = () => {
    signalGroup(child.pid, "SIGTERM");
    setTimeout(() => signalGroup(child.pid, "SIGKILL"), KILL_AFTER_MS).unref();
  };
  stop.addEventListener("abort", end, { once: true });
  /** @type {number} */
  const code = await new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new Failure(`${command} could not be started: ${error.message}`)));
    child.on("close", (exitCode) => resolve(exitCode ?? 1));
  });
  stop.removeEventListener("abort", end);
  stop.throwIfAborted();
  return {
    code,
    output: stripVTControlCharacters(output).trimEnd().split("\n").slice(-OUTPUT_LINES_KEPT).join("\n"),
  };
}

/**
 * @param {number | undefined} leader
 * @param {NodeJS.Signals} signal
 * @returns {boolean} whether the group still exists
 */
export function signalGroup(leader, signal) {
  if (leader === undefined) return false;
  try {
    return process.kill(-leader, signal);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
}

/**
 * Installs the dependencies of package-lock.json, unless they are installed.
 * @param {{ stop: AbortSignal, say: (line: string) => void }} options
 */
export async function install({ stop, say }) {
  if (isInstalled()) return;
  const wanted = lockHash();
  say("Installing dependencies (once)…");
  const { code, output } = await run("npm", ["ci", "--no-audit", "--no-fund"], {
    stop,
    environment: environmentOutsideProject(),
  });
  if (code !== 0 || !existsSync(projectNode)) {
    console.error(output);
    throw new Failure("The dependencies could not be installed: npm ci failed; see above.");
  }
  writeFileSync(markerFile, wanted);
}

/** Whether {@link install} has installed the dependencies of this package-lock.json. */
export function isInstalled() {
  return lockHash() === installedHash() && existsSync(projectNode);
}

const markerFile = join(root, "node_modules/.installed-lock");

function lockHash() {
  return createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
}

function installedHash() {
  return existsSync(markerFile) ? readFileSync(markerFile, "utf8") : undefined;
}

/** Removes node_modules/.bin from PATH, so that npm does not run on the Node that it replaces. */
export function environmentOutsideProject() {
  const path = (process.env["PATH"] ?? "").split(delimiter);
  return { ...process.env, PATH: path.filter((entry) => !entry.includes("node_modules")).join(delimiter) };
}

/**
 * Creates a directory for the state of tests. It is in memory where there is room, because tests mostly write to SQLite
 * databases: on a disk, the tests of the HTTP API take half as long again. The caller removes it.
 * @param {string} name
 */
export function temporaryDirectory(name) {
  return mkdtempSync(
    join(process.env["TMPDIR"] || !hasRoom(MEMORY) ? tmpdir() : MEMORY, `gpt-image-hub-${name}-`),
  );
}

/** Where Linux has a file system in memory. Containers often make it too small. */
const MEMORY = "/dev/shm";
const ROOM_BYTES = 1024 ** 3;

/** @param {string} directory */
function hasRoom(directory) {
  try {
    accessSync(directory, constants.W_OK);
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize >= ROOM_BYTES;
  } catch {
    return false;
  }
}

/** The environment for wrangler: offline, quiet, and without the accounts and environments of the shell. */
export function wranglerEnvironment() {
  const environment = { ...process.env };
  for (const name of Object.keys(environment)) {
    if (/^(CLOUDFLARE|CF|WRANGLER|MINIFLARE)_|^(NO|FORCE)_COLOR$/.test(name)) delete environment[name];
  }
  return Object.assign(environment, {
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_HIDE_BANNER: "true",
    NO_COLOR: "1",
  });
}
