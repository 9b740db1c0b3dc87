import { readConfig } from "./config.ts";
import { consume } from "./generations/consume.ts";
import { app, createApp, isApiPath } from "./http/app.ts";
import { pathOf } from "./http/paths.ts";

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

export default {
  async fetch(request: Request, env: Env, context: ExecutionContext) {
    if (isApiPath(pathOf(request))) return await app.fetch(request, env, context);
    site ??= loadSite();
    return await (await site).fetch(request, env, context);
  },
  queue: consume,
  async scheduled(_, env) {
    const { removeExpired } = await import("./auth/cleanup.ts");
    const { grantOwedCredits } = await import("./users/signup-credits.ts");
    await removeExpired(env.DB, Date.now());
    await grantOwedCredits(env, readConfig(env).SIGNUP_CREDITS, Date.now());
  },
} satisfies ExportedHandler<Env>;
