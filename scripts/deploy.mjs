/**
 * `npm run deploy`: deploys the service. Each step looks first and does only what is missing, so it can be repeated.
 *
 * `--dry-run` prints the steps and checks what can be checked without an account. `--env staging` deploys another
 * environment of `wrangler.toml`. `--no-checks` leaves out `npm run check`, for code that has passed it. A secret that is missing is read from the environment variable of its name, or asked
 * for. `WRANGLER` names another program than the installed wrangler; tests use it.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Failure, install, main, projectNode, root, run, wrangler } from "./lib.mjs";

/** Objects in this bucket are needed for a day at most. A failed deletion leaves them behind. */
const REFERENCES_EXPIRE_DAYS = 3;
/** Of deleted users, too, nothing is kept for longer. */
const BACKUPS_EXPIRE_DAYS = 30;
/** The parts of an upload that was never completed are billed until they are deleted. */
const ABORT_UPLOADS_DAYS = 1;
const SECRET_LENGTH_MIN = 32;
/** A new address can need a minute. */
const HEALTH_TRIES = 30;
const HEALTH_EVERY_MS = 2_000;
const ANSWER_MS_MAX = 60_000;
const SMOKE_KEY_MS = 3_600_000;
const SMOKE_EMAIL = "smoke-test@example.com";

/** Secrets that every deployment needs. Those that the service alone knows can be generated. */
const REQUIRED_SECRETS = ["ADMIN_TOKEN", "AUTH_SECRET"];
/** Secrets that are offered once and can be left out. */
const OPTIONAL_SECRETS = ["OPENAI_API_KEY"];

const { values } = parseArgs({
  options: {
    "dry-run": { type: "boolean", default: false },
    "no-checks": { type: "boolean", default: false },
    env: { type: "string", default: "production" },
  },
});
const dryRun = values["dry-run"];
const environment = values.env;

/**
 * @typedef {{ code: number, output: string }} Result
 * @typedef {{ stop: AbortSignal, config: Config }} Context
 * @typedef {{ name: string, url: string, databases: { binding: string, name: string }[], buckets: string[],
 *   references: string, backups: string, queues: string[] }} Config
 * @typedef {{ title: string, work: (context: Context) => Promise<string> }} Step `work` returns what was done
 */

/** @type {Step[]} */
const steps = [
  { title: "Check the code", work: checkCode },
  { title: "Check the bundle", work: checkBundle },
  { title: "Check the account", work: checkAccount },
  { title: "Create the databases", work: createDatabases },
  { title: "Create the buckets", work: createBuckets },
  { title: "Set the lifecycle rules", work: setLifecycle },
  { title: "Create the queues", work: createQueues },
  { title: "Set the missing secrets", work: setSecrets },
  { title: "Apply the migrations", work: applyMigrations },
  { title: "Deploy the Worker", work: deploy },
  { title: "Test the deployment", work: smokeTest },
];
/** The steps that need no account. */
const LOCAL_STEPS = 2;

await main(async (stop) => {
  await install({ stop, say: console.log });
  const context = { stop, config: await readEnvironment() };
  for (const [index, { title, work }] of steps.entries()) {
    const place = `${index + 1}/${steps.length} ${title}`;
    const isLeftOut = dryRun && index >= LOCAL_STEPS;
    console.log(`${place}: ${isLeftOut ? planOf(work, context.config) : await work(context)}`);
  }
  console.log(dryRun ? "Dry run: nothing was changed." : `Deployed to ${context.config.url}.`);
  return 0;
});

