import { consume } from "./generations/consume.ts";
import { consumeDead } from "./generations/dead.ts";
import { app, createApp } from "./http/app.ts";
import { pathOf } from "./http/paths.ts";
import { runDueJobs } from "./jobs/jobs.ts";
import { log } from "./log.ts";

export { Account } from "./account/account.ts";
export { ProviderGate } from "./dispatch/provider-gate.ts";
export { GenerationRunner } from "./generations/runner.ts";

type App = typeof app;

/** The parts of the service that load at their first request: the Worker starts with the native API alone. */
const parts = {
  admin: async (): Promise<App> => (await import("./http/admin/routes.ts")).admin,
  openai: async (): Promise<App> => (await import("./http/openai/routes.ts")).openai,
  stripe: async (): Promise<App> => (await import("./http/stripe.ts")).stripe,
  mcp: async (): Promise<App> => (await import("./mcp/routes.ts")).mcp,
  pages: async (): Promise<App> => createApp().route("/", (await import("./pages/routes.tsx")).pages),
};

type Part = keyof typeof parts;

/** The part that serves a path. The first matching prefix decides; pages serve all other paths. */
const PREFIXES: readonly (readonly [RegExp, Part | "api"])[] = [
  [/^\/api\/admin(\/|$)/, "admin"],
  [/^\/api\/stripe(\/|$)/, "stripe"],
  [/^\/(api|images|\.well-known)(\/|$)/, "api"],
  [/^\/openai(\/|$)/, "openai"],
  [/^\/mcp$/, "mcp"],
];

const loaded = new Map<Part, Promise<App>>();

async function appOf(path: string): Promise<App> {
  const part = PREFIXES.find(([prefix]) => prefix.test(path))?.[1] ?? "pages";
  if (part === "api") return app;
  const known = loaded.get(part) ?? parts[part]();
  loaded.set(part, known);
  return await known;
}

/** A batch of an unknown queue is retried after this time. After its last retry, it goes to the dead-letter queue. */
const UNKNOWN_AGAIN_SECONDS = 60;

/**
 * Passes a batch to the consumer of its queue. The name of a queue differs by environment, but ends with its purpose,
 * and a number if several queues share it: `gpt-image-hub-dev-generations`, `gpt-image-hub-generations-2`. `dead` is
 * the queue of messages that another queue gave up on. A batch of an unknown queue is retried and never acknowledged,
 * because the next release may know it.
 */
async function consumeBatch(batch: MessageBatch, env: Env): Promise<void> {
  const [, purpose] = /(?:^|-)([a-z]+)(?:-\d+)?$/.exec(batch.queue) ?? [];
  switch (purpose) {
    case "generations":
      return await consume(batch, env);
    case "dead":
      return await consumeDead(batch, env);
    default:
      log("queue_unknown", { queue: batch.queue, messages: batch.messages.length });
      batch.retryAll({ delaySeconds: UNKNOWN_AGAIN_SECONDS });
  }
}

export default {
  async fetch(request: Request, env: Env, context: ExecutionContext) {
    return await (await appOf(pathOf(request))).fetch(request, env, context);
  },
  queue: consumeBatch,
  async scheduled({ scheduledTime }, env) {
    await runDueJobs(env, scheduledTime);
  },
} satisfies ExportedHandler<Env>;
