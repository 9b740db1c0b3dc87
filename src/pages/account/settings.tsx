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
import { type FormErrors, passwordFault, readForm } from "../forms.ts";
import { AccountPage, MessagePage } from "../layout.tsx";
import { Field, FormError, Section } from "../parts.tsx";
import { dataOf } from "./download.ts";
import { changeEmail, EmailForm } from "./email.tsx";
import { Leaving } from "./leaving.tsx";
import { Notices, readNotices, saveNotices } from "./notices.tsx";
import { ActiveSessions, activeSessions } from "./sessions.tsx";
import { readSecrets, WebhookSecret } from "./webhooks.tsx";

export const settings = new Hono<PagesEnv>();

/** Tries of the password, and downloads, of one user. */
const ATTEMPTS_MAX = 10;
const ATTEMPTS_SPAN_MS = 10 * 60_000;

/** @throws {PageError} 429 after too many attempts of this kind and user */
async function limitAttempts(c: Context<PagesEnv>, key: string): Promise<void> {
  const [tried] = await countAttempts(c.env.DB, [{ key, spanMs: ATTEMPTS_SPAN_MS }], Date.now());
  if (tried && tried.count > ATTEMPTS_MAX) throw new PageError(429, "Try again in 10 minutes.");
}

settings.get("/", async (c) => {
  const done = DONE.get(c.req.query("done") ?? "");
  return c.html(<SettingsPage {...(await readSettings(c))} done={done} />);
});

/** What the page says after a change, by `?done=`. */
const DONE: ReadonlyMap<string, string> = new Map([
  ["password", "Password changed. You were signed out on all other devices."],
  [
    "email",
    "Check the new mailbox. We sent it a link that changes your email address. It expires in one hour.",
  ],
  ["session", "Session ended. That device must sign in again."],
]);

/** What the page shows. */
async function readSettings(c: Context<PagesEnv>) {
  const sessions = c.get("sessions");
  const signedIn = c.get("signedIn");
  const [list, hasPassword, secrets, notices] = await Promise.all([
    sessions.list(signedIn),
    sessions.hasPassword(signedIn.userId),
    readSecrets(c.env, signedIn.userId),
    canSendMail(c) ? readNotices(c.env, signedIn.userId) : null,
  ]);
  return { signedIn, list, hasPassword, secrets, notices, canSend: canSendMail(c) };
}

settings.post("/password", async (c) => {
  const sessions = c.get("sessions");
  const signedIn = c.get("signedIn");
  const form = await readForm(c);
  const again = async (errors: FormErrors) => {
    return c.html(<SettingsPage {...(await readSettings(c))} hasPassword errors={errors} />, 422);
  };
  const current = form.get("current") ?? "";
  const password = form.get("password") ?? "";
  if (current === "") return await again({ current: "Enter your current password." });
  const fault = passwordFault(password);
  if (fault !== null) return await again({ password: fault });
  await limitAttempts(c, `password:${signedIn.userId}`);
  if (!(await sessions.changePassword(current, password))) {
    return await again({ current: "This is not your current password." });
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

settings.post("/mails", async (c) => {
  const errors = await saveNotices(c.env, c.get("signedIn").userId, await readForm(c));
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
  const confirmation = (await readForm(c)).get("delete_confirmation") ?? "";
  await limitAttempts(c, `password:${userId}`);
  const page = await readSettings(c);
  const isConfirmed = page.hasPassword
    ? await sessions.isPassword(confirmation)
    : confirmation.trim().toLowerCase() === email;
  if (!isConfirmed) {
    const message = page.hasPassword ? "This is not your password." : "This is not your email address.";
    return c.html(<SettingsPage {...page} errors={{ delete_confirmation: message }} />, 422);
  }
  await deleteUser(c.env.DB, userId, Date.now());
  log("account_deleted", { user_id: userId });
  await sessions.signOut();
  return c.html(
    <MessagePage title="Account deleted">
      <p>Your API keys no longer work. Your images are deleted within minutes.</p>
    </MessagePage>,
  );
});

settings.get("/delete", (c) => c.redirect("/account/settings", 303));

type SettingsProps = {
  signedIn: SignedIn;
  list: readonly SessionSummary[];
  hasPassword: boolean;
  secrets: WebhookSecrets | null;
  /** Null where the service sends no mail. */
  notices: NoticeSettings | null;
  canSend: boolean;
  /** What was typed as the new email address. */
  newEmail?: string | undefined;
  done?: string | undefined;
  errors?: FormErrors;
};

const SettingsPage: FC<SettingsProps> = (props) => (
  <AccountPage title="Settings" at="/account/settings" signedIn={props.signedIn}>
    <div class="narrow">
      <h1>Settings</h1>
      {props.done ? (
        <div class="notice good" role="status">
          <p>{props.done}</p>
        </div>
      ) : null}
      <Section id="account" name="Account">
        <dl class="facts-list">
          <div>
            <dt>Email</dt>
            <dd>{props.signedIn.email}</dd>
          </div>
          <div>
            <dt>Account type</dt>
            <dd>{props.signedIn.accountType}</dd>
          </div>
        </dl>
        {props.canSend ? (
          <EmailForm hasPassword={props.hasPassword} value={props.newEmail} errors={props.errors} />
        ) : null}
      </Section>
      <Section id="password-title" name="Password">
        <FormError errors={props.errors} />
        {props.hasPassword ? <PasswordForm {...props} /> : <NoPassword canReset={props.canSend} />}
      </Section>
      {props.notices === null ? null : (
        <Notices notices={props.notices} email={props.signedIn.email} errors={props.errors} />
      )}
      {props.secrets === null ? null : <WebhookSecret secrets={props.secrets} />}
      <ActiveSessions list={props.list} />
      <Leaving email={props.signedIn.email} hasPassword={props.hasPassword} errors={props.errors} />
    </div>
  </AccountPage>
);

const PasswordForm: FC<SettingsProps> = ({ signedIn, errors }) => (
  <form method="post" action="/account/settings/password" class="panel" novalidate>
    <input type="hidden" name="username" value={signedIn.email} autocomplete="username" />
    <Field
      name="current"
      label="Current password"
      type="password"
      errors={errors}
      autocomplete="current-password"
      required
    />
    <Field
      name="password"
      label="New password"
      type="password"
      hint={`At least ${PASSWORD_LENGTH_MIN} characters.`}
      errors={errors}
      autocomplete="new-password"
      maxlength={PASSWORD_LENGTH_MAX}
      required
    />
    <button class="button" type="submit">
      Change password
    </button>
  </form>
);

const NoPassword: FC<{ canReset: boolean }> = ({ canReset }) => (
  <p>
    You sign in with GitHub or Google.
    {canReset ? (
      <>
        {" "}
        To add a password, <a href="/forgot-password">request a link by email</a>.
      </>
    ) : null}
  </p>
);
