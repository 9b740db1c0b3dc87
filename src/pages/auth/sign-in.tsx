import { type Context, Hono } from "hono";
import type { FC } from "hono/jsx";
import { passkeyDomain, readPasskeyUsed } from "../../auth/passkeys.ts";
import { CALLBACK_BASE_PATH, type SocialProvider } from "../../auth/settings.ts";
import { sleep } from "../../time.ts";
import {
  canSendMail,
  openRequestSessions,
  PageError,
  type PagesEnv,
  setCookies,
  siteOrigin,
} from "../env.ts";
import { type FormErrors, PASSKEY_LIMITS, readEmail, readForm, readNext } from "../forms.ts";
import { Field, FormError } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";
import { countOtherSignIn, countPasskeyAsked, countSignIn, signInDelayMs } from "./attempts.ts";
import { Card, configuredProviders, EmailField, type FormState, isSignedIn, SocialSignIn } from "./parts.tsx";

/** Sign-in with a password, a passkey, or through GitHub or Google, and sign-out. */
export const signIn = new Hono<PagesEnv>();

const PASSKEY_PATH = "/sign-in/passkey";

signIn.get("/sign-in", async (c) => {
  const next = readNext(c.req.query("next"));
  if (await isSignedIn(c)) return c.redirect(next, 303);
  const texts = c.get("texts");
  const errors: FormErrors = c.req.query("error") ? { form: texts.auth.otherFailed } : {};
  const page = { ...pageOf(c), next };
  return c.html(<SignInPage {...page} isRequired={c.req.query("next") !== undefined} errors={errors} />);
});

signIn.post("/sign-in", async (c) => {
  const form = await readForm(c);
  const next = readNext(form.get("next"));
  const typed = form.get("email") ?? "";
  const texts = c.get("texts");
  const { auth } = texts;
  const again = (errors: FormErrors) =>
    c.html(<SignInPage {...pageOf(c)} next={next} email={typed} errors={errors} />, 422);
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

/** What the page shows besides the form. */
function pageOf(c: Context<PagesEnv>) {
  return {
    texts: c.get("texts"),
    providers: configuredProviders(c),
    canReset: canSendMail(c),
    withPasskeys: hasPasskeys(c),
  };
}

function hasPasskeys(c: Context<PagesEnv>): boolean {
  return passkeyDomain(siteOrigin(c)) !== null;
}

/** A site with an IP address has no passkeys. */
signIn.use(`${PASSKEY_PATH}/*`, async (c, next) => {
  if (!hasPasskeys(c)) throw new PageError(404, c.get("texts").auth.noMethod);
  await next();
});

/** For the script, which asks the browser with it. */
signIn.post(`${PASSKEY_PATH}/options`, async (c) => {
  await countPasskeyAsked(c);
  const sessions = await openRequestSessions(c);
  const options = await sessions.beginPasskeySignIn();
  setCookies(c, sessions);
  return c.body(options, 200, { "Content-Type": "application/json", "Cache-Control": "private, no-store" });
});

signIn.post(PASSKEY_PATH, async (c) => {
  const form = await readForm(c, PASSKEY_LIMITS);
  const next = readNext(form.get("next"));
  const { auth } = c.get("texts");
  const again = (error: string) =>
    c.html(<SignInPage {...pageOf(c)} next={next} errors={{ form: error }} isPasskeyRefused />, 422);
  const response = readPasskeyUsed(form.get("credential") ?? "");
  if (response === null) return again(auth.passkeyRefused);
  await countOtherSignIn(c);
  const sessions = await openRequestSessions(c);
  const outcome = await sessions.signInWithPasskey(response);
  switch (outcome.kind) {
    case "wrong":
      return again(auth.passkeyRefused);
    case "unverified":
      return again(auth.unverified);
    case "signed_in":
      setCookies(c, sessions);
      return c.redirect(next, 303);
  }
});

/** A reload after an error. */
signIn.get(PASSKEY_PATH, (c) => c.redirect("/sign-in", 303));

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
  await countOtherSignIn(c);
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
    /** Whether passkeys can sign in. */
    withPasskeys: boolean;
    next: string;
    /** Whether a passkey has just failed, so that the script does not offer it again by itself. */
    isPasskeyRefused?: boolean;
    /** Whether a page behind the sign-in sent the visitor here. */
    isRequired?: boolean;
  }
> = ({
  texts,
  providers,
  canReset,
  withPasskeys,
  next,
  isPasskeyRefused = false,
  isRequired = false,
  email,
  errors,
}) => (
  <Card title={texts.auth.signIn} texts={texts} scripts={withPasskeys ? ["passkeys.js"] : []}>
    {isRequired ? <p class="hint">{texts.auth.toContinue}</p> : null}
    <FormError errors={errors} />
    <SocialSignIn providers={providers} next={next} />
    <form method="post" action="/sign-in" novalidate>
      <input type="hidden" name="next" value={next} />
      <EmailField
        email={email}
        errors={errors}
        autocomplete={withPasskeys ? "username webauthn" : "username"}
      />
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
    {withPasskeys ? <PasskeyForm next={next} isRefused={isPasskeyRefused} /> : null}
    <p class="below">
      {canReset ? <a href="/forgot-password">{texts.auth.forgot}</a> : null}
      <span>
        {texts.auth.newHere} <a href="/sign-up">{texts.auth.signUp}</a>
      </span>
    </p>
  </Card>
);

/** Shown by the script, where the browser has passkeys. */
const PasskeyForm: FC<{ next: string; isRefused: boolean }> = ({ next, isRefused }) => {
  const { auth } = useTexts();
  return (
    <form
      method="post"
      action={PASSKEY_PATH}
      data-passkey-options={`${PASSKEY_PATH}/options`}
      data-refused={isRefused ? "" : undefined}
      hidden
    >
      <input type="hidden" name="next" value={next} />
      <input type="hidden" name="credential" />
      <button class="button quiet wide" type="submit">
        {auth.passkeySignIn}
      </button>
      <p class="error" role="alert" />
    </form>
  );
};
