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

export const NOT_AN_EMAIL = "Enter an email address, such as ada@example.com.";
export const LINK_EXPIRED = "This link has expired or was already used. Request a new one.";

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

export const Card: FC<{ title: string; children?: Child }> = ({ title, children }) => (
  <PublicPage title={`${title} · GPT Image Hub`} plain>
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
}) =>
  providers.length === 0 ? null : (
    <div class="sites">
      {providers.map((provider) => (
        <form method="post" action={`${CALLBACK_BASE_PATH}/${provider}`}>
          <input type="hidden" name="next" value={next} />
          <button class="button quiet wide" type="submit">
            Continue with {PROVIDER_NAMES[provider]}
          </button>
        </form>
      ))}
      <p class="or">or with a password</p>
    </div>
  );

export const EmailField: FC<FormState> = ({ email, errors }) => (
  <Field
    name="email"
    label="Email"
    type="email"
    value={email}
    errors={errors}
    autocomplete="username"
    maxlength={EMAIL_LENGTH_MAX}
    required
  />
);

export const NewPasswordField: FC<{ errors?: FormErrors | undefined }> = ({ errors }) => (
  <Field
    name="password"
    label="Password"
    type="password"
    hint={`At least ${PASSWORD_LENGTH_MIN} characters. Several words are easy to remember.`}
    errors={errors}
    autocomplete="new-password"
    minlength={PASSWORD_LENGTH_MIN}
    maxlength={PASSWORD_LENGTH_MAX}
    required
  />
);
