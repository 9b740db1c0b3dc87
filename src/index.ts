import { consume } from "./generations/consume.ts";
import { app } from "./http/app.ts";
import { pages } from "./pages/routes.tsx";
import { removeExpired } from "./sessions/cleanup.ts";

export { Account } from "./account/account.ts";
export { GenerationRunner } from "./generations/runner.ts";

app.route("/", pages);

export default {
  fetch: app.fetch,
  queue: consume,
  scheduled: (_, env) => removeExpired(env.DB, Date.now()),
} satisfies ExportedHandler<Env>;