/** What a step would do, for `--dry-run`. @param {Step["work"]} work @param {Config} config */
function planOf(work, { name, url, databases, buckets, references, backups, queues }) {
  switch (work) {
    case checkAccount:
      return "would stop unless wrangler is logged in.";
    case createDatabases:
      return `would create those missing of ${databases.map((database) => database.name).join(", ")}.`;
    case createBuckets:
      return `would create those missing of ${buckets.join(", ")}.`;
    case setLifecycle:
      return `would delete objects of ${references} after ${REFERENCES_EXPIRE_DAYS} days, and of ${backups} after ${BACKUPS_EXPIRE_DAYS}.`;
    case createQueues:
      return `would create those missing of ${queues.join(", ")}.`;
    case setSecrets:
      return `would ask for those missing of ${REQUIRED_SECRETS.join(", ")}, and offer ${OPTIONAL_SECRETS.join(", ")}.`;
    case applyMigrations:
      return `would apply those missing in ${databases.map(({ binding }) => binding).join(" and ")}.`;
    case deploy:
      return `would deploy ${name}.`;
    default:
      return `would call ${url}.`;
  }
}

/**
 * Reads the environment of `wrangler.toml`.
 * @returns {Promise<Config>}
 * @throws {Failure} when it does not exist, or lacks the service's address
 */
async function readEnvironment() {
  // Unstable by name; the version of wrangler is pinned.
  const { unstable_readConfig: readConfig } = await import("wrangler");
  const file = join(root, "wrangler.toml");
  if (!readFileSync(file, "utf8").includes(`\n[env.${environment}]\n`))
    throw new Failure(`wrangler.toml has no [env.${environment}].`);
  /** @type {import("./environments.mjs").Environment & { vars: Record<string, unknown> }} */
  const config = readConfig({ config: file, env: environment }, { hideWarnings: true });
  const url = process.env["PUBLIC_BASE_URL"] ?? config.vars["PUBLIC_BASE_URL"];
  if (typeof url !== "string" || !URL.canParse(url))
    throw new Failure(
      `Set PUBLIC_BASE_URL in [env.${environment}.vars] of wrangler.toml to the URL of your service, such as https://hub.example.com.`,
    );
  const queues = [
    ...(config.queues.producers ?? []).map(({ queue }) => queue),
    ...(config.queues.consumers ?? []).flatMap(({ queue, dead_letter_queue }) => [queue, dead_letter_queue]),
  ];
  const bucketOf = (/** @type {string} */ wanted) =>
    config.r2_buckets.find(({ binding }) => binding === wanted)?.bucket_name;
  return {
    name: config.name ?? "",
    url: new URL(url).origin,
    databases: config.d1_databases.map(({ binding, database_name }) => ({
      binding,
      name: database_name ?? "",
    })),
    buckets: config.r2_buckets.flatMap(({ bucket_name }) => bucket_name ?? []),
    references: bucketOf("REFERENCES") ?? "",
    backups: bucketOf("BACKUPS") ?? "",
    queues: [...new Set(queues.filter((queue) => queue !== undefined))],
  };
}

/** @param {Context} context */
async function checkCode({ stop }) {
  if (values["no-checks"]) return "left out.";
  const { code, output } = await run(process.execPath, [join(root, "scripts/check.mjs")], { stop });
  if (code !== 0) throw new Failure(`${output}\nThe code does not pass its checks. Nothing was deployed.`);
  return "passed.";
}

/** @param {Context} context */
async function checkBundle({ stop, config }) {
  await must(stop, ["deploy", "--dry-run", "--env", environment]);
  return `${config.name} can be bundled.`;
}

/** @param {Context} context */
async function checkAccount({ stop }) {
  const { code, output } = await call(stop, ["whoami", "--json"]);
  const account = code === 0 ? jsonOf(output) : {};
  if (account.loggedIn === false || code !== 0)
    throw new Failure("wrangler is not logged in. Run npx wrangler login, or set CLOUDFLARE_API_TOKEN.");
  return "logged in.";
}

/** @param {Context} context */
async function createDatabases({ stop, config }) {
  const { output } = await must(stop, ["d1", "list", "--json"]);
  const there = new Set(jsonOf(output).map((/** @type {{ name: string }} */ { name }) => name));
  return await createMissing(
    config.databases.map(({ name }) => name),
    async (name) => there.has(name),
    (name) => must(stop, ["d1", "create", name, "--update-config=false"]),
  );
}

