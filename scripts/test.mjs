/**
 * `npm test`: runs all tests that need neither the running service nor a browser, or the named files or projects. The
 * last line is the count. A few failed files are run a second time, because files share Workers: what one left behind can
 * disturb the next. A test that passes then is reported as unstable, not as failed.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { install, main, projectNode, root, run, temporaryDirectory, vitest } from "./lib.mjs";

const PROJECTS = ["http", "objects", "units", "workerd", "alone", "openai", "outside"].flatMap((name) => [
  "--project",
  name,
]);

/** More failed files than this are no accident: they are not run again. */
const FILES_AGAIN_MAX = 5;

/** A log line of an object at the level of a warning or an error, which wrangler decorates. vitest does not see it. */
const LOG_LINE = /^[▲✘] \[(?:WARNING|ERROR)\] \{"event":/;

/** @typedef {{ name: string, status: string, assertionResults: { status: string, fullName: string }[] }} FileResult */

await main(async (stop) => {
  await install({ stop, say: console.log });
  const directory = temporaryDirectory("test");
  try {
    const named = process.argv.slice(2);
    const isFlag = named.map((name, index) => name.startsWith("-") || named[index - 1] === "--project");
    const flags = named.filter((_, index) => isFlag[index]);
    const projects = named.includes("--project") ? [] : PROJECTS;
    // A failed test shows the log lines of its Worker; a passed one shows none.
    const quiet = named.some((name) => name.startsWith("--silent")) ? [] : ["--silent=passed-only"];
    const color = process.stdout.isTTY ? { FORCE_COLOR: "1" } : {};
    const environment = { ...process.env, ...color, TMPDIR: directory };
    /** @param {string} reportName @param {string[]} names */
    const runVitest = async (reportName, names) => {
      const report = join(directory, reportName);
      const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
      const args = [
        "run",
        "--config",
        "test/vitest.config.ts",
        ...reporters,
        ...quiet,
        ...projects,
        ...names,
      ];
      const { code } = await run(projectNode, [vitest, ...args], { stop, filter: isOfTests(), environment });
      return { code, files: readReport(report) };
    };
    let { code, files } = await runVitest("report.json", named);
    const failed = files.filter(({ status }) => status === "failed");
    if (failed.length > 0 && failed.length <= FILES_AGAIN_MAX) {
      const names = failed.map(({ name }) => name.slice(root.length + 1));
      console.log(`Running again: ${names.join(", ")}`);
      const again = await runVitest("again.json", [...flags, ...names]);
      code = again.code;
      for (const test of failedTests(failed)) console.log(`Failed at first: ${test}`);
      files = [...files.filter((file) => !failed.includes(file)), ...again.files];
    }
    const count = countTests(files);
    console.log(`${count.passed} passed, ${count.failed} failed`);
    return count.passed + count.failed === 0 ? 1 : code;
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
    if (LOG_LINE.test(stripVTControlCharacters(line))) return false;
    const begins = /^(uncaught exception; |exception = |\[mf:|workerd\/|stack: )/.test(line);
    if (/^Sourcemap for ".*" points to missing source files$/.test(line)) return false;
    isReport = begins || (isReport && /^\s+at /.test(line));
    return !isReport;
  };
}

/** @param {FileResult[]} files */
function failedTests(files) {
  return files.flatMap(({ name, assertionResults }) => {
    const failures = assertionResults.filter(({ status }) => status === "failed");
    return failures.length === 0 ? [name] : failures.map(({ fullName }) => `${name}: ${fullName}`);
  });
}

/**
 * A file that could not run counts as one failed test.
 * @param {FileResult[]} files
 */
function countTests(files) {
  let passed = 0;
  let failed = 0;
  for (const file of files) {
    const statuses = file.assertionResults.map(({ status }) => status);
    passed += statuses.filter((status) => status === "passed").length;
    const failures = statuses.filter((status) => status === "failed").length;
    failed += file.status === "failed" ? Math.max(failures, 1) : failures;
  }
  return { passed, failed };
}

/**
 * @param {string} report the path of vitest's JSON
 * @returns {FileResult[]} empty when vitest wrote no report
 */
function readReport(report) {
  try {
    return JSON.parse(readFileSync(report, "utf8")).testResults;
  } catch (error) {
    console.error(`vitest left no report: ${error instanceof Error ? error.message : error}`);
    return [];
  }
}
