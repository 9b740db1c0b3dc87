import { Hono } from "hono";
import { confirmEmailChange } from "../../auth/email-change.ts";
import { EMAIL_CHANGE_PATH } from "../../auth/settings.ts";
import { PageError, type PagesEnv } from "../env.ts";
import { readForm } from "../forms.ts";
import { MessagePage } from "../layout.tsx";
import { countReset } from "./attempts.ts";
import { Card } from "./parts.tsx";

/** The link that confirms a new email address. A button makes the change, because programs open links in mails too. */
export const emailChange = new Hono<PagesEnv>();

emailChange.get(EMAIL_CHANGE_PATH, (c) => {
  const texts = c.get("texts");
  return c.html(
    <Card title={texts.emailChange.confirm} texts={texts}>
      <form method="post" action={EMAIL_CHANGE_PATH}>
        <input type="hidden" name="token" value={c.req.query("token") ?? ""} />
        <button class="button wide" type="submit">
          {texts.emailChange.useThis}
        </button>
      </form>
    </Card>,
  );
});

emailChange.post(EMAIL_CHANGE_PATH, async (c) => {
  const texts = c.get("texts");
  const token = (await readForm(c)).get("token") ?? "";
  const attempt = await countReset(c);
  if (attempt.kind === "limited") {
    throw new PageError(429, texts.errors.againInMinutes(attempt.minutes));
  }
  const email = await confirmEmailChange(c.env.DB, token, Date.now());
  if (email === null) throw new PageError(400, texts.auth.linkExpired);
  return c.html(
    <MessagePage title={texts.emailChange.changed} texts={texts}>
      <p>
        {texts.emailChange.signInWith(email)} <a href="/account">{texts.emailChange.yourAccount}</a>
      </p>
    </MessagePage>,
  );
});
