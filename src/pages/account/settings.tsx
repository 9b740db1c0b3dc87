import { type Context, Hono } from "hono";
import type { FC } from "hono/jsx";
import type { NoticeSettings } from "../../account/notices.ts";
import type { WebhookSecrets } from "../../account/store/webhooks.ts";
import { cancelEmailChange } from "../../auth/email-change.ts";
import type { SessionSummary, SignedIn } from "../../auth/sessions.ts";
import { PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN } from "../../auth/settings.ts";
import { countAttempts } from "../../auth/throttle.ts";
import { log } from "../../log.ts";
import { deleteUser } from "../../users/users.ts";
import { canSendMail, PageError, type PagesEnv } from "../env.ts";
import { type FormErrors, PASSKEY_LIMITS, passwordFault, readForm } from "../forms.ts";
import { AccountPage, MessagePage } from "../layout.tsx";
import { CurrentPassword, Field, FormError, Section } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";
import { dataOf } from "./download.ts";
import { changeEmail, EmailForm } from "./email.tsx";
import { Leaving } from "./leaving.tsx";
import { Notices, readNotices, saveNotices } from "./notices.tsx";
import {
  addPasskey,
  beginPasskey,
  NewPasskeyPage,
  type PasskeyState,
  Passkeys,
  passkeyRemoval,
  readPasskeys,
} from "./passkeys.tsx";
import { ActiveSessions, activeSessions, deviceOf } from "./sessions.tsx";
import { readSecrets, WebhookSecret } from "./webhooks.tsx";

export const settings = new Hono<PagesEnv>();

/** Tries of the password, and downloads, of one user. */
const ATTEMPTS_MAX = 10;
const ATTEMPTS_SPAN_MS = 10 * 60_000;

/** @throws {PageError} 429 after too many attempts of this kind and user */
async function limitAttempts(c: Context<PagesEnv>, key: string): Promise<void> {
  const [tried] = await countAttempts(c.env.DB, [{ key, spanMs: ATTEMPTS_SPAN_MS }], Date.now());
  if (tried && tried.count > ATTEMPTS_MAX) {
    throw new PageError(429, c.get("texts").errors.againInMinutes(ATTEMPTS_SPAN_MS / 60_000));
  }
}

settings.get("/", async (c) => {
  const done = doneText(c.req.query("done"), c.get("texts"));
  return c.html(<SettingsPage {...(await readSettings(c))} done={done} />);
});

/** What the page says after a change, by `?done=`. */
function doneText(done: string | undefined, { settings, passkeys }: Texts): string | undefined {
  switch (done) {
    case "password":
      return settings.passwordChanged;
    case "email":
      return settings.linkSent;
    case "session":
      return settings.sessionEnded;
    case "passkey":
      return passkeys.isAdded;
    case "passkey-removed":
      return passkeys.isRemoved;
    default:
      return undefined;
  }
}

/** What the page shows. */
async function readSettings(c: Context<PagesEnv>) {
  const sessions = c.get("sessions");
  const signedIn = c.get("signedIn");
  const texts = c.get("texts");
  const [list, hasPassword, passkeys, secrets, notices] = await Promise.all([
    sessions.list(signedIn),
    sessions.hasPassword(signedIn.userId),
    readPasskeys(c),
    readSecrets(c.env, signedIn.userId),
    canSendMail(c) ? readNotices(c.env, signedIn.userId) : null,
  ]);
  return {
    ...{ texts, signedIn, list, hasPassword, passkeys, secrets, notices, canSend: canSendMail(c) },
    passkeyName: deviceOf(c.req.header("User-Agent") ?? null, texts.settings),
  };
}

