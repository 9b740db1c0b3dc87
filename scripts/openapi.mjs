/** Writes public/openapi.json from the schemas in src. With `--check`, only checks that the file is up to date. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildDocument } from "../src/http/openapi/document.ts";

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
