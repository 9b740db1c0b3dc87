/** The service on this machine: found running, or started on wrangler's local runtime with its state in a directory. */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  accessSync,
  constants,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { databases, readMigrations } from "./databases.mjs";
import {
  Failure,
  install,
  projectNode,
  root,
  run,
  signalGroup,
  wrangler,
  wranglerEnvironment,
} from "./lib.mjs";

const PORT_DEFAULT = 8787;
const READY_WITHIN_MS = 60_000;
const GROUP_ENDS_WITHIN_MS = 500;
const ADMIN_TOKEN_LENGTH_MIN = 32;
const DEMO_CREDITS = 1000;
const DEMO_EMAIL = "demo@example.com";
const DEMO_PASSWORD_BYTES = 12;
/** A sign-up that worked leads to the account. */
const SIGNED_UP = 303;

/**
 * What the Worker is told from the environment of `npm start`. ADMIN_TOKEN and AUTH_SECRET are too; they are made up
 * when not given.
 */
const WORKER_VARIABLES = [
  "IMAGE_PROVIDER",
  "OPENAI_BASE_URL",
  "PUBLIC_BASE_URL",
  "IMAGES_BASE_URL",
  "SIGNUP_CREDITS",
  "SYNC_WAIT_SECONDS",
  "RUN_DEADLINE_SECONDS",
  "QUEUE_DEADLINE_SECONDS",
  "PROVIDER_ATTEMPTS",
  "MAX_CONCURRENT_GENERATIONS",
  "RATE_LIMIT_PER_MINUTE",
  "WEBHOOK_ALLOW_INSECURE",
  "OPENAI_API_KEY",
  "GITHUB_CLIENT_ID",
  "GITHUB_CLIENT_SECRET",
  "GOOGLE_CLIENT_ID",
  "GOOGLE_CLIENT_SECRET",
  "MAIL_API_URL",
  "MAIL_API_KEY",
  "MAIL_FROM",
];

/**
 * @typedef {{ port: number, origin: string, stateDirectory: string }} Settings
 * @typedef {{ key: string, credits: number, email: string, password: string | undefined }} DemoAccount
 * @typedef {{ demo: DemoAccount, showOutput: () => void, died: Promise<never>, stop: () => Promise<void> }} Service
 */

/**
 * PORT and STATE_DIR of the environment. A relative directory is meant from where the person stands; it is made.
 * @returns {Settings}
 */
export function readSettings() {
  const text = process.env["PORT"] || String(PORT_DEFAULT);
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) {
    throw new Failure(`PORT must be a number from 1 to 65535, not "${text}".`);
  }
  const directory = process.env["STATE_DIR"];
  const stateDirectory = directory
    ? resolve(process.env["INIT_CWD"] ?? process.cwd(), directory)
    : join(root, ".state");
  try {
    mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
    accessSync(stateDirectory, constants.R_OK | constants.W_OK);
  } catch (error) {
    throw new Failure(
      `The state directory cannot be used: ${error instanceof Error ? error.message : error}`,
    );
  }
  return { port, origin: `http://127.0.0.1:${port}`, stateDirectory };
}

/**
 * Starts the service and returns once it answers and the demo account exists. On `stop`, at any time, everything that
 * was started is ended.
 * @param {Settings} settings
 * @param {{ stop: AbortSignal, say: (line: string) => void }} options
 * @returns {Promise<Service>}
 */
export async function startService(settings, { stop, say }) {
  const { port, stateDirectory } = settings;
  await refuseUsedPort(port);
  const unlock = lock(stateDirectory);
  try {
    await install({ stop, say });
    await migrate(stateDirectory, { stop, say });
    say("Starting…");
    const adminToken = process.env["ADMIN_TOKEN"] || keptSecret(stateDirectory, "admin-token");
    if (adminToken.length < ADMIN_TOKEN_LENGTH_MIN) {
      throw new Failure(`ADMIN_TOKEN must have at least ${ADMIN_TOKEN_LENGTH_MIN} characters.`);
    }
    const authSecret = process.env["AUTH_SECRET"] || keptSecret(stateDirectory, "auth-secret");
    const runtime = startRuntime(settings, { ADMIN_TOKEN: adminToken, AUTH_SECRET: authSecret });
    const end = async () => {
      await runtime.stop();
      unlock();
    };
    stop.addEventListener("abort", () => void end(), { once: true });
    try {
      await Promise.race([runtime.ready, runtime.died]);
      const demo = await Promise.race([ensureDemoAccount(settings, adminToken), runtime.died]);
      stop.throwIfAborted();
      return { demo, showOutput: runtime.showOutput, died: runtime.died, stop: end };
    } catch (error) {
      await end();
      throw error;
    }
  } catch (error) {
    unlock();
    throw error;
  }
}

