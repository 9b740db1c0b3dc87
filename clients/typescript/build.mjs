/** Builds `dist`. Run by `npm pack` and `npm publish`, with the compiler of the project that this folder is in. */
import { execFileSync } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const compiler = join(createRequire(import.meta.url).resolve("typescript/package.json"), "../bin/tsc");

rmSync(join(here, "dist"), { recursive: true, force: true });
execFileSync(process.execPath, [compiler, "-p", join(here, "tsconfig.json")], { stdio: "inherit" });
// The compiler rewrites the extensions of imports in the code, but not in the declarations.
for (const name of readdirSync(join(here, "dist"), { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".d.ts"),
)) {
  const file = join(here, "dist", name);
  writeFileSync(file, readFileSync(file, "utf8").replaceAll(/(from "\.\.?\/\w+)\.ts"/g, '$1.js"'));
}
chmodSync(join(here, "dist/cli/index.js"), 0o755);
