import { readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * The modules of a Worker that wrangler bundled: its script, and the texts that it imports, which have a hash as prefix.
 * @param {string} directory the `--outdir` of wrangler
 * @returns {{ type: "ESModule" | "Text", path: string }[]}
 */
export function modulesIn(directory) {
  const texts = readdirSync(directory).filter((name) => /^[0-9a-f]{40}-.+\.md$/.test(name));
  return [
    { type: "ESModule", path: join(directory, "index.js") },
    ...texts.map((name) => ({ type: /** @type {const} */ ("Text"), path: join(directory, name) })),
  ];
}
