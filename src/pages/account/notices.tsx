import type { FC } from "hono/jsx";
import * as z from "zod";
import type { NoticeSettings } from "../../account/notices.ts";
import { describe, log } from "../../log.ts";
import { type FormErrors, parseForm } from "../forms.ts";
import { Field, Section } from "../parts.tsx";

/** What a user is mailed about: part of the settings page. */

const THRESHOLD_MAX = 1_000_000_000;
const RULE = "Enter a whole number from 1 to 1,000,000,000, or nothing.";

const NoticesForm = z.object({
  low_balance: z
    .string()
    .trim()
    .regex(/^\d{0,10}$/, { message: RULE })
    .transform((text) => (text === "" ? null : Number(text)))
    .pipe(z.int({ message: RULE }).min(1, { message: RULE }).max(THRESHOLD_MAX, { message: RULE }).nullable())
    .default(null),
  expiring: z.literal("on").optional(),
});

/** The settings, or null while an account of an older release, which has none, still runs during a deployment. */
export async function readNotices(env: Env, userId: string): Promise<NoticeSettings | null> {
  try {
    return await env.ACCOUNT.getByName(userId).notices();
  } catch (error) {
    log("notices_unread", { user_id: userId, error: describe(error) });
    return null;
  }
}

/** Saves the form. @returns its errors, or null */
export async function saveNotices(env: Env, userId: string, fields: ReadonlyMap<string, string>) {
  const form = parseForm(NoticesForm, fields);
  if (form.kind === "invalid") return form.errors;
  const { low_balance, expiring } = form.data;
  await env.ACCOUNT.getByName(userId).setNotices({ lowBalance: low_balance, expiring: expiring === "on" });
  return null;
}

export const Notices: FC<{ notices: NoticeSettings; email: string; errors?: FormErrors | undefined }> = ({
  notices: { lowBalance, expiring },
  email,
  errors,
}) => (
  <Section id="mails" name="Emails">
    <form method="post" action="/account/settings/mails" class="panel" novalidate>
      <Field
        name="low_balance"
        label="Tell me when my balance falls below"
        type="text"
        inputmode="numeric"
        value={lowBalance === null ? "" : String(lowBalance)}
        hint={`One email to ${email}, and again only after the balance was above. Leave it empty for none.`}
        errors={errors}
        maxlength={10}
      />
      <p>
        <label class="check">
          <input type="checkbox" name="expiring" value="on" checked={expiring} /> Tell me when credits expire
          within 7 days
        </label>
      </p>
      <button class="button" type="submit">
        Save
      </button>
    </form>
  </Section>
);
