import { Hono } from "hono";
import type { FC } from "hono/jsx";
import type { Grant } from "../../account/ledger.ts";
import type { GenerationDetail } from "../../account/views.ts";
import { packsOnSale } from "../../billing/settings.ts";
import { readConfig } from "../../config.ts";
import { listDetails } from "../../generations/read.ts";
import type { PagesEnv } from "../env.ts";
import { formatCredits, formatDate, formatNumber, formatUntil } from "../format.ts";
import { AccountPage } from "../layout.tsx";
import { Empty, Gallery, NoCredits } from "../parts.tsx";

export const overview = new Hono<PagesEnv>();

const RECENT_SHOWN = 6;
const EVERYTHING = { status: null, model: null, createdAfter: null, createdBefore: null };

overview.get("/", async (c) => {
  const signedIn = c.get("signedIn");
  const account = c.env.ACCOUNT.getByName(signedIn.userId);
  const [{ balance, grants }, recent] = await Promise.all([
    account.statement(1, 0),
    listDetails(signedIn.userId, EVERYTHING, null, RECENT_SHOWN, c.env),
  ]);
  const config = readConfig(c.env);
  const welcome = c.req.query("welcome") !== undefined;
  return c.html(
    <AccountPage title="Overview" at="/account" signedIn={signedIn} scripts={["live.js"]}>
      <h1>{welcome ? "Welcome" : "Overview"}</h1>
      {welcome ? (
        <p class="lead">
          Your account is ready.
          {balance.credits > 0 ? " Generate an image here, or create an API key." : null}
        </p>
      ) : null}
      <NoCredits credits={balance.credits} email={signedIn.email} sells={packsOnSale(config).length > 0} />
      <div class="tiles">
        <section class="panel" aria-labelledby="balance">
          <h2 id="balance">Balance</h2>
          <p class="figure" data-balance>
            {formatNumber(balance.credits)} <span>{balance.credits === 1 ? "credit" : "credits"}</span>
          </p>
          <p class="hint">{signedIn.accountType} account</p>
        </section>
        <Expiring grants={grants} now={Date.now()} />
        <section class="panel" aria-labelledby="next">
          <h2 id="next">Get started</h2>
          <p class="actions stacked">
            <a class="button" href="/account/playground">
              Generate an image
            </a>
            <a class="button quiet" href="/account/keys">
              Create an API key
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
  const left = grants.filter((grant) => grant.remaining > 0 && grant.expiresAt !== null);
  return (
    <section class="panel" aria-labelledby="expiring">
      <h2 id="expiring">Expiring credits</h2>
      {left.length === 0 ? (
        <p class="hint">None of your credits expire.</p>
      ) : (
        <ul class="plain">
          {left.slice(0, EXPIRING_SHOWN).map(({ remaining, expiresAt }) => (
            <li>
              {formatCredits(remaining)}{" "}
              <span class="hint">
                {expiresAt === null ? "" : `on ${formatDate(expiresAt)}, ${formatUntil(expiresAt, now)}`}
              </span>
            </li>
          ))}
        </ul>
      )}
      <p class="more">
        <a href="/account/credits">All credits</a>
      </p>
    </section>
  );
};

const Recent: FC<{ generations: readonly GenerationDetail[] }> = ({ generations }) => (
  <section aria-labelledby="recent">
    <div class="title-row">
      <h2 id="recent">Recent images</h2>
      {generations.length === 0 ? null : <a href="/account/generations">All images</a>}
    </div>
    {generations.length === 0 ? (
      <Empty>
        <p>No images yet.</p>
        <p>
          <a href="/account/playground">Generate your first image</a>
        </p>
      </Empty>
    ) : (
      <Gallery generations={generations} />
    )}
  </section>
);
