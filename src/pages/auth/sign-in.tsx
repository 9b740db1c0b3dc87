import { Hono } from "hono";
import type { FC } from "hono/jsx";
import { CALLBACK_BASE_PATH, type SocialProvider } from "../../auth/settings.ts";
import { sleep } from "../../time.ts";
import { canSendMail, openRequestSessions, PageError, type PagesEnv, setCookies } from "../env.ts";
import { type FormErrors, readEmail, readForm, readNext } from "../forms.ts";
import { Field, FormError } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { countSignIn, countSocialSignIn, signInDelayMs } from "./attempts.ts";
import { Card, configuredProviders, EmailField, type FormState, isSignedIn, SocialSignIn } from "./parts.tsx";

/** Sign-in with a password or through GitHub or Google, and sign-out. */
export const signIn = new Hono<PagesEnv>();

signIn.get("/sign-in", async (c) => {
  const next = readNext(c.req.query("next"));
  if (await isSignedIn(c)) return c.redirect(next, 303);
  const texts = c.get("texts");
  const errors: FormErrors = c.req.query("error") ? { form: texts.auth.otherFailed } : {};
  const page = { texts, providers: configuredProviders(c), canReset: canSendMail(c), next };
  return c.html(<SignInPage {...page} isRequired={c.req.query("next") !== undefined} errors={errors} />);
});

signIn.post("/sign-in", async (c) => {
  const form = await readForm(c);
  const next = readNext(form.get("next"));
  const typed = form.get("email") ?? "";
  const texts = c.get("texts");
  const { auth } = texts;
  const again = (errors: FormErrors) => {
    const page = { texts, providers: configuredProviders(c), canReset: canSendMail(c), next };
    return c.html(<SignInPage {...page} email={typed} errors={errors} />, 422);
  };
  const email = readEmail(typed);
  if (email === null) return again({ email: auth.notAnEmail });
  const password = form.get("password") ?? "";
  if (password === "") return again({ password: auth.enterPassword });
  await sleep(signInDelayMs(await countSignIn(c, email)));
  const sessions = await openRequestSessions(c);
  const outcome = await sessions.signIn(email, password);
  switch (outcome.kind) {
    case "wrong":
      return again({ form: auth.wrong });
    case "unverified":
      return again({ form: auth.unverified });
    case "signed_in":
      setCookies(c, sessions);
      return c.redirect(next, 303);
  }
});

signIn.post("/sign-out", async (c) => {
  const sessions = await openRequestSessions(c);
  await sessions.signOut();
  setCookies(c, sessions);
  return c.redirect(c.get("texts").paths.home, 303);
});

signIn.post(`${CALLBACK_BASE_PATH}/:provider`, async (c) => {
  const provider = configuredProviders(c).find((name) => name === c.req.param("provider"));
  if (!provider) throw new PageError(404, c.get("texts").auth.noMethod);
  const next = readNext((await readForm(c)).get("next"));
  await countSocialSignIn(c);
  const sessions = await openRequestSessions(c);
  const url = await sessions.beginSignInWith(provider, next);
  setCookies(c, sessions);
  return c.redirect(url, 303);
});

signIn.get(`${CALLBACK_BASE_PATH}/callback/:provider`, async (c) => {
  if (!configuredProviders(c).some((name) => name === c.req.param("provider"))) {
    throw new PageError(404, c.get("texts").auth.noMethod);
  }
  return await (await openRequestSessions(c)).returnFrom(c.req.raw);
});

const SignInPage: FC<
  FormState & {
    texts: Texts;
    providers: readonly SocialProvider[];
    canReset: boolean;
    next: string;
    /** Whether a page behind the sign-in sent the visitor here. */
    isRequired?: boolean;
  }
> = ({ texts, providers, canReset, next, isRequired = false, email, errors }) => (
  <Card title={texts.auth.signIn} texts={texts}>
    {isRequired ? <p class="hint">{texts.auth.toContinue}</p> : null}
    <FormError errors={errors} />
    <SocialSignIn providers={providers} next={next} />
    <form method="post" action="/sign-in" novalidate>
      <input type="hidden" name="next" value={next} />
      <EmailField email={email} errors={errors} />
      <Field
        name="password"
        label={texts.auth.password}
        type="password"
        errors={errors}
        autocomplete="current-password"
        required
      />
      <button class="button wide" type="submit">
        {texts.auth.signIn}
      </button>
    </form>
    <p class="below">
      {canReset ? <a href="/forgot-password">{texts.auth.forgot}</a> : null}
      <span>
        {texts.auth.newHere} <a href="/sign-up">{texts.auth.signUp}</a>
      </span>
    </p>
  </Card>
);
