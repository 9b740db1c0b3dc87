import { Hono } from "hono";
import type { FC } from "hono/jsx";
import type { SessionSummary, SignedIn } from "../../auth/sessions.ts";
import { PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN } from "../../auth/settings.ts";
import { countAttempts } from "../../auth/throttle.ts";
import { PageError, type PagesEnv } from "../env.ts";
import { type FormErrors, passwordFault, readForm } from "../forms.ts";
import { AccountPage } from "../layout.tsx";
import { Field, FormError, Time } from "../parts.tsx";

export const settings = new Hono<PagesEnv>();

const PASSWORD_CHANGES_MAX = 10;
const PASSWORD_CHANGES_SPAN_MS = 10 * 60_000;

settings.get("/", async (c) => {
  const sessions = c.get("sessions");
  const signedIn = c.get("signedIn");
  const [list, hasPassword] = await Promise.all([sessions.list(), sessions.hasPassword(signedIn.userId)]);
  const done = c.req.query("done") !== undefined;
  return c.html(<SettingsPage signedIn={signedIn} list={list} hasPassword={hasPassword} done={done} />);
});

settings.post("/password", async (c) => {
  const sessions = c.get("sessions");
  const signedIn = c.get("signedIn");
  const form = await readForm(c);
  const again = async (errors: FormErrors) => {
    const list = await sessions.list();
    return c.html(<SettingsPage signedIn={signedIn} list={list} hasPassword errors={errors} />, 422);
  };
  const current = form.get("current") ?? "";
  const password = form.get("password") ?? "";
  if (current === "") return await again({ current: "Enter your current password." });
  const fault = passwordFault(password);
  if (fault !== null) return await again({ password: fault });
  const attempt = { key: `password:${signedIn.userId}`, spanMs: PASSWORD_CHANGES_SPAN_MS };
  const [tried] = await countAttempts(c.env.DB, [attempt], Date.now());
  if (tried && tried.count > PASSWORD_CHANGES_MAX) {
    throw new PageError(429, "That was tried too often. Please wait ten minutes.");
  }
  if (!(await sessions.changePassword(current, password))) {
    return await again({ current: "This is not your current password." });
  }
  return c.redirect("/account/settings?done=1", 303);
});

settings.get("/password", (c) => c.redirect("/account/settings", 303));

settings.post("/sessions/end", async (c) => {
  await c.get("sessions").signOutEverywhere();
  return c.redirect("/sign-in", 303);
});

settings.get("/sessions", (c) => c.redirect("/account/settings", 303));

const SettingsPage: FC<{
  signedIn: SignedIn;
  list: readonly SessionSummary[];
  hasPassword: boolean;
  done?: boolean;
  errors?: FormErrors;
}> = ({ signedIn, list, hasPassword, done = false, errors }) => (
  <AccountPage title="Settings" at="/account/settings" signedIn={signedIn}>
    <div class="narrow">
      <h1>Settings</h1>
      {done ? (
        <div class="notice good" role="status">
          <p>Your password is changed. Every other session has ended.</p>
        </div>
      ) : null}
      <section aria-labelledby="who">
        <h2 id="who">Account</h2>
        <dl class="facts-list">
          <div>
            <dt>E-mail address</dt>
            <dd>{signedIn.email}</dd>
          </div>
          <div>
            <dt>Account type</dt>
            <dd>{signedIn.accountType}</dd>
          </div>
        </dl>
      </section>
      <section aria-labelledby="password-title">
        <h2 id="password-title">Password</h2>
        <FormError errors={errors} />
        {hasPassword ? (
          <form method="post" action="/account/settings/password" class="panel" novalidate>
            <input type="hidden" name="username" value={signedIn.email} autocomplete="username" />
            <Field
              name="current"
              label="Current password"
              type="password"
              errors={errors}
              autocomplete="current-password"
              required
            />
            <Field
              name="password"
              label="New password"
              type="password"
              hint={`At least ${PASSWORD_LENGTH_MIN} characters.`}
              errors={errors}
              autocomplete="new-password"
              maxlength={PASSWORD_LENGTH_MAX}
              required
            />
            <button class="button" type="submit">
              Change the password
            </button>
          </form>
        ) : (
          <p>
            You sign in by another site. To have a password as well,{" "}
            <a href="/forgot-password">choose one by mail</a>.
          </p>
        )}
      </section>
      <section aria-labelledby="sessions-title">
        <h2 id="sessions-title">Where you are signed in</h2>
        <ul class="plain ruled">
          {list.map(({ token, createdAt, userAgent }) => (
            <li>
              <span>
                {deviceOf(userAgent)}
                {token === signedIn.token ? <strong class="here"> This one</strong> : null}
              </span>
              <span class="hint">
                since <Time at={createdAt} />
              </span>
            </li>
          ))}
        </ul>
        <form method="post" action="/account/settings/sessions/end">
          <button class="button quiet" type="submit">
            Sign out everywhere
          </button>
        </form>
      </section>
    </div>
  </AccountPage>
);

const BROWSERS = ["Edg", "OPR", "Firefox", "Chrome", "Safari"] as const;
const SYSTEMS = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"] as const;
const NAMES: ReadonlyMap<string, string> = new Map([
  ["Edg", "Edge"],
  ["OPR", "Opera"],
  ["Mac OS", "macOS"],
]);

/** A guess good enough to tell one's own devices apart. */
function deviceOf(userAgent: string | null): string {
  const browser = BROWSERS.find((name) => userAgent?.includes(`${name}/`));
  const system = SYSTEMS.find((name) => userAgent?.includes(name));
  const name = (key: string | undefined, otherwise: string) => (key ? (NAMES.get(key) ?? key) : otherwise);
  return `${name(browser, "A browser")} on ${name(system, "some system")}`;
}
