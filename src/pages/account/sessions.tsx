import { Hono } from "hono";
import type { FC } from "hono/jsx";
import type { SessionSummary } from "../../auth/sessions.ts";
import { PageError, type PagesEnv } from "../env.ts";
import { Day, Section, Time } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";

/** The sessions of a user, each with a button to end it: part of the settings page. */
export const activeSessions = new Hono<PagesEnv>();

activeSessions.post("/end", async (c) => {
  await c.get("sessions").signOutEverywhere();
  return c.redirect("/sign-in", 303);
});

activeSessions.post("/:id/end", async (c) => {
  const hasEnded = await c.get("sessions").end(c.get("signedIn"), c.req.param("id"));
  if (!hasEnded) throw new PageError(404, c.get("texts").settings.noSession);
  return c.redirect("/account/settings?done=session", 303);
});

/** A reload after an error, and the return from a sign-in. */
activeSessions.get("*", (c) => c.redirect("/account/settings", 303));

export const ActiveSessions: FC<{ list: readonly SessionSummary[] }> = ({ list }) => {
  const { settings } = useTexts();
  return (
    <Section id="sessions-title" name={settings.sessions}>
      <ul class="plain ruled">
        {list.map((session) => {
          const device = deviceOf(session.userAgent, settings);
          return (
            <li>
              <span>
                {device}
                {session.isCurrent ? <strong class="here"> {settings.thisDevice}</strong> : null}
                <br />
                <span class="hint">
                  {settings.sinceAndLastUsed(
                    <Time at={session.createdAt} />,
                    <Day at={session.lastSeenAt} />,
                  )}
                </span>
              </span>
              {session.isCurrent ? null : (
                <form method="post" action={`/account/settings/sessions/${session.id}/end`}>
                  <button
                    class="button quiet small"
                    type="submit"
                    aria-label={`${settings.endSession}: ${device}`}
                  >
                    {settings.endSession}
                  </button>
                </form>
              )}
            </li>
          );
        })}
      </ul>
      <form method="post" action="/account/settings/sessions/end">
        <button class="button quiet" type="submit">
          {settings.signOutEverywhere}
        </button>
      </form>
    </Section>
  );
};

const BROWSERS = ["Edg", "OPR", "Firefox", "Chrome", "Safari"] as const;
const SYSTEMS = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"] as const;
const NAMES: ReadonlyMap<string, string> = new Map([
  ["Edg", "Edge"],
  ["OPR", "Opera"],
  ["Mac OS", "macOS"],
]);

/** A guess from the user agent, good enough to tell one's own devices apart. */
export function deviceOf(
  userAgent: string | null,
  { device, unknownBrowser, unknownSystem }: Texts["settings"],
): string {
  const browser = BROWSERS.find((name) => userAgent?.includes(`${name}/`));
  const system = SYSTEMS.find((name) => userAgent?.includes(name));
  const name = (key: string | undefined, otherwise: string) => (key ? (NAMES.get(key) ?? key) : otherwise);
  return device(name(browser, unknownBrowser), name(system, unknownSystem));
}
