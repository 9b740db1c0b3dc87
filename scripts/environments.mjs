/**
 * Part of `npm run check`: development and production must share no Worker, database, bucket or queue. Otherwise
 * `wrangler deploy` without `--env production` replaces production with development's settings.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
// Unstable by name; the version of wrangler is pinned.
import { unstable_readConfig as readConfig } from "wrangler";

/**
 * @typedef {{ name?: string | undefined,
 *   d1_databases: { binding: string, database_name?: string | undefined }[],
 *   r2_buckets: { binding: string, bucket_name?: string | undefined }[],
 *   queues: { producers?: { queue: string }[] | undefined,
 *     consumers?: { queue: string, dead_letter_queue?: string | undefined }[] | undefined } }} Environment
 */

/**
 * The names of the resources that an environment deploys to.
 * @param {Environment} environment
 * @returns {string[]} each as `kind name`
 */
function resourcesOf({ name, d1_databases, r2_buckets, queues }) {
  return [
    `Worker ${name}`,
    ...d1_databases.map(({ database_name }) => `D1 database ${database_name}`),
    ...r2_buckets.map(({ bucket_name }) => `R2 bucket ${bucket_name}`),
    ...(queues.producers ?? []).map(({ queue }) => `queue ${queue}`),
    ...(queues.consumers ?? [])
      .flatMap(({ queue, dead_letter_queue }) => [queue, dead_letter_queue])
      .flatMap((queue) => (queue === undefined ? [] : [`queue ${queue}`])),
  ];
}

/**
 * The resources that both environments name.
 * @param {Environment} development
 * @param {Environment} production
 */
export function sharedResources(development, production) {
  const names = new Set(resourcesOf(production));
  return [...new Set(resourcesOf(development))].filter((resource) => names.has(resource));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const config = join(fileURLToPath(import.meta.url), "../../wrangler.toml");
  const shared = sharedResources(
    readConfig({ config, env: "" }, { hideWarnings: true }),
    readConfig({ config, env: "production" }, { hideWarnings: true }),
  );
  if (shared.length > 0) {
    console.error(`wrangler.toml: development and production share ${shared.join(", ")}.`);
    process.exitCode = 1;
  }
}
