import { readConfig } from "../config.ts";
import { describe, log } from "../log.ts";
import { sendsRealMail } from "../mailer.ts";

/** Work that the Worker does by the clock. A new job is a file beside this one and a line in {@link JOBS}. */
export type Job = {
  /** Its name in the log. */
  name: string;
  /** How often it runs, in minutes: a multiple of {@link TICK_MINUTES}. */
  everyMinutes: number;
  /** When it runs, in minutes after the start of each period (UTC), so that jobs do not all run at once. */
  atMinute: number;
  /**
   * Does a bounded amount of work, and leaves the rest to the next time. It may be cut off at any point or run twice.
   * @param now ms since 1970
   */
  run(env: Env, now: number): Promise<void>;
};

/** The period of the cron trigger in wrangler.toml. */
export const TICK_MINUTES = 5;

const DAY = 24 * 60;

/** Each job loads what it needs: a Worker that only serves the API starts without it. */
const JOBS: readonly Job[] = [
  {
    ...{ name: "sweep", everyMinutes: TICK_MINUTES, atMinute: 0 },
    run: async (env, now) => (await import("../watch/sweep.ts")).sweep(env, now),
  },
  {
    ...{ name: "reconcile_sample", everyMinutes: 60, atMinute: 25 },
    run: async (env, now) => (await import("../watch/sample.ts")).reconcileSample(env, now),
  },
  {
    // After the two above, whose results it reports.
    ...{ name: "alerts", everyMinutes: TICK_MINUTES, atMinute: 0 },
    run: async (env, now) => (await import("../watch/notify.ts")).runAlerts(env, now),
  },
  {
    ...{ name: "remove_expired", everyMinutes: DAY, atMinute: 3 * 60 + 15 },
    run: async (env, now) => (await import("../auth/cleanup.ts")).removeExpired(env.DB, now),
  },
  {
    ...{ name: "signup_credits", everyMinutes: DAY, atMinute: 3 * 60 + 20 },
    async run(env, now) {
      const { grantOwedCredits, warnOfWaiting } = await import("../users/signup-credits.ts");
      const config = readConfig(env);
      await grantOwedCredits(env, config.SIGNUP_CREDITS, now);
      if (config.SIGNUP_CREDITS > 0 && !sendsRealMail(config)) await warnOfWaiting(env);
    },
  },
  {
    ...{ name: "erase_users", everyMinutes: 5, atMinute: 0 },
    run: async (env, now) => (await import("./erase-users.ts")).eraseUsers(env, now),
  },
  {
    // Once a day, in as many runs as it takes.
    ...{ name: "backup", everyMinutes: 15, atMinute: 5 },
    run: async (env, now) => (await import("../users/backup.ts")).backUp(env, now),
  },
  {
    ...{ name: "retention", everyMinutes: 15, atMinute: 10 },
    run: async (env, now) =>
      (await import("../generations/retention.ts")).enforceRetention(env, readConfig(env), now),
  },
];

/**
 * Runs the jobs that are due, one after another. A job that fails does not stop the others: it is logged, and runs
 * again at its next time.
 * @param scheduledTime of the cron trigger, ms since 1970
 */
export async function runDueJobs(
  env: Env,
  scheduledTime: number,
  jobs: readonly Job[] = JOBS,
): Promise<void> {
  const minute = Math.floor(scheduledTime / 60_000 / TICK_MINUTES) * TICK_MINUTES;
  for (const { name, everyMinutes, atMinute, run } of jobs) {
    if (minute % everyMinutes !== atMinute) continue;
    const startedAt = Date.now();
    const error = await run(env, startedAt).then(
      () => null,
      (reason: unknown) => describe(reason),
    );
    const ms = Date.now() - startedAt;
    if (error === null) log("job", { job: name, ms });
    else log("job_failed", { job: name, error, ms });
  }
}
