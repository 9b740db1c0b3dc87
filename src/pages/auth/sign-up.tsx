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
import type { Texts } from "../texts/english.tsx";
import { countSignUp } from "./attempts.ts";
import {
  Card,
  configuredProviders,
  EmailField,
  type FormState,
  isSignedIn,
  NewPasswordField,
  SocialSignIn,
} from "./parts.tsx";
import { SignInPage, signInProps } from "./sign-in-page.tsx";

/** Sign-up, and the link that confirms an email address. */
export const signUp = new Hono<PagesEnv>();

signUp.get("/sign-up", async (c) => {
  if (await isSignedIn(c)) return c.redirect("/account", 303);
  const page = { providers: configuredProviders(c), credits: signupCredits(c) };
  return c.html(<SignUpPage texts={c.get("texts")} {...page} />);
});

signUp.post("/sign-up", async (c) => {
  const form = await readForm(c);
  const typed = form.get("email") ?? "";
  const texts = c.get("texts");
  const { auth } = texts;
  const again = (errors: FormErrors, status: 422 | 429 = 422) => {
    const page = { providers: configuredProviders(c), credits: signupCredits(c) };
    return c.html(<SignUpPage texts={texts} {...page} email={typed} errors={errors} />, status);
  };
  const email = readEmail(typed);
  if (email === null) return again({ email: auth.notAnEmail });
  const password = form.get("password") ?? "";
  const fault = passwordFault(password, texts);
  if (fault !== null) return again({ password: fault });
  const attempt = await countSignUp(c);
  if (attempt.kind === "limited") return again({ form: auth.tooMany(attempt.minutes) }, 429);
  const sessions = await openRequestSessions(c);
  const outcome = await sessions.signUp(email, password);
  switch (outcome.kind) {
    case "taken": {
      // Only where no mail can verify an address, so that a sign-up has to tell. The way on is to sign in.
      const page = { ...signInProps(c, "/account"), email, errors: { form: auth.taken } };
      return c.html(<SignInPage {...page} />, 422);
    }
    case "mailed":
      return c.html(
        <MessagePage title={auth.checkEmail} texts={texts}>
          <p>{auth.confirmationSent(email)}</p>
        </MessagePage>,
      );
    case "signed_in":
      setCookies(c, sessions);
      return c.redirect("/account?welcome=1", 303);
  }
});

signUp.get(VERIFY_PATH, async (c) => {
  const sessions = await openRequestSessions(c);
  const isVerified = await sessions.verifyEmail(c.req.query("token") ?? "");
  if (!isVerified) throw new PageError(400, c.get("texts").auth.linkExpired);
  setCookies(c, sessions);
  return c.redirect("/account?welcome=1", 303);
});

/** The credits for signing up with an email address: 0 where no mail can verify it. */
function signupCredits(c: Context<PagesEnv>): number {
  const config = readConfig(c.env);
  return sendsRealMail(config) || isLoopback(siteOrigin(c)) ? config.SIGNUP_CREDITS : 0;
}

type SignUpProps = FormState & { texts: Texts; providers: readonly SocialProvider[]; credits: number };

const SignUpPage: FC<SignUpProps> = ({ texts, providers, credits, email, errors }) => (
  <Card title={texts.auth.signUp} texts={texts}>
    <p class="hint">{credits > 0 ? texts.auth.free(credits) : texts.auth.freeWithout}</p>
    <FormError errors={errors} />
    <SocialSignIn providers={providers} next="/account" />
    <form method="post" action="/sign-up" novalidate>
      <EmailField email={email} errors={errors} />
      <NewPasswordField errors={errors} />
      <button class="button wide" type="submit">
        {texts.auth.createAccount}
      </button>
    </form>
    <p class="below">
      <span>
        {texts.auth.haveAccount} <a href="/sign-in">{texts.auth.signIn}</a>
      </span>
    </p>
  </Card>
);
