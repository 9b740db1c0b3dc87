import { consume } from "./generations/consume.ts";
import { app } from "./http/app.ts";

export { Account } from "./account/account.ts";
export { GenerationRunner } from "./generations/runner.ts";

export default { fetch: app.fetch, queue: consume } satisfies ExportedHandler<Env>;
