import { consume } from "../../src/generations/consume.ts";
import { app } from "../../src/http/app.ts";

export { Account } from "../../src/account/account.ts";
export { ProviderGate } from "../../src/dispatch/provider-gate.ts";
export { GenerationRunner } from "../../src/generations/runner.ts";
export default { fetch: app.fetch, queue: consume };
