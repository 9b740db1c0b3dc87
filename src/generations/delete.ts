import { isLive } from "../account/lifecycle.ts";
import type { DeleteOutcome } from "../account/outcomes.ts";
import type { LogEnv } from "../db/log.ts";
import { isGenerationId } from "../id.ts";
import { findGeneration } from "./read.ts";

/**
 * Deletes a user's ended generation: its images, prompt, labels and webhook. The entries of the ledger, and sums of usage,
 * stay. `id` may be any text. A generation of an earlier day is only in the log, so that is asked second.
 * @param livemode only a generation of this mode; null for either
 * @throws {LogUnavailableError}
 */
export async function deleteGeneration(
  userId: string,
  id: string,
  livemode: boolean | null,
  env: LogEnv & Pick<Env, "ACCOUNT">,
): Promise<DeleteOutcome> {
  if (!isGenerationId(id)) return "unknown";
  const account = env.ACCOUNT.getByName(userId);
  const outcome = await account.deleteGeneration(id, livemode);
  if (outcome !== "unknown") return outcome;
  const logged = await findGeneration(userId, id, livemode, Date.now(), env);
  return logged === null ? "unknown" : await account.deleteLogged([id], isLive(logged));
}
