import { type Context, Hono } from "hono";
import type { Child, FC } from "hono/jsx";
import { sendsRealMail } from "../auth/mailer.ts";
import {
  CALLBACK_BASE_PATH,
  EMAIL_LENGTH_MAX,
  PASSWORD_LENGTH_MAX,
  PASSWORD_LENGTH_MIN,
  RESET_PATH,
  type SocialProvider,
  socialProviders,
  VERIFY_PATH,
} from "../auth/settings.ts";
import { type Counted, countAttempts } from "../auth/throttle.ts";
import { readConfig } from "../config.ts";
import { networkOf } from "../network.ts";
import { isLoopback } from "../origin.ts";
import { sleep } from "../time.ts";
import { openRequestSessions, PageError, type PagesEnv, setCookies, siteOrigin } from "./env.ts";
import { type FormErrors, passwordFault, readEmail, readForm, readNext } from "./forms.ts";
import { MessagePage, PublicPage } from "./layout.tsx";
import { Field, FormError } from "./parts.tsx";

export const signIn = new Hono<PagesEnv>();

const MINUTE_MS = 60_000;
/**
 * In ten minutes: tries for one e-mail address from one network, and from one network in all. Tries for an address from
 * all networks together only slow down the next ones, or anybody could lock its owner out.
 */
export const SIGN_INS_PER_EMAIL_MAX = 10;
export const SIGN_INS_PER_NETWORK_MAX = 30;
export const SIGN_INS_FAST_MAX = 10;
const SLOWER_MS = 500;
const SLOWER_MS_MAX = 10_000;
/** In an hour. */
export const SIGN_UPS_PER_NETWORK_MAX = 20;
export const RESETS_PER_EMAIL_MAX = 3;
export const RESETS_PER_NETWORK_MAX = 20;

const SITE_NAMES: Record<SocialProvider, string> = { github: "GitHub", google: "Google" };

const WRONG = "The e-mail address or the password is wrong.";
const NOT_AN_EMAIL = "Enter an e-mail address, such as ada@example.com.";
const LINK_IS_OVER = "This link is used up or too old. Ask for a new one.";

signIn.get("/sign-in", async (c) => {
  const next = readNext(c.req.query("next"));
  if (await isSignedIn(c)) return c.redirect(next, 303);
  const errors: FormErrors = c.req.query("error")
    ? { form: "The other site did not sign you in. If you have a password here, sign in with it." }
    : {};
  return c.html(
    <SignInPage sites={sites(c)} next={next} asked={c.req.query("next") !== undefined} errors={errors} />,
  );
});

signIn.post("/sign-in", async (c) => {
  const form = await readForm(c);
  const next = readNext(form.get("next"));
  const typed = form.get("email") ?? "";
  const again = (errors: FormErrors) =>
    c.html(<SignInPage sites={sites(c)} next={next} email={typed} errors={errors} />, 422);
  const email = readEmail(typed);
  if (email === null) return again({ email: NOT_AN_EMAIL });
  const password = form.get("password") ?? "";
  if (password === "") return again({ password: "Enter your password." });
  const [, , inAll] = await limit(c, 10 * MINUTE_MS, [
    ["in_email", `${email} ${network(c)}`, SIGN_INS_PER_EMAIL_MAX],
    ["in", network(c), SIGN_INS_PER_NETWORK_MAX],
    ["in_all", email, null],
  ]);
  await sleep(signInDelayMs(inAll?.count ?? 0));
  const sessions = await openRequestSessions(c);
  const outcome = await sessions.signIn(email, password);
  switch (outcome.kind) {
    case "wrong":
      return again({ form: WRONG });
    case "unverified":
      return again({ form: "Confirm your e-mail address first: a new link is on its way to you." });
    case "signed_in":
      setCookies(c, sessions);
      return c.redirect(next, 303);
  }
});

signIn.get("/sign-up", async (c) => {
  if (await isSignedIn(c)) return c.redirect("/account", 303);
  return c.html(<SignUpPage sites={sites(c)} credits={signupCredits(c)} />);
});

signIn.post("/sign-up", async (c) => {
  const form = await readForm(c);
  const typed = form.get("email") ?? "";
  const again = (errors: FormErrors) =>
    c.html(<SignUpPage sites={sites(c)} credits={signupCredits(c)} email={typed} errors={errors} />, 422);
  const email = readEmail(typed);
  if (email === null) return again({ email: NOT_AN_EMAIL });
  const password = form.get("password") ?? "";
  const fault = passwordFault(password);
  if (fault !== null) return again({ password: fault });
  await limit(c, 60 * MINUTE_MS, [["up", network(c), SIGN_UPS_PER_NETWORK_MAX]]);
  const sessions = await openRequestSessions(c);
  const outcome = await sessions.signUp(email, password);
  switch (outcome.kind) {
    case "taken":
      return again({
        email: "An account with this address exists already. Sign in, or choose a new password.",
      });
    case "mailed":
      return c.html(
        <MessagePage title="Look into your mail">
          <p>A link to confirm your address is on its way to {email}. It works for an hour.</p>
        </MessagePage>,
      );
    case "signed_in":
      setCookies(c, sessions);
      return c.redirect("/account?welcome=1", 303);
  }
});