/**
 * The demo account of a service that is running already with this state, or undefined.
 * @param {Settings} settings
 * @returns {Promise<DemoAccount | undefined>}
 */
export async function findRunning({ origin, stateDirectory }) {
  const key = readIfThere(demoKeyFile(stateDirectory));
  if (key === undefined) return undefined;
  try {
    const answer = await callApi(`${origin}/api/v1/credits`, key);
    return answer.status === 200 ? demoAccount(stateDirectory, key, answer.body) : undefined;
  } catch (error) {
    // Nothing listens there, or something that is no such service.
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

/**
 * A JSON call to the service.
 * @param {string} url
 * @param {string} bearer
 * @param {unknown} [body] sent by POST when given
 * @returns {Promise<{ status: number, headers: { get(name: string): string | null }, body: unknown }>}
 */
export async function callApi(url, bearer, body) {
  const authorization = `Bearer ${bearer}`;
  try {
    const response = await fetch(
      url,
      body === undefined
        ? { headers: { authorization } }
        : {
            method: "POST",
            headers: { authorization, "content-type": "application/json" },
            body: JSON.stringify(body),
          },
    );
    return { status: response.status, headers: response.headers, body: await response.json() };
  } catch (error) {
    throw new Failure(`${url} gave no usable answer: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * A value inside parsed JSON, or undefined where the path leads nowhere.
 * @param {unknown} value
 * @param {...(string | number)} path
 * @returns {unknown}
 */
export function pick(value, ...path) {
  /** @type {unknown} */
  let at = value;
  for (const step of path) {
    at = typeof at === "object" && at !== null ? Reflect.get(at, step) : undefined;
  }
  return at;
}

/** @param {unknown} value @param {...(string | number)} path */
export function textOf(value, ...path) {
  const found = pick(value, ...path);
  if (typeof found !== "string") throw new Failure(`The service answered without ${path.join(".")}.`);
  return found;
}

/** @param {unknown} value @param {...(string | number)} path */
export function numberOf(value, ...path) {
  const found = pick(value, ...path);
  if (typeof found !== "number") throw new Failure(`The service answered without ${path.join(".")}.`);
  return found;
}

/** @param {number} port */
async function refuseUsedPort(port) {
  await new Promise((done, reject) => {
    const probe = createServer();
    probe.once("error", (error) => {
      const used = "code" in error && error.code === "EADDRINUSE";
      const next = port < 65_535 ? port + 1 : PORT_DEFAULT;
      reject(
        new Failure(
          used
            ? `Port ${port} is in use. Choose another: PORT=${next} npm start`
            : `Port ${port} cannot be used: ${error.message}`,
        ),
      );
    });
    probe.listen(port, "127.0.0.1", () => probe.close(done));
  });
}

/**
 * One start per state directory: two runtimes would write the same database files.
 * @param {string} stateDirectory
 * @returns {() => void} gives it back
 */
function lock(stateDirectory) {
  const file = join(stateDirectory, "lock");
  const holder = readIfThere(file)?.split(" ");
  const pid = Number(holder?.[0]);
  const began = processStart(pid);
  if (began !== undefined && began === holder?.[1] && pid !== process.pid) {
    throw new Failure(
      `${stateDirectory} is in use by process ${pid}. Stop that one, or choose another: STATE_DIR=…`,
    );
  }
  const mine = `${process.pid} ${processStart(process.pid)}`;
  writePrivate(file, mine);
  return () => {
    if (readIfThere(file) === mine) rmSync(file);
  };
}

/**
 * When a process began, where the system tells (a process id alone is soon given to another); undefined if it is gone.
 * @param {number} pid
 */
function processStart(pid) {
  const stat = readIfThere(`/proc/${pid}/stat`);
  if (stat !== undefined) {
    // The command, in parentheses, may hold spaces; behind it come the state and, as the twentieth field, the start time.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended, and where nobody asks after it (the first process of some containers never does) it stays.
    return fields[0] === "Z" ? undefined : fields[19];
  }
  try {
    process.kill(pid, 0);
    return process.platform === "linux" ? undefined : "running";
  } catch {
    return undefined;
  }
}

/**
 * Applies the D1 migrations, unless these very files were applied to these very databases before.
 * @param {string} stateDirectory
 * @param {{ stop: AbortSignal, say: (line: string) => void }} options
 */
async function migrate(stateDirectory, { stop, say }) {
  const marker = join(stateDirectory, "migrated");
  if (readIfThere(marker) === databaseFingerprint(stateDirectory)) return;
  say("Preparing the databases…");
  for (const { binding } of databases) {
    const args = ["d1", "migrations", "apply", binding, "--local", "--persist-to", stateDirectory];
    const { code, output } = await run(projectNode, [wrangler, ...args], {
      stop,
      environment: runtimeEnvironment(stateDirectory),
    });
    if (code !== 0) {
      console.error(output);
      throw new Failure(`The databases in ${stateDirectory} could not be prepared, for the reason above.`);
    }
  }
  writePrivate(marker, databaseFingerprint(stateDirectory));
}

/** @param {string} stateDirectory */
function databaseFingerprint(stateDirectory) {
  const hash = createHash("sha256").update(readFileSync(join(root, "wrangler.toml")));
  for (const { directory } of databases) {
    for (const [name, sql] of readMigrations(directory)) hash.update(`${directory}/${name}`).update(sql);
  }
  const storage = join(stateDirectory, "v3/d1/miniflare-D1DatabaseObject");
  const files = existsSync(storage) ? readdirSync(storage).filter((name) => name.endsWith(".sqlite")) : [];
  return hash.update(files.sort().join()).digest("hex");
}

/** @param {string} stateDirectory */
function runtimeEnvironment(stateDirectory) {
  return Object.assign(wranglerEnvironment(), {
    WRANGLER_LOG_PATH: join(stateDirectory, "wrangler-debug.log"),
    // What wrangler would keep in the home directory: its register of running Workers, among others.
    XDG_CONFIG_HOME: join(stateDirectory, "config"),
  });
}

/**
 * Runs wrangler under the supervisor. Its output goes to wrangler.log; after `showOutput`, what the Worker itself says
 * goes to the terminal too.
 * @param {Settings} settings
 * @param {Readonly<Record<string, string>>} secrets
 */
function startRuntime({ port, origin, stateDirectory }, secrets) {
  const variablesFile = join(stateDirectory, "worker.env");
  const logFile = join(stateDirectory, "wrangler.log");
  writePrivate(variablesFile, workerVariables(secrets));
  rmSync(join(stateDirectory, "wrangler-debug.log"), { force: true });
  const log = createWriteStream(logFile, { mode: 0o600 });
  const supervisor = spawn(
    projectNode,
    [
      join(root, "scripts/supervise.mjs"),
      projectNode,
      wrangler,
      "dev",
      ...["--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0"],
      ...[
        "--persist-to",
        stateDirectory,
        "--env-file",
        variablesFile,
        "--show-interactive-dev-session=false",
      ],
    ],
    { cwd: root, env: runtimeEnvironment(stateDirectory), detached: true, stdio: ["pipe", "pipe", "pipe"] },
  );
  // Writing is never tried; the pipe only tells the supervisor that we live.
  supervisor.stdin.on("error", () => supervisor.kill());

  let shown = false;
  /** @type {(line: string) => void} */
  let beforeReady = () => {};
  /** @param {string} line @param {NodeJS.WriteStream} terminal */
  const take = (line, terminal) => {
    log.write(`${line}\n`);
    beforeReady(stripVTControlCharacters(line));
    if (shown && !isChatter(line)) terminal.write(`${line}\n`);
  };
  createInterface({ input: supervisor.stdout }).on("line", (line) => take(line, process.stdout));
  createInterface({ input: supervisor.stderr }).on("line", (line) => take(line, process.stderr));

  /** @type {Promise<void>} */
  const ready = new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Failure(`The service was not ready in ${READY_WITHIN_MS / 1000} s. See ${logFile}`)),
      READY_WITHIN_MS,
    ).unref();
    beforeReady = (line) => {
      const address = /Ready on (\S+)/.exec(line)?.[1];
      const error = /\[ERROR\] (.*?):?$/.exec(line)?.[1];
      if (address === undefined && error === undefined) return;
      clearTimeout(timer);
      beforeReady = () => {};
      if (address === origin) resolve();
      else if (address !== undefined) reject(new Failure(`Port ${port} is in use. Choose another: PORT=…`));
      else reject(new Failure(`The service did not start: ${error}. See ${logFile}`));
    };
  });
  const exited = new Promise((resolve) => supervisor.on("close", resolve));
  /** @type {Promise<never>} */
  const died = exited.then(() => {
    throw new Failure(`The local runtime ended by itself. Its last words are in ${logFile}`);
  });
  // Whoever races against it hears of it; a stop in between must not count as unheard.
  for (const promise of [ready, died]) promise.catch(() => {});
  return {
    ready,
    died,
    showOutput() {
      shown = true;
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
 * Ends what is left of a process group, and waits until the system has cleared it away (some containers never do).
 * @param {number | undefined} leader
 */
async function groupEnded(leader) {
  const deadline = Date.now() + GROUP_ENDS_WITHIN_MS;
  while (signalGroup(leader, "SIGKILL") && Date.now() < deadline) await sleep(10);
}

/**
 * Wrangler's own lines: request log, bindings, reloading.
 * @param {string} line
 */
function isChatter(line) {
  return /^(\[wrangler:info\]|⎔|Your Worker has access|Binding {2,}|env\.\S+ \(|$)/.test(line);
}

/**
 * The Worker's variables in wrangler's env file format, which keeps secrets off the command line. Wrangler expands
 * dollars even inside quotes, and knows no escape for a quote.
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
          `${name} holds a backslash, a line break or both kinds of quote, which cannot be passed on.`,
        );
      }
      return `${name}=${quote}${value.replaceAll("$", "\\$")}${quote}\n`;
    })
    .join("");
}

/**
 * A secret that is made up once and kept with the state.
 * @param {string} stateDirectory
 * @param {string} name of its file
 */
function keptSecret(stateDirectory, name) {
  const file = join(stateDirectory, name);
  const kept = readIfThere(file);
  if (kept) return kept;
  const secret = randomBytes(24).toString("base64url");
  writePrivate(file, secret);
  return secret;
}

/**
 * The demo user, its credits and its key, through the operator API. Each step may have been done before, in whole or in
 * part: the key file and the database can be lost separately.
 * @param {Settings} settings
 * @param {string} adminToken
 * @returns {Promise<DemoAccount>}
 */
async function ensureDemoAccount(settings, adminToken) {
  const found = await findRunning(settings);
  if (found) return found;
  await signUpDemo(settings);
  const users = `${settings.origin}/api/admin/users`;
  const created = await callApi(users, adminToken, { email: DEMO_EMAIL, name: "Demo" });
  const userId =
    created.status === 409
      ? textOf(
          (await callApi(`${users}?email=${encodeURIComponent(DEMO_EMAIL)}`, adminToken)).body,
          "data",
          0,
          "id",
        )
      : textOf(accepted(created), "id");
  const granted = await callApi(`${users}/${userId}/credits`, adminToken, {
    id: "demo",
    credits: DEMO_CREDITS,
    reason: "Demo account",
  });
  accepted(granted);
  const issued = await callApi(`${users}/${userId}/api_keys`, adminToken, { name: "demo" });
  const key = textOf(accepted(issued), "api_key");
  writePrivate(demoKeyFile(settings.stateDirectory), key);
  const balance = await callApi(`${settings.origin}/api/v1/credits`, key);
  return demoAccount(settings.stateDirectory, key, accepted(balance));
}

/**
 * So that a newcomer can see the pages as the owner of the demo account. Its password is made up here, as nobody else's
 * is: whoever can read the state directory can do everything anyway. Not where mail is sent, as the demo's address is
 * nobody's; nor where nobody can sign in: then the account is the operator's work, and has no password.
 * @param {Settings} settings
 */
async function signUpDemo({ origin, stateDirectory }) {
  if (process.env["MAIL_API_KEY"] && process.env["MAIL_FROM"]) return;
  const password = randomBytes(DEMO_PASSWORD_BYTES).toString("base64url");
  const response = await fetch(`${origin}/sign-up`, {
    method: "POST",
    headers: { origin },
    body: new URLSearchParams({ email: DEMO_EMAIL, password }),
    redirect: "manual",
  });
  await response.body?.cancel();
  if (response.status === SIGNED_UP) writePrivate(demoPasswordFile(stateDirectory), password);
}

/**
 * @param {string} stateDirectory
 * @param {string} key
 * @param {unknown} balance as the API tells it
 * @returns {DemoAccount}
 */
function demoAccount(stateDirectory, key, balance) {
  const password = readIfThere(demoPasswordFile(stateDirectory));
  return { key, credits: numberOf(balance, "credits"), email: DEMO_EMAIL, password };
}

/**
 * The body of an answer that is not a refusal.
 * @param {{ status: number, body: unknown }} answer
 */
export function accepted({ status, body }) {
  if (status < 300) return body;
  const message = pick(body, "error", "message");
  throw new Failure(typeof message === "string" ? message : `The service answered ${status}.`);
}

/** @param {string} stateDirectory */
function demoPasswordFile(stateDirectory) {
  return join(stateDirectory, "demo-password");
}

/** @param {string} stateDirectory */
function demoKeyFile(stateDirectory) {
  return join(stateDirectory, "demo-key");
}

/** @param {string} file */
function readIfThere(file) {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Only its owner reads it, and nobody ever reads half of it.
 * @param {string} file
 * @param {string} text
 */
function writePrivate(file, text) {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, file);
}
