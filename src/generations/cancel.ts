import { isLive } from "../account/lifecycle.ts";
import type { GenerationRecord } from "../account/views.ts";
import type { Config } from "../config.ts";
import type { LogEnv } from "../db/log.ts";
import { leaveGate } from "../dispatch/client.ts";
import { routesFor } from "../dispatch/routes.ts";
import { isGenerationId } from "../id.ts";
import { findGeneration } from "./read.ts";

export type Cancellation =
  /** This request or an earlier one canceled it. */
  | { kind: "canceled"; generation: GenerationRecord }
  /** It has ended, it runs, or an earlier run may have called the provider. */
  | { kind: "refused"; generation: GenerationRecord }
  | { kind: "unknown" };

/**
 * Cancels a user's queued generation: it is refunded, and the provider is never called for it. `id` may be any text.
 * Generations of earlier days, which only the log has, have ended.
 * @param livemode only a generation of this mode; null for either
 * @throws {LogUnavailableError}
 */
export async function cancelGeneration(
  userId: string,
  id: string,
  livemode: boolean | null,
  env: LogEnv & Pick<Env, "ACCOUNT" | "PROVIDER_GATE">,
  config: Config,
): Promise<Cancellation> {
  if (!isGenerationId(id)) return { kind: "unknown" };
  const outcome = await env.ACCOUNT.getByName(userId).cancel(id, livemode);
  if (outcome.kind === "unknown") {
    const generation = await findGeneration(userId, id, livemode, Date.now(), env);
    if (!generation) return { kind: "unknown" };
    return { kind: generation.status === "canceled" ? "canceled" : "refused", generation };
  }
  const { generation } = outcome;
  // The provider of test work has no gate. If another keeps it, its message finds at its turn that nothing is to do.
  if (outcome.kind === "canceled" && isLive(generation)) {
    const routes = routesFor(generation.model, config);
    await Promise.all(routes.map((route) => leaveGate(env, route, id)));
  }
  return outcome;
}
