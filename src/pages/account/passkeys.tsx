import { type Context, Hono } from "hono";
import type { FC } from "hono/jsx";
import * as z from "zod";
import {
  hasAllPasskeys,
  listPasskeys,
  mailPasskeyAdded,
  PASSKEY_NAME_LENGTH_MAX,
  PASSKEYS_MAX,
  type Passkey,
  passkeyDomain,
  readPasskeyMade,
  removePasskey,
} from "../../auth/passkeys.ts";
import type { SignedIn } from "../../auth/sessions.ts";
import { log } from "../../log.ts";
import { isLoopback } from "../../origin.ts";
import { authSettings, PageError, type PagesEnv, siteOrigin } from "../env.ts";
import { type FormErrors, parseForm } from "../forms.ts";
import { AccountPage } from "../layout.tsx";
import { CurrentPassword, Field, Section, Time } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";
import { doubtUser, RECENT_MINUTES } from "./guard.ts";

/** The passkeys of a user: part of the settings page. */

const PASSKEYS_PATH = "/account/settings/passkeys";

/** Removes one. Adding one takes two forms, in settings.tsx. */
export const passkeyRemoval = new Hono<PagesEnv>();

passkeyRemoval.post("/:id/remove", async (c) => {
  const { userId } = c.get("signedIn");
  if (!(await removePasskey(c.env.DB, userId, c.req.param("id")))) {
    throw new PageError(404, c.get("texts").passkeys.none);
  }
  log("passkey_removed", { user_id: userId });
  return c.redirect("/account/settings?done=passkey-removed", 303);
});

/** A reload after an error, and the return from a sign-in. */
passkeyRemoval.get("*", (c) => c.redirect("/account/settings", 303));

/** What the section shows. */
export type PasskeyState = {
  list: readonly Passkey[];
  /** Null where the site has none, because it has an IP address. */
  domain: string | null;
  /** Where the same site has a name, if it runs on this machine. */
  named: string | null;
};

export async function readPasskeys(c: Context<PagesEnv>): Promise<PasskeyState> {
  const origin = siteOrigin(c);
  const { port } = new URL(origin);
  return {
    list: await listPasskeys(c.env.DB, c.get("signedIn").userId),
    domain: passkeyDomain(origin),
    named: isLoopback(origin) ? `http://localhost${port === "" ? "" : `:${port}`}` : null,
  };
}

/**
 * The first form: a name, and the password. Adding a passkey must need more than an open session, which would
 * otherwise turn into a sign-in for good.
 * @returns the errors of the form, or what the page of the second form shows
 */
export async function beginPasskey(
  c: Context<PagesEnv>,
  form: ReadonlyMap<string, string>,
): Promise<{ kind: "refused"; errors: FormErrors } | { kind: "begun"; name: string; options: string }> {
  const { passkeys } = c.get("texts");
  if (passkeyDomain(siteOrigin(c)) === null) return refused("passkey_name", passkeys.needsDomain);
  const named = readName(c, form);
  if (named.kind === "invalid") return { kind: "refused", errors: named.errors };
  switch (await doubtUser(c, form.get("passkey_password") ?? "", Date.now())) {
    case "wrong_password":
      return refused("passkey_password", c.get("texts").emailChange.wrongPassword);
    case "not_recent":
      return refused("passkey_name", passkeys.notRecent(RECENT_MINUTES));
    case null:
      break;
  }
  if (await hasAllPasskeys(c.env.DB, c.get("signedIn").userId)) {
    return refused("passkey_name", passkeys.tooMany(PASSKEYS_MAX));
  }
  return { kind: "begun", name: named.data.passkey_name, options: await c.get("sessions").beginPasskey() };
}

/** The second form, which the script sends with what the device answered. @returns its errors, or null */
export async function addPasskey(
  c: Context<PagesEnv>,
  form: ReadonlyMap<string, string>,
): Promise<FormErrors | null> {
  const { passkeys } = c.get("texts");
  const named = readName(c, form);
  if (named.kind === "invalid") return named.errors;
  const response = readPasskeyMade(form.get("credential") ?? "");
  if (response === null) return { passkey_name: passkeys.refused };
  const { userId, email } = c.get("signedIn");
  const outcome = await c.get("sessions").addPasskey(response, named.data.passkey_name);
  switch (outcome.kind) {
    case "added":
      log("passkey_added", { user_id: userId });
      mailPasskeyAdded(authSettings(c), email);
      return null;
    case "too_many":
      return { passkey_name: passkeys.tooMany(PASSKEYS_MAX) };
    case "refused":
      return { passkey_name: passkeys.refused };
  }
}

