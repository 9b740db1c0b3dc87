/**
 * `npm run bench:memory`: measures the memory of the built Worker while images and uploads pass through it; writes
 * bench/memory.md. With `--smoke`, runs a small form that fails when memory grows with the data.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure, install, main, projectNode, run, wrangler, wranglerEnvironment } from "../scripts/lib.mjs";

await main(async (stop) => {
  await install({ stop, say: console.log });
  const directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-bench-"));
  try {
    const environment = wranglerEnvironment();
    const bundle = ["deploy", "--dry-run", "--env=", "--outdir", join(directory, "worker")];
    const built = await run(projectNode, [wrangler, ...bundle], { stop, environment });
    if (built.code !== 0) throw new Failure(`The Worker could not be built.\n${built.output}`);
    const measure = ["--disable-warning=ExperimentalWarning", "bench/measure.mjs", directory];
    const args = [...measure, ...process.argv.slice(2)];
    return (await run(projectNode, args, { stop, show: true, environment })).code;
  } finally {
    rmSync(directory, { recursive: true });
  }
});
