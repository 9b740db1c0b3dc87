import * as z from "zod";
import { type Config, readConfig } from "../config.ts";
import { readState, type State, writeState } from "../db/job-state.ts";
import { log } from "../log.ts";
import { mayCallInsecureUrls } from "../origin.ts";
import { deliver } from "../webhooks/deliver.ts";
import { type Alert, isDue, nextAlerts } from "./alerts.ts";
import { collectFacts, removeOldCounts } from "./facts.ts";

const ANSWER_MS_MAX = 5_000;

const StoredAlert = z.object({
  id: z.string(),
  summary: z.string(),
  since: z.number(),
  sentAt: z.number().nullable(),
  endedAt: z.number().nullable(),
});

/** The alerts that fire, and those that ended and whose end was not sent yet. */
export const ALERTS = { name: "alerts", schema: z.array(StoredAlert) } satisfies State<z.ZodType>;

/**
 * Decides which alerts fire, logs those that are due, and posts them to `ALERT_WEBHOOK_URL`. An alert that could not be
 * posted is due again at the next run.
 * @param now milliseconds since 1970
 */
export async function runAlerts(env: Env, now: number): Promise<void> {
  const config = readConfig(env);
  const before = (await readState(env.DB, ALERTS)) ?? [];
  const alerts = nextAlerts(before, await collectFacts(env, now), now);
  const kept = await Promise.all(
    alerts.map(async (alert): Promise<Alert[]> => {
      if (!isDue(alert, now) || !(await tell(alert, config))) return [alert];
      return alert.endedAt === null ? [{ ...alert, sentAt: now }] : [];
    }),
  );
  await writeState(env.DB, ALERTS, kept.flat());
  await removeOldCounts(env, now);
}

/** @returns whether it was posted, or need not be */
async function tell(alert: Alert, config: Config): Promise<boolean> {
  const { id, summary } = alert;
  log(alert.endedAt === null ? "alert" : "alert_resolved", { alert: id, summary });
  const { ALERT_WEBHOOK_URL: url } = config;
  if (url === undefined) return true;
  if (!url.startsWith("https:") && !mayCallInsecureUrls(config)) {
    log("alert_failed", { alert: id, error: "ALERT_WEBHOOK_URL must begin with https." });
    return false;
  }
  const { status, error } = await deliver(url, {}, JSON.stringify(messageOf(alert)), ANSWER_MS_MAX);
  const isPosted = status !== null && status >= 200 && status < 300;
  if (!isPosted) log("alert_failed", { alert: id, status, error });
  return isPosted;
}

/** `text` is what chat services such as Slack show. */
function messageOf({ id, summary, since, endedAt }: Alert) {
  const status = endedAt === null ? "firing" : "resolved";
  const runbook = `docs/operations.md#${id}`;
  return {
    text: `[${status}] ${id}: ${summary} See ${runbook}.`,
    ...{ alert: id, status, summary, runbook },
    since: new Date(since).toISOString(),
    resolved_at: endedAt === null ? null : new Date(endedAt).toISOString(),
  };
}
