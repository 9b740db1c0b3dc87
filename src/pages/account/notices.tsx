import type { FC } from "hono/jsx";
import * as z from "zod";
import type { NoticeSettings } from "../../account/notices.ts";
import { describe, log } from "../../log.ts";
import { type FormErrors, parseForm } from "../forms.ts";
import { Field, Section } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";

/** The settings for mails: part of the settings page. */

const THRESHOLD_MAX = 1_000_000_000;

/** @param message the error of a balance that is not allowed */
const noticesSchema = (message: string) =>
  z.object({
    low_balance: z
      .string()
      .trim()
      .regex(/^\d{0,10}$/, { message })
      .transform((text) => (text === "" ? null : Number(text)))
      .pipe(z.int({ message }).min(1, { message }).max(THRESHOLD_MAX, { message }).nullable())
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
export async function saveNotices(
  env: Env,
  userId: string,
  fields: ReadonlyMap<string, string>,
  { notices }: Texts,
): Promise<FormErrors | null> {
  const form = parseForm(noticesSchema(notices.rule(THRESHOLD_MAX)), fields);
  if (form.kind === "invalid") return form.errors;
  const { low_balance, expiring } = form.data;
  await env.ACCOUNT.getByName(userId).setNotices({ lowBalance: low_balance, expiring: expiring === "on" });
  return null;
}

export const Notices: FC<{ notices: NoticeSettings; email: string; errors?: FormErrors | undefined }> = ({
  notices: { lowBalance, expiring },
  email,
  errors,
}) => {
  const { notices: texts, parts } = useTexts();
  return (
    <Section id="mails" name={texts.emails}>
      <form method="post" action="/account/settings/mails" class="panel" novalidate>
        <Field
          name="low_balance"
          label={texts.lowBalance}
          type="text"
          inputmode="numeric"
          value={lowBalance === null ? "" : String(lowBalance)}
          hint={texts.lowBalanceHint(email)}
          errors={errors}
          maxlength={10}
        />
        <p>
          <label class="check">
            <input type="checkbox" name="expiring" value="on" checked={expiring} /> {texts.expiring}
          </label>
        </p>
        <button class="button" type="submit">
          {parts.save}
        </button>
      </form>
    </Section>
  );
};
