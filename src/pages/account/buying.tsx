import { Hono } from "hono";
import type { FC } from "hono/jsx";
import type { Grant } from "../../account/ledger.ts";
import { countAttempts } from "../../auth/throttle.ts";
import { startCheckout } from "../../billing/checkout.ts";
import { moneyBack, type PurchaseStatus, statusOf } from "../../billing/events.ts";
import { findPack, type Pack } from "../../billing/packs.ts";
import { findPurchase, grantIdOf, type Purchase } from "../../billing/purchases.ts";
import { packsOnSale, stripeSettings } from "../../billing/settings.ts";
import { type Config, readConfig } from "../../config.ts";
import { describe, log } from "../../log.ts";
import { PageError, type PagesEnv, siteOrigin } from "../env.ts";
import { readForm } from "../forms.ts";
import { Day, Section, Table } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";

/** Buying credits: part of the credits page. */
export const buying = new Hono<PagesEnv>();

const CHECKOUTS_MAX = 20;
const CHECKOUTS_SPAN_MS = 10 * 60_000;
/** How long after its start a purchase is awaited, and its page reloads itself. */
const WATCHED_MS = 10 * 60_000;

buying.post("/buy", async (c) => {
  const { userId, email } = c.get("signedIn");
  const { buying, errors } = c.get("texts");
  const settings = stripeSettings(readConfig(c.env));
  const pack = findPack((await readForm(c)).get("pack") ?? "");
  if (settings === null || pack === null) throw new PageError(404, buying.notOnSale);
  const attempt = { key: `buy:${userId}`, spanMs: CHECKOUTS_SPAN_MS };
  const [tried] = await countAttempts(c.env.DB, [attempt], Date.now());
  if (tried && tried.count > CHECKOUTS_MAX)
    throw new PageError(429, errors.againInMinutes(CHECKOUTS_SPAN_MS / 60_000));
  const page = `${siteOrigin(c)}/account/credits`;
  try {
    return c.redirect(await startCheckout(c.env, settings, { userId, email }, pack, page, Date.now()), 303);
  } catch (error) {
    log("checkout_failed", { request_id: c.get("requestId"), user_id: userId, error: describe(error) });
    throw new PageError(503, buying.failed);
  }
});

buying.get("/buy", (c) => c.redirect("/account/credits", 303));

/** Stripe keeps the receipt, and its address does not last, so it is asked for each time. */
buying.get("/purchases/:id/receipt", async (c) => {
  const { buying } = c.get("texts");
  const settings = stripeSettings(readConfig(c.env));
  const purchase = await findPurchase(c.env.DB, c.get("signedIn").userId, c.req.param("id"));
  if (settings === null || purchase?.paymentIntent == null) throw new PageError(404, buying.noReceipt);
  const { StripeGateway } = await import("../../billing/stripe.ts");
  try {
    const url = await new StripeGateway(settings).receiptUrl(purchase.paymentIntent);
    if (url !== null) return c.redirect(url, 303);
  } catch (error) {
    log("receipt_failed", { request_id: c.get("requestId"), error: describe(error) });
  }
  throw new PageError(503, buying.receiptLater);
});

/** The packs on sale, or how else to get credits. */
export const Packs: FC<{ config: Config; email: string }> = ({ config, email }) => {
  const packs = packsOnSale(config);
  const { buying } = useTexts();
  return (
    <Section id="packs" name={buying.buyCredits}>
      {packs.length === 0 ? <p>{buying.noneOnSale(email)}</p> : null}
      {stripeSettings(config)?.isTest ? (
        <div class="notice">
          <p>
            <strong>{buying.testMoney}</strong> {buying.testMoneyHint}
          </p>
        </div>
      ) : null}
      <ul class="packs tiles">
        {packs.map((pack) => (
          <li class="panel">
            <PackCard pack={pack} />
          </li>
        ))}
      </ul>
    </Section>
  );
};

