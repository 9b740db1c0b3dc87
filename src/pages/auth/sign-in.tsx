import { Hono } from "hono";
import { readPasskeyUsed } from "../../auth/passkeys.ts";
import { CALLBACK_BASE_PATH } from "../../auth/settings.ts";
import { sleep } from "../../time.ts";
import { openRequestSessions, PageError, type PagesEnv, setCookies } from "../env.ts";
import { type FormErrors, PASSKEY_LIMITS, readEmail, readForm, readNext } from "../forms.ts";
import { countOtherSignIn, countPasskeyAsked, countSignIn, signInDelayMs } from "./attempts.ts";
import { configuredProviders, isSignedIn } from "./parts.tsx";
import { hasPasskeys, PASSKEY_PATH, SignInPage, signInProps } from "./sign-in-page.tsx";

/** Sign-in with a password, a passkey, or through GitHub or Google, and sign-out. */
export const signIn = new Hono<PagesEnv>();

signIn.get("/sign-in", async (c) => {
  const next = readNext(c.req.query("next"));
  if (await isSignedIn(c)) return c.redirect(next, 303);
  const errors: FormErrors = c.req.query("error") ? { form: c.get("texts").auth.otherFailed } : {};
  const isRequired = c.req.query("next") !== undefined;
  return c.html(<SignInPage {...signInProps(c, next)} isRequired={isRequired} errors={errors} />);
});

signIn.post("/sign-in", async (c) => {
  const form = await readForm(c);
  const next = readNext(form.get("next"));
  const typed = form.get("email") ?? "";
  const { auth } = c.get("texts");
  const again = (errors: FormErrors, status: 422 | 429 = 422) =>
    c.html(<SignInPage {...signInProps(c, next)} email={typed} errors={errors} />, status);
  const email = readEmail(typed);
  if (email === null) return again({ email: auth.notAnEmail });
  const password = form.get("password") ?? "";
  if (password === "") return again({ password: auth.enterPassword });
  const attempt = await countSignIn(c, email);
  if (attempt.kind === "limited") return again({ form: auth.tooMany(attempt.minutes) }, 429);
  await sleep(signInDelayMs(attempt.count));
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

/** A site with an IP address has no passkeys. */
signIn.use(`${PASSKEY_PATH}/*`, async (c, next) => {
  if (!hasPasskeys(c)) throw new PageError(404, c.get("texts").auth.noMethod);
  await next();
});

/** For the script, which asks the browser with it. */
signIn.post(`${PASSKEY_PATH}/options`, async (c) => {
  const attempt = await countPasskeyAsked(c);
  if (attempt.kind === "limited") {
    throw new PageError(429, c.get("texts").errors.againInMinutes(attempt.minutes));
  }
  const sessions = await openRequestSessions(c);
  const options = await sessions.beginPasskeySignIn();
  setCookies(c, sessions);
  return c.body(options, 200, { "Content-Type": "application/json", "Cache-Control": "private, no-store" });
});

signIn.post(PASSKEY_PATH, async (c) => {
  const form = await readForm(c, PASSKEY_LIMITS);
  const next = readNext(form.get("next"));
  const { auth } = c.get("texts");
  const again = (error: string, status: 422 | 429 = 422) =>
    c.html(<SignInPage {...signInProps(c, next)} errors={{ form: error }} isPasskeyRefused />, status);
  const response = readPasskeyUsed(form.get("credential") ?? "");
  if (response === null) return again(auth.passkeyRefused);
  const attempt = await countOtherSignIn(c);
  if (attempt.kind === "limited") return again(auth.tooMany(attempt.minutes), 429);
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
  const attempt = await countOtherSignIn(c);
  if (attempt.kind === "limited") {
    const errors = { form: c.get("texts").auth.tooMany(attempt.minutes) };
    return c.html(<SignInPage {...signInProps(c, next)} errors={errors} />, 429);
  }
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