/** @param {Context} context */
async function createBuckets({ stop, config }) {
  const { output } = await must(stop, ["r2", "bucket", "list"]);
  const there = new Set([...output.matchAll(/^name:\s+(\S+)/gm)].map(([, name]) => name));
  return await createMissing(
    config.buckets,
    async (name) => there.has(name),
    (name) => must(stop, ["r2", "bucket", "create", name, "--update-config=false"]),
  );
}

/** @param {Context} context */
async function createQueues({ stop, config }) {
  return await createMissing(
    config.queues,
    async (name) => {
      const { code, output } = await call(stop, ["queues", "info", name]);
      if (code !== 0 && !/does not exist|not found/i.test(output))
        throw failureOf(["queues", "info"], output);
      return code === 0;
    },
    (name) => must(stop, ["queues", "create", name]),
  );
}

/**
 * @param {string[]} names
 * @param {(name: string) => Promise<boolean>} exists
 * @param {(name: string) => Promise<unknown>} create
 */
async function createMissing(names, exists, create) {
  const created = [];
  for (const name of names) {
    if (await exists(name)) continue;
    await create(name);
    created.push(name);
  }
  return created.length === 0 ? "all exist." : `created ${created.join(", ")}.`;
}

/** @param {Context} context */
async function setLifecycle({ stop, config }) {
  const rules = [
    [config.references, "expire", "--expire-days", String(REFERENCES_EXPIRE_DAYS)],
    [config.backups, "expire", "--expire-days", String(BACKUPS_EXPIRE_DAYS)],
    ...config.buckets.map((bucket) => [
      bucket,
      "abort-uploads",
      "--abort-multipart-days",
      String(ABORT_UPLOADS_DAYS),
    ]),
  ];
  const added = [];
  for (const [bucket = "", rule = "", ...days] of rules) {
    const { output } = await must(stop, ["r2", "bucket", "lifecycle", "list", bucket]);
    if (new RegExp(`^name:\\s+${rule}$`, "m").test(output)) continue;
    await must(stop, ["r2", "bucket", "lifecycle", "add", bucket, rule, ...days, "--force"]);
    added.push(`${rule} on ${bucket}`);
  }
  return added.length === 0 ? "all set." : `added ${added.join(", ")}.`;
}

/** @param {Context} context */
async function setSecrets({ stop }) {
  const { code, output } = await call(stop, ["secret", "list", "--env", environment, "--format", "json"]);
  // Before the first deployment there is no Worker, and so no secret.
  if (code !== 0 && !/not found|does not exist|10007/i.test(output))
    throw failureOf(["secret", "list"], output);
  const list = code === 0 ? jsonOf(output) : [];
  const there = new Set(list.map((/** @type {{ name: string }} */ { name }) => name));
  /** @type {Record<string, string>} */
  const secrets = {};
  for (const name of [...REQUIRED_SECRETS, ...OPTIONAL_SECRETS]) {
    if (there.has(name)) continue;
    const value = await secretValue(name, code !== 0, stop);
    if (value !== null) secrets[name] = value;
  }
  if (secrets["ADMIN_TOKEN"] !== undefined) process.env["ADMIN_TOKEN"] = secrets["ADMIN_TOKEN"];
  const names = Object.keys(secrets);
  if (names.length === 0) return "all set.";
  await must(stop, ["secret", "bulk", "--env", environment], JSON.stringify(secrets));
  return `set ${names.join(", ")}.`;
}

/**
 * @param {string} name
 * @param {boolean} isFirst the first deployment, which is also asked for optional secrets
 * @param {AbortSignal} stop
 * @returns {Promise<string | null>} null: left out
 */
