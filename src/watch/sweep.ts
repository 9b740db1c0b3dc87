import * as z from "zod";
import type { CheckUp } from "../account/outcomes.ts";
import { readState, type State, writeState } from "../db/job-state.ts";
import { describe, log } from "../log.ts";
import { withTimeout } from "../time.ts";
import { userIdsAfter } from "../users/users.ts";

/** The most accounts of one run. */
const ACCOUNTS_MAX = 500;
const ACCOUNTS_AT_ONCE = 10;
const ANSWER_MS_MAX = 10_000;
/** No account is called after this time. The next run continues with it. */
const RUN_MS_MAX = 60_000;

/** The result of the last run, over the accounts that it called. */
const Swept = z.object({
  at: z.number(),
  accounts: z.number(),
  /** Accounts that did not respond. */
  unreachable: z.number(),
  alarmsLost: z.number(),
  unfinished: z.number(),
  oldestQueuedAt: z.number().nullable(),
  interrupted: z.number(),
  webhooksFailing: z.number(),
});
export type Swept = z.infer<typeof Swept>;

/** `after`: the next run begins after this user. */
export const SWEEP = {
  name: "sweep",
  schema: z.object({ after: z.string(), swept: Swept }),
} satisfies State<z.ZodType>;

/**
 * Calls the next accounts, in the order of their users' ids, to set an alarm that was lost, and adds up their counts.
 * After the last user it begins again with the first.
 * @param now milliseconds since 1970
 * @param accountsMax the most accounts of this run
 */
export async function sweep(env: Env, now: number, accountsMax = ACCOUNTS_MAX): Promise<void> {
  const last = await readState(env.DB, SWEEP);
  const ids = await userIdsAfter(env.DB, last?.after ?? "", accountsMax);
  let swept: Swept = {
    ...{ at: now, accounts: 0, unreachable: 0, alarmsLost: 0 },
    ...{ unfinished: 0, oldestQueuedAt: null, interrupted: 0, webhooksFailing: 0 },
  };
  const startedAt = Date.now();
  while (swept.accounts < ids.length && Date.now() - startedAt < RUN_MS_MAX) {
    const some = ids.slice(swept.accounts, swept.accounts + ACCOUNTS_AT_ONCE);
    const answers = await Promise.all(some.map((id) => checkUp(env, id)));
    swept = answers.reduce(add, swept);
  }
  const isLastPage = ids.length < accountsMax && swept.accounts === ids.length;
  const after = isLastPage ? "" : (ids[swept.accounts - 1] ?? "");
  await writeState(env.DB, SWEEP, { after, swept });
  const { accounts, unreachable, alarmsLost, unfinished } = swept;
  log("swept", { accounts, unreachable, alarms_lost: alarmsLost, unfinished });
}

async function checkUp(env: Env, userId: string): Promise<CheckUp | null> {
  try {
    const found: Promise<CheckUp> = env.ACCOUNT.getByName(userId).checkUp();
    return await withTimeout(ANSWER_MS_MAX, found);
  } catch (error) {
    log("check_up_failed", { user_id: userId, error: describe(error) });
    return null;
  }
}

function add(swept: Swept, found: CheckUp | null): Swept {
  const accounts = swept.accounts + 1;
  if (found === null) return { ...swept, accounts, unreachable: swept.unreachable + 1 };
  const times = [swept.oldestQueuedAt, found.oldestQueuedAt].filter((time) => time !== null);
  return {
    ...swept,
    accounts,
    alarmsLost: swept.alarmsLost + (found.alarmWasLost ? 1 : 0),
    unfinished: swept.unfinished + found.unfinished,
    oldestQueuedAt: times.length === 0 ? null : Math.min(...times),
    interrupted: swept.interrupted + found.interrupted,
    webhooksFailing: swept.webhooksFailing + found.webhooksFailing,
  };
}
