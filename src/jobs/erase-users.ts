import { DELETED_AT_ONCE_MAX } from "../account/lifecycle.ts";
import { listGenerations } from "../generations/read.ts";
import { describe, log } from "../log.ts";
import { markErased, usersToErase } from "../users/users.ts";

/** The limits of one run. The next run continues. */
export type Bounds = { users: number; slices: number };
const BOUNDS: Bounds = { users: 20, slices: 100 };

/**
 * A request that was admitted before the user was deleted can still be accepted within this time, so the job looks
 * again until then.
 */
export const LATE_REQUESTS_MS = 3_600_000;

/**
 * Deletes the generations of deleted users, in slices. What has not ended is deleted by a later run. A run that is cut
 * off repeats a slice: deleting twice has the effect of once.
 */
export async function eraseUsers(env: Env, now: number, bounds = BOUNDS): Promise<void> {
  let slices = bounds.slices;
  for (const { id, deletedAt } of await usersToErase(env.DB, bounds.users)) {
    try {
      const outcome = await eraseUser(env, id, slices);
      slices -= outcome.slices;
      const isLast = now >= (deletedAt ?? now) + LATE_REQUESTS_MS;
      if (outcome.isDone && isLast) await markErased(env.DB, id, now);
      log("user_erased", { user_id: id, slices: outcome.slices, is_done: outcome.isDone && isLast });
    } catch (error) {
      log("user_erase_failed", { user_id: id, error: describe(error) });
    }
    if (slices === 0) return;
  }
}

/** @returns how many slices it took, and whether all generations are deleted */
async function eraseUser(
  env: Env,
  userId: string,
  slicesMax: number,
): Promise<{ slices: number; isDone: boolean }> {
  const account = env.ACCOUNT.getByName(userId);
  await account.setNotices({ lowBalance: null, expiring: false });
  let slices = 0;
  let isDone = true;
  for (const livemode of [true, false]) {
    const filter = { livemode, status: null, model: null, createdAfter: null, createdBefore: null };
    for (let cursor: string | null = null, isOver = false; !isOver; ) {
      if (slices === slicesMax) return { slices, isDone: false };
      slices += 1;
      const page = await listGenerations(userId, filter, cursor, DELETED_AT_ONCE_MAX, env);
      const ended = page.records.filter(({ endedAt }) => endedAt !== null).map(({ id }) => id);
      if (ended.length > 0) await account.deleteLogged(ended, livemode);
      if (ended.length < page.records.length) isDone = false;
      cursor = page.next;
      isOver = cursor === null;
    }
  }
  return { slices, isDone };
}
