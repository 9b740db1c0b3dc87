import { Hono } from "hono";
import type { FC } from "hono/jsx";
import { RESET_PATH } from "../../auth/settings.ts";
import { canSendMail, openRequestSessions, PageError, type PagesEnv } from "../env.ts";
import { type FormErrors, passwordFault, readEmail, readForm } from "../forms.ts";
import { MessagePage } from "../layout.tsx";
import { FormError } from "../parts.tsx";
import { countReset, countResetRequest, RESETS_PER_EMAIL_MAX } from "./attempts.ts";
import { Card, EmailField, type FormState, LINK_EXPIRED, NewPasswordField, NOT_AN_EMAIL } from "./parts.tsx";

/** A new password for an account, by a link in a mail. */
export const passwordReset = new Hono<PagesEnv>();

passwordReset.use("/forgot-password", async (c, next) => {
  if (!canSendMail(c)) {
    throw new PageError(503, "This server cannot send email. Contact support to reset your password.");
  }
  await next();
});

passwordReset.get("/forgot-password", (c) => c.html(<ForgotPage />));

passwordReset.post("/forgot-password", async (c) => {
  const typed = (await readForm(c)).get("email") ?? "";
  const email = readEmail(typed);
  if (email === null) return c.html(<ForgotPage email={typed} errors={{ email: NOT_AN_EMAIL }} />, 422);
  const requests = await countResetRequest(c, email);
  const sessions = await openRequestSessions(c);
  // Beyond the limit no mail is sent: the links of the last hour still work.
  if (requests <= RESETS_PER_EMAIL_MAX) await sessions.requestPasswordReset(email);
  return c.html(
    <MessagePage title="Check your email">
      <p>
        If {email} has an account, we sent it a link to choose a new password. The link expires in one hour.
      </p>
    </MessagePage>,
  );
});

passwordReset.get(RESET_PATH, (c) => c.html(<ResetPage token={c.req.query("token") ?? ""} />));

passwordReset.post(RESET_PATH, async (c) => {
  const form = await readForm(c);
  const token = form.get("token") ?? "";
  const password = form.get("password") ?? "";
  const again = (errors: FormErrors) => c.html(<ResetPage token={token} errors={errors} />, 422);
  const fault = passwordFault(password);
  if (fault !== null) return again({ password: fault });
  await countReset(c);
  const changed = await (await openRequestSessions(c)).resetPassword(token, password);
  if (!changed) return again({ form: LINK_EXPIRED });
  return c.html(
    <MessagePage title="Password changed">
      <p>
        You were signed out on all devices. <a href="/sign-in">Sign in</a> with your new password.
      </p>
    </MessagePage>,
  );
});

const ForgotPage: FC<FormState> = ({ email, errors }) => (
  <Card title="Reset your password">
    <p class="hint">We will email you a link. It expires in one hour.</p>
    <form method="post" action="/forgot-password" novalidate>
      <EmailField email={email} errors={errors} />
      <button class="button wide" type="submit">
        Send link
      </button>
    </form>
  </Card>
);

const ResetPage: FC<{ token: string; errors?: FormErrors }> = ({ token, errors }) => (
  <Card title="Choose a new password">
    <FormError errors={errors} />
    <form method="post" action={RESET_PATH} novalidate>
      <input type="hidden" name="token" value={token} />
      <NewPasswordField errors={errors} />
      <button class="button wide" type="submit">
        Change password
      </button>
    </form>
  </Card>
);