async function secretValue(name, isFirst, stop) {
  const isRequired = REQUIRED_SECRETS.includes(name);
  const given = process.env[name];
  if (given !== undefined && given !== "") return longEnough(name, given, isRequired);
  if (!isRequired && !isFirst) return null;
  if (!process.stdin.isTTY) {
    if (!isRequired) return null;
    throw new Failure(`The secret ${name} is missing. Set it in the environment, or run this in a terminal.`);
  }
  const hint = isRequired ? "Enter generates one" : "Enter leaves it out";
  const typed = await askSecret(`${name} (${hint}): `, stop);
  if (typed !== "") return longEnough(name, typed, isRequired);
  if (!isRequired) return null;
  const value = randomBytes(32).toString("base64url");
  if (name === "ADMIN_TOKEN") console.log(`ADMIN_TOKEN is ${value}\nKeep it: it is not shown again.`);
  return value;
}

/** @param {string} name @param {string} value @param {boolean} isRequired */
function longEnough(name, value, isRequired) {
  if (isRequired && value.length < SECRET_LENGTH_MIN)
    throw new Failure(`${name} has ${value.length} characters. It needs at least ${SECRET_LENGTH_MIN}.`);
  return value;
}

/** Reads a line without showing it. @param {string} question @param {AbortSignal} stop */
async function askSecret(question, stop) {
  process.stdout.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await new Promise((resolve, reject) => {
      stop.addEventListener("abort", () => reject(new Failure("Stopped.")), { once: true });
      terminal.on("SIGINT", () => reject(new Failure("Stopped.")));
      terminal.question("", (line) => resolve(line.trim()));
    });
  } finally {
    terminal.close();
    process.stdout.write("\n");
  }
}

/** @param {Context} context */
async function applyMigrations({ stop, config }) {
  for (const { binding } of config.databases) {
    await must(stop, ["d1", "migrations", "apply", binding, "--remote", "--env", environment]);
  }
  return `${config.databases.map(({ binding }) => binding).join(" and ")} are up to date.`;
}

/** @param {Context} context */
async function deploy({ stop, config }) {
  await must(stop, ["deploy", "--env", environment]);
  return `${config.name} is deployed.`;
}

/**
 * Calls the deployed service: its health, its models and, with the operator's token or a test key, one test image.
 * @param {Context} context
 */
async function smokeTest({ stop, config }) {
  const { url } = config;
  await waitUntilHealthy(url, stop);
  const models = await callService(`${url}/api/v1/models`, { stop });
  const key = process.env["GIH_TEST_KEY"];
  const token = process.env["ADMIN_TOKEN"];
  const counted = `${models.data.length} models`;
  const model = models.data[0].id;
  if (key) return `${counted}; ${await drawTestImage(url, key, model, stop)}`;
  if (!token) return `${counted}. Set ADMIN_TOKEN or GIH_TEST_KEY to generate a test image, too.`;
  const created = await createSmokeKey(url, token, stop);
  try {
    return `${counted}; ${await drawTestImage(url, created.api_key, model, stop)}`;
  } finally {
    await callService(`${url}/api/admin/api_keys/${created.id}`, { stop, key: token, method: "DELETE" });
  }
}

/** @param {string} url @param {AbortSignal} stop */
async function waitUntilHealthy(url, stop) {
  let last = "";
  for (let attempt = 0; attempt < HEALTH_TRIES; attempt++) {
    if (attempt > 0) await sleep(HEALTH_EVERY_MS, undefined, { signal: stop });
    try {
      await callService(`${url}/api/health`, { stop });
      return;
    } catch (error) {
      stop.throwIfAborted();
      last = error instanceof Error ? error.message : String(error);
    }
  }
  throw new Failure(
    `The deployment is not healthy: ${last}\nTo go back: npx wrangler rollback --env ${environment}`,
  );
}