const PackCard: FC<{ pack: Pack }> = ({
  pack: { id, name, credits, amount, currency, expiresAfterDays },
}) => {
  const { buying, format } = useTexts();
  return (
    <>
      <h3>{name}</h3>
      <p class="figure small">
        {format.number(credits)} <span>{buying.credits}</span>
      </p>
      <p>
        <strong>{format.money(amount, currency)}</strong>
        <span class="hint"> {buying.perThousand(format.money((amount * 1000) / credits, currency))}</span>
      </p>
      <p class="hint">{expiresAfterDays === null ? buying.neverExpire : buying.lastDays(expiresAfterDays)}</p>
      <form method="post" action="/account/credits/buy">
        <button class="button wide" type="submit" name="pack" value={id} aria-label={buying.buyNamed(name)}>
          {buying.buy}
        </button>
      </form>
    </>
  );
};

/**
 * The purchase from which a buyer returns, and for ten minutes whether its payment is awaited: a payment is recorded
 * before its credits are granted, and the page must not show them before the balance does.
 * @param grants the newest ones of the account
 */
export function returnedFrom(
  purchase: Purchase,
  grants: readonly Grant[],
  isCanceled: boolean,
  now: number,
): { purchase: Purchase; status: PurchaseStatus | "left"; isAwaited: boolean } {
  const isRecent = now < purchase.createdAt + WATCHED_MS;
  const grantId = purchase.sessionId === null ? null : grantIdOf(purchase.sessionId);
  const known = statusOf(purchase);
  const isMissing = known === "paid" && !grants.some(({ id }) => id === grantId);
  const status = isMissing ? "pending" : known === "open" && isCanceled ? "left" : known;
  return { purchase, status, isAwaited: isRecent && (status === "pending" || status === "open") };
}

/** The state of the purchase from which a buyer returns. */
export const Returned: FC<ReturnType<typeof returnedFrom>> = ({ purchase, status }) => {
  const { kind, text } = outcomeOf(purchase, status, useTexts());
  return (
    <div class={`notice ${kind}`} role="status">
      <p>{text}</p>
    </div>
  );
};

function outcomeOf(
  { credits }: Purchase,
  status: PurchaseStatus | "left",
  { buying }: Texts,
): { kind: "good" | "bad" | ""; text: string } {
  switch (status) {
    case "paid":
      return { kind: "good", text: buying.added(credits) };
    case "refunded":
      return { kind: "", text: buying.wasRefunded };
    case "failed":
      return { kind: "bad", text: buying.paymentFailed };
    case "pending":
    case "open":
      return { kind: "", text: buying.awaited };
    case "left":
      return { kind: "", text: buying.left };
  }
}

/** The purchases that were paid, or whose payment is under way. */
export const Purchases: FC<{ purchases: readonly Purchase[] }> = ({ purchases }) => {
  const shown = purchases.filter((purchase) => !["open", "failed"].includes(statusOf(purchase)));
  const texts = useTexts();
  const { buying, format } = texts;
  if (shown.length === 0) return null;
  return (
    <Section id="purchases" name={buying.purchases}>
      <Table
        stacked
        label={buying.purchases}
        head={[buying.pack, buying.amount, buying.price, buying.status, buying.date, buying.receipt]}
      >
        {shown.map((purchase) => (
          <tr>
            <td>{purchase.packName}</td>
            <td data-label={buying.amount}>{format.number(purchase.credits)}</td>
            <td data-label={buying.price}>{format.money(purchase.amount, purchase.currency)}</td>
            <td data-label={buying.status}>{wordsOf(purchase, texts)}</td>
            <td data-label={buying.date}>
              <Day at={purchase.createdAt} />
            </td>
            <td>
              {purchase.paidAt === null ? null : (
                <a
                  href={`/account/credits/purchases/${purchase.id}/receipt`}
                  aria-label={buying.receiptFor(purchase.packName)}
                >
                  {buying.receipt}
                </a>
              )}
            </td>
          </tr>
        ))}
      </Table>
    </Section>
  );
};

function wordsOf(purchase: Purchase, { buying, format }: Texts): string {
  const back = format.money(moneyBack(purchase), purchase.currency);
  switch (statusOf(purchase)) {
    case "paid":
      return moneyBack(purchase) === 0 ? buying.paid : buying.paidPart(back);
    case "refunded":
      return purchase.disputed > 0 ? buying.disputed : buying.refunded;
    case "pending":
      return buying.waiting;
    case "failed":
      return buying.failedStatus;
    case "open":
      return buying.notPaid;
  }
}
