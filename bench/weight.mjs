/** What the Worker weighs: its size as it is uploaded, what each dependency has of it, and the work of starting it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { projectNode, run, wrangler, wranglerEnvironment } from "../scripts/lib.mjs";

/**
 * @typedef {{ kib: number, gzipKib: number, startupMs: number | null, parts: { name: string, kib: number }[] }} Weight
 * @param {string} directory where the Worker was built
 * @param {AbortSignal} stop
 * @returns {Promise<Weight>}
 */
export async function weigh(directory, stop) {
  const script = readFileSync(join(directory, "index.js"));
  return {
    kib: script.length / 1024,
    gzipKib: gzipSync(script).length / 1024,
    startupMs: await startupMs(directory, "--env=", stop),
    parts: partsOf(join(directory, "bundle-meta.json")),
  };
}

/**
 * The processor time of the Worker's start, by wrangler's own profile of it; null when it could not be taken.
 * @param {string} directory for the profile @param {string} args of the build @param {AbortSignal} stop
 */
export async function startupMs(directory, args, stop) {
  const profile = join(directory, "startup.cpuprofile");
  const { code } = await run(
    projectNode,
    [wrangler, "check", "startup", "--outfile", profile, `--args=${args}`],
    {
      stop,
      environment: wranglerEnvironment(),
    },
  );
  if (code !== 0) return null;
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(profile, "utf8"));
  const idle = new Set(
    nodes
      .filter((/** @type {any} */ node) => ["(idle)", "(program)"].includes(node.callFrame.functionName))
      .map((/** @type {any} */ node) => node.id),
  );
  const active = timeDeltas.filter(
    (/** @type {number} */ _, /** @type {number} */ index) => !idle.has(samples[index]),
  );
  return active.reduce((/** @type {number} */ sum, /** @type {number} */ delta) => sum + delta, 0) / 1000;
}

/** Bytes in the bundle by npm package; our own files as one. @param {string} metafile */
function partsOf(metafile) {
  const { outputs } = JSON.parse(readFileSync(metafile, "utf8"));
  /** @type {Map<string, number>} */
  const sizes = new Map();
  for (const { inputs } of Object.values(outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const [, name = "our own"] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path) ?? [];
      sizes.set(name, (sizes.get(name) ?? 0) + bytesInOutput);
    }
  }
  return [...sizes]
    .map(([name, bytes]) => ({ name, kib: bytes / 1024 }))
    .filter(({ kib }) => kib >= 1)
    .sort((a, b) => b.kib - a.kib);
}
