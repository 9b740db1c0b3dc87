/** Measures the Worker's bundle: its size, the share of each dependency, and its start-up time. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Failure, projectNode, run, wrangler, wranglerEnvironment } from "../scripts/lib.mjs";
import { spread } from "./load.mjs";
import { build } from "./worker.mjs";

/** Starts of each bundle, in turn. */
const STARTS = 5;
/** The deployed Worker, and the native API alone: the difference is what loads at its first request. */
const ENTRIES = { whole: "src/index.ts", api: "bench/api/index.ts" };

/**
 * @typedef {"whole" | "api"} Part
 * @typedef {{ kib: number, gzipKib: number, startupMs: import("./load.mjs").Spread }} Size
 * @typedef {Record<Part, Size> & { parts: { name: string, kib: number }[] }} Weight
 * @param {string} directory for what is built
 * @param {AbortSignal} stop
 * @returns {Promise<Weight>}
 */
export async function weigh(directory, stop) {
  const named = (/** @type {Part} */ part) => join(directory, part);
  for (const part of PARTS) await build(ENTRIES[part], named(part), stop, "production");
  /** @type {Record<Part, number[]>} */
  const startups = { whole: [], api: [] };
  for (let start = 0; start < STARTS; start++) {
    for (const part of PARTS) startups[part].push(await startupMs(ENTRIES[part], named(part), stop));
  }
  const size = (/** @type {Part} */ part) => {
    const script = readFileSync(join(named(part), "index.js"));
    return {
      kib: script.length / 1024,
      gzipKib: gzipSync(script).length / 1024,
      startupMs: spread(startups[part]),
    };
  };
  return { whole: size("whole"), api: size("api"), parts: partsOf(join(named("whole"), "bundle-meta.json")) };
}

/** @type {Part[]} */
const PARTS = ["whole", "api"];

/**
 * The processor time of the Worker's start, from wrangler's profile.
 * @param {string} entry
 * @param {string} directory
 * @param {AbortSignal} stop
 */
async function startupMs(entry, directory, stop) {
  const profile = join(directory, "startup.cpuprofile");
  const { code, output } = await run(
    projectNode,
    [wrangler, "check", "startup", "--outfile", profile, `--args=${entry} --env production`],
    { stop, environment: wranglerEnvironment() },
  );
  if (code !== 0) throw new Failure(`The start of ${entry} could not be profiled:\n${output}`);
  /** @type {{ nodes: { id: number, callFrame: { functionName: string } }[], samples: number[], timeDeltas: number[] }} */
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(profile, "utf8"));
  const idle = new Set(
    nodes
      .filter((node) => ["(idle)", "(program)"].includes(node.callFrame.functionName))
      .map((node) => node.id),
  );
  const active = timeDeltas.filter((_, index) => !idle.has(samples[index] ?? 0));
  return active.reduce((sum, delta) => sum + delta, 0) / 1000;
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
