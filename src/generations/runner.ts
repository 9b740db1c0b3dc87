import { DurableObject } from "cloudflare:workers";
import type { Job } from "../account/lifecycle.ts";
import type { FinishOutcome } from "../account/outcomes.ts";
import { readConfig } from "../config.ts";
import { routesFor } from "../dispatch/routes.ts";
import { describe, log } from "../log.ts";
import { PartialSender, type PartialsAsked } from "./partials.ts";
import { run } from "./run.ts";

/** The platform evicts an object about 139 s after its caller disconnected, unless it is called again. */
const CALL_ITSELF_EVERY_MS = 30_000;

/**
 * Runs one sync generation, so that it continues when the client disconnects. It stores nothing: if it dies, the
 * waiting request takes over, or the lease in the account lapses and the queue runs the generation.
 */
export class GenerationRunner extends DurableObject<Env> {
  /** @param asked the partial pictures that the waiting request asks for */
  async run(userId: string, job: Job, asked?: PartialsAsked): Promise<FinishOutcome | null> {
    const { model, test, n } = job.request;
    const routes = routesFor(model, readConfig(this.env), test);
    const partials = asked && new PartialSender(asked, n);
    const options = { userId, routes, onBusy: "wait", partials } as const;
    const itself = this.env.GENERATION_RUNNER.get(this.ctx.id);
    const keepAlive = setInterval(() => {
      itself.stay().catch((error: unknown) => log("runner_stay_failed", { error: describe(error) }));
    }, CALL_ITSELF_EVERY_MS);
    try {
      const outcome = await run(job, () => this.env.ACCOUNT.getByName(userId), options, this.env);
      // A run that waits in place is never deferred.
      switch (outcome?.kind) {
        case "settled":
        case "stale":
        case "unknown":
          return outcome;
        default:
          return null;
      }
    } finally {
      clearInterval(keepAlive);
    }
  }

  /** Does nothing: the call alone keeps the object alive. */
  async stay(): Promise<void> {}
}
