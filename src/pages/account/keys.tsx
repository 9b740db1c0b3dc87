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
  type KeyMode,
  keyModes,
  listKeys,
  revokeKey,
} from "../../keys/manage.ts";
import { PageError, type PagesEnv, siteOrigin } from "../env.ts";
import { type FormErrors, parseForm, readForm } from "../forms.ts";
import { AccountPage } from "../layout.tsx";
import { Code, Day, Empty, Field, FieldError, FormError } from "../parts.tsx";
import { curlSample } from "../samples.ts";
import { ALL_TERMS, readTermsForm, TermsFields, termsWords } from "./key-terms.tsx";

export const keys = new Hono<PagesEnv>();

const NAME_MISSING = "Enter a name for this key.";
const KEYS_SHOWN = 50;
const DAY_MS = 86_400_000;

/** The lifetime of a key, in days; null for a key that never expires. */
const LIFETIMES = [
  { value: "never", words: "Never", days: null },
  { value: "7", words: "In 7 days", days: 7 },
  { value: "30", words: "In 30 days", days: 30 },
  { value: "90", words: "In 90 days", days: 90 },
  { value: "365", words: "In a year", days: 365 },
] as const;

const MODES = [
  { value: "live", words: "Live" },
  { value: "test", words: "Test" },
] as const satisfies readonly { value: KeyMode; words: string }[];

