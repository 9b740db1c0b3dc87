import type { Context } from "hono";
import type { FC } from "hono/jsx";
import type { SocialProvider } from "../../auth/settings.ts";
import { canSendMail, type PagesEnv } from "../env.ts";
import { Field, FormError } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { Card, configuredProviders, EmailField, type FormState, SocialSignIn } from "./parts.tsx";

type SignInProps = {
  texts: Texts;
  providers: readonly SocialProvider[];
  /** Whether this server can mail a link to choose a new password. */
  canReset: boolean;
  /** The page to open after sign-in. */
  next: string;
};

/** What the page shows of the deployment. @param next the page to open after sign-in */
export function signInProps(c: Context<PagesEnv>, next: string): SignInProps {
  return { texts: c.get("texts"), providers: configuredProviders(c), canReset: canSendMail(c), next };
}

/** @param props `isRequired`: whether a page behind the sign-in sent the visitor here */
export const SignInPage: FC<SignInProps & FormState & { isRequired?: boolean }> = ({
  texts,
  providers,
  canReset,
  next,
  isRequired = false,
  email,
  errors,
}) => (
  <Card title={texts.auth.signIn} texts={texts}>
    {isRequired ? <p class="hint">{texts.auth.toContinue}</p> : null}
    <FormError errors={errors} />
    <SocialSignIn providers={providers} next={next} />
    <form method="post" action="/sign-in" novalidate>
      <input type="hidden" name="next" value={next} />
      <EmailField email={email} errors={errors} />
      <Field
        name="password"
        label={texts.auth.password}
        type="password"
        errors={errors}
        autocomplete="current-password"
        required
      />
      <button class="button wide" type="submit">
        {texts.auth.signIn}
      </button>
    </form>
    <p class="below">
      {canReset ? <a href="/forgot-password">{texts.auth.forgot}</a> : null}
      <span>
        {texts.auth.newHere} <a href="/sign-up">{texts.auth.signUp}</a>
      </span>
    </p>
  </Card>
);
