/**
 * Builds a Worker as for a deployment and starts it directly on the runtime: `wrangler dev` would cost more than the
 * Worker.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { convertV4MiniflareOptions, Miniflare, NoOpLog } from "miniflare";
import { applyMigrations } from "../scripts/databases.mjs";
import { Failure, projectNode, root, run, wrangler, wranglerEnvironment } from "../scripts/lib.mjs";
import { makeKey } from "../src/keys/format.ts";
import { modulesIn } from "./modules.mjs";

const COMPATIBILITY_DATE = "2026-11-01";
export const API_KEY = "sk-test";

/** The credits of each user in a benchmark. */
export const CREDITS = 1_000_000_000;

/**
 * @typedef {{ id: string, key: string }} User
 * @typedef {Awaited<ReturnType<typeof startWorker>>} Worker
 */

/**
 * Bundles a Worker into a directory, as `wrangler deploy` does.
 * @param {string} entry from the project's directory
 * @param {string} directory
 * @param {AbortSignal} stop
 * @param {string} [environment] of wrangler.toml; without it, the one for development
 * @returns {Promise<string>} what wrangler said
 */
export async function build(entry, directory, stop, environment = "") {
  const { code, output } = await run(
    projectNode,
    [wrangler, "deploy", entry, `--env=${environment}`, "--dry-run", "--metafile", "--outdir", directory],
    { stop, environment: wranglerEnvironment() },
  );
  if (code !== 0) throw new Failure(`${entry} could not be built:\n${output}`);
  return output;
}

/**
 * Starts a built Worker with storage of its own, empty but for the tables.
 * @param {string} directory of {@link build}
 * @param {{ provider: string, queue?: boolean, settings?: Record<string, string> }} options the provider's address;
 * whether queued generations are run, or only queued
 */
export async function startWorker(directory, { provider, queue = false, settings = {} }) {
  const state = temporaryDirectory();
  const before = new Set(children());
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      log: new NoOpLog(),
      handleStructuredLogs: () => undefined,
      cf: false,
      unsafeInspectDurableObjects: true,
      resourcePersistencePath: state,
      workers: [
        {
          name: "worker",
          modules: modulesIn(directory),
          modulesRoot: directory,
          compatibilityDate: COMPATIBILITY_DATE,
          unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
          bindings: {
            IMAGE_PROVIDER: "openai",
            OPENAI_BASE_URL: provider,
            OPENAI_API_KEY: API_KEY,
            ...settings,
          },
          durableObjects: {
            ACCOUNT: { className: "Account", useSQLite: true },
            GENERATION_RUNNER: { className: "GenerationRunner", useSQLite: true },
            PROVIDER_GATE: { className: "ProviderGate", useSQLite: true },
          },
          d1Databases: { DB: "db", LOG: "log" },
          r2Buckets: { IMAGES: "images", REFERENCES: "references", BACKUPS: "backups" },
          queueProducers: { GENERATIONS: "generations" },
          ...(queue && { queueConsumers: { generations: { maxBatchSize: 5, maxBatchTimeout: 0 } } }),
        },
      ],
    }),
  );
  await runtime.ready;
  const started = children().filter((pid) => !before.has(pid));
  const url = await runtime.unsafeGetDirectURL("worker");
  await applyMigrations((binding) => runtime.getD1Database(binding));
  const database = await runtime.getD1Database("DB");
  const logDatabase = await runtime.getD1Database("LOG");
  /** @param {string} userId @param {string} sql */
  const execInAccount = async (userId, sql) => {
    const storage = await runtime.unsafeGetDurableObjectStorage("worker", "Account", { name: userId });
    return await storage.exec(sql);
  };
  return {
    origin: url.origin,
    logDatabase,
    execInAccount,
    /** The processor time of the runtime's process so far, with local storage. */
    cpuMs: () => started.reduce((sum, pid) => sum + cpuMs(pid), 0),
    /** The peak memory of the runtime's process, in MiB. */
    residentMiBMax: () => started.reduce((sum, pid) => sum + residentMiBMax(pid), 0),
    /** @param {number} count */
    addUsers: (count) => addUsers(database, execInAccount, count),
    stop: async () => {
      await runtime.dispose();
      rmSync(state, { recursive: true, force: true });
    },
  };
}

/**
 * Creates users with one key and one grant each, directly in storage.
 * @param {Pick<import("@cloudflare/workers-types").D1Database, "prepare" | "batch">} database
 * @param {(userId: string, sql: string) => Promise<unknown>} execInAccount
 * @param {number} count
 * @returns {Promise<User[]>}
 */
async function addUsers(database, execInAccount, count) {
  const users = Array.from({ length: count }, (_, index) => {
    const number = String(index).padStart(4, "0");
    return { id: `user_bench${number}`, key: makeKey("live", randomBytes) };
  });
  await database.batch(
    users.flatMap(({ id, key }) => [
      database
        .prepare(
          "INSERT INTO users (id, email, name, account_type, created_at) VALUES (?, ?, NULL, 'PRO', 1)",
        )
        .bind(id, `${id}@example.com`),
      database
        .prepare(
          "INSERT INTO api_keys (id, user_id, name, hash, display, created_at, last_used_at) VALUES (?, ?, 'bench', ?, 'gih_live_0000', 1, unixepoch() * 1000)",
        )
        .bind(`key_${id}`, id, createHash("sha256").update(key).digest("hex")),
    ]),
  );
  for (const { id } of users) {
    await execInAccount(
      id,
      `INSERT INTO grants VALUES ('bench', ${CREDITS}, ${CREDITS}, 8640000000000000, NULL, 1, 0)`,
    );
    await execInAccount(
      id,
      `INSERT INTO entries (kind, credits, balance_after, generation_id, grant_id, created_at)
       VALUES ('grant', ${CREDITS}, ${CREDITS}, NULL, 'bench', 1)`,
    );
  }
  return users;
}

/**
 * Starts the provider of the benchmarks, whose image has that many bytes.
 * @param {number} imageBytes
 * @returns {Promise<{ url: string, stop: () => void }>}
 */
export async function startProvider(imageBytes) {
  const child = spawn(projectNode, ["bench/provider.mjs", String(imageBytes)], {
    cwd: root,
    // It ends when its input ends, so that it cannot outlive its parent.
    stdio: ["pipe", "pipe", "inherit"],
  });
  for await (const line of createInterface(child.stdout))
    return { url: JSON.parse(line), stop: () => child.kill() };
  throw new Failure("The provider of the measurements did not start.");
}

/**
 * A directory that is deleted when this process ends, in any way.
 * @returns {string}
 */
export function temporaryDirectory() {
  const directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-throughput-"));
  temporary.push(directory);
  return directory;
}

/** @type {string[]} */
const temporary = [];
process.once("exit", () => {
  for (const directory of temporary) rmSync(directory, { recursive: true, force: true });
});

/** The child processes of this one. Linux only; empty on other systems. */
function children() {
  const file = `/proc/self/task/${process.pid}/children`;
  return existsSync(file) ? readFileSync(file, "utf8").trim().split(" ").filter(Boolean) : [];
}

/** @param {string} pid */
function cpuMs(pid) {
  const tasks = `/proc/${pid}/task`;
  const nanoseconds = readdirSync(tasks).map((task) => {
    const file = join(tasks, task, "schedstat");
    return existsSync(file) ? Number.parseInt(readFileSync(file, "utf8"), 10) : 0;
  });
  return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e6;
}

/** @param {string | number} pid */
export function residentMiBMax(pid) {
  const [, kilobytes = "0"] = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}