keys.get("/", async (c) => {
  const signedIn = c.get("signedIn");
  const now = Date.now();
  const cursor = c.req.query("after") ?? null;
  const list = await readKeys(c.env, signedIn.userId, cursor, now);
  return c.html(<KeysPage signedIn={signedIn} list={list} now={now} />);
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

const KeyName = z
  .string({ error: NAME_MISSING })
  .trim()
  .min(1, NAME_MISSING)
  .max(KEY_NAME_LENGTH_MAX, `A name has at most ${KEY_NAME_LENGTH_MAX} characters.`);

const KeyForm = z.object({
  /** Rendered with the form, so that sending the same form twice creates one key. */
  id: z
    .string()
    .refine(isKeyId)
    .catch(() => newId("key")),
  name: KeyName,
  /** A form that a page of an older release rendered has none. */
  mode: z.enum(keyModes, { error: "Choose Live or Test." }).default("live"),
  expires: z.enum(
    LIFETIMES.map(({ value }) => value),
    { error: "Choose when this key expires." },
  ),
});

keys.post("/", async (c) => {
  const signedIn = c.get("signedIn");
  const fields = await readForm(c);
  const now = Date.now();
  const again = async (errors: FormErrors) => {
    const list = await readKeys(c.env, signedIn.userId, null, now);
    const name = fields.get("name");
    return c.html(<KeysPage signedIn={signedIn} list={list} now={now} name={name} errors={errors} />, 422);
  };
  const form = parseForm(KeyForm, fields);
  if (form.kind === "invalid") return await again(form.errors);
  const terms = readTermsForm(fields);
  if (terms.kind === "invalid") return await again(terms.errors);
  const { id, name, mode, expires } = form.data;
  const days = LIFETIMES.find(({ value }) => value === expires)?.days ?? null;
  const expiresAt = days === null ? null : now + days * DAY_MS;
  const key = { id, userId: signedIn.userId, name, mode, expiresAt, ...terms.data };
  const issued = await issueKey(c.env.DB, key, now);
  switch (issued.kind) {
    case "issued": {
      const { key, secret } = issued;
      return c.html(
        <NewKeyPage signedIn={signedIn} name={key.name} secret={secret} origin={siteOrigin(c)} />,
      );
    }
    case "exists":
      return c.html(<ExistingKeyPage signedIn={signedIn} existing={issued.key} />, 409);
    case "taken":
      throw new PageError(400, "Reload the API keys page and create the key again.");
    case "too_many":
      return await again({
        form: `You already have ${ACTIVE_KEYS_MAX} active keys. Revoke one that you do not need.`,
      });
  }
});

keys.get("/:id", async (c) => {
  const signedIn = c.get("signedIn");
  const key = await findKey(c.env.DB, { id: c.req.param("id"), userId: signedIn.userId });
  if (!key) throw new PageError(404, "This key does not exist.");
  return c.html(<ChangePage signedIn={signedIn} apiKey={key} />);
});

keys.post("/:id", async (c) => {
  const signedIn = c.get("signedIn");
  const own = { id: c.req.param("id"), userId: signedIn.userId };
  const key = await findKey(c.env.DB, own);
  if (!key) throw new PageError(404, "This key does not exist.");
  const fields = await readForm(c);
  const form = parseForm(z.object({ name: KeyName }), fields);
  const terms = readTermsForm(fields);
  if (form.kind === "invalid" || terms.kind === "invalid") {
    const errors = form.kind === "invalid" ? form.errors : terms.kind === "invalid" ? terms.errors : {};
    return c.html(<ChangePage signedIn={signedIn} apiKey={key} errors={errors} />, 422);
  }
  await changeKey(c.env.DB, own, { ...form.data, ...terms.data });
  return c.redirect("/account/keys", 303);
});

keys.get("/:id/revoke", async (c) => {
  const signedIn = c.get("signedIn");
  const key = await findKey(c.env.DB, { id: c.req.param("id"), userId: signedIn.userId });
  if (!key) throw new PageError(404, "This key does not exist.");
  return c.html(
    <AccountPage title="Revoke a key" at="/account/keys" signedIn={signedIn}>
      <div class="narrow">
        <h1>Revoke “{key.name}”?</h1>
        <p>
          Apps that use <code>{maskedKey(key)}</code> stop working immediately. This cannot be undone.
        </p>
        <form method="post" class="actions">
          <button class="button danger" type="submit">
            Revoke key
          </button>
          <a class="button quiet" href="/account/keys">
            Cancel
          </a>
        </form>
      </div>
    </AccountPage>,
  );
});

keys.post("/:id/revoke", async (c) => {
  const { userId } = c.get("signedIn");
  if (!(await revokeKey(c.env.DB, { id: c.req.param("id"), userId }, Date.now()))) {
    throw new PageError(404, "This key does not exist.");
  }
  return c.redirect("/account/keys", 303);
});

function isActive(key: ApiKey, now: number): boolean {
  return key.revokedAt === null && (key.expiresAt === null || key.expiresAt > now);
}

/** The part of a key that is stored. */
function maskedKey({ display }: ApiKey): string {
  return `${display.slice(0, -4)}…${display.slice(-4)}`;
}

const KeysPage: FC<{
  signedIn: SignedIn;
  list: { keys: readonly ShownKey[]; next: string | null };
  now: number;
  name?: string | undefined;
  errors?: FormErrors;
}> = ({ signedIn, list, now, name, errors }) => (
  <AccountPage title="API keys" at="/account/keys" signedIn={signedIn}>
    <h1>API keys</h1>
    <p class="lead">
      Use one key per app, so that you can revoke it separately. A test key uses no credits: see{" "}
      <a href="/docs#test-keys">Test keys</a>.
    </p>
    <FormError errors={errors} />
    <NewKeyForm name={name} errors={errors} />
    {list.keys.length === 0 ? (
      <Empty>
        <p>You have no keys yet.</p>
      </Empty>
    ) : (
      <ul class="keys" aria-label="Your keys">
        {list.keys.map((key) => (
          <KeyRow {...key} now={now} />
        ))}
      </ul>
    )}
    {list.next === null ? null : (
      <p class="more">
        <a href={`/account/keys?after=${list.next}`}>More keys</a>
      </p>
    )}
  </AccountPage>
);

const NewKeyForm: FC<{ name: string | undefined; errors: FormErrors | undefined }> = ({ name, errors }) => (
  <form method="post" action="/account/keys" class="panel row-form" novalidate>
    <input type="hidden" name="id" value={newId("key")} />
    <Field
      name="name"
      label="Name"
      value={name}
      errors={errors}
      autocomplete="off"
      maxlength={KEY_NAME_LENGTH_MAX}
      required
    />
    <Choice name="mode" label="Mode" options={MODES} errors={errors} />
    <Choice name="expires" label="Expires" options={LIFETIMES} errors={errors} />
    <details class="limits" open={hasTermsError(errors)}>
      <summary>Limit what it may do and spend</summary>
      <TermsFields terms={ALL_TERMS} errors={errors} />
    </details>
    <button class="button" type="submit">
      Create key
    </button>
  </form>
);

function hasTermsError(errors: FormErrors | undefined): boolean {
  return ["scopes", "limit", "period"].some((name) => errors?.[name] !== undefined);
}

const ChangePage: FC<{ signedIn: SignedIn; apiKey: ApiKey; errors?: FormErrors }> = ({
  signedIn,
  apiKey,
  errors,
}) => (
  <AccountPage title="Change a key" at="/account/keys" signedIn={signedIn}>
    <div class="narrow">
      <h1>Change “{apiKey.name}”</h1>
      <p>
        Changes apply from the next request of <code>{maskedKey(apiKey)}</code> on.
      </p>
      <form method="post" novalidate>
        <Field
          name="name"
          label="Name"
          value={apiKey.name}
          errors={errors}
          autocomplete="off"
          maxlength={KEY_NAME_LENGTH_MAX}
          required
        />
        <TermsFields terms={apiKey} errors={errors} />
        <p class="actions">
          <button class="button" type="submit">
            Save
          </button>
          <a class="button quiet" href="/account/keys">
            Cancel
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
  return (
    <li class={isActive(apiKey, now) ? undefined : "faded"}>
      <div>
        <strong>{name}</strong> <code>{maskedKey(apiKey)}</code>
        <p class="hint">
          {mode === "test" ? "Test · " : "Live · "}
          {lastUsedAt === null ? (
            "Never used"
          ) : (
            <>
              Last used <Day at={lastUsedAt} />
            </>
          )}
          {" · created "}
          <Day at={createdAt} />
          {expiresAt === null ? (
            " · never expires"
          ) : (
            <>
              {expiresAt > now ? " · expires " : " · expired "}
              <Day at={expiresAt} />
            </>
          )}
        </p>
        <p class="hint">{termsWords(apiKey, spent)}</p>
      </div>
      <KeyStatus apiKey={apiKey} now={now} />
    </li>
  );
};

const KeyStatus: FC<{ apiKey: ApiKey; now: number }> = ({ apiKey, now }) => {
  if (apiKey.revokedAt !== null) return <span class="status canceled">Revoked</span>;
  if (!isActive(apiKey, now)) return <span class="status canceled">Expired</span>;
  return (
    <span class="links">
      <a href={`/account/keys/${apiKey.id}`}>
        Change<span class="unseen"> {apiKey.name}</span>
      </a>
      <a href={`/account/keys/${apiKey.id}/revoke`}>
        Revoke<span class="unseen"> {apiKey.name}</span>
      </a>
    </span>
  );
};

/** The answer to a form that was sent again after it created its key. The secret is not stored, so it cannot be shown. */
const ExistingKeyPage: FC<{ signedIn: SignedIn; existing: ApiKey }> = ({ signedIn, existing }) => (
  <AccountPage title="Key already created" at="/account/keys" signedIn={signedIn}>
    <div class="narrow">
      <h1>The key “{existing.name}” was already created</h1>
      <p>
        This form already created <code>{maskedKey(existing)}</code>, so no second key was created. A key is
        shown only once. If you did not save it, revoke it and create another.
      </p>
      <p class="actions">
        <a class="button" href="/account/keys">
          Go to your keys
        </a>
        {existing.revokedAt === null ? (
          <a class="button quiet" href={`/account/keys/${existing.id}/revoke`}>
            Revoke this key
          </a>
        ) : null}
      </p>
    </div>
  </AccountPage>
);

const NewKeyPage: FC<{ signedIn: SignedIn; name: string; secret: string; origin: string }> = ({
  signedIn,
  name,
  secret,
  origin,
}) => (
  <AccountPage title="Your new key" at="/account/keys" signedIn={signedIn} scripts={["copy.js"]}>
    <div class="narrow">
      <h1>Your new key “{name}”</h1>
      <div class="notice">
        <p>
          <strong>Copy it now.</strong> You will not be able to see it again.
        </p>
      </div>
      <div class="secret">
        <output id="api-key">{secret}</output>
        <button class="button quiet small" type="button" data-copy="api-key">
          Copy
        </button>
      </div>
      <p class="actions">
        <a class="button" href="/account/keys">
          Done
        </a>
      </p>
      <h2>Try it</h2>
      <p>
        Put the key into the environment variable <code>GIH_KEY</code>, then run:
      </p>
      <Code
        label="Example request"
        text={curlSample(origin, { model: "gpt-image-2", prompt: "a lighthouse at dusk" })}
      />
    </div>
  </AccountPage>
);
