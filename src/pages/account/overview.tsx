import { Hono } from "hono";
import type { FC } from "hono/jsx";
import type { Grant } from "../../account/ledger.ts";
import type { GenerationDetail } from "../../account/views.ts";
import { packsOnSale } from "../../billing/settings.ts";
import { readConfig } from "../../config.ts";
import { listDetails } from "../../generations/read.ts";
import type { PagesEnv } from "../env.ts";
import { daysBetween } from "../format.ts";
import { AccountPage } from "../layout.tsx";
import { Empty, Gallery, NoCredits } from "../parts.tsx";
import { useTexts } from "../texts/language.ts";

export const overview = new Hono<PagesEnv>();

const RECENT_SHOWN = 6;
const EVERYTHING = { status: null, model: null, createdAfter: null, createdBefore: null };

overview.get("/", async (c) => {
  const signedIn = c.get("signedIn");
  const texts = c.get("texts");
  const { frame, overview, parts, format } = texts;
  const account = c.env.ACCOUNT.getByName(signedIn.userId);
  const [{ balance, grants }, recent] = await Promise.all([
    account.statement(1, 0),
    listDetails(signedIn.userId, EVERYTHING, null, RECENT_SHOWN, c.env),
  ]);
  const config = readConfig(c.env);
  const welcome = c.req.query("welcome") !== undefined;
  return c.html(
    <AccountPage title={frame.overview} texts={texts} at="/account" signedIn={signedIn} scripts={["live.js"]}>
      <h1>{welcome ? overview.welcome : frame.overview}</h1>
      {welcome ? (
        <p class="lead">
          {overview.ready}
          {balance.credits > 0 ? ` ${overview.readyNext}` : null}
        </p>
      ) : null}
      <NoCredits credits={balance.credits} email={signedIn.email} sells={packsOnSale(config).length > 0} />
      <div class="tiles">
        <section class="panel" aria-labelledby="balance">
          <h2 id="balance">{overview.balance}</h2>
          <p class="figure" data-balance>
            {format.number(balance.credits)} <span>{overview.credit(balance.credits)}</span>
          </p>
          <p class="hint">{overview.accountType(signedIn.accountType)}</p>
        </section>
        <Expiring grants={grants} now={Date.now()} />
        <section class="panel" aria-labelledby="next">
          <h2 id="next">{overview.getStarted}</h2>
          <p class="actions stacked">
            <a class="button" href="/account/playground">
              {parts.generateImage}
            </a>
            <a class="button quiet" href="/account/keys">
              {overview.createKey}
            </a>
          </p>
        </section>
      </div>
      <Recent generations={recent.generations} />
    </AccountPage>,
  );
});

const EXPIRING_SHOWN = 4;

const Expiring: FC<{ grants: readonly Grant[]; now: number }> = ({ grants, now }) => {
  const { overview, credits, format } = useTexts();
  const left = grants.filter((grant) => grant.remaining > 0 && grant.expiresAt !== null);
  return (
    <section class="panel" aria-labelledby="expiring">
      <h2 id="expiring">{overview.expiring}</h2>
      {left.length === 0 ? (
        <p class="hint">{overview.noneExpires}</p>
      ) : (
        <ul class="plain">
          {left.slice(0, EXPIRING_SHOWN).map(({ remaining, expiresAt }) => (
            <li>
              {credits(remaining)}{" "}
              <span class="hint">
                {expiresAt === null ? "" : overview.on(format.date(expiresAt), daysBetween(now, expiresAt))}
              </span>
            </li>
          ))}
        </ul>
      )}
      <p class="more">
        <a href="/account/credits">{overview.allCredits}</a>
      </p>
    </section>
  );
};

const Recent: FC<{ generations: readonly GenerationDetail[] }> = ({ generations }) => {
  const { overview, parts } = useTexts();
  return (
    <section aria-labelledby="recent">
      <div class="title-row">
        <h2 id="recent">{parts.recentImages}</h2>
        {generations.length === 0 ? null : <a href="/account/generations">{parts.allImages}</a>}
      </div>
      {generations.length === 0 ? (
        <Empty>
          <p>{overview.noImages}</p>
          <p>
            <a href="/account/playground">{overview.firstImage}</a>
          </p>
        </Empty>
      ) : (
        <Gallery generations={generations} />
      )}
    </section>
  );
};
