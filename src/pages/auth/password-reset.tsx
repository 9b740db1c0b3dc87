import { Hono } from "hono";
import type { FC } from "hono/jsx";
import { RESET_PATH } from "../../auth/settings.ts";
import { canSendMail, openRequestSessions, PageError, type PagesEnv } from "../env.ts";
import { type FormErrors, passwordFault, readEmail, readForm } from "../forms.ts";
import { MessagePage } from "../layout.tsx";
import { FormError } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { countReset, countResetRequest, RESETS_PER_EMAIL_MAX } from "./attempts.ts";
import { Card, EmailField, type FormState, NewPasswordField } from "./parts.tsx";

/** A new password for an account, by a link in a mail. */
export const passwordReset = new Hono<PagesEnv>();

passwordReset.use("/forgot-password", async (c, next) => {
  if (!canSendMail(c)) {
    throw new PageError(503, c.get("texts").auth.noMail);
  }
  await next();
});

passwordReset.get("/forgot-password", (c) => c.html(<ForgotPage texts={c.get("texts")} />));

passwordReset.post("/forgot-password", async (c) => {
  const texts = c.get("texts");
  const { auth } = texts;
  const typed = (await readForm(c)).get("email") ?? "";
  const email = readEmail(typed);
  const again = (errors: FormErrors, status: 422 | 429 = 422) =>
    c.html(<ForgotPage texts={texts} email={typed} errors={errors} />, status);
  if (email === null) return again({ email: auth.notAnEmail });
  const attempt = await countResetRequest(c, email);
  if (attempt.kind === "limited") return again({ form: auth.tooMany(attempt.minutes) }, 429);
  const sessions = await openRequestSessions(c);
  // Beyond the limit no mail is sent: the links of the last hour still work.
  if (attempt.count <= RESETS_PER_EMAIL_MAX) await sessions.requestPasswordReset(email);
  return c.html(
    <MessagePage title={auth.checkEmail} texts={texts}>
      <p>{auth.resetSent(email)}</p>
    </MessagePage>,
  );
});

passwordReset.get(RESET_PATH, (c) =>
  c.html(<ResetPage texts={c.get("texts")} token={c.req.query("token") ?? ""} />),
);

passwordReset.post(RESET_PATH, async (c) => {
  const texts = c.get("texts");
  const { auth } = texts;
  const form = await readForm(c);
  const token = form.get("token") ?? "";
  const password = form.get("password") ?? "";
  const again = (errors: FormErrors, status: 422 | 429 = 422) =>
    c.html(<ResetPage texts={texts} token={token} errors={errors} />, status);
  const fault = passwordFault(password, texts);
  if (fault !== null) return again({ password: fault });
  const attempt = await countReset(c);
  if (attempt.kind === "limited") return again({ form: auth.tooMany(attempt.minutes) }, 429);
  const changed = await (await openRequestSessions(c)).resetPassword(token, password);
  if (!changed) return again({ form: auth.linkExpired });
  return c.html(
    <MessagePage title={auth.changed} texts={texts}>
      <p>{auth.signedOut(<a href="/sign-in">{auth.signInAgain}</a>)}</p>
    </MessagePage>,
  );
});

const ForgotPage: FC<FormState & { texts: Texts }> = ({ texts, email, errors }) => (
  <Card title={texts.auth.reset} texts={texts}>
    <p class="hint">{texts.auth.resetHint}</p>
    <FormError errors={errors} />
    <form method="post" action="/forgot-password" novalidate>
      <EmailField email={email} errors={errors} />
      <button class="button wide" type="submit">
        {texts.auth.sendLink}
      </button>
    </form>
  </Card>
);

const ResetPage: FC<{ texts: Texts; token: string; errors?: FormErrors }> = ({ texts, token, errors }) => (
  <Card title={texts.auth.choose} texts={texts}>
    <FormError errors={errors} />
    <form method="post" action={RESET_PATH} novalidate>
      <input type="hidden" name="token" value={token} />
      <NewPasswordField errors={errors} />
      <button class="button wide" type="submit">
        {texts.auth.change}
      </button>
    </form>
  </Card>
);
