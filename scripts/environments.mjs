/**
 * Part of `npm run check`: no two environments may share a Worker, database, bucket, queue or rate limit. Otherwise
 * `wrangler deploy` without `--env production` replaces production with development's settings. Staging must have the
 * bindings of production, or it tests another service. Each date of `LOG_SHARDS` needs its database.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
// Unstable by name; the version of wrangler is pinned.
import { unstable_readConfig as readConfig } from "wrangler";

/** Queues, and databases of the log, after the first only divide the work. */
const OPTIONAL_BINDING = /^(GENERATIONS|LOG)_\d+$/;

/**
 * @typedef {{ name?: string | undefined,
 *   d1_databases: { binding: string, database_name?: string | undefined }[],
 *   r2_buckets: { binding: string, bucket_name?: string | undefined }[],
 *   ratelimits?: { name: string, namespace_id: string }[] | undefined,
 *   queues: { producers?: { binding?: string, queue: string }[] | undefined,
 *     consumers?: { queue: string, dead_letter_queue?: string | undefined }[] | undefined } }} Environment
 */

/**
 * The names of the resources that an environment deploys to.
 * @param {Environment} environment
 * @returns {string[]} each as `kind name`
 */
function resourcesOf({ name, d1_databases, r2_buckets, ratelimits, queues }) {
  return [
    `Worker ${name}`,
    ...d1_databases.map(({ database_name }) => `D1 database ${database_name}`),
    ...r2_buckets.map(({ bucket_name }) => `R2 bucket ${bucket_name}`),
    ...(ratelimits ?? []).map(({ namespace_id }) => `rate limit ${namespace_id}`),
    ...(queues.producers ?? []).map(({ queue }) => `queue ${queue}`),
    ...(queues.consumers ?? []).flatMap(({ queue, dead_letter_queue }) => [
      `queue ${queue}`,
      ...(dead_letter_queue === undefined ? [] : [`queue ${dead_letter_queue}`]),
    ]),
  ];
}

/**
 * The resources that two environments name.
 * @param {Environment} one
 * @param {Environment} other
 */
export function sharedResources(one, other) {
  const names = new Set(resourcesOf(other));
  return [...new Set(resourcesOf(one))].filter((resource) => names.has(resource));
}

/**
 * What is wrong with `LOG_SHARDS`: each date begins a database of the log. src/db/log.ts checks the dates themselves.
 * @param {{ d1_databases: { binding: string }[], vars?: Record<string, unknown> }} environment
 * @returns {string[]}
 */
export function shardFaults({ d1_databases, vars }) {
  const dates = String(vars?.["LOG_SHARDS"] ?? "")
    .split(",")
    .filter((date) => date.trim() !== "");
  const bound = new Set(d1_databases.map(({ binding }) => binding));
  return dates.flatMap((date, index) =>
    bound.has(`LOG_${index + 2}`)
      ? []
      : [`LOG_SHARDS begins LOG_${index + 2} on ${date.trim()}, which is not bound.`],
  );
}

/**
 * The names of all bindings in a configuration, wherever they stand.
 * @param {unknown} value
 * @param {string} [key] of the value
 * @returns {string[]}
 */
function bindingsIn(value, key = "") {
  if (typeof value === "string") return key === "binding" ? [value] : [];
  if (typeof value !== "object" || value === null) return [];
  const own = key === "bindings" || key === "ratelimits" ? Object.values(value).map(({ name }) => name) : [];
  return [...own, ...Object.entries(value).flatMap(([name, child]) => bindingsIn(child, name))];
}

/**
 * The bindings that only one of two environments has.
 * @param {object} one
 * @param {object} other
 * @returns {string[]}
 */
export function bindingsApart(one, other) {
  const [here, there] = [new Set(bindingsIn(one)), new Set(bindingsIn(other))];
  return [...here.symmetricDifference(there)].filter((name) => !OPTIONAL_BINDING.test(name));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const config = join(fileURLToPath(import.meta.url), "../../wrangler.toml");
  const read = (/** @type {string} */ env) => readConfig({ config, env }, { hideWarnings: true });
  const [development, staging, production] = [read(""), read("staging"), read("production")];
  const pairs = /** @type {const} */ ([
    ["development and staging", development, staging],
    ["development and production", development, production],
    ["staging and production", staging, production],
  ]);
  const problems = pairs.flatMap(([names, one, other]) =>
    sharedResources(one, other).map((resource) => `${names} share ${resource}.`),
  );
  const apart = bindingsApart(staging, production);
  for (const environment of [staging, production]) problems.push(...shardFaults(environment));
  if (apart.length > 0) problems.push(`only one of staging and production has ${apart.join(", ")}.`);
  for (const problem of problems) console.error(`wrangler.toml: ${problem}`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
