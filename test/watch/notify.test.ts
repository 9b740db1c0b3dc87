import { env } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import * as z from "zod";
import { readState, writeState } from "../../src/db/job-state.ts";
import { ProviderGate } from "../../src/dispatch/provider-gate.ts";
import { countIncident } from "../../src/incidents.ts";
import { ALERTS, runAlerts } from "../../src/watch/notify.ts";
import { SWEEP } from "../../src/watch/sweep.ts";
import { spyOnLog } from "../support/log.ts";

const HOUR = 3_600_000;
/** A time of this file alone: incidents are counted by time. */
let now = Date.parse("2031-01-01T00:00:00Z");
let path = "";
let lines: ReturnType<typeof spyOnLog>;

beforeEach(async () => {
  lines = spyOnLog();
  now += 100 * HOUR;
  path = `/${crypto.randomUUID()}`;
  await env.DB.prepare("DELETE FROM job_state").run();
});

afterEach(() => {
  vi.restoreAllMocks();
});

const Calls = z.array(z.object({ body: z.string() }));

/** What the receiver got. */
async function posted(): Promise<unknown[]> {
  const answer = await fetch(`${inject("webhookReceiver")}/_calls?path=${path}`);
  return Calls.parse(await answer.json()).map(({ body }) => JSON.parse(body));
}

const settings = (query = "") => ({
  ...env,
  ALERT_WEBHOOK_URL: `${inject("webhookReceiver")}${path}${query}`,
  ALLOW_INSECURE_URLS: "true",
});

const events = (event: string) =>
  lines.mock.calls.map(([line]) => JSON.parse(line)).filter((line) => line.event === event);

describe("an alert", () => {
  it("is posted when it begins, after an hour, and when it ends", async () => {
    const since = new Date(now).toISOString();
    await countIncident(env, "dead_letter", now);
    const summary = "Messages that the queue gave up on in the last hour: 1.";
    const firing = {
      text: `[firing] dead_letters: ${summary} See docs/operations.md#dead_letters.`,
      ...{ alert: "dead_letters", status: "firing", summary, since, resolved_at: null },
      runbook: "docs/operations.md#dead_letters",
    };
    await runAlerts(settings(), now);
    await runAlerts(settings(), now + HOUR / 2);
    expect(await posted()).toEqual([firing]);

    await countIncident(env, "dead_letter", now + HOUR - 1);
    await runAlerts(settings(), now + HOUR);
    expect(await posted()).toEqual([firing, firing]);

    await runAlerts(settings(), now + 3 * HOUR);
    await runAlerts(settings(), now + 4 * HOUR);
    const resolved_at = new Date(now + 3 * HOUR).toISOString();
    expect(await posted()).toEqual([
      ...[firing, firing],
      expect.objectContaining({ alert: "dead_letters", status: "resolved", since, resolved_at }),
    ]);
    expect(await readState(env.DB, ALERTS)).toEqual([]);
    expect(events("alert")).toHaveLength(2);
    expect(events("alert_resolved")).toHaveLength(1);
  });

  it("that could not be posted is posted at the next run", async () => {
    await countIncident(env, "dead_letter", now);
    await runAlerts(settings("?status=500"), now);
    expect(events("alert_failed")).toEqual([
      { event: "alert_failed", alert: "dead_letters", status: 500, error: null },
    ]);
    await runAlerts(settings(), now + 300_000);
    await runAlerts(settings(), now + 600_000);
    expect(await posted()).toHaveLength(2);
  });

  it("is only logged without a receiver, and as often", async () => {
    await countIncident(env, "dead_letter", now);
    await runAlerts(env, now);
    await runAlerts(env, now + HOUR / 2);
    expect(events("alert")).toHaveLength(1);
    expect(events("alert_failed")).toEqual([]);
  });

  it("is not posted over http in production", async () => {
    await countIncident(env, "dead_letter", now);
    const production = { ...settings(), PUBLIC_BASE_URL: "https://hub.example.com" };
    await runAlerts(production, now);
    expect(await posted()).toEqual([]);
    expect(events("alert_failed")).toMatchObject([{ error: "ALERT_WEBHOOK_URL must begin with https." }]);
  });

  it("stays while its fact cannot be read", async () => {
    const alert = { id: "circuit_open", summary: "Down.", since: now, sentAt: now, endedAt: null };
    await writeState(env.DB, ALERTS, [alert]);
    vi.spyOn(ProviderGate.prototype, "view").mockImplementation(() => {
      throw new Error("the gate is away");
    });
    const withOpenAI = { ...settings(), IMAGE_PROVIDER: "openai", OPENAI_API_KEY: "sk-none" };
    await runAlerts(withOpenAI, now);
    expect(await readState(env.DB, ALERTS)).toEqual([alert]);
    expect(events("fact_unknown")).toMatchObject([{ fact: "circuits" }]);
  });

  it.each([
    [HOUR / 2, ["leases_lapsing", "queue_old"]],
    [HOUR / 2 + 1, []],
  ])("trusts what a sweep found for half an hour: %d ms", async (age, alerts) => {
    const swept = {
      ...{ at: now - age, accounts: 9, unreachable: 0, alarmsLost: 0, unfinished: 9 },
      ...{ oldestQueuedAt: now - 2 * HOUR, interrupted: 9, webhooksFailing: 0 },
    };
    await writeState(env.DB, SWEEP, { after: "", swept });
    await runAlerts(settings(), now);
    expect((await readState(env.DB, ALERTS))?.map(({ id }) => id).toSorted()).toEqual(alerts);
  });
});

it("counts of incidents are deleted after 62 days", async () => {
  await countIncident(env, "dead_letter", now);
  const left = async () =>
    await env.DB.prepare("SELECT count(*) AS n FROM incidents WHERE starts_at = ?").bind(now).first("n");
  await runAlerts(env, now + 62 * 24 * HOUR);
  expect(await left()).toBe(1);
  await runAlerts(env, now + 62 * 24 * HOUR + 1);
  expect(await left()).toBe(0);
});
