import type { FC } from "hono/jsx";
import type { FormErrors } from "../forms.ts";
import { Field, Section } from "../parts.tsx";

/** What a user may take along, and how they leave: part of the settings page. */
export const Leaving: FC<{ email: string; hasPassword: boolean; errors?: FormErrors | undefined }> = ({
  email,
  hasPassword,
  errors,
}) => (
  <>
    <Section id="data" name="Your data">
      <p>
        Your account, API keys without their secrets, purchases, ledger, and generations with prompts and
        links to the images, as one JSON object on each line.
      </p>
      <p>
        <a class="button quiet" href="/account/settings/data" download>
          Download my data
        </a>
      </p>
    </Section>
    <Section id="delete" name="Delete account">
      <p>
        Your API keys stop working at once, and you are signed out everywhere. Your images, prompts and
        generations are deleted within minutes, and credits that are left are lost. We keep the ledger of your
        credits without your name and address. This cannot be undone.
      </p>
      <form method="post" action="/account/settings/delete" class="panel" novalidate>
        {hasPassword ? (
          <Field
            name="delete_confirmation"
            label="Your password"
            type="password"
            errors={errors}
            autocomplete="current-password"
            required
          />
        ) : (
          <Field
            name="delete_confirmation"
            label="Your email address"
            hint={`To confirm, enter ${email}.`}
            errors={errors}
            autocomplete="off"
            required
          />
        )}
        <button class="button danger" type="submit">
          Delete my account
        </button>
      </form>
    </Section>
  </>
);