settings.post("/password", async (c) => {
  const sessions = c.get("sessions");
  const signedIn = c.get("signedIn");
  const texts = c.get("texts");
  const form = await readForm(c);
  const again = async (errors: FormErrors) => {
    return c.html(<SettingsPage {...(await readSettings(c))} hasPassword errors={errors} />, 422);
  };
  const current = form.get("current") ?? "";
  const password = form.get("password") ?? "";
  if (current === "") return await again({ current: texts.settings.enterCurrent });
  const fault = passwordFault(password, texts);
  if (fault !== null) return await again({ password: fault });
  await limitAttempts(c, `password:${signedIn.userId}`);
  if (!(await sessions.changePassword(current, password))) {
    return await again({ current: texts.settings.wrongCurrent });
  }
  await cancelEmailChange(c.env.DB, signedIn.userId);
  return c.redirect("/account/settings?done=password", 303);
});

settings.post("/email", async (c) => {
  const form = await readForm(c);
  await limitAttempts(c, `password:${c.get("signedIn").userId}`);
  const errors = await changeEmail(c, form);
  if (errors === null) return c.redirect("/account/settings?done=email", 303);
  const newEmail = form.get("new_email");
  return c.html(<SettingsPage {...(await readSettings(c))} newEmail={newEmail} errors={errors} />, 422);
});

settings.get("/email", (c) => c.redirect("/account/settings", 303));

settings.get("/password", (c) => c.redirect("/account/settings", 303));

settings.post("/passkeys/new", async (c) => {
  const form = await readForm(c);
  await limitAttempts(c, `password:${c.get("signedIn").userId}`);
  const begun = await beginPasskey(c, form);
  switch (begun.kind) {
    case "refused": {
      const page = { ...(await readSettings(c)), passkeyName: form.get("passkey_name") ?? "" };
      return c.html(<SettingsPage {...page} errors={begun.errors} />, 422);
    }
    case "begun": {
      const page = { texts: c.get("texts"), signedIn: c.get("signedIn") };
      return c.html(<NewPasskeyPage {...page} name={begun.name} options={begun.options} />);
    }
  }
});

settings.post("/passkeys", async (c) => {
  const form = await readForm(c, PASSKEY_LIMITS);
  const errors = await addPasskey(c, form);
  if (errors === null) return c.redirect("/account/settings?done=passkey", 303);
  const page = { ...(await readSettings(c)), passkeyName: form.get("passkey_name") ?? "" };
  return c.html(<SettingsPage {...page} errors={errors} />, 422);
});

settings.route("/passkeys", passkeyRemoval);

settings.post("/mails", async (c) => {
  const errors = await saveNotices(c.env, c.get("signedIn").userId, await readForm(c), c.get("texts"));
  if (errors === null) return c.redirect("/account/settings#mails", 303);
  return c.html(<SettingsPage {...(await readSettings(c))} errors={errors} />, 422);
});

settings.get("/mails", (c) => c.redirect("/account/settings", 303));

settings.post("/webhook-secret", async (c) => {
  await c.env.ACCOUNT.getByName(c.get("signedIn").userId).rotateWebhookSecret(true);
  return c.redirect("/account/settings#webhooks-title", 303);
});

settings.get("/webhook-secret", (c) => c.redirect("/account/settings", 303));

settings.route("/sessions", activeSessions);

settings.get("/data", async (c) => {
  const { userId } = c.get("signedIn");
  await limitAttempts(c, `data:${userId}`);
  return c.body(dataOf(c.env, userId, Date.now()), 200, {
    "Content-Type": "application/x-ndjson; charset=utf-8",
    "Content-Disposition": 'attachment; filename="gpt-image-hub.jsonl"',
  });
});

settings.post("/delete", async (c) => {
  const sessions = c.get("sessions");
  const { userId, email } = c.get("signedIn");
  const texts = c.get("texts");
  const { leaving } = texts;
  const confirmation = (await readForm(c)).get("delete_confirmation") ?? "";
  await limitAttempts(c, `password:${userId}`);
  const page = await readSettings(c);
  const isConfirmed = page.hasPassword
    ? await sessions.isPassword(confirmation)
    : confirmation.trim().toLowerCase() === email;
  if (!isConfirmed) {
    const message = page.hasPassword ? leaving.wrongPassword : leaving.wrongEmail;
    return c.html(<SettingsPage {...page} errors={{ delete_confirmation: message }} />, 422);
  }
  await deleteUser(c.env.DB, userId, Date.now());
  log("account_deleted", { user_id: userId });
  await sessions.signOut();
  return c.html(
    <MessagePage title={leaving.deleted} texts={texts}>
      <p>{leaving.deletedHint}</p>
    </MessagePage>,
  );
});

