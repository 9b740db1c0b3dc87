/**
 * `migrate.mjs <state directory>`: applies the pending D1 migrations to the databases of a local service. It does what
 * `wrangler d1 migrations apply --local` does, which starts a runtime for each migration and so takes 20 seconds for a new
 * state directory. Run with the project's Node, because wrangler needs it.
 */
import { join } from "node:path";
import { getPlatformProxy } from "wrangler";
import { applyMigrations } from "../databases.mjs";
import { Failure, main, root } from "../lib.mjs";

const [stateDirectory = ""] = process.argv.slice(2);

await main(async () => {
  /** @type {import("wrangler").PlatformProxy<Record<string, D1Database>>} */
  const { env, dispose } = await getPlatformProxy({
    configPath: join(root, "wrangler.toml"),
    persist: { path: join(stateDirectory, "v3") },
    remoteBindings: false,
  });
  try {
    await applyMigrations(async (binding) => {
      const database = env[binding];
      if (!database) throw new Failure(`wrangler.toml has no database ${binding}.`);
      return database;
    });
    return 0;
  } finally {
    await dispose();
  }
});
