import { type Context, Hono } from "hono";
import type { FC } from "hono/jsx";
import { type SocialProvider, VERIFY_PATH } from "../../auth/settings.ts";
import { readConfig } from "../../config.ts";
import { sendsRealMail } from "../../mailer.ts";
import { isLoopback } from "../../origin.ts";
import { openRequestSessions, PageError, type PagesEnv, setCookies, siteOrigin } from "../env.ts";
import { type FormErrors, passwordFault, readEmail, readForm } from "../forms.ts";
import { MessagePage } from "../layout.tsx";
import { FormError } from "../parts.tsx";
import { countSignUp } from "./attempts.ts";
import {
  Card,
  configuredProviders,
  EmailField,
  type FormState,
  isSignedIn,
  LINK_EXPIRED,
  NewPasswordField,
  NOT_AN_EMAIL,
  SocialSignIn,
} from "./parts.tsx";

/** Sign-up, and the link that confirms an email address. */
export const signUp = new Hono<PagesEnv>();

signUp.get("/sign-up", async (c) => {
  if (await isSignedIn(c)) return c.redirect("/account", 303);
  return c.html(<SignUpPage providers={configuredProviders(c)} credits={signupCredits(c)} />);
});

signUp.post("/sign-up", async (c) => {
  const form = await readForm(c);
  const typed = form.get("email") ?? "";
  const again = (errors: FormErrors) => {
    const page = { providers: configuredProviders(c), credits: signupCredits(c) };
    return c.html(<SignUpPage {...page} email={typed} errors={errors} />, 422);
  };
  const email = readEmail(typed);
  if (email === null) return again({ email: NOT_AN_EMAIL });
  const password = form.get("password") ?? "";
  const fault = passwordFault(password);
  if (fault !== null) return again({ password: fault });
  await countSignUp(c);
  const sessions = await openRequestSessions(c);
  const outcome = await sessions.signUp(email, password);
  switch (outcome.kind) {
    case "taken":
      return again({ email: "An account with this email already exists. Sign in instead." });
    case "mailed":
      return c.html(
        <MessagePage title="Check your email">
          <p>We sent a confirmation link to {email}. It expires in one hour.</p>
        </MessagePage>,
      );
    case "signed_in":
      setCookies(c, sessions);
      return c.redirect("/account?welcome=1", 303);
  }
});

signUp.get(VERIFY_PATH, async (c) => {
  const sessions = await openRequestSessions(c);
  if (!(await sessions.verifyEmail(c.req.query("token") ?? ""))) throw new PageError(400, LINK_EXPIRED);
  setCookies(c, sessions);
  return c.redirect("/account?welcome=1", 303);
});

/** The credits for signing up with an email address: 0 where no mail can verify it. */
function signupCredits(c: Context<PagesEnv>): number {
  const config = readConfig(c.env);
  return sendsRealMail(config) || isLoopback(siteOrigin(c)) ? config.SIGNUP_CREDITS : 0;
}

const SignUpPage: FC<FormState & { providers: readonly SocialProvider[]; credits: number }> = ({
  providers,
  credits,
  email,
  errors,
}) => (
  <Card title="Create an account">
    {credits > 0 ? (
      <p class="hint">Free. Includes {credits} credits, valid for 30 days.</p>
    ) : (
      <p class="hint">Free. Images cost credits; contact support to get some.</p>
    )}
    <FormError errors={errors} />
    <SocialSignIn providers={providers} next="/account" />
    <form method="post" action="/sign-up" novalidate>
      <EmailField email={email} errors={errors} />
      <NewPasswordField errors={errors} />
      <button class="button wide" type="submit">
        Create account
      </button>
    </form>
    <p class="below">
      <span>
        Already have an account? <a href="/sign-in">Sign in</a>
      </span>
    </p>
  </Card>
);
