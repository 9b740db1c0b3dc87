import * as z from "zod";
import { readState, type State, writeState } from "../db/job-state.ts";
import { type Discrepancy, reconcile, reconcileUser } from "../generations/reconcile.ts";
import { log } from "../log.ts";

/** The most users that are compared again in each run because they differed before. */
const DIFFERING_MAX = 20;

/** The users whose ledger differed in the last run, and where the next run continues. */
export const SAMPLE = {
  name: "reconcile",
  schema: z.object({
    cursor: z.object({ userId: z.string(), generationId: z.string() }).nullable(),
    differing: z.array(z.string()),
  }),
} satisfies State<z.ZodType>;

/**
 * Compares the next page of accounts with the log, and those that differed before. It repairs nothing. A user counts as
 * differing after two comparisons, and until one finds nothing.
 * @param now milliseconds since 1970
 */
export async function reconcileSample(env: Env, now: number): Promise<void> {
  const last = await readState(env.DB, SAMPLE);
  const page = await reconcile(env, last?.cursor ?? null, false, now);
  const found = page.differences.filter(isOfBook).map(({ userId }) => userId);
  const suspects = [...new Set([...(last?.differing ?? []), ...found])].slice(0, DIFFERING_MAX);
  const differing: string[] = [];
  for (const userId of suspects) {
    const differences = (await reconcileUser(env, userId, now)).filter(isOfBook);
    if (differences.length === 0) continue;
    differing.push(userId);
    const kinds = [...new Set(differences.map(({ kind }) => kind))].join();
    log("books_differ", { user_id: userId, kinds, differences: differences.length });
  }
  await writeState(env.DB, SAMPLE, { cursor: page.next, differing });
  const imagesMissing = page.differences.filter(({ kind }) => kind === "image_missing").length;
  log("reconciled", { ...page.checked, differing: differing.length, images_missing: imagesMissing });
}

/** A lost image is no error of the ledger: nothing can repair it. */
function isOfBook({ kind }: Discrepancy): boolean {
  return kind !== "image_missing";
}

/**
 * Whether the last comparison found every ledger equal to the log, or none was made. @throws when `DB` does not respond
 */
export async function booksBalance(d1: D1Database): Promise<boolean> {
  return ((await readState(d1, SAMPLE))?.differing.length ?? 0) === 0;
}
