import { consume } from "./generations/consume.ts";
import { consumeDead } from "./generations/dead.ts";
import { app, createApp, isApiPath } from "./http/app.ts";
import { pathOf } from "./http/paths.ts";
import { runDueJobs } from "./jobs/jobs.ts";
import { log } from "./log.ts";

export { Account } from "./account/account.ts";
export { ProviderGate } from "./dispatch/provider-gate.ts";
export { GenerationRunner } from "./generations/runner.ts";

type App = typeof app;

let site: Promise<App> | undefined;

/** Loads the pages and the sign-in library when the first page is requested: the API starts without them. */
async function loadSite(): Promise<App> {
  const { pages } = await import("./pages/routes.tsx");
  return createApp().route("/", pages);
}

let mcpServer: Promise<App> | undefined;

/** Loads the MCP server, and the library that it needs, at its first request. */
async function loadMcpServer(): Promise<App> {
  const { mcp } = await import("./mcp/routes.ts");
  return createApp().route("/mcp", mcp);
}

/** A batch of an unknown queue is retried after this time. After its last retry, it goes to the dead-letter queue. */
const UNKNOWN_AGAIN_SECONDS = 60;

/**
 * Passes a batch to the consumer of its queue. The name of a queue differs by environment, but ends with its purpose,
 * and a number if several queues share it: `gpt-image-hub-dev-generations`, `gpt-image-hub-generations-2`. `dead` is the
 * queue of messages that another queue gave up on. A batch of an unknown queue is retried and never acknowledged,
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
    const path = pathOf(request);
    if (isApiPath(path)) return await app.fetch(request, env, context);
    if (path === "/mcp") {
      mcpServer ??= loadMcpServer();
      return await (await mcpServer).fetch(request, env, context);
    }
    site ??= loadSite();
    return await (await site).fetch(request, env, context);
  },
  queue: consumeBatch,
  async scheduled({ scheduledTime }, env) {
    await runDueJobs(env, scheduledTime);
  },
} satisfies ExportedHandler<Env>;
