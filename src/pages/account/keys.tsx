import { drizzle } from "drizzle-orm/d1";
import { Hono } from "hono";
import type { FC } from "hono/jsx";
import { isKeyId, newId } from "../../id.ts";
import { type ApiKey, countLiveKeys, findKey, issueKeyOnce, listKeys, revokeKey } from "../../keys/issue.ts";
import type { SignedIn } from "../../sessions/sessions.ts";
import { PageError, type PagesEnv, siteOrigin } from "../env.ts";
import { type FormErrors, readForm } from "../forms.ts";
import { AccountPage } from "../layout.tsx";
import { Code, Day, Empty, Field, FieldError, FormError } from "../parts.tsx";
import { curlSample } from "../samples.ts";

export const keys = new Hono<PagesEnv>();

const NAME_LENGTH_MAX = 100;
/** Keys that work: more than any set of programs needs, and few enough to look through. */
export const LIVE_KEYS_MAX = 100;
const KEYS_SHOWN = 50;
const DAY_MS = 86_400_000;

/** How long a key may be good for, in days; null is for ever. */
const LIFETIMES = [
  { value: "never", words: "never", days: null },
  { value: "7", words: "in 7 days", days: 7 },
  { value: "30", words: "in 30 days", days: 30 },
  { value: "90", words: "in 90 days", days: 90 },
  { value: "365", words: "in a year", days: 365 },
] as const;

keys.get("/", async (c) => {
  const signedIn = c.get("signedIn");
  const now = Date.now();
  const cursor = c.req.query("after") ?? null;
  const list = await listKeys(drizzle(c.env.DB), signedIn.userId, { limit: KEYS_SHOWN, cursor, now });
  return c.html(<KeysPage signedIn={signedIn} list={list} now={now} />);
});

keys.post("/", async (c) => {
  const signedIn = c.get("signedIn");
  const db = drizzle(c.env.DB);
  const form = await readForm(c);
  const now = Date.now();
  const name = (form.get("name") ?? "").trim();
  const lifetime = LIFETIMES.find(({ value }) => value === form.get("expires"));
  // Rendered with the form, so that the same form sent again makes no second key.
  const sentId = form.get("id") ?? "";
  const id = isKeyId(sentId) ? sentId : newId("key");
  const made = await findKey(db, signedIn.userId, id);
  if (made) return c.html(<MadeKeyPage signedIn={signedIn} made={made} />, 409);
  const errors: FormErrors = {
    ...(name === "" ? { name: "Give the key a name, so that you know it again." } : {}),
    ...(name.length > NAME_LENGTH_MAX ? { name: `A name has at most ${NAME_LENGTH_MAX} characters.` } : {}),
    ...(lifetime ? {} : { expires: "Choose when the key expires." }),
    ...((await countLiveKeys(db, signedIn.userId, now)) >= LIVE_KEYS_MAX
      ? { form: `You have ${LIVE_KEYS_MAX} keys already. Revoke one that is not needed.` }
      : {}),
  };
  if (!lifetime || Object.keys(errors).length > 0) {
    const list = await listKeys(db, signedIn.userId, { limit: KEYS_SHOWN, cursor: null, now });
    return c.html(<KeysPage signedIn={signedIn} list={list} now={now} name={name} errors={errors} />, 422);
  }
  const expiresAt = lifetime.days === null ? null : now + lifetime.days * DAY_MS;
  const issued = await issueKeyOnce(db, id, signedIn.userId, name, expiresAt, now);
  if (!issued) {
    // The same form, sent twice at the same time.
    const other = await findKey(db, signedIn.userId, id);
    if (!other) throw new PageError(400, "Reload the page of your keys and create the key again.");
    return c.html(<MadeKeyPage signedIn={signedIn} made={other} />, 409);
  }
  const { key, secret } = issued;
  return c.html(<NewKeyPage signedIn={signedIn} name={key.name} secret={secret} origin={siteOrigin(c)} />);
});

keys.get("/:id/revoke", async (c) => {
  const signedIn = c.get("signedIn");
  const key = await findKey(drizzle(c.env.DB), signedIn.userId, c.req.param("id"));
  if (!key) throw new PageError(404, "There is no such key.");
  return c.html(
    <AccountPage title="Revoke a key" at="/account/keys" signedIn={signedIn}>
      <div class="narrow">
        <h1>Revoke “{key.name}”?</h1>
        <p>
          Programs that use <code>{shown(key)}</code> are refused from the next request on. This cannot be
          undone.
        </p>
        <form method="post" class="actions">
          <button class="button danger" type="submit">
            Revoke the key
          </button>
          <a class="button quiet" href="/account/keys">
            Keep it
          </a>
        </form>
      </div>
    </AccountPage>,
  );
});

