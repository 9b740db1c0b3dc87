import type { Context } from "hono";
import type { FC } from "hono/jsx";
import { passkeyDomain } from "../../auth/passkeys.ts";
import type { SocialProvider } from "../../auth/settings.ts";
import { canSendMail, type PagesEnv, siteOrigin } from "../env.ts";
import { CurrentPassword, FormError } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";
import { Card, configuredProviders, EmailField, type FormState, SocialSignIn } from "./parts.tsx";

export const PASSKEY_PATH = "/sign-in/passkey";

type SignInProps = {
  texts: Texts;
  providers: readonly SocialProvider[];
  /** Whether this server can mail a link to choose a new password. */
  canReset: boolean;
  /** Whether passkeys can sign in. */
  withPasskeys: boolean;
  /** The page to open after sign-in. */
  next: string;
};

/** What the page shows of the deployment. @param next the page to open after sign-in */
export function signInProps(c: Context<PagesEnv>, next: string): SignInProps {
  return {
    texts: c.get("texts"),
    providers: configuredProviders(c),
    canReset: canSendMail(c),
    withPasskeys: hasPasskeys(c),
    next,
  };
}

/** A site with an IP address has no passkeys. */
export function hasPasskeys(c: Context<PagesEnv>): boolean {
  return passkeyDomain(siteOrigin(c)) !== null;
}

/**
 * @param props `isPasskeyRefused`: whether a passkey has just failed, so that the script does not offer it again by itself;
 * `isRequired`: whether a page behind the sign-in sent the visitor here
 */
export const SignInPage: FC<
  SignInProps & FormState & { isPasskeyRefused?: boolean; isRequired?: boolean }
> = ({
  texts,
  providers,
  canReset,
  withPasskeys,
  next,
  isPasskeyRefused = false,
  isRequired = false,
  email,
  errors,
}) => (
  <Card title={texts.auth.signIn} texts={texts} scripts={withPasskeys ? ["passkeys.js"] : []}>
    {isRequired ? <p class="hint">{texts.auth.toContinue}</p> : null}
    <FormError errors={errors} />
    <SocialSignIn providers={providers} next={next} />
    <form method="post" action="/sign-in" novalidate>
      <input type="hidden" name="next" value={next} />
      <EmailField
        email={email}
        errors={errors}
        autocomplete={withPasskeys ? "username webauthn" : "username"}
      />
      <CurrentPassword name="password" label={texts.auth.password} errors={errors} />
      <button class="button wide" type="submit">
        {texts.auth.signIn}
      </button>
    </form>
    {withPasskeys ? <PasskeyForm next={next} isRefused={isPasskeyRefused} /> : null}
    <p class="below">
      {canReset ? <a href="/forgot-password">{texts.auth.forgot}</a> : null}
      <span>
        {texts.auth.newHere} <a href="/sign-up">{texts.auth.signUp}</a>
      </span>
    </p>
  </Card>
);

/** Shown by the script, where the browser has passkeys. */
const PasskeyForm: FC<{ next: string; isRefused: boolean }> = ({ next, isRefused }) => {
  const { auth } = useTexts();
  return (
    <form
      method="post"
      action={PASSKEY_PATH}
      data-passkey-options={`${PASSKEY_PATH}/options`}
      data-refused={isRefused ? "" : undefined}
      hidden
    >
      <input type="hidden" name="next" value={next} />
      <input type="hidden" name="credential" />
      <button class="button quiet wide" type="submit">
        {auth.passkeySignIn}
      </button>
      <p class="error" role="alert" />
    </form>
  );
};
