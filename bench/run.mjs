/**
 * `npm run bench`: measures what the service costs beyond platform and provider, as ratios of values
 * measured in turn in one run. Writes bench/results.md and bench/results.json. With `--smoke`, in about a minute, it
 * writes nothing and fails when a ratio with a goal is twice as bad as the one in bench/results.json, three times.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure, install, main, projectNode, root, run } from "../scripts/lib.mjs";

const SMOKE = process.argv.includes("--smoke");
/** How often a row must show a regression in `--smoke` before it fails. */
const SMOKE_MEASUREMENTS = 3;
const NODE_MAJOR = 22;

await main(async (stop) => {
  await install({ stop, say: console.log });
  if (Number(process.versions.node.split(".")[0]) < NODE_MAJOR) {
    return (await run(projectNode, [...process.argv.slice(1)], { stop, show: true })).code;
  }
  return await measure(stop);
});

/** @param {AbortSignal} stop */
async function measure(stop) {
  // Imported here because their packages may have been installed just now.
  const { build, temporaryDirectory } = await import("./worker.mjs");
  const { measureThroughput } = await import("./throughput.mjs");
  const { measureGrowth } = await import("./growth.mjs");
  const { measurePeer } = await import("./peer.mjs");
  const { weigh } = await import("./weight.mjs");
  const { findRegressions, renderReport, renderTable } = await import("./report.mjs");
  const directory = temporaryDirectory();
  const named = (/** @type {string} */ name) => join(directory, name);
  const directories = { ours: named("ours"), floor: named("floor"), object: named("object") };
  await build("src/index.ts", directories.ours, stop);
  await build("bench/floor/index.ts", directories.floor, stop);
  await build("bench/object/index.ts", directories.object, stop);
  const say = (/** @type {string} */ line) => console.log(`  ${line}`);
  const bench = SMOKE
    ? { directories, rounds: 3, scale: 0.25, large: 100_000, say, stop }
    : { directories, rounds: 9, scale: 1, large: 1_000_000, say, stop };
  const measureRows = async () => [...(await measureThroughput(bench)), ...(await measureGrowth(bench))];
  const rows = await measureRows();
  if (SMOKE) {
    const recorded = JSON.parse(readFileSync(resultsFile("json"), "utf8"));
    console.log(renderTable(rows));
    let regressions = findRegressions(rows, recorded);
    // Other load of the machine disturbs a row now and then, a slower service each time.
    for (let repeat = 1; regressions.size > 0 && repeat < SMOKE_MEASUREMENTS; repeat++) {
      console.log(`Measured again because of:\n${[...regressions.values()].join("\n")}`);
      const again = findRegressions(await measureRows(), recorded);
      regressions = new Map([...again].filter(([id]) => regressions.has(id)));
    }
    if (regressions.size > 0) throw new Failure([...regressions.values()].join("\n"));
    return 0;
  }
  const peer = await measurePeer(bench);
  const weight = await weigh(named("weight"), stop);
  const report = renderReport({ rows, peer, weight, rounds: bench.rounds });
  console.log(report);
  writeFileSync(resultsFile("md"), report);
  const kept = rows.map(({ id, ratio, cpu }) => [id, { ratio: ratio.median, cpu: cpu?.median ?? null }]);
  writeFileSync(resultsFile("json"), `${JSON.stringify(Object.fromEntries(kept), null, 2)}\n`);
  return 0;
}

/** @param {"md" | "json"} type */
function resultsFile(type) {
  return join(root, `bench/results.${type}`);
}