keys.post("/:id/revoke", async (c) => {
  const { userId } = c.get("signedIn");
  if (!(await revokeKey(drizzle(c.env.DB), c.req.param("id"), userId, Date.now()))) {
    throw new PageError(404, "There is no such key.");
  }
  return c.redirect("/account/keys", 303);
});

function works(key: ApiKey, now: number): boolean {
  return key.revokedAt === null && (key.expiresAt === null || key.expiresAt > now);
}

/** As much of a key as is kept of it. */
function shown({ display }: ApiKey): string {
  return `${display.slice(0, -4)}…${display.slice(-4)}`;
}

const KeysPage: FC<{
  signedIn: SignedIn;
  list: { keys: readonly ApiKey[]; next: string | null };
  now: number;
  name?: string;
  errors?: FormErrors;
}> = ({ signedIn, list, now, name, errors }) => (
  <AccountPage title="API keys" at="/account/keys" signedIn={signedIn}>
    <h1>API keys</h1>
    <p class="lead">
      A key lets a program act for you. Give each program its own, so that you can take it away again.
    </p>
    <FormError errors={errors} />
    <form method="post" action="/account/keys" class="panel row-form" novalidate>
      <input type="hidden" name="id" value={newId("key")} />
      <Field
        name="name"
        label="Name of the new key"
        value={name}
        errors={errors}
        autocomplete="off"
        maxlength={NAME_LENGTH_MAX}
        required
      />
      <div class="field">
        <label for="expires">Expires</label>
        <select
          id="expires"
          name="expires"
          aria-invalid={errors?.["expires"] ? "true" : undefined}
          aria-describedby={errors?.["expires"] ? "expires-error" : undefined}
        >
          {LIFETIMES.map(({ value, words }) => (
            <option value={value}>{words}</option>
          ))}
        </select>
        <FieldError name="expires" errors={errors} />
      </div>
      <button class="button" type="submit">
        Create the key
      </button>
    </form>
    {list.keys.length === 0 ? (
      <Empty>
        <p>You have no keys yet.</p>
      </Empty>
    ) : (
      <ul class="keys" aria-label="Your keys">
        {list.keys.map((key) => (
          <li class={works(key, now) ? undefined : "faded"}>
            <div>
              <strong>{key.name}</strong> <code>{shown(key)}</code>
              <p class="hint">
                {key.lastUsedAt === null ? (
                  "Never used"
                ) : (
                  <>
                    Last used <Day at={key.lastUsedAt} />
                  </>
                )}
                {" · created "}
                <Day at={key.createdAt} />
                {key.expiresAt === null ? (
                  " · never expires"
                ) : (
                  <>
                    {key.expiresAt > now ? " · expires " : " · expired "}
                    <Day at={key.expiresAt} />
                  </>
                )}
              </p>
            </div>
            <KeyEnd keyShown={key} now={now} />
          </li>
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

const KeyEnd: FC<{ keyShown: ApiKey; now: number }> = ({ keyShown, now }) => {
  if (keyShown.revokedAt !== null) return <span class="status canceled">Revoked</span>;
  if (!works(keyShown, now)) return <span class="status canceled">Expired</span>;
  return (
    <a href={`/account/keys/${keyShown.id}/revoke`}>
      Revoke<span class="unseen"> {keyShown.name}</span>
    </a>
  );
};

/** The answer to a form that has made its key: nothing of the secret is kept that could be shown again. */
const MadeKeyPage: FC<{ signedIn: SignedIn; made: ApiKey }> = ({ signedIn, made }) => (
  <AccountPage title="This key exists already" at="/account/keys" signedIn={signedIn}>
    <div class="narrow">
      <h1>The key “{made.name}” exists already</h1>
      <p>
        This form has already created <code>{shown(made)}</code>, and no second key was made. A key is shown
        only once. If you did not save it, revoke it and create another.
      </p>
      <p class="actions">
        <a class="button" href="/account/keys">
          Go to your keys
        </a>
        {made.revokedAt === null ? (
          <a class="button quiet" href={`/account/keys/${made.id}/revoke`}>
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
          <strong>This is the only time it is shown.</strong> We keep nothing of it but a hash. Store it now
          where your program finds it, and nobody else does.
        </p>
      </div>
      <div class="secret">
        <output id="api-key">{secret}</output>
        <button class="button quiet small" type="button" hidden data-copy="api-key">
          Copy
        </button>
      </div>
      <p class="actions">
        <a class="button" href="/account/keys">
          I stored it
        </a>
      </p>
      <h2>Try it</h2>
      <Code
        label="Example request"
        text={curlSample(origin, { model: "gpt-image-2", prompt: "a lighthouse at dusk" }).replace(
          "YOUR_API_KEY",
          "$GPT_IMAGE_HUB_KEY",
        )}
      />
    </div>
  </AccountPage>
);
