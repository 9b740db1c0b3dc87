import type { Context } from "hono";
import type { FC } from "hono/jsx";
import { requestEmailChange } from "../../auth/email-change.ts";
import { EMAIL_LENGTH_MAX } from "../../auth/settings.ts";
import { countEmailChange, EMAIL_CHANGES_MAX } from "../auth/attempts.ts";
import { authSettings, canSendMail, PageError, type PagesEnv } from "../env.ts";
import { type FormErrors, readEmail } from "../forms.ts";
import { CurrentPassword, Field } from "../parts.tsx";
import { useTexts } from "../texts/language.ts";
import { doubtUser, RECENT_MINUTES } from "./guard.ts";

/** The form that changes the email address: part of the settings page. */

/**
 * Sends the link of a change, if the form has the user's password.
 * @returns the errors of the form, or null
 * @throws {PageError} 503 without a mailer; 429 after too many changes
 */
export async function changeEmail(
  c: Context<PagesEnv>,
  form: ReadonlyMap<string, string>,
): Promise<FormErrors | null> {
  const { auth, emailChange } = c.get("texts");
  if (!canSendMail(c)) throw new PageError(503, emailChange.noMail);
  const user = c.get("signedIn");
  const now = Date.now();
  const email = readEmail(form.get("new_email") ?? "");
  if (email === null) return { new_email: auth.notAnEmail };
  if (email === user.email) return { new_email: emailChange.same };
  const doubt = await doubtUser(c, form.get("email_password") ?? "", now);
  if (doubt === "wrong_password") return { email_password: emailChange.wrongPassword };
  if (doubt === "not_recent") return { new_email: emailChange.notRecent(RECENT_MINUTES) };
  const attempt = await countEmailChange(c, user.userId, email);
  if (attempt.kind === "limited") {
    throw new PageError(429, c.get("texts").errors.againInMinutes(attempt.minutes));
  }
  await requestEmailChange(authSettings(c), user, email, attempt.count <= EMAIL_CHANGES_MAX, now);
  return null;
}

export const EmailForm: FC<{
  hasPassword: boolean;
  value?: string | undefined;
  errors?: FormErrors | undefined;
}> = ({ hasPassword, value, errors = {} }) => {
  const { auth, emailChange } = useTexts();
  return (
    <details open={errors["new_email"] !== undefined || errors["email_password"] !== undefined}>
      <summary>{emailChange.change}</summary>
      <form method="post" action="/account/settings/email" class="panel" novalidate>
        <Field
          name="new_email"
          label={emailChange.newEmail}
          type="email"
          value={value}
          hint={emailChange.hint}
          errors={errors}
          autocomplete="email"
          maxlength={EMAIL_LENGTH_MAX}
          required
        />
        {hasPassword ? (
          <CurrentPassword name="email_password" label={emailChange.yourPassword} errors={errors} />
        ) : null}
        <button class="button" type="submit">
          {auth.sendLink}
        </button>
      </form>
    </details>
  );
};
