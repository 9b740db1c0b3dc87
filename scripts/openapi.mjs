/** Writes public/openapi.json from the contracts of the routes. With `--check`, only checks that the file is up to date. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The contracts stand beside handlers that import the Workers runtime: here no handler runs, and names are enough. */
const RUNTIME = "export class DurableObject {}; export const waitUntil = () => {};";

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "cloudflare:workers"
      ? { url: `data:text/javascript,${encodeURIComponent(RUNTIME)}`, shortCircuit: true }
      : next(specifier, context),
});

const { buildDocument } = await import("../src/http/openapi/document.ts");
const file = join(fileURLToPath(import.meta.url), "../../public/openapi.json");
const text = `${JSON.stringify(buildDocument(), null, 2)}\n`;

if (process.argv.includes("--check")) {
  if (readFileSync(file, "utf8") !== text) {
    console.error("public/openapi.json is out of date. Run: npm run openapi");
    process.exitCode = 1;
  }
} else {
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, text);
}