settings.get("/delete", (c) => c.redirect("/account/settings", 303));

type SettingsProps = {
  texts: Texts;
  signedIn: SignedIn;
  list: readonly SessionSummary[];
  hasPassword: boolean;
  passkeys: PasskeyState;
  /** The name in the form that adds one. */
  passkeyName: string;
  secrets: WebhookSecrets | null;
  /** Null where the service sends no mail. */
  notices: NoticeSettings | null;
  canSend: boolean;
  /** What was typed as the new email address. */
  newEmail?: string | undefined;
  done?: string | undefined;
  errors?: FormErrors;
};

const SettingsPage: FC<SettingsProps> = ({ texts, ...props }) => (
  <AccountPage title={texts.frame.settings} texts={texts} at="/account/settings" signedIn={props.signedIn}>
    <div class="narrow">
      <h1>{texts.frame.settings}</h1>
      {props.done ? (
        <div class="notice good" role="status">
          <p>{props.done}</p>
        </div>
      ) : null}
      <Section id="account" name={texts.settings.account}>
        <dl class="facts-list">
          <div>
            <dt>{texts.settings.email}</dt>
            <dd>{props.signedIn.email}</dd>
          </div>
          <div>
            <dt>{texts.settings.accountType}</dt>
            <dd>{props.signedIn.accountType}</dd>
          </div>
        </dl>
        {props.canSend ? (
          <EmailForm hasPassword={props.hasPassword} value={props.newEmail} errors={props.errors} />
        ) : null}
      </Section>
      <Section id="password-title" name={texts.settings.password}>
        <FormError errors={props.errors} />
        {props.hasPassword ? (
          <PasswordForm email={props.signedIn.email} errors={props.errors} />
        ) : (
          <NoPassword canReset={props.canSend} />
        )}
      </Section>
      <Passkeys
        state={props.passkeys}
        hasPassword={props.hasPassword}
        suggested={props.passkeyName}
        errors={props.errors}
      />
      {props.notices === null ? null : (
        <Notices notices={props.notices} email={props.signedIn.email} errors={props.errors} />
      )}
      {props.secrets === null ? null : <WebhookSecret secrets={props.secrets} />}
      <ActiveSessions list={props.list} />
      <Leaving email={props.signedIn.email} hasPassword={props.hasPassword} errors={props.errors} />
    </div>
  </AccountPage>
);

const PasswordForm: FC<{ email: string; errors?: FormErrors | undefined }> = ({ email, errors }) => {
  const { settings } = useTexts();
  return (
    <form method="post" action="/account/settings/password" class="panel" novalidate>
      <input type="hidden" name="username" value={email} autocomplete="username" />
      <CurrentPassword name="current" label={settings.currentPassword} errors={errors} />
      <Field
        name="password"
        label={settings.newPassword}
        type="password"
        hint={settings.passwordHint(PASSWORD_LENGTH_MIN)}
        errors={errors}
        autocomplete="new-password"
        maxlength={PASSWORD_LENGTH_MAX}
        required
      />
      <button class="button" type="submit">
        {settings.changePassword}
      </button>
    </form>
  );
};

const NoPassword: FC<{ canReset: boolean }> = ({ canReset }) => {
  const { settings } = useTexts();
  return (
    <p>
      {settings.withoutPassword}{" "}
      {canReset ? settings.addPassword(<a href="/forgot-password">{settings.requestLink}</a>) : null}
    </p>
  );
};