/** A test key that expires, of a user that exists only for this. @param {string} url @param {string} token @param {AbortSignal} stop */
async function createSmokeKey(url, token, stop) {
  const admin = { stop, key: token };
  const users = await callService(`${url}/api/admin/users?email=${encodeURIComponent(SMOKE_EMAIL)}`, admin);
  const user =
    users.data[0] ??
    (await callService(`${url}/api/admin/users`, { ...admin, body: { email: SMOKE_EMAIL } }));
  const expires_at = new Date(Date.now() + SMOKE_KEY_MS).toISOString();
  return await callService(`${url}/api/admin/users/${user.id}/api_keys`, {
    ...admin,
    body: { name: "smoke test", mode: "test", expires_at },
  });
}

/** @param {string} url @param {string} key @param {string} model @param {AbortSignal} stop */
async function drawTestImage(url, key, model, stop) {
  const body = { model, prompt: "a lighthouse at dusk" };
  const made = await callService(`${url}/api/v1/images/generations`, { stop, key, body });
  const address = made.images?.[0]?.url;
  if (made.livemode !== false || typeof address !== "string")
    throw new Failure(`The test image is missing: ${JSON.stringify(made)}`);
  const image = await fetch(address, { signal: AbortSignal.any([stop, AbortSignal.timeout(ANSWER_MS_MAX)]) });
  const bytes = (await image.arrayBuffer()).byteLength;
  if (!image.ok || !image.headers.get("content-type")?.startsWith("image/"))
    throw new Failure(
      `${address} returned ${image.status}. If IMAGES_BASE_URL is set, it must serve the bucket.`,
    );
  return `a test image of ${Math.ceil(bytes / 1024)} KiB was generated and read.`;
}

/**
 * @param {string} url
 * @param {{ stop: AbortSignal, key?: string, body?: object, method?: string }} options
 */
async function callService(url, { stop, key, body, method = body ? "POST" : "GET" }) {
  const response = await fetch(url, {
    method,
    headers: {
      ...(key && { Authorization: `Bearer ${key}` }),
      ...(body && { "Content-Type": "application/json" }),
    },
    ...(body && { body: JSON.stringify(body) }),
    signal: AbortSignal.any([stop, AbortSignal.timeout(ANSWER_MS_MAX)]),
  });
  const text = await response.text();
  if (!response.ok) throw new Failure(`${method} ${url} returned ${response.status}: ${text.slice(0, 500)}`);
  return text === "" ? null : jsonOf(text);
}

/**
 * Runs wrangler with the account of the shell.
 * @param {AbortSignal} stop
 * @param {string[]} args
 * @param {string} [input]
 * @returns {Promise<Result>}
 */
async function call(stop, args, input = "") {
  stop.throwIfAborted();
  const child = spawn(projectNode, [process.env["WRANGLER"] ?? wrangler, ...args], {
    cwd: root,
    env: {
      ...process.env,
      WRANGLER_HIDE_BANNER: "true",
      WRANGLER_SEND_METRICS: "false",
      NO_COLOR: "1",
      CI: "true",
    },
    signal: stop,
  });
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
  child.stdin.end(input);
  /** @type {number} */
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode) => resolve(exitCode ?? 1));
  });
  return { code, output: code === 0 ? output : `${output}\n${errors}`.trim() };
}

/** @param {AbortSignal} stop @param {string[]} args @param {string} [input] @throws {Failure} when the command fails */
async function must(stop, args, input) {
  const result = await call(stop, args, input);
  if (result.code !== 0) throw failureOf(args, result.output);
  return result;
}

/** @param {string[]} args @param {string} output */
function failureOf(args, output) {
  return new Failure(`${output.split("\n").slice(-15).join("\n")}\nwrangler ${args.join(" ")} failed.`);
}

/** @param {string} text */
function jsonOf(text) {
  const begins = text.search(/[[{]/);
  return JSON.parse(text.slice(Math.max(begins, 0)));
}
