/** Wrangler's local runtime, run under the supervisor. */
import { spawn } from "node:child_process";
import { createWriteStream, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { Failure, projectNode, root, signalGroup, wrangler } from "../lib.mjs";
import { runtimeEnvironment, writePrivate } from "./state.mjs";

const READY_WITHIN_MS = 60_000;
const GROUP_ENDS_WITHIN_MS = 500;

/** @typedef {import("../service.mjs").Settings} Settings */

/**
 * The variables that the Worker gets from the environment of `npm start`, beside ADMIN_TOKEN and AUTH_SECRET, which are
 * generated when they are not set.
 */
export const WORKER_VARIABLES = [
  "ADMIN_TOKEN_PREVIOUS",
  "IMAGE_PROVIDER",
  "OPENAI_BASE_URL",
  "OPERATOR_NAME",
  "SUPPORT_EMAIL",
  "STATUS_URL",
  "PUBLIC_BASE_URL",
  "IMAGES_BASE_URL",
  "SIGNUP_CREDITS",
  "SYNC_WAIT_SECONDS",
  "RUN_DEADLINE_SECONDS",
  "QUEUE_DEADLINE_SECONDS",
  "QUEUE_REDELIVERY_SECONDS",
  "SYNC_START_SECONDS",
  "PROVIDER_ATTEMPTS",
  "MAX_CONCURRENT_GENERATIONS",
  "RATE_LIMIT_PER_MINUTE",
  "RETENTION_DAYS",
  "LOG_RETENTION_DAYS",
  "ALLOW_INSECURE_URLS",
  "OPENAI_API_KEY",
  "OPENAI_MAX_PER_MINUTE",
  "OPENAI_MAX_CONCURRENT",
  "OPENAI_FALLBACK_BASE_URL",
  "OPENAI_FALLBACK_API_KEY",
  "OPENAI_FALLBACK_MAX_PER_MINUTE",
  "OPENAI_FALLBACK_MAX_CONCURRENT",
  "GEMINI_BASE_URL",
  "GEMINI_API_KEY",
  "GEMINI_MAX_PER_MINUTE",
  "GEMINI_MAX_CONCURRENT",
  "BFL_BASE_URL",
  "BFL_API_KEY",
  "BFL_MAX_PER_MINUTE",
  "BFL_MAX_CONCURRENT",
  "FAL_BASE_URL",
  "FAL_KEY",
  "FAL_MAX_PER_MINUTE",
  "FAL_MAX_CONCURRENT",
  "WORKERS_AI_MAX_PER_MINUTE",
  "WORKERS_AI_MAX_CONCURRENT",
  "GITHUB_CLIENT_ID",
  "GITHUB_CLIENT_SECRET",
  "GOOGLE_CLIENT_ID",
  "GOOGLE_CLIENT_SECRET",
  "STRIPE_SECRET_KEY",
  "STRIPE_WEBHOOK_SECRET",
  "STRIPE_BASE_URL",
  "MAIL_API_URL",
  "MAIL_API_KEY",
  "MAIL_FROM",
  "ALERT_WEBHOOK_URL",
];

/**
 * Starts wrangler. Its output goes to wrangler.log; after `showOutput`, the Worker's own output goes to the terminal too.
 * @param {Settings} settings
 * @param {Readonly<Record<string, string>>} secrets
 */
export function startRuntime(settings, secrets) {
  const variablesFile = join(settings.stateDirectory, "worker.env");
  const logFile = join(settings.stateDirectory, "wrangler.log");
  writePrivate(variablesFile, workerVariables(secrets));
  rmSync(join(settings.stateDirectory, "wrangler-debug.log"), { force: true });
  const log = createWriteStream(logFile, { mode: 0o600 });
  const supervisor = startSupervisor(settings, variablesFile);

  let isShown = false;
  const startup = watchStartup(settings, logFile);
  /** @param {string} line @param {NodeJS.WriteStream} terminal */
  const take = (line, terminal) => {
    log.write(`${line}\n`);
    startup.read(stripVTControlCharacters(line));
    if (isShown && !isNoise(line)) terminal.write(`${line}\n`);
  };
  createInterface({ input: supervisor.stdout }).on("line", (line) => take(line, process.stdout));
  createInterface({ input: supervisor.stderr }).on("line", (line) => take(line, process.stderr));

  const exited = new Promise((resolve) => supervisor.on("close", resolve));
  /** @type {Promise<never>} */
  const died = exited.then(() => {
    throw new Failure(`The local runtime exited unexpectedly. See ${logFile}`);
  });
  // Callers race against these promises. A rejection after the race must not count as unhandled.
  for (const promise of [startup.ready, died]) promise.catch(() => {});
  return {
    ready: startup.ready,
    died,
    showOutput() {
      isShown = true;
    },
    async stop() {
      supervisor.stdin.destroy();
      await exited;
      await groupEnded(supervisor.pid);
      rmSync(variablesFile, { force: true });
    },
  };
}

/**
 * @param {Settings} settings
 * @param {string} variablesFile
 */
function startSupervisor({ port, stateDirectory }, variablesFile) {
  const supervisor = spawn(
    projectNode,
    [
      join(root, "scripts/supervise.mjs"),
      projectNode,
      wrangler,
      "dev",
      ...["--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0"],
      ...["--persist-to", stateDirectory, "--env-file", variablesFile],
      "--show-interactive-dev-session=false",
    ],
    { cwd: root, env: runtimeEnvironment(stateDirectory), detached: true, stdio: ["pipe", "pipe", "pipe"] },
  );
  // Nothing is written to this pipe. When it closes, the supervisor knows that this process has ended.
  supervisor.stdin.on("error", () => supervisor.kill());
  return supervisor;
}

/**
 * Watches wrangler's output until the service is ready. `ready` rejects when it does not start, or not in time.
 * @param {Settings} settings
 * @param {string} logFile
 */
function watchStartup({ port, origin }, logFile) {
  /** @type {(line: string) => void} */
  let read = () => {};
  /** @type {Promise<void>} */
  const ready = new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Failure(`The service was not ready in ${READY_WITHIN_MS / 1000} s. See ${logFile}`)),
      READY_WITHIN_MS,
    ).unref();
    read = (line) => {
      const address = /Ready on (\S+)/.exec(line)?.[1];
      const error = /\[ERROR\] (.*?):?$/.exec(line)?.[1];
      if (address === undefined && error === undefined) return;
      clearTimeout(timer);
      read = () => {};
      if (address === origin) resolve();
      else if (address !== undefined) reject(new Failure(`Port ${port} is in use. Choose another: PORT=…`));
      else reject(new Failure(`The service did not start: ${error}. See ${logFile}`));
    };
  });
  return { ready, read: (/** @type {string} */ line) => read(line) };
}

