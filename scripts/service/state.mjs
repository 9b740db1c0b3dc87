/** The files in the state directory of a service. */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { databases, readMigrations } from "../databases.mjs";
import { Failure, projectNode, root, run, wranglerEnvironment } from "../lib.mjs";

/**
 * Locks the state directory, because two runtimes would write the same database files.
 * @param {string} stateDirectory
 * @returns {() => void} releases the lock
 */
export function lock(stateDirectory) {
  const file = join(stateDirectory, "lock");
  const holder = readIfExists(file)?.split(" ");
  const pid = Number(holder?.[0]);
  const began = processStart(pid);
  if (began !== undefined && began === holder?.[1] && pid !== process.pid) {
    throw new Failure(
      `${stateDirectory} is in use by process ${pid}. Stop it, or choose another directory: STATE_DIR=…`,
    );
  }
  const mine = `${process.pid} ${processStart(process.pid)}`;
  writePrivate(file, mine);
  return () => {
    if (readIfExists(file) === mine) rmSync(file);
  };
}

/**
 * The start time of a process, because the system reuses process ids. Undefined when the process has ended.
 * @param {number} pid
 */
function processStart(pid) {
  const stat = readIfExists(`/proc/${pid}/stat`);
  if (stat !== undefined) {
    // The command, in parentheses, may contain spaces. After it come the state and, as field 20, the start time.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended. It remains if its parent does not reap it, as the first process of some containers does not.
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
 * Applies the D1 migrations, unless the same files were already applied to the same databases.
 * @param {string} stateDirectory
 * @param {{ stop: AbortSignal, say: (line: string) => void }} options
 */
export async function migrate(stateDirectory, { stop, say }) {
  const marker = join(stateDirectory, "migrated");
  if (readIfExists(marker) === databaseFingerprint(stateDirectory)) return;
  say("Preparing the databases…");
  const { code, output } = await run(
    projectNode,
    [join(root, "scripts/service/migrate.mjs"), stateDirectory],
    {
      stop,
      environment: runtimeEnvironment(stateDirectory),
    },
  );
  if (code !== 0) {
    console.error(output);
    throw new Failure(`The migrations of the databases in ${stateDirectory} failed; see above.`);
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
export function runtimeEnvironment(stateDirectory) {
  return Object.assign(wranglerEnvironment(), {
    WRANGLER_LOG_PATH: join(stateDirectory, "wrangler-debug.log"),
    // Otherwise wrangler writes to the home directory, such as its registry of running Workers.
    XDG_CONFIG_HOME: join(stateDirectory, "config"),
  });
}

/**
 * Reads a secret, or generates it and stores it with the state.
 * @param {string} stateDirectory
 * @param {string} name the file name
 */
export function ensureSecret(stateDirectory, name) {
  const file = join(stateDirectory, name);
  const stored = readIfExists(file);
  if (stored) return stored;
  const secret = randomBytes(24).toString("base64url");
  writePrivate(file, secret);
  return secret;
}

/** @param {string} file */
export function readIfExists(file) {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Writes a file atomically, readable by its owner only.
 * @param {string} file
 * @param {string} text
 */
export function writePrivate(file, text) {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, file);
}
