/** `npm run check`: checks the code without running it. Needs no network once the dependencies are installed. */
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { databases } from "./databases.mjs";
import { Failure, install, main, projectNode, root, run, wrangler, wranglerEnvironment } from "./lib.mjs";

const WORKER_TYPES = ["types", "--include-runtime=false", "--strict-vars=false", "src/env.d.ts"];
/** An operation without input has no 4XX response, so the rule that requires one everywhere is skipped. */
const OPENAPI_LINT = [
  ...["lint", "public/openapi.json", "--extends", "recommended-strict"],
  ...["--skip-rule", "operation-4xx-response"],
];
/** In production mode knip does not count the tests and the scripts as users. */
const USED_IN_PRODUCTION = ["--production", "--include", "files,dependencies"];

await main(async (stop) => {
  await install({ stop, say: console.log });
  /** @param {string} file @param {...string} args */
  const tool = (file, ...args) => node(stop, join("node_modules", file), ...args);
  /** @type {[string, () => Promise<{ code: number, output: string }>][]} */
  const checks = [
    ["types", () => tool("typescript/bin/tsc", "-p", ".")],
    ["types, of the browser's scripts", () => tool("typescript/bin/tsc", "-p", "tsconfig.browser.json")],
    ["format and lint", () => tool("@biomejs/biome/bin/biome", "check", "--error-on-warnings", ".")],
    ["import directions and source rules", () => node(stop, "scripts/rules.mjs")],
    ["nothing unused", () => tool("knip/bin/knip.js", "--treat-config-hints-as-errors")],
    ["nothing that only tests use", () => tool("knip/bin/knip.js", ...USED_IN_PRODUCTION)],
    ["migrations only add, and keep WITHOUT ROWID", () => node(stop, "scripts/migrations.mjs")],
    [
      "environments share no names, and staging is like production",
      () => node(stop, "scripts/environments.mjs"),
    ],
    ["src/env.d.ts matches wrangler.toml", () => node(stop, wrangler, ...WORKER_TYPES, "--check")],
    ...databases.map(
      /** @returns {[string, () => Promise<{ code: number, output: string }>]} */
      (database) => [
        `${database.directory} matches ${database.schema}`,
        () => compareMigrations(database, stop),
      ],
    ),
    ["public/openapi.json matches the schemas", () => node(stop, "scripts/openapi.mjs", "--check")],
    ["public/openapi.json is sound", () => tool("@redocly/cli/bin/cli.js", ...OPENAPI_LINT)],
    ["bundle, development", () => node(stop, wrangler, "deploy", "--dry-run", "--env=")],
    ["bundle, production", () => node(stop, wrangler, "deploy", "--dry-run", "--env", "production")],
  ];
  let failed = 0;
  for (const [name, check] of checks) {
    const began = Date.now();
    const { code, output } = await check();
    console.log(
      `${code === 0 ? "ok    " : "FAILED"} ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`,
    );
    if (code !== 0) {
      console.log(output);
      failed++;
    }
  }
  if (failed > 0) throw new Failure(`${failed} of ${checks.length} checks failed.`);
  return 0;
});

/**
 * Runs a command with the project's Node, without the shell's colours and accounts and without telemetry.
 * @param {AbortSignal} stop
 * @param {...string} args
 */
function node(stop, ...args) {
  const environment = {
    ...wranglerEnvironment(),
    REDOCLY_TELEMETRY: "off",
    REDOCLY_SUPPRESS_UPDATE_NOTICE: "true",
  };
  return run(projectNode, args, { stop, environment });
}

/**
 * Generates migrations into a copy of the folder. The check fails if drizzle-kit adds one.
 * @param {(typeof databases)[number]} database
 * @param {AbortSignal} stop
 */
async function compareMigrations({ directory, schema }, stop) {
  // drizzle-kit accepts only a relative path, so the copy is inside the project.
  const copy = mkdtempSync(join(root, "node_modules/.migrations-"));
  try {
    cpSync(join(root, directory), copy, { recursive: true });
    const args = ["--dialect", "sqlite", "--schema", schema, "--out", relative(root, copy)];
    const { code, output } = await node(stop, "node_modules/drizzle-kit/bin.cjs", "generate", ...args);
    const missing = readdirSync(copy).length - readdirSync(join(root, directory)).length;
    if (code === 0 && missing > 0) return { code: 1, output: `${output}\nRun: npm run db:generate` };
    return { code, output };
  } finally {
    rmSync(copy, { recursive: true });
  }
}
