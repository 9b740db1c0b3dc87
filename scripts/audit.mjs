/**
 * `npm run audit`: asks the registry for advisories of the production dependencies, and fails if one is high or critical.
 * A registry without advisories, such as some mirrors, cannot be asked: that is said, and is no failure.
 */
import { execFile } from "node:child_process";
import { environmentOutsideProject, Failure, main, root } from "./lib.mjs";

const AUDIT_MS_MAX = 120_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const FAILING = ["high", "critical"];
/** What a registry answers that does not know the request. */
const NOT_OFFERED = [404, 405, 501];

/**
 * @typedef {{ name: string, severity: string, title: string, url: string }} Advisory
 * @typedef {{ message?: string, statusCode?: number,
 *   vulnerabilities?: Record<string, { via: (Advisory | string)[] }> }} Report of `npm audit`; a text in `via` is another
 * package of the report
 */

await main(async (stop) => {
  const { message, statusCode, vulnerabilities } = await ask(stop);
  if (vulnerabilities === undefined) {
    if (statusCode === undefined || !NOT_OFFERED.includes(statusCode))
      throw new Failure(
        `The registry could not be asked for advisories: ${message ?? "npm gave no reason."}`,
      );
    console.log(`No audit: the registry has no advisories (it answered ${statusCode}).`);
    return 0;
  }
  const advisories = Object.values(vulnerabilities).flatMap(({ via }) =>
    via.filter((cause) => typeof cause !== "string"),
  );
  for (const { name, severity, title, url } of advisories)
    console.log(`${severity}: ${name}: ${title} ${url}`);
  const failing = advisories.filter(({ severity }) => FAILING.includes(severity));
  console.log(
    `Advisories of production dependencies: ${advisories.length}, high or critical: ${failing.length}.`,
  );
  return failing.length === 0 ? 0 : 1;
});

/**
 * Runs `npm audit`, which exits with 1 for advisories as for errors. Its report tells which.
 * @param {AbortSignal} signal
 * @returns {Promise<Report>}
 */
async function ask(signal) {
  const options = {
    ...{ cwd: root, env: environmentOutsideProject(), signal },
    ...{ timeout: AUDIT_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX },
  };
  /** @type {string} */
  const output = await new Promise((resolve) => {
    execFile("npm", ["audit", "--omit=dev", "--json"], options, (_error, stdout) => resolve(stdout));
  });
  signal.throwIfAborted();
  try {
    return JSON.parse(output);
  } catch {
    return {};
  }
}
