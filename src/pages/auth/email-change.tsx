import { Hono } from "hono";
import { confirmEmailChange } from "../../auth/email-change.ts";
import { EMAIL_CHANGE_PATH } from "../../auth/settings.ts";
import { PageError, type PagesEnv } from "../env.ts";
import { readForm } from "../forms.ts";
import { MessagePage } from "../layout.tsx";
import { countReset } from "./attempts.ts";
import { Card, LINK_EXPIRED } from "./parts.tsx";

/** The link that confirms a new email address. A button makes the change, because programs open links in mails too. */
export const emailChange = new Hono<PagesEnv>();

const TEXTS = {
  title: "Confirm your new email address",
  button: "Use this address",
  done: "Email address changed",
  signInWith: (email: string) => `Sign in with ${email} from now on. Your sessions stay.`,
  account: "Your account",
} as const;

emailChange.get(EMAIL_CHANGE_PATH, (c) =>
  c.html(
    <Card title={TEXTS.title}>
      <form method="post" action={EMAIL_CHANGE_PATH}>
        <input type="hidden" name="token" value={c.req.query("token") ?? ""} />
        <button class="button wide" type="submit">
          {TEXTS.button}
        </button>
      </form>
    </Card>,
  ),
);

emailChange.post(EMAIL_CHANGE_PATH, async (c) => {
  const token = (await readForm(c)).get("token") ?? "";
  await countReset(c);
  const email = await confirmEmailChange(c.env.DB, token, Date.now());
  if (email === null) throw new PageError(400, LINK_EXPIRED);
  return c.html(
    <MessagePage title={TEXTS.done}>
      <p>
        {TEXTS.signInWith(email)} <a href="/account">{TEXTS.account}</a>
      </p>
    </MessagePage>,
  );
});
