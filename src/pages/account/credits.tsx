import { Hono } from "hono";
import type { FC } from "hono/jsx";
import type { Grant } from "../../account/ledger.ts";
import { readConfig } from "../../config.ts";
import { readPurchasesAndKeys } from "../../users/purchases-and-keys.ts";
import { SIGNUP_GRANT_ID } from "../../users/signup-credits.ts";
import type { PagesEnv } from "../env.ts";
import { AccountPage } from "../layout.tsx";
import { Day, Empty, scrolls } from "../parts.tsx";
import { useTexts } from "../texts/language.ts";
import { buying, Packs, Purchases, Returned, returnedFrom } from "./buying.tsx";
import { completeSubjects, Entries } from "./entries.tsx";
import { readUsage, UsagePanel, usageFile } from "./usage.tsx";

export const credits = new Hono<PagesEnv>();

credits.route("/", usageFile);
credits.route("/", buying);

/** Of a browser without scripts. */
const RELOAD_SECONDS = 3;
const ENTRIES_SHOWN = 50;

credits.get("/", async (c) => {
  const signedIn = c.get("signedIn");
  const texts = c.get("texts");
  const { frame, parts, credit, format } = texts;
  const before = readBefore(c.req.query("before"));
  const [statement, usage, { purchases, keyNames }] = await Promise.all([
    c.env.ACCOUNT.getByName(signedIn.userId).statement(before, ENTRIES_SHOWN, true),
    readUsage(c.env, signedIn.userId, c.req.query("usage"), texts),
    readPurchasesAndKeys(c.env.DB, signedIn.userId),
  ]);
  const { balance, grants, entries, hasMore } = statement;
  const subjects = await completeSubjects(c, entries, statement.subjects);
  const config = readConfig(c.env);
  const bought = purchases.find(({ id }) => id === c.req.query("purchase"));
  const isCanceled = c.req.query("canceled") !== undefined;
  const returned = bought && returnedFrom(bought, grants, isCanceled, Date.now());
  const reloads = returned?.isAwaited === true;
  return c.html(
    <AccountPage
      title={frame.credits}
      texts={texts}
      at="/account/credits"
      signedIn={signedIn}
      scripts={reloads ? ["reload.js"] : []}
      refresh={reloads ? RELOAD_SECONDS : undefined}
    >
      <div class="title-row">
        <h1>{frame.credits}</h1>
        <p class="figure small" data-balance>
          {parts.balanceLeft(format.number(balance.credits))}
        </p>
      </div>
      {returned ? <Returned {...returned} /> : null}
      <Packs config={config} email={signedIn.email} />
      <Purchases purchases={purchases} />
      <UsagePanel usage={usage} />
      <section aria-labelledby="grants">
        <h2 id="grants">{credit.grants}</h2>
        <Grants grants={grants} now={Date.now()} />
      </section>
      <section aria-labelledby="entries">
        <h2 id="entries">{credit.transactions}</h2>
        <Entries entries={entries} grants={grants} subjects={subjects} keyNames={keyNames} />
        {hasMore ? (
          <p class="more">
            <a href={`/account/credits?before=${entries.at(-1)?.seq ?? 1}#entries`}>{credit.older}</a>
          </p>
        ) : null}
      </section>
    </AccountPage>,
  );
});

/** Entries are paged by their number. Any other value means the newest. */
function readBefore(text: string | undefined): number {
  return text !== undefined && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : Number.MAX_SAFE_INTEGER;
}

const Grants: FC<{ grants: readonly Grant[]; now: number }> = ({ grants, now }) => {
  const { credit, format } = useTexts();
  return grants.length === 0 ? (
    <Empty>
      <p>{credit.none}</p>
    </Empty>
  ) : (
    <div class="table stacked" {...scrolls(credit.grants)}>
      <table>
        <thead>
          <tr>
            <th scope="col">{credit.source}</th>
            <th scope="col" class="number">
              {credit.remaining}
            </th>
            <th scope="col" class="number">
              {credit.total}
            </th>
            <th scope="col">{credit.granted}</th>
            <th scope="col">{credit.expires}</th>
          </tr>
        </thead>
        <tbody>
          {grants.map(({ id, reason, remaining, credits, createdAt, expiresAt }) => (
            <tr class={remaining === 0 ? "faded" : undefined}>
              <td>{id === SIGNUP_GRANT_ID ? credit.signup : (reason ?? credit.unnamed)}</td>
              <td class="number" data-label={credit.remaining}>
                {format.number(remaining)}
              </td>
              <td class="number" data-label={credit.total}>
                {format.number(credits)}
              </td>
              <td data-label={credit.granted}>
                <Day at={createdAt} />
              </td>
              <td data-label={credit.expires}>
                {expiresAt === null ? credit.never : <Day at={expiresAt} />}
                {expiresAt !== null && expiresAt <= now ? ` ${credit.expired}` : null}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
};
