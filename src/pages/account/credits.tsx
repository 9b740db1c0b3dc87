import { Hono } from "hono";
import type { FC } from "hono/jsx";
import type { Grant } from "../../account/ledger.ts";
import type { Entry } from "../../account/store/ledger.ts";
import { listPurchases } from "../../billing/purchases.ts";
import { readConfig } from "../../config.ts";
import { SIGNUP_GRANT_ID } from "../../users/signup-credits.ts";
import type { PagesEnv } from "../env.ts";
import { AccountPage } from "../layout.tsx";
import { Day, Empty, scrolls, Time } from "../parts.tsx";
import { useTexts } from "../texts/language.ts";
import { buying, isAwaited, Packs, Purchases, Returned } from "./buying.tsx";
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
  const [{ balance, grants, entries, hasMore }, usage, purchases] = await Promise.all([
    c.env.ACCOUNT.getByName(signedIn.userId).statement(before, ENTRIES_SHOWN),
    readUsage(c.env, signedIn.userId, c.req.query("usage"), texts),
    listPurchases(c.env.DB, signedIn.userId),
  ]);
  const config = readConfig(c.env);
  const returned = purchases.find(({ id }) => id === c.req.query("purchase"));
  const isCanceled = c.req.query("canceled") !== undefined;
  const reloads = returned !== undefined && isAwaited(returned, isCanceled, Date.now());
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
      {returned ? <Returned purchase={returned} isCanceled={isCanceled} /> : null}
      <Packs config={config} email={signedIn.email} />
      <Purchases purchases={purchases} />
      <UsagePanel usage={usage} />
      <section aria-labelledby="grants">
        <h2 id="grants">{credit.grants}</h2>
        <Grants grants={grants} now={Date.now()} />
      </section>
      <section aria-labelledby="entries">
        <h2 id="entries">{credit.transactions}</h2>
        <Entries entries={entries} grants={grants} />
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

/** Entries of grants name them, such as "Credits granted: Starter". @param grants those that the page lists */
const Entries: FC<{ entries: readonly Entry[]; grants: readonly Grant[] }> = ({ entries, grants }) => {
  const { credit, format } = useTexts();
  const reasons = new Map(grants.map(({ id, reason }) => [id, reason]));
  const wordsOf = ({ kind, grantId }: Pick<Entry, "kind" | "grantId">) =>
    [credit.kinds[kind], reasons.get(grantId)].filter(Boolean).join(": ");
  return entries.length === 0 ? (
    <Empty>
      <p>{credit.none}</p>
    </Empty>
  ) : (
    <div class="table stacked" {...scrolls(credit.transactions)}>
      <table>
        <thead>
          <tr>
            <th scope="col">{credit.type}</th>
            <th scope="col" class="number">
              {credit.credits}
            </th>
            <th scope="col" class="number">
              {credit.balanceAfter}
            </th>
            <th scope="col">{credit.date}</th>
          </tr>
        </thead>
        <tbody>
          {entries.map(({ kind, credits, balanceAfter, generationId, createdAt, grantId }) => (
            <tr>
              <td>
                {generationId === null ? (
                  wordsOf({ kind, grantId })
                ) : (
                  <a href={`/account/generations/${generationId}`}>{credit.kinds[kind]}</a>
                )}
              </td>
              <td class={`number ${credits > 0 ? "gain" : ""}`}>
                {credits > 0 ? "+" : "−"}
                {format.number(Math.abs(credits))}
              </td>
              <td class="number" data-label={credit.balanceAfter}>
                {format.number(balanceAfter)}
              </td>
              <td>
                <Time at={createdAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
};