/**
 * Kills what is left of a process group, and waits until it is reaped (some containers never do).
 * @param {number | undefined} leader
 */
async function groupEnded(leader) {
  const deadline = Date.now() + GROUP_ENDS_WITHIN_MS;
  while (signalGroup(leader, "SIGKILL") && Date.now() < deadline) await sleep(10);
}

/**
 * Lines of wrangler itself: its request log, bindings and reloads.
 * @param {string} line
 */
function isNoise(line) {
  return /^(\[wrangler:info\]|⎔|Your Worker has access|Binding {2,}|env\.\S+ \(|$)/.test(line);
}

/**
 * Formats the Worker's variables as an env file, which keeps secrets off the command line. Wrangler expands dollars
 * even inside quotes, and has no escape for a quote.
 * @param {Readonly<Record<string, string>>} secrets
 */
function workerVariables(secrets) {
  const given = WORKER_VARIABLES.map((name) => ({ name, value: process.env[name] ?? "" }));
  return [...given, ...Object.entries(secrets).map(([name, value]) => ({ name, value }))]
    .filter(({ value }) => value !== "")
    .map(({ name, value }) => {
      const quote = ["'", "`"].find((mark) => !value.includes(mark));
      if (quote === undefined || /[\\\r\n]/.test(value)) {
        throw new Failure(
          `${name} contains a backslash, a line break or both kinds of quote, which wrangler does not support.`,
        );
      }
      return `${name}=${quote}${value.replaceAll("$", "\\$")}${quote}\n`;
    })
    .join("");
}
