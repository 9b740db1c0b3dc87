import { Hono } from "hono";
import type { FC } from "hono/jsx";
import * as z from "zod";
import type { SignedIn } from "../../auth/sessions.ts";
import { isKeyId, newId } from "../../id.ts";
import {
  ACTIVE_KEYS_MAX,
  type ApiKey,
  changeKey,
  findKey,
  issueKey,
  KEY_NAME_LENGTH_MAX,
  keyModes,
  listKeys,
  revokeKey,
} from "../../keys/manage.ts";
import { PageError, type PagesEnv, siteOrigin } from "../env.ts";
import { type FormErrors, parseForm, readForm } from "../forms.ts";
import { AccountPage } from "../layout.tsx";
import { Code, Day, Empty, Field, FieldError, FormError } from "../parts.tsx";
import { curlSample } from "../samples.ts";
import type { Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";
import { ALL_TERMS, readTermsForm, TermsFields, termsWords } from "./key-terms.tsx";

export const keys = new Hono<PagesEnv>();

const KEYS_SHOWN = 50;
const DAY_MS = 86_400_000;

/** The lifetimes of a key, in days. */
const LIFETIMES = ["never", "7", "30", "90", "365"] as const;

keys.get("/", async (c) => {
  const signedIn = c.get("signedIn");
  const now = Date.now();
  const cursor = c.req.query("after") ?? null;
  const list = await readKeys(c.env, signedIn.userId, cursor, now);
  const isRevoked = c.req.query("revoked") !== undefined;
  const page = { texts: c.get("texts"), signedIn, list, now, isRevoked };
  return c.html(<KeysPage {...page} />);
});

/** A key, and the credits that it has spent in the period of its limit, or in all. */
type ShownKey = { apiKey: ApiKey; spent: number };

async function readKeys(env: Env, userId: string, cursor: string | null, now: number) {
  const { keys, next } = await listKeys(env.DB, userId, { limit: KEYS_SHOWN, cursor, now });
  const limits = keys.map(({ id, creditLimit }) => ({ keyId: id, limit: creditLimit }));
  const spent = await env.ACCOUNT.getByName(userId).spentByKeys(limits);
  const shown = keys.map((apiKey, at): ShownKey => ({ apiKey, spent: spent[at]?.credits ?? 0 }));
  return { keys: shown, next };
}

const nameSchema = ({ keys }: Texts) =>
  z
    .string({ error: keys.nameMissing })
    .trim()
    .min(1, keys.nameMissing)
    .max(KEY_NAME_LENGTH_MAX, keys.nameTooLong(KEY_NAME_LENGTH_MAX));

const keySchema = (texts: Texts) =>
  z.object({
    /** Rendered with the form, so that sending the same form twice creates one key. */
    id: z
      .string()
      .refine(isKeyId)
      .catch(() => newId("key")),
    name: nameSchema(texts),
    /** A form that a page of an older release rendered has none. */
    mode: z.enum(keyModes, { error: texts.keys.modeMissing }).default("live"),
    expires: z.enum(LIFETIMES, { error: texts.keys.lifetimeMissing }),
  });

keys.post("/", async (c) => {
  const signedIn = c.get("signedIn");
  const texts = c.get("texts");
  const fields = await readForm(c);
  const now = Date.now();
  const again = async (errors: FormErrors) => {
    const list = await readKeys(c.env, signedIn.userId, null, now);
    const page = { texts, signedIn, list, now, name: fields.get("name") };
    return c.html(<KeysPage {...page} errors={errors} />, 422);
  };
  const form = parseForm(keySchema(texts), fields);
  if (form.kind === "invalid") return await again(form.errors);
  const terms = readTermsForm(fields, texts);
  if (terms.kind === "invalid") return await again(terms.errors);
  const { id, name, mode, expires } = form.data;
  const expiresAt = expires === "never" ? null : now + Number(expires) * DAY_MS;
  const key = { id, userId: signedIn.userId, name, mode, expiresAt, ...terms.data };
  const issued = await issueKey(c.env.DB, key, now);
  switch (issued.kind) {
    case "issued": {
      const { key, secret } = issued;
      const page = { texts, signedIn, name: key.name, secret, origin: siteOrigin(c) };
      return c.html(<NewKeyPage {...page} />);
    }
    case "exists":
      return c.html(<ExistingKeyPage texts={texts} signedIn={signedIn} existing={issued.key} />, 409);
    case "taken":
      throw new PageError(400, texts.keys.again);
    case "too_many":
      return await again({ form: texts.keys.tooMany(ACTIVE_KEYS_MAX) });
  }
});

keys.get("/:id", async (c) => {
  const signedIn = c.get("signedIn");
  const key = await findKey(c.env.DB, { id: c.req.param("id"), userId: signedIn.userId });
  if (!key) throw new PageError(404, c.get("texts").keys.unknown);
  return c.html(<ChangePage texts={c.get("texts")} signedIn={signedIn} apiKey={key} />);
});

keys.post("/:id", async (c) => {
  const signedIn = c.get("signedIn");
  const own = { id: c.req.param("id"), userId: signedIn.userId };
  const key = await findKey(c.env.DB, own);
  if (!key) throw new PageError(404, c.get("texts").keys.unknown);
  const texts = c.get("texts");
  const fields = await readForm(c);
  const form = parseForm(z.object({ name: nameSchema(texts) }), fields);
  const terms = readTermsForm(fields, texts);
  if (form.kind === "invalid" || terms.kind === "invalid") {
    const errors = form.kind === "invalid" ? form.errors : terms.kind === "invalid" ? terms.errors : {};
    return c.html(<ChangePage texts={texts} signedIn={signedIn} apiKey={key} errors={errors} />, 422);
  }
  await changeKey(c.env.DB, own, { ...form.data, ...terms.data });
  return c.redirect("/account/keys", 303);
});

keys.get("/:id/revoke", async (c) => {
  const signedIn = c.get("signedIn");
  const texts = c.get("texts");
  const key = await findKey(c.env.DB, { id: c.req.param("id"), userId: signedIn.userId });
  if (!key) throw new PageError(404, c.get("texts").keys.unknown);
  return c.html(
    <AccountPage title={texts.keys.revokeTitle} texts={texts} at="/account/keys" signedIn={signedIn}>
      <div class="narrow">
        <h1>{texts.keys.revokeHeading(key.name)}</h1>
        <p>{texts.keys.revokeHint(<code>{maskedKey(key)}</code>)}</p>
        <form method="post" class="actions">
          <button class="button danger" type="submit">
            {texts.keys.revokeKey}
          </button>
          <a class="button quiet" href="/account/keys">
            {texts.parts.cancel}
          </a>
        </form>
      </div>
    </AccountPage>,
  );
});

keys.post("/:id/revoke", async (c) => {
  const { userId } = c.get("signedIn");
  if (!(await revokeKey(c.env.DB, { id: c.req.param("id"), userId }, Date.now()))) {
    throw new PageError(404, c.get("texts").keys.unknown);
  }
  return c.redirect("/account/keys?revoked=1", 303);
});

function isActive(key: ApiKey, now: number): boolean {
  return key.revokedAt === null && (key.expiresAt === null || key.expiresAt > now);
}

/** The part of a key that is stored. */
function maskedKey({ display }: ApiKey): string {
  return `${display.slice(0, -4)}…${display.slice(-4)}`;
}

const KeysPage: FC<{
  texts: Texts;
  signedIn: SignedIn;
  list: { keys: readonly ShownKey[]; next: string | null };
  now: number;
  name?: string | undefined;
  errors?: FormErrors;
  /** Whether a key was just revoked. */
  isRevoked?: boolean;
}> = ({ texts, signedIn, list, now, name, errors, isRevoked = false }) => (
  <AccountPage title={texts.frame.keys} texts={texts} at="/account/keys" signedIn={signedIn}>
    <h1>{texts.frame.keys}</h1>
    <p class="lead">
      {texts.keys.lead(<a href={`${texts.paths.guide}#test-keys`}>{texts.keys.testKeys}</a>)}
    </p>
    {isRevoked ? (
      <div class="notice good" role="status">
        <p>{texts.keys.wasRevoked}</p>
      </div>
    ) : null}
    <FormError errors={errors} />
    <NewKeyForm name={name} errors={errors} />
    {list.keys.length === 0 ? (
      <Empty>
        <p>{texts.keys.none}</p>
      </Empty>
    ) : (
      <ul class="keys" aria-label={texts.keys.list}>
        {list.keys.map((key) => (
          <KeyRow {...key} now={now} />
        ))}
      </ul>
    )}
    {list.next === null ? null : (
      <p class="more">
        <a href={`/account/keys?after=${list.next}`}>{texts.keys.more}</a>
      </p>
    )}
  </AccountPage>
);

const NewKeyForm: FC<{ name: string | undefined; errors: FormErrors | undefined }> = ({ name, errors }) => {
  const { keys, parts } = useTexts();
  return (
    <form method="post" action="/account/keys" class="panel row-form" novalidate>
      <input type="hidden" name="id" value={newId("key")} />
      <Field
        name="name"
        label={keys.name}
        value={name}
        errors={errors}
        autocomplete="off"
        maxlength={KEY_NAME_LENGTH_MAX}
        required
      />
      <Choice
        name="mode"
        label={keys.mode}
        options={keyModes.map((value) => ({ value, words: parts[value] }))}
        errors={errors}
      />
      <Choice
        name="expires"
        label={keys.expires}
        options={LIFETIMES.map((value) => ({ value, words: keys.lifetimes[value] }))}
        errors={errors}
      />
      <details class="limits" open={hasTermsError(errors)}>
        <summary>{keys.limits}</summary>
        <TermsFields terms={ALL_TERMS} errors={errors} />
      </details>
      <button class="button" type="submit">
        {keys.create}
      </button>
    </form>
  );
};

function hasTermsError(errors: FormErrors | undefined): boolean {
  return ["scopes", "limit", "period"].some((name) => errors?.[name] !== undefined);
}

const ChangePage: FC<{ texts: Texts; signedIn: SignedIn; apiKey: ApiKey; errors?: FormErrors }> = ({
  texts,
  signedIn,
  apiKey,
  errors,
}) => (
  <AccountPage title={texts.keys.changeTitle} texts={texts} at="/account/keys" signedIn={signedIn}>
    <div class="narrow">
      <h1>{texts.keys.changeHeading(apiKey.name)}</h1>
      <p>{texts.keys.changeHint(<code>{maskedKey(apiKey)}</code>)}</p>
      <form method="post" novalidate>
        <Field
          name="name"
          label={texts.keys.name}
          value={apiKey.name}
          errors={errors}
          autocomplete="off"
          maxlength={KEY_NAME_LENGTH_MAX}
          required
        />
        <TermsFields terms={apiKey} errors={errors} />
        <p class="actions">
          <button class="button" type="submit">
            {texts.parts.save}
          </button>
          <a class="button quiet" href="/account/keys">
            {texts.parts.cancel}
          </a>
        </p>
      </form>
    </div>
  </AccountPage>
);

const Choice: FC<{
  name: string;
  label: string;
  options: readonly { value: string; words: string }[];
  errors: FormErrors | undefined;
}> = ({ name, label, options, errors }) => (
  <div class="field">
    <label for={name}>{label}</label>
    <select
      id={name}
      name={name}
      aria-invalid={errors?.[name] ? "true" : undefined}
      aria-describedby={errors?.[name] ? `${name}-error` : undefined}
    >
      {options.map(({ value, words }) => (
        <option value={value}>{words}</option>
      ))}
    </select>
    <FieldError name={name} errors={errors} />
  </div>
);

const KeyRow: FC<ShownKey & { now: number }> = ({ apiKey, spent, now }) => {
  const { name, mode, lastUsedAt, createdAt, expiresAt } = apiKey;
  const texts = useTexts();
  const { keys, parts } = texts;
  return (
    <li class={isActive(apiKey, now) ? undefined : "faded"}>
      <div>
        <strong>{name}</strong> <code>{maskedKey(apiKey)}</code>
        <p class="hint">
          {parts[mode]}
          {" · "}
          {lastUsedAt === null ? keys.neverUsed : keys.lastUsed(<Day at={lastUsedAt} />)}
          {" · "}
          {keys.created(<Day at={createdAt} />)}
          {" · "}
          {expiresAt === null
            ? keys.neverExpires
            : (expiresAt > now ? keys.willExpire : keys.hasExpired)(<Day at={expiresAt} />)}
        </p>
        <p class="hint">{termsWords(apiKey, spent, texts)}</p>
      </div>
      <KeyStatus apiKey={apiKey} now={now} />
    </li>
  );
};

const KeyStatus: FC<{ apiKey: ApiKey; now: number }> = ({ apiKey, now }) => {
  const { keys } = useTexts();
  if (apiKey.revokedAt !== null) return <span class="status canceled">{keys.revoked}</span>;
  if (!isActive(apiKey, now)) return <span class="status canceled">{keys.expired}</span>;
  return (
    <span class="links">
      <a href={`/account/keys/${apiKey.id}`}>
        {keys.change}
        <span class="unseen"> {apiKey.name}</span>
      </a>
      <a href={`/account/keys/${apiKey.id}/revoke`}>
        {keys.revoke}
        <span class="unseen"> {apiKey.name}</span>
      </a>
    </span>
  );
};

/** The answer to a form that was sent again after it created its key. The secret is not stored, so it cannot be shown. */
const ExistingKeyPage: FC<{ texts: Texts; signedIn: SignedIn; existing: ApiKey }> = ({
  texts,
  signedIn,
  existing,
}) => (
  <AccountPage title={texts.keys.existsTitle} texts={texts} at="/account/keys" signedIn={signedIn}>
    <div class="narrow">
      <h1>{texts.keys.existsHeading(existing.name)}</h1>
      <p>{texts.keys.existsHint(<code>{maskedKey(existing)}</code>)}</p>
      <p class="actions">
        <a class="button" href="/account/keys">
          {texts.keys.goToKeys}
        </a>
        {existing.revokedAt === null ? (
          <a class="button quiet" href={`/account/keys/${existing.id}/revoke`}>
            {texts.keys.revokeThis}
          </a>
        ) : null}
      </p>
    </div>
  </AccountPage>
);

type NewKeyProps = { texts: Texts; signedIn: SignedIn; name: string; secret: string; origin: string };

const NewKeyPage: FC<NewKeyProps> = ({ texts, signedIn, name, secret, origin }) => (
  <AccountPage
    title={texts.keys.newTitle}
    texts={texts}
    at="/account/keys"
    signedIn={signedIn}
    scripts={["copy.js"]}
  >
    <div class="narrow">
      <h1>{texts.keys.newHeading(name)}</h1>
      <div class="notice">
        <p>
          <strong>{texts.keys.copyNow}</strong> {texts.keys.seenOnce}
        </p>
      </div>
      <div class="secret">
        <output id="api-key">{secret}</output>
        <button class="button quiet small" type="button" data-copy data-copy-from="api-key">
          {texts.copy}
        </button>
      </div>
      <p class="actions">
        <a class="button" href="/account/keys">
          {texts.keys.done}
        </a>
      </p>
      <h2>{texts.keys.tryIt}</h2>
      <p>{texts.keys.tryHint}</p>
      <Code
        label={texts.keys.sample}
        text={curlSample(origin, { model: "gpt-image-2", prompt: texts.playground.examplePrompt })}
      />
    </div>
  </AccountPage>
);
