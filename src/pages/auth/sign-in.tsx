import { Hono } from "hono";
import type { FC } from "hono/jsx";
import { CALLBACK_BASE_PATH, type SocialProvider } from "../../auth/settings.ts";
import { sleep } from "../../time.ts";
import { canSendMail, openRequestSessions, PageError, type PagesEnv, setCookies } from "../env.ts";
import { type FormErrors, readEmail, readForm, readNext } from "../forms.ts";
import { Field, FormError } from "../parts.tsx";
import { countSignIn, countSocialSignIn, signInDelayMs } from "./attempts.ts";
import {
  Card,
  configuredProviders,
  EmailField,
  type FormState,
  isSignedIn,
  NOT_AN_EMAIL,
  SocialSignIn,
} from "./parts.tsx";

/** Sign-in with a password or through GitHub or Google, and sign-out. */
export const signIn = new Hono<PagesEnv>();

signIn.get("/sign-in", async (c) => {
  const next = readNext(c.req.query("next"));
  if (await isSignedIn(c)) return c.redirect(next, 303);
  const errors: FormErrors = c.req.query("error")
    ? { form: "Sign-in with the other service failed. Try again, or use your password." }
    : {};
  const page = { providers: configuredProviders(c), canReset: canSendMail(c), next };
  return c.html(<SignInPage {...page} isRequired={c.req.query("next") !== undefined} errors={errors} />);
});

signIn.post("/sign-in", async (c) => {
  const form = await readForm(c);
  const next = readNext(form.get("next"));
  const typed = form.get("email") ?? "";
  const again = (errors: FormErrors) => {
    const page = { providers: configuredProviders(c), canReset: canSendMail(c), next };
    return c.html(<SignInPage {...page} email={typed} errors={errors} />, 422);
  };
  const email = readEmail(typed);
  if (email === null) return again({ email: NOT_AN_EMAIL });
  const password = form.get("password") ?? "";
  if (password === "") return again({ password: "Enter your password." });
  await sleep(signInDelayMs(await countSignIn(c, email)));
  const sessions = await openRequestSessions(c);
  const outcome = await sessions.signIn(email, password);
  switch (outcome.kind) {
    case "wrong":
      return again({ form: "Wrong email or password." });
    case "unverified":
      return again({ form: "Confirm your email address first. We sent you a new link." });
    case "signed_in":
      setCookies(c, sessions);
      return c.redirect(next, 303);
  }
});

signIn.post("/sign-out", async (c) => {
  const sessions = await openRequestSessions(c);
  await sessions.signOut();
  setCookies(c, sessions);
  return c.redirect("/", 303);
});

signIn.post(`${CALLBACK_BASE_PATH}/:provider`, async (c) => {
  const provider = configuredProviders(c).find((name) => name === c.req.param("provider"));
  if (!provider) throw new PageError(404, "This sign-in method is not available.");
  const next = readNext((await readForm(c)).get("next"));
  await countSocialSignIn(c);
  const sessions = await openRequestSessions(c);
  const url = await sessions.beginSignInWith(provider, next);
  setCookies(c, sessions);
  return c.redirect(url, 303);
});

signIn.get(`${CALLBACK_BASE_PATH}/callback/:provider`, async (c) => {
  if (!configuredProviders(c).some((name) => name === c.req.param("provider"))) {
    throw new PageError(404, "This sign-in method is not available.");
  }
  return await (await openRequestSessions(c)).returnFrom(c.req.raw);
});

const SignInPage: FC<
  FormState & {
    providers: readonly SocialProvider[];
    canReset: boolean;
    next: string;
    /** Whether a page behind the sign-in sent the visitor here. */
    isRequired?: boolean;
  }
> = ({ providers, canReset, next, isRequired = false, email, errors }) => (
  <Card title="Sign in">
    {isRequired ? <p class="hint">Sign in to continue.</p> : null}
    <FormError errors={errors} />
    <SocialSignIn providers={providers} next={next} />
    <form method="post" action="/sign-in" novalidate>
      <input type="hidden" name="next" value={next} />
      <EmailField email={email} errors={errors} />
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
      {canReset ? <a href="/forgot-password">Forgot your password?</a> : null}
      <span>
        New here? <a href="/sign-up">Create an account</a>
      </span>
    </p>
  </Card>
);
