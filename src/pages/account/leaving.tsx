import type { FC } from "hono/jsx";
import type { FormErrors } from "../forms.ts";
import { CurrentPassword, Field, Section } from "../parts.tsx";
import { useTexts } from "../texts/language.ts";

/** The download of a user's data, and the deletion of the account: part of the settings page. */
export const Leaving: FC<{ email: string; hasPassword: boolean; errors?: FormErrors | undefined }> = ({
  email,
  hasPassword,
  errors,
}) => {
  const { leaving } = useTexts();
  return (
    <>
      <Section id="data" name={leaving.data}>
        <p>{leaving.dataHint}</p>
        <p>
          <a class="button quiet" href="/account/settings/data" download>
            {leaving.download}
          </a>
        </p>
      </Section>
      <Section id="delete" name={leaving.delete}>
        <p>{leaving.deleteHint}</p>
        <form method="post" action="/account/settings/delete" class="panel" novalidate>
          {hasPassword ? (
            <CurrentPassword name="delete_confirmation" label={leaving.yourPassword} errors={errors} />
          ) : (
            <Field
              name="delete_confirmation"
              label={leaving.yourEmail}
              hint={leaving.confirm(email)}
              errors={errors}
              autocomplete="off"
              required
            />
          )}
          <button class="button danger" type="submit">
            {leaving.deleteButton}
          </button>
        </form>
      </Section>
    </>
  );
};
