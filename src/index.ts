import { consume } from "./generations/consume.ts";
import { app } from "./http/app.ts";
import { pages } from "./pages/routes.tsx";

export { Account } from "./account/account.ts";
export { GenerationRunner } from "./generations/runner.ts";

app.route("/", pages);

export default { fetch: app.fetch, queue: consume } satisfies ExportedHandler<Env>;
