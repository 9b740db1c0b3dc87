import type { Context } from "hono";
import type { Child, FC } from "hono/jsx";
import {
  CALLBACK_BASE_PATH,
  EMAIL_LENGTH_MAX,
  PASSWORD_LENGTH_MAX,
  PASSWORD_LENGTH_MIN,
  type SocialProvider,
  socialProviders,
} from "../../auth/settings.ts";
import { readConfig } from "../../config.ts";
import { openRequestSessions, type PagesEnv } from "../env.ts";
import type { FormErrors } from "../forms.ts";
import { PublicPage } from "../layout.tsx";
import { Field } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";

const PROVIDER_NAMES: Record<SocialProvider, string> = { github: "GitHub", google: "Google" };

/** Without a session cookie nobody is signed in, and the sign-in library is not loaded. */
export async function isSignedIn(c: Context<PagesEnv>): Promise<boolean> {
  if (!c.req.header("Cookie")?.includes("gih.session_token")) return false;
  return (await (await openRequestSessions(c)).current()) !== null;
}

/** The configured providers of social sign-in. */
export function configuredProviders(c: Context<PagesEnv>): SocialProvider[] {
  const configured = socialProviders(readConfig(c.env));
  const names: SocialProvider[] = ["github", "google"];
  return names.filter((name) => configured[name]);
}

/** What a form shows again after an error. */
export type FormState = { email?: string | undefined; errors?: FormErrors | undefined };

type CardProps = { title: string; texts: Texts; scripts?: readonly string[]; children?: Child };

export const Card: FC<CardProps> = ({ title, texts, scripts, children }) => (
  <PublicPage title={`${title} · GPT Image Hub`} texts={texts} scripts={scripts} plain>
    <div class="wrap card-wrap">
      <div class="card">
        <h1>{title}</h1>
        {children}
      </div>
    </div>
  </PublicPage>
);

export const SocialSignIn: FC<{ providers: readonly SocialProvider[]; next: string }> = ({
  providers,
  next,
}) => {
  const { auth } = useTexts();
  return providers.length === 0 ? null : (
    <div class="sites">
      {providers.map((provider) => (
        <form method="post" action={`${CALLBACK_BASE_PATH}/${provider}`}>
          <input type="hidden" name="next" value={next} />
          <button class="button quiet wide" type="submit">
            {auth.continueWith(PROVIDER_NAMES[provider])}
          </button>
        </form>
      ))}
      <p class="or">{auth.orPassword}</p>
    </div>
  );
};

export const EmailField: FC<FormState & { autocomplete?: string }> = ({
  email,
  errors,
  autocomplete = "username",
}) => (
  <Field
    name="email"
    label={useTexts().auth.email}
    type="email"
    value={email}
    errors={errors}
    autocomplete={autocomplete}
    maxlength={EMAIL_LENGTH_MAX}
    required
  />
);

export const NewPasswordField: FC<{ errors?: FormErrors | undefined }> = ({ errors }) => {
  const { auth } = useTexts();
  return (
    <Field
      name="password"
      label={auth.password}
      type="password"
      hint={auth.passwordHint(PASSWORD_LENGTH_MIN)}
      errors={errors}
      autocomplete="new-password"
      minlength={PASSWORD_LENGTH_MIN}
      maxlength={PASSWORD_LENGTH_MAX}
      required
    />
  );
};
