import { join } from "node:path";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";

const root = join(import.meta.dirname, "..");

/** Two projects: what runs in workerd, with real D1, R2, Queues and objects; and what drives the product from outside. */
export default defineConfig(async () => {
  const migrations = await readD1Migrations(join(root, "migrations"));
  return {
    root,
    test: {
      projects: [
        {
          root,
          plugins: [
            cloudflareTest({
              wrangler: { configPath: join(root, "wrangler.toml") },
              miniflare: { bindings: { TEST_MIGRATIONS: migrations, ADMIN_TOKEN: "test-admin-token" } },
            }),
          ],
          test: {
            name: "workerd",
            include: ["test/**/*.test.ts"],
            exclude: ["test/outside/**"],
            globalSetup: ["test/support/openai-double/setup.ts"],
            setupFiles: ["test/support/setup.ts"],
          },
        },
        {
          root,
          test: {
            name: "outside",
            include: ["test/outside/**/*.test.ts"],
            testTimeout: 120_000,
            hookTimeout: 120_000,
          },
        },
      ],
    },
  };
});