function refused(field: string, message: string) {
  return { kind: "refused", errors: { [field]: message } } as const;
}

function readName(c: Context<PagesEnv>, form: ReadonlyMap<string, string>) {
  const { keys } = c.get("texts");
  const name = z
    .string({ error: keys.nameMissing })
    .trim()
    .min(1, keys.nameMissing)
    .max(PASSKEY_NAME_LENGTH_MAX, keys.nameTooLong(PASSKEY_NAME_LENGTH_MAX));
  return parseForm(z.object({ passkey_name: name }), form);
}

type PasskeysProps = {
  state: PasskeyState;
  hasPassword: boolean;
  /** A name for the next one, such as that of this device. */
  suggested: string;
  errors?: FormErrors | undefined;
};

export const Passkeys: FC<PasskeysProps> = ({ state, ...form }) => {
  const { passkeys } = useTexts();
  const { list, domain, named } = state;
  return (
    <Section id="passkeys" name={passkeys.title}>
      <p>{passkeys.hint}</p>
      {list.length === 0 ? null : <List list={list} />}
      {domain === null ? (
        <p class="hint">
          {passkeys.needsDomain} {named === null ? null : <a href={`${named}/account/settings`}>{named}</a>}
        </p>
      ) : list.length >= PASSKEYS_MAX ? (
        <p class="hint">{passkeys.tooMany(PASSKEYS_MAX)}</p>
      ) : (
        <NameForm {...form} />
      )}
    </Section>
  );
};

const List: FC<{ list: readonly Passkey[] }> = ({ list }) => {
  const { passkeys } = useTexts();
  return (
    <ul class="plain ruled">
      {list.map(({ id, name, createdAt }) => (
        <li>
          <span>
            {name}
            <br />
            <span class="hint">{passkeys.added(<Time at={createdAt} />)}</span>
          </span>
          <form method="post" action={`${PASSKEYS_PATH}/${id}/remove`}>
            <button class="button quiet small" type="submit" aria-label={`${passkeys.remove}: ${name}`}>
              {passkeys.remove}
            </button>
          </form>
        </li>
      ))}
    </ul>
  );
};

const NameForm: FC<Omit<PasskeysProps, "state">> = ({ hasPassword, suggested, errors = {} }) => {
  const { emailChange, passkeys } = useTexts();
  return (
    <details open={errors["passkey_name"] !== undefined || errors["passkey_password"] !== undefined}>
      <summary>{passkeys.add}</summary>
      <form method="post" action={`${PASSKEYS_PATH}/new`} class="panel" novalidate>
        <Field
          name="passkey_name"
          label={passkeys.name}
          value={suggested}
          hint={passkeys.nameHint}
          errors={errors}
          autocomplete="off"
          maxlength={PASSKEY_NAME_LENGTH_MAX}
          required
        />
        {hasPassword ? (
          <CurrentPassword name="passkey_password" label={emailChange.yourPassword} errors={errors} />
        ) : null}
        <button class="button" type="submit">
          {passkeys.continue}
        </button>
      </form>
    </details>
  );
};

/** The page of the second form: its script asks the browser for a passkey, and sends the form. */
export const NewPasskeyPage: FC<{ texts: Texts; signedIn: SignedIn; name: string; options: string }> = ({
  texts,
  signedIn,
  name,
  options,
}) => (
  <AccountPage
    title={texts.passkeys.add}
    texts={texts}
    at="/account/settings"
    signedIn={signedIn}
    scripts={["passkeys.js"]}
  >
    <div class="narrow">
      <h1>{texts.passkeys.add}</h1>
      <p>{texts.passkeys.asks}</p>
      <form method="post" action={PASSKEYS_PATH} data-passkey-new={options}>
        <input type="hidden" name="passkey_name" value={name} />
        <input type="hidden" name="credential" />
        <button class="button" type="submit">
          {texts.passkeys.ask}
        </button>{" "}
        <a class="button quiet" href="/account/settings#passkeys">
          {texts.passkeys.cancel}
        </a>
        <p class="error" role="alert" />
        <noscript>
          <p class="error">{texts.passkeys.needsScript}</p>
        </noscript>
      </form>
    </div>
  </AccountPage>
);
