/**
 * `npm test`: runs all tests that need no browser, or the named files or projects. The last line is the count.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { install, main, projectNode, run, vitest } from "./lib.mjs";

const PROJECTS = ["units", "workerd", "openai", "outside"].flatMap((name) => ["--project", name]);

await main(async (stop) => {
  await install({ stop, say: console.log });
  const directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-test-"));
  try {
    const report = join(directory, "report.json");
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
    const named = process.argv.slice(2);
    const projects = named.includes("--project") ? [] : PROJECTS;
    // A failed test shows the log lines of its Worker; a passed one shows none.
    const quiet = named.some((name) => name.startsWith("--silent")) ? [] : ["--silent=passed-only"];
    const args = ["run", "--config", "test/vitest.config.ts", ...reporters, ...quiet, ...projects, ...named];
    const environment = process.stdout.isTTY ? { ...process.env, FORCE_COLOR: "1" } : process.env;
    const { code } = await run(projectNode, [vitest, ...args], { stop, filter: isOfTests(), environment });
    const { passed, failed } = countTests(report);
    console.log(`${passed} passed, ${failed} failed`);
    return passed + failed === 0 ? 1 : code;
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/**
 * Returns a filter that drops the lines of the runtime. It reports errors that cross objects as uncaught, even though the
 * tests that cause them catch them. Libraries that ship no sources have a line for each of their files.
 * @returns {(line: string) => boolean}
 */
function isOfTests() {
  let isReport = false;
  return (line) => {
    const begins = /^(uncaught exception; |\[mf:|workerd\/|stack: )/.test(line);
    if (/^Sourcemap for ".*" points to missing source files$/.test(line)) return false;
    isReport = begins || (isReport && /^\s+at /.test(line));
    return !isReport;
  };
}

/**
 * A file that could not run counts as one failed test.
 * @param {string} report vitest's JSON
 */
function countTests(report) {
  let passed = 0;
  let failed = 0;
  for (const file of readReport(report)) {
    const statuses = file.assertionResults.map(({ status }) => status);
    passed += statuses.filter((status) => status === "passed").length;
    const failures = statuses.filter((status) => status === "failed").length;
    failed += file.status === "failed" ? Math.max(failures, 1) : failures;
  }
  return { passed, failed };
}

/**
 * @param {string} report
 * @returns {{ status: string, assertionResults: { status: string }[] }[]} empty when vitest wrote no report
 */
function readReport(report) {
  try {
    return JSON.parse(readFileSync(report, "utf8")).testResults;
  } catch (error) {
    console.error(`vitest left no report: ${error instanceof Error ? error.message : error}`);
    return [];
  }
}