signIn.post("/sign-out", async (c) => {
  const sessions = await openRequestSessions(c);
  await sessions.signOut();
  setCookies(c, sessions);
  return c.redirect("/", 303);
});

signIn.get("/forgot-password", (c) => c.html(<ForgotPage />));

signIn.post("/forgot-password", async (c) => {
  const typed = (await readForm(c)).get("email") ?? "";
  const email = readEmail(typed);
  if (email === null) return c.html(<ForgotPage email={typed} errors={{ email: NOT_AN_EMAIL }} />, 422);
  const [inAll] = await limit(c, 60 * MINUTE_MS, [
    ["reset_email", email, null],
    ["reset", network(c), RESETS_PER_NETWORK_MAX],
  ]);
  const sessions = await openRequestSessions(c);
  // Beyond that the links of the last hour, which still work, are in the mailbox: more would only fill it.
  if ((inAll?.count ?? 0) <= RESETS_PER_EMAIL_MAX) await sessions.requestPasswordReset(email);
  return c.html(
    <MessagePage title="Look into your mail">
      <p>
        If {email} has an account, a link to choose a new password is on its way there. It works for an hour.
      </p>
    </MessagePage>,
  );
});

signIn.get(RESET_PATH, (c) => c.html(<ResetPage token={c.req.query("token") ?? ""} />));

signIn.post(RESET_PATH, async (c) => {
  const form = await readForm(c);
  const token = form.get("token") ?? "";
  const password = form.get("password") ?? "";
  const again = (errors: FormErrors) => c.html(<ResetPage token={token} errors={errors} />, 422);
  const fault = passwordFault(password);
  if (fault !== null) return again({ password: fault });
  await limit(c, 60 * MINUTE_MS, [["reset", network(c), RESETS_PER_NETWORK_MAX]]);
  const changed = await (await openRequestSessions(c)).resetPassword(token, password);
  if (!changed) return again({ form: LINK_IS_OVER });
  return c.html(
    <MessagePage title="Your password is changed">
      <p>
        Every session of your account has ended. <a href="/sign-in">Sign in</a> with the new password.
      </p>
    </MessagePage>,
  );
});

signIn.get(VERIFY_PATH, async (c) => {
  const sessions = await openRequestSessions(c);
  if (!(await sessions.verifyEmail(c.req.query("token") ?? ""))) throw new PageError(400, LINK_IS_OVER);
  setCookies(c, sessions);
  return c.redirect("/account?welcome=1", 303);
});

signIn.post(`${CALLBACK_BASE_PATH}/:site`, async (c) => {
  const site = sites(c).find((name) => name === c.req.param("site"));
  if (!site) throw new PageError(404, "There is no page at this address.");
  const next = readNext((await readForm(c)).get("next"));
  await limit(c, 10 * MINUTE_MS, [["in", network(c), SIGN_INS_PER_NETWORK_MAX]]);
  const sessions = await openRequestSessions(c);
  const url = await sessions.beginSignInWith(site, next);
  setCookies(c, sessions);
  return c.redirect(url, 303);
});

signIn.get(`${CALLBACK_BASE_PATH}/callback/:site`, async (c) => {
  if (!sites(c).some((name) => name === c.req.param("site"))) {
    throw new PageError(404, "There is no page at this address.");
  }
  return await (await openRequestSessions(c)).returnFrom(c.req.raw);
});

/** Without a session cookie there is none, and the library need not be loaded to say so. */
async function isSignedIn(c: Context<PagesEnv>): Promise<boolean> {
  if (!c.req.header("Cookie")?.includes("gih.session_token")) return false;
  return (await (await openRequestSessions(c)).current()) !== null;
}

/** The credits that signing up with an address brings: none where no mail can prove it. */
function signupCredits(c: Context<PagesEnv>): number {
  const config = readConfig(c.env);
  return sendsRealMail(config) || isLoopback(siteOrigin(c)) ? config.SIGNUP_CREDITS : 0;
}

function sites(c: Context<PagesEnv>): SocialProvider[] {
  const configured = socialProviders(readConfig(c.env));
  const names: SocialProvider[] = ["github", "google"];
  return names.filter((name) => configured[name]);
}

/** Where the request comes from, as the platform says. In development all requests come from one network. */
function network(c: Context<PagesEnv>): string {
  return networkOf(c.req.header("CF-Connecting-IP") ?? "unknown");
}

/** How long a try for an account is held back that was tried so often. @param count this try included */
export function signInDelayMs(count: number): number {
  return Math.min(Math.max(0, count - SIGN_INS_FAST_MAX) * SLOWER_MS, SLOWER_MS_MAX);
}

/**
 * Counts a try.
 * @param tries what is counted, for whom, and how often it may be; null where it is only counted
 * @throws {PageError} 429 where one of them was tried more often
 */
