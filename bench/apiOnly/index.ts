import { consume } from "../../src/generations/consume.ts";
import { app } from "../../src/http/app.ts";

/** The Worker without its pages, and so without the sign-in library: what they add is told by `npm run bench:pages`. */
export { Account } from "../../src/account/account.ts";
export { GenerationRunner } from "../../src/generations/runner.ts";

export default { fetch: app.fetch, queue: consume } satisfies ExportedHandler<Env>;
