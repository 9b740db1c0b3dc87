import { Hono } from "hono";
import type { FC } from "hono/jsx";
import type { SessionSummary } from "../../auth/sessions.ts";
import { PageError, type PagesEnv } from "../env.ts";
import { Day, Section, Time } from "../parts.tsx";

/** The sessions of a user, each with a button to end it: part of the settings page. */
export const activeSessions = new Hono<PagesEnv>();

const TEXTS = {
  title: "Active sessions",
  here: "This device",
  since: "since",
  lastUsed: "last used",
  end: "End session",
  endAll: "Sign out everywhere",
  notFound: "There is no such session. It may have ended already.",
  unknownBrowser: "Unknown browser",
  on: "on",
  unknownSystem: "an unknown system",
} as const;

activeSessions.post("/end", async (c) => {
  await c.get("sessions").signOutEverywhere();
  return c.redirect("/sign-in", 303);
});

activeSessions.post("/:id/end", async (c) => {
  const hasEnded = await c.get("sessions").end(c.get("signedIn"), c.req.param("id"));
  if (!hasEnded) throw new PageError(404, TEXTS.notFound);
  return c.redirect("/account/settings?done=session", 303);
});

/** A reload after an error, and the return from a sign-in. */
activeSessions.get("*", (c) => c.redirect("/account/settings", 303));

export const ActiveSessions: FC<{ list: readonly SessionSummary[] }> = ({ list }) => (
  <Section id="sessions-title" name={TEXTS.title}>
    <ul class="plain ruled sessions">
      {list.map((session) => {
        const device = deviceOf(session.userAgent);
        return (
          <li>
            <span>
              {device}
              {session.isCurrent ? <strong class="here"> {TEXTS.here}</strong> : null}
              <br />
              <span class="hint">
                {TEXTS.since} <Time at={session.createdAt} />, {TEXTS.lastUsed}{" "}
                <Day at={session.lastSeenAt} />
              </span>
            </span>
            {session.isCurrent ? null : (
              <form method="post" action={`/account/settings/sessions/${session.id}/end`}>
                <button class="button quiet small" type="submit" aria-label={`${TEXTS.end}: ${device}`}>
                  {TEXTS.end}
                </button>
              </form>
            )}
          </li>
        );
      })}
    </ul>
    <form method="post" action="/account/settings/sessions/end">
      <button class="button quiet" type="submit">
        {TEXTS.endAll}
      </button>
    </form>
  </Section>
);

const BROWSERS = ["Edg", "OPR", "Firefox", "Chrome", "Safari"] as const;
const SYSTEMS = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"] as const;
const NAMES: ReadonlyMap<string, string> = new Map([
  ["Edg", "Edge"],
  ["OPR", "Opera"],
  ["Mac OS", "macOS"],
]);

/** A guess from the user agent, good enough to tell one's own devices apart. */
function deviceOf(userAgent: string | null): string {
  const browser = BROWSERS.find((name) => userAgent?.includes(`${name}/`));
  const system = SYSTEMS.find((name) => userAgent?.includes(name));
  const name = (key: string | undefined, otherwise: string) => (key ? (NAMES.get(key) ?? key) : otherwise);
  return `${name(browser, TEXTS.unknownBrowser)} ${TEXTS.on} ${name(system, TEXTS.unknownSystem)}`;
}
