/**
 * Writes public/openapi.json from the contracts of the routes, and the types of the TypeScript client from that. With
 * `--check`, only checks that both are up to date.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { renderTypes } from "./client-types.mjs";

/** The contracts stand beside handlers that import the Workers runtime: here no handler runs, and names are enough. */
const RUNTIME = "export class DurableObject {}; export const waitUntil = () => {};";

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "cloudflare:workers"
      ? { url: `data:text/javascript,${encodeURIComponent(RUNTIME)}`, shortCircuit: true }
      : next(specifier, context),
});

const { buildDocument } = await import("../src/http/openapi/document.ts");
const root = join(fileURLToPath(import.meta.url), "../..");
const document = buildDocument();
const files = {
  "public/openapi.json": `${JSON.stringify(document, null, 2)}\n`,
  "clients/typescript/src/api.ts": renderTypes(document),
};

for (const [name, text] of Object.entries(files)) {
  const file = join(root, name);
  if (!process.argv.includes("--check")) writeFileSync(file, text);
  else if (!existsSync(file) || readFileSync(file, "utf8") !== text) {
    console.error(`${name} is out of date. Run: npm run openapi`);
    process.exitCode = 1;
  }
}
