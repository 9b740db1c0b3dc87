import { readConfig } from "./config.ts";
import { consume } from "./generations/consume.ts";
import { app, createApp, isApiPath } from "./http/app.ts";
import { pathOf } from "./http/paths.ts";
import { log } from "./log.ts";

export { Account } from "./account/account.ts";
export { ProviderGate } from "./dispatch/provider-gate.ts";
export { GenerationRunner } from "./generations/runner.ts";

type App = typeof app;

let site: Promise<App> | undefined;

/** The pages. They and the sign-in library are loaded when the first page is asked for: the API starts without them. */
async function loadSite(): Promise<App> {
  const { pages } = await import("./pages/routes.tsx");
  return createApp().route("/", pages);
}

/** A batch of an unknown queue comes back after this time, and after its last retry goes to the dead-letter queue. */
const UNKNOWN_AGAIN_SECONDS = 60;

/**
 * Hands a batch to the consumer of its queue. The names of queues differ by environment, but each ends in what the queue
 * is for, and in a number where several share the work: `gpt-image-hub-dev-generations`, `gpt-image-hub-generations-2`.
 * A batch of a queue that this release does not know is retried and never acknowledged: the next release may know it.
 */
async function consumeBatch(batch: MessageBatch, env: Env): Promise<void> {
  const [, purpose] = /(?:^|-)([a-z]+)(?:-\d+)?$/.exec(batch.queue) ?? [];
  switch (purpose) {
    case "generations":
      return await consume(batch, env);
    default:
      log("queue_unknown", { queue: batch.queue, messages: batch.messages.length });
      batch.retryAll({ delaySeconds: UNKNOWN_AGAIN_SECONDS });
  }
}

export default {
  async fetch(request: Request, env: Env, context: ExecutionContext) {
    if (isApiPath(pathOf(request))) return await app.fetch(request, env, context);
    site ??= loadSite();
    return await (await site).fetch(request, env, context);
  },
  queue: consumeBatch,
  async scheduled(_, env) {
    const { removeExpired } = await import("./auth/cleanup.ts");
    const { grantOwedCredits } = await import("./users/signup-credits.ts");
    await removeExpired(env.DB, Date.now());
    await grantOwedCredits(env, readConfig(env).SIGNUP_CREDITS, Date.now());
  },
} satisfies ExportedHandler<Env>;
