import { availableParallelism } from "node:os";
import { join } from "node:path";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const root = join(import.meta.dirname, "..");

const double = "test/support/openai-double/setup.ts";
const otherDoubles = ["google", "bfl", "fal"].map((name) => `test/support/${name}-double/setup.ts`);
const pictures = "test/support/picture-server.ts";
const stripe = "test/support/stripe-double/setup.ts";
const receiver = "test/support/webhook-receiver.ts";
/** Tests with another provider than the sketch: objects and consumer read the Worker's own variables. */
const withOpenAI = ["test/journeys/provider-faults.test.ts"];
/**
 * Tests of which all files of a group share a Worker, because to start one takes longer than most files. vitest runs the
 * files of such a group one after the other, so the largest comes first.
 */
const shared = {
  http: ["test/http/**/*.test.ts"],
  /** They move the clock. */
  objects: ["test/{account,auth,billing,db,faults,generations,jobs,users,watch}/**/*.test.ts"],
  /** They store nothing that others see, replace no module and send nothing to the queue. */
  units: [
    "test/*.test.ts",
    "test/{catalogue,dispatch,images,keys,providers,references,webhooks}/**/*.test.ts",
  ],
};
/** Tests with a Worker of their own: they replace what modules hold, or count timers and calls. */
const alone = ["clients/typescript", "generations/run", "http/another-model", "mcp/mcp", "users/backup"].map(
  (name) => `test/${name}.test.ts`,
);
/**
 * Libraries of many modules, which vitest bundles once: otherwise it loads each module into each Worker. Hono's JSX is not one
 * of them, because its runtime would be loaded twice.
 */
const libraries = [
  "@better-auth/passkey",
  "@hono/zod-validator",
  "hono",
  ...["accepts", "context-storage", "cookie", "factory", "language", "method-not-allowed", "request-id"].map(
    (name) => `hono/${name}`,
  ),
  ...["route", "secure-headers", "utils/cookie", "utils/url"].map((name) => `hono/${name}`),
  "@modelcontextprotocol/server",
  ...["better-auth/adapters/drizzle", "better-auth/api", "better-auth/minimal"],
  ...["drizzle-orm", "drizzle-orm/d1", "drizzle-orm/sqlite-core"],
  "stripe",
  "zod",
];

/** Sends libraries without their source maps to the Workers: the maps are larger than the code. */
const withoutMaps: Plugin = {
  name: "without-maps-of-libraries",
  enforce: "post",
  transform: {
    filter: { id: /\/node_modules\// },
    handler: (code) => ({ code, map: { mappings: "" } }),
  },
};

/**
 * The projects in workerd, with real D1, R2, Queues and objects: three groups, and `workerd` for all others, whose files
 * share a Worker; tests with a Worker each; those with the provider's double behind it. In Node: tests of scripts and
 * documents, and two that `npm test` leaves out, as they take minutes: of the running service, as `npm start` starts it,
 * and of its pages in a browser.
 */
export default defineConfig(async () => {
  const bindings = {
    TEST_MIGRATIONS: await readD1Migrations(join(root, "migrations")),
    TEST_LOG_MIGRATIONS: await readD1Migrations(join(root, "migrations-log")),
    ADMIN_TOKEN: "test-admin-token-of-32-characters",
    PUBLIC_BASE_URL: "https://hub.test",
  };
  const inWorkerd = {
    globalSetup: [double, ...otherDoubles, pictures, receiver, stripe],
    provide: {
      fuzz: {
        requests: Number(process.env["FUZZ_REQUESTS"] ?? 300),
        seed: Number(process.env["FUZZ_SEED"] ?? 1),
      },
      // Shares no divisor with the number of ways to crash, so that the sample has all of them.
      crashEvery: Number(process.env["CRASH_EVERY"] ?? 7),
    },
    // Enough for the largest tables on a loaded machine.
    testTimeout: 30_000,
    setupFiles: ["test/support/setup.ts"],
    deps: {
      optimizer: {
        ssr: {
          enabled: true,
          include: libraries,
          rolldownOptions: { external: [/^node:/, /^cloudflare:/] },
        },
      },
    },
  };
  const withSketch = () =>
    cloudflareTest({
      wrangler: { configPath: join(root, "wrangler.toml") },
      miniflare: { bindings: { ...bindings, AUTH_SECRET: "x".repeat(32) } },
    });
  return {
    root,
    test: {
      // Caches transformed modules on disk: a Worker would transform them again.
      fsModuleCache: true,
      // Many tests wait. By default, vitest leaves one core free.
      maxWorkers: availableParallelism() + 1,
      projects: [
        ...Object.entries(shared).map(([name, include]) => ({
          root,
          plugins: [withoutMaps, withSketch()],
          test: { ...inWorkerd, name, include, exclude: alone, isolate: false },
        })),
        {
          root,
          plugins: [withoutMaps, withSketch()],
          test: {
            ...inWorkerd,
            name: "workerd",
            include: ["test/**/*.test.ts"],
            exclude: [
              "test/{outside,service,browser}/**",
              ...withOpenAI,
              ...alone,
              ...Object.values(shared).flat(),
            ],
            isolate: false,
          },
        },
        {
          root,
          plugins: [withoutMaps, withSketch()],
          test: { ...inWorkerd, name: "alone", include: alone },
        },
        {
          root,
          plugins: [
            withoutMaps,
            cloudflareTest(({ inject }) => ({
              wrangler: { configPath: join(root, "wrangler.toml") },
              miniflare: {
                bindings: {
                  ...bindings,
                  IMAGE_PROVIDER: "openai",
                  OPENAI_API_KEY: "sk-test",
                  OPENAI_BASE_URL: inject("openaiDouble"),
                  PROVIDER_ATTEMPTS: "3",
                },
              },
            })),
          ],
          test: {
            name: "openai",
            include: withOpenAI,
            globalSetup: [double],
            setupFiles: ["test/support/setup.ts"],
            testTimeout: 15_000,
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
        {
          root,
          test: {
            name: "service",
            include: ["test/service/**/*.test.ts"],
            // Each file starts the service, in limited time.
            maxWorkers: availableParallelism(),
            sequence: { groupOrder: 1 },
            testTimeout: 120_000,
            hookTimeout: 120_000,
          },
        },
        {
          root,
          test: {
            name: "browser",
            include: ["test/browser/**/*.test.ts"],
            globalSetup: ["test/browser/setup.ts"],
            // While one waits, the other computes. They run last, so that other projects do not slow their pages down.
            maxWorkers: 2,
            sequence: { groupOrder: 2 },
            testTimeout: 60_000,
            hookTimeout: 60_000,
            expect: { poll: { timeout: 20_000 } },
          },
        },
      ],
    },
  };
});
