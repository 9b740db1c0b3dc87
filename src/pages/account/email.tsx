import type { Context } from "hono";
import type { FC } from "hono/jsx";
import { requestEmailChange } from "../../auth/email-change.ts";
import { EMAIL_LENGTH_MAX } from "../../auth/settings.ts";
import { countEmailChange, EMAIL_CHANGES_MAX } from "../auth/attempts.ts";
import { NOT_AN_EMAIL } from "../auth/parts.tsx";
import { authSettings, canSendMail, PageError, type PagesEnv } from "../env.ts";
import { type FormErrors, readEmail } from "../forms.ts";
import { Field } from "../parts.tsx";

/** The form that changes the email address: part of the settings page. */

/** Without a password, a sign-in of the last minutes proves who asks. */
const RECENT_MS = 15 * 60_000;

const TEXTS = {
  title: "Change email",
  label: "New email address",
  password: "Your password",
  hint: "We send a link to the new address, and a notice to the current one.",
  button: "Send link",
  same: "This is your email address already.",
  wrong: "This is not your password.",
  notRecent: "Sign out and sign in again, then change your address within 15 minutes.",
  noMail: "This server cannot send email. Contact support to change your address.",
} as const;

/**
 * Sends the link of a change, if the form has the user's password.
 * @returns the errors of the form, or null
 * @throws {PageError} 503 without a mailer; 429 after too many changes
 */
export async function changeEmail(
  c: Context<PagesEnv>,
  form: ReadonlyMap<string, string>,
): Promise<FormErrors | null> {
  if (!canSendMail(c)) throw new PageError(503, TEXTS.noMail);
  const sessions = c.get("sessions");
  const user = c.get("signedIn");
  const now = Date.now();
  const email = readEmail(form.get("new_email") ?? "");
  if (email === null) return { new_email: NOT_AN_EMAIL };
  if (email === user.email) return { new_email: TEXTS.same };
  if (await sessions.hasPassword(user.userId)) {
    if (!(await sessions.isPassword(form.get("email_password") ?? ""))) {
      return { email_password: TEXTS.wrong };
    }
  } else if (user.signedInAt < now - RECENT_MS) return { new_email: TEXTS.notRecent };
  const toAddress = await countEmailChange(c, user.userId, email);
  await requestEmailChange(authSettings(c), user, email, toAddress <= EMAIL_CHANGES_MAX, now);
  return null;
}

export const EmailForm: FC<{
  hasPassword: boolean;
  value?: string | undefined;
  errors?: FormErrors | undefined;
}> = ({ hasPassword, value, errors = {} }) => (
  <details open={errors["new_email"] !== undefined || errors["email_password"] !== undefined}>
    <summary>{TEXTS.title}</summary>
    <form method="post" action="/account/settings/email" class="panel" novalidate>
      <Field
        name="new_email"
        label={TEXTS.label}
        type="email"
        value={value}
        hint={TEXTS.hint}
        errors={errors}
        autocomplete="email"
        maxlength={EMAIL_LENGTH_MAX}
        required
      />
      {hasPassword ? (
        <Field
          name="email_password"
          label={TEXTS.password}
          type="password"
          errors={errors}
          autocomplete="current-password"
          required
        />
      ) : null}
      <button class="button" type="submit">
        {TEXTS.button}
      </button>
    </form>
  </details>
);