async function limit(
  c: Context<PagesEnv>,
  spanMs: number,
  tries: readonly (readonly [what: string, who: string, most: number | null])[],
): Promise<Counted[]> {
  const attempts = tries.map(([what, who]) => ({ key: `${what}:${who}`, spanMs }));
  const counted = await countAttempts(c.env.DB, attempts, Date.now());
  const passed = counted.filter(({ count }, at) => count > (tries[at]?.[2] ?? Number.POSITIVE_INFINITY));
  if (passed.length === 0) return counted;
  const seconds = Math.max(...passed.map(({ waitSeconds }) => waitSeconds));
  c.header("Retry-After", String(seconds));
  throw new PageError(429, `That was tried too often. Please wait ${Math.ceil(seconds / 60)} minutes.`);
}

const Card: FC<{ title: string; children?: Child }> = ({ title, children }) => (
  <PublicPage title={`${title} · GPT Image Hub`} plain>
    <div class="wrap card-wrap">
      <div class="card">
        <h1>{title}</h1>
        {children}
      </div>
    </div>
  </PublicPage>
);

const Sites: FC<{ sites: readonly SocialProvider[]; next: string }> = ({ sites, next }) =>
  sites.length === 0 ? null : (
    <div class="sites">
      {sites.map((site) => (
        <form method="post" action={`${CALLBACK_BASE_PATH}/${site}`}>
          <input type="hidden" name="next" value={next} />
          <button class="button quiet wide" type="submit">
            Continue with {SITE_NAMES[site]}
          </button>
        </form>
      ))}
      <p class="or">or with a password</p>
    </div>
  );

type Asked = { email?: string; errors?: FormErrors };

const SignInPage: FC<Asked & { sites: readonly SocialProvider[]; next: string; asked?: boolean }> = ({
  sites,
  next,
  asked = false,
  email,
  errors,
}) => (
  <Card title="Sign in">
    {asked ? <p class="hint">Sign in to go on; you will be back where you were.</p> : null}
    <FormError errors={errors} />
    <Sites sites={sites} next={next} />
    <form method="post" action="/sign-in" novalidate>
      <input type="hidden" name="next" value={next} />
      <Field
        name="email"
        label="E-mail address"
        type="email"
        value={email}
        errors={errors}
        autocomplete="username"
        maxlength={EMAIL_LENGTH_MAX}
        required
      />
      <Field
        name="password"
        label="Password"
        type="password"
        errors={errors}
        autocomplete="current-password"
        required
      />
      <button class="button wide" type="submit">
        Sign in
      </button>
    </form>
    <p class="below">
      <a href="/forgot-password">Forgot the password?</a>
      <span>
        New here? <a href="/sign-up">Create an account</a>
      </span>
    </p>
  </Card>
);

const SignUpPage: FC<Asked & { sites: readonly SocialProvider[]; credits: number }> = ({
  sites,
  credits,
  email,
  errors,
}) => (
  <Card title="Create an account">
    {credits > 0 ? (
      <p class="hint">It is free, and {credits} credits for 30 days come with it.</p>
    ) : (
      <p class="hint">It is free. Pictures cost credits: ask whoever runs this service for some.</p>
    )}
    <FormError errors={errors} />
    <Sites sites={sites} next="/account" />
    <form method="post" action="/sign-up" novalidate>
      <Field
        name="email"
        label="E-mail address"
        type="email"
        value={email}
        errors={errors}
        autocomplete="username"
        maxlength={EMAIL_LENGTH_MAX}
        required
      />
      <NewPassword errors={errors} />
      <button class="button wide" type="submit">
        Create the account
      </button>
    </form>
    <p class="below">
      <span>
        Have one already? <a href="/sign-in">Sign in</a>
      </span>
    </p>
  </Card>
);

const ForgotPage: FC<Asked> = ({ email, errors }) => (
  <Card title="Choose a new password">
    <p class="hint">We send you a link that works for an hour.</p>
    <form method="post" action="/forgot-password" novalidate>
      <Field
        name="email"
        label="E-mail address"
        type="email"
        value={email}
        errors={errors}
        autocomplete="username"
        required
      />
      <button class="button wide" type="submit">
        Send the link
      </button>
    </form>
  </Card>
);

const ResetPage: FC<{ token: string; errors?: FormErrors }> = ({ token, errors }) => (
  <Card title="Choose a new password">
    <FormError errors={errors} />
    <form method="post" action={RESET_PATH} novalidate>
      <input type="hidden" name="token" value={token} />
      <NewPassword errors={errors} />
      <button class="button wide" type="submit">
        Change the password
      </button>
    </form>
  </Card>
);

const NewPassword: FC<{ errors?: FormErrors | undefined }> = ({ errors }) => (
  <Field
    name="password"
    label="Password"
    type="password"
    hint={`At least ${PASSWORD_LENGTH_MIN} characters; a few words together are easy to remember.`}
    errors={errors}
    autocomplete="new-password"
    minlength={PASSWORD_LENGTH_MIN}
    maxlength={PASSWORD_LENGTH_MAX}
    required
  />
);
