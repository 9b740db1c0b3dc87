import { Hono } from "hono";
import type { FC } from "hono/jsx";
import { countAttempts } from "../../auth/throttle.ts";
import { startCheckout } from "../../billing/checkout.ts";
import { moneyBack, statusOf } from "../../billing/events.ts";
import { findPack, type Pack } from "../../billing/packs.ts";
import { findPurchase, type Purchase } from "../../billing/purchases.ts";
import { packsOnSale, stripeSettings } from "../../billing/settings.ts";
import { type Config, readConfig } from "../../config.ts";
import { describe, log } from "../../log.ts";
import { PageError, type PagesEnv, siteOrigin } from "../env.ts";
import { formatCredits, formatMoney, formatNumber } from "../format.ts";
import { readForm } from "../forms.ts";
import { Day, Section, Table } from "../parts.tsx";

/** Buying credits: part of the credits page. */
export const buying = new Hono<PagesEnv>();

const CHECKOUTS_MAX = 20;
const CHECKOUTS_SPAN_MS = 10 * 60_000;
/** How long the page of a new purchase reloads itself while the payment is awaited. */
const WATCHED_MS = 10 * 60_000;

buying.post("/buy", async (c) => {
  const { userId, email } = c.get("signedIn");
  const settings = stripeSettings(readConfig(c.env));
  const pack = findPack((await readForm(c)).get("pack") ?? "");
  if (settings === null || pack === null) throw new PageError(404, "This pack is not on sale.");
  const attempt = { key: `buy:${userId}`, spanMs: CHECKOUTS_SPAN_MS };
  const [tried] = await countAttempts(c.env.DB, [attempt], Date.now());
  if (tried && tried.count > CHECKOUTS_MAX) throw new PageError(429, "Try again in 10 minutes.");
  const page = `${siteOrigin(c)}/account/credits`;
  try {
    return c.redirect(await startCheckout(c.env, settings, { userId, email }, pack, page, Date.now()), 303);
  } catch (error) {
    log("checkout_failed", { request_id: c.get("requestId"), user_id: userId, error: describe(error) });
    throw new PageError(
      503,
      "The payment page could not be opened. Nothing was charged. Try again in a moment.",
    );
  }
});

buying.get("/buy", (c) => c.redirect("/account/credits", 303));

/** Stripe keeps the receipt, and its address does not last, so it is asked for each time. */
buying.get("/purchases/:id/receipt", async (c) => {
  const settings = stripeSettings(readConfig(c.env));
  const purchase = await findPurchase(c.env.DB, c.get("signedIn").userId, c.req.param("id"));
  if (settings === null || purchase?.paymentIntent == null) throw new PageError(404, "There is no receipt.");
  const { StripeGateway } = await import("../../billing/stripe.ts");
  try {
    const url = await new StripeGateway(settings).receiptUrl(purchase.paymentIntent);
    if (url !== null) return c.redirect(url, 303);
  } catch (error) {
    log("receipt_failed", { request_id: c.get("requestId"), error: describe(error) });
  }
  throw new PageError(503, "The receipt is not available now. Try again in a moment.");
});

/** The packs on sale, or how else to get credits. */
export const Packs: FC<{ config: Config; email: string }> = ({ config, email }) => {
  const packs = packsOnSale(config);
  return (
    <Section id="packs" name="Buy credits">
      {packs.length === 0 ? (
        <p>This site sells no credits online. Contact support to add credits to {email}.</p>
      ) : null}
      {stripeSettings(config)?.isTest ? (
        <div class="notice">
          <p>
            <strong>Test money.</strong> Payments on this site move no money.
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
}) => (
  <>
    <h3>{name}</h3>
    <p class="figure small">
      {formatNumber(credits)} <span>credits</span>
    </p>
    <p>
      <strong>{formatMoney(amount, currency)}</strong>
      <span class="hint"> {formatMoney((amount * 1000) / credits, currency)} for 1,000 credits</span>
    </p>
    <p class="hint">
      {expiresAfterDays === null ? "The credits never expire." : `The credits last ${expiresAfterDays} days.`}
    </p>
    <form method="post" action="/account/credits/buy">
      <button class="button wide" type="submit" name="pack" value={id} aria-label={`Buy ${name}`}>
        Buy
      </button>
    </form>
  </>
);

/** Whether the payment of a purchase may still arrive while the buyer looks at the page. */
export function isAwaited(purchase: Purchase, isCanceled: boolean, now: number): boolean {
  const status = statusOf(purchase);
  const isUnpaid = status === "pending" || (status === "open" && !isCanceled);
  return isUnpaid && now < purchase.createdAt + WATCHED_MS;
}

/** What came of the purchase that a buyer comes back from. */
export const Returned: FC<{ purchase: Purchase; isCanceled: boolean }> = ({ purchase, isCanceled }) => {
  const { kind, text } = outcomeOf(purchase, isCanceled);
  return (
    <div class={`notice ${kind}`} role="status">
      <p>{text}</p>
    </div>
  );
};

function outcomeOf(purchase: Purchase, isCanceled: boolean): { kind: "good" | "bad" | ""; text: string } {
  switch (statusOf(purchase)) {
    case "paid":
      return { kind: "good", text: `Thank you. ${formatCredits(purchase.credits)} were added.` };
    case "refunded":
      return { kind: "", text: "This purchase was refunded." };
    case "failed":
      return { kind: "bad", text: "The payment failed. Nothing was charged." };
    case "pending":
      return { kind: "", text: "Waiting for the payment. The credits are added when it arrives." };
    case "open":
      return isCanceled
        ? { kind: "", text: "You left the payment page. Nothing was charged." }
        : { kind: "", text: "Waiting for the payment. The credits are added when it arrives." };
  }
}

/** The purchases that were paid, or whose payment is under way. */
export const Purchases: FC<{ purchases: readonly Purchase[] }> = ({ purchases }) => {
  const shown = purchases.filter((purchase) => !["open", "failed"].includes(statusOf(purchase)));
  if (shown.length === 0) return null;
  return (
    <Section id="purchases" name="Purchases">
      <Table stacked label="Purchases" head={["Pack", "Credits", "Price", "Status", "Date", "Receipt"]}>
        {shown.map((purchase) => (
          <tr>
            <td>{purchase.packName}</td>
            <td data-label="Credits">{formatNumber(purchase.credits)}</td>
            <td data-label="Price">{formatMoney(purchase.amount, purchase.currency)}</td>
            <td data-label="Status">{wordsOf(purchase)}</td>
            <td data-label="Date">
              <Day at={purchase.createdAt} />
            </td>
            <td>
              {purchase.paidAt === null ? null : (
                <a
                  href={`/account/credits/purchases/${purchase.id}/receipt`}
                  aria-label={`Receipt for ${purchase.packName}`}
                >
                  Receipt
                </a>
              )}
            </td>
          </tr>
        ))}
      </Table>
    </Section>
  );
};

function wordsOf(purchase: Purchase): string {
  const back = formatMoney(moneyBack(purchase), purchase.currency);
  switch (statusOf(purchase)) {
    case "paid":
      return moneyBack(purchase) === 0 ? "Paid" : `Paid, ${back} refunded`;
    case "refunded":
      return purchase.disputed > 0 ? "Disputed" : "Refunded";
    case "pending":
      return "Waiting for the payment";
    case "failed":
      return "Failed";
    case "open":
      return "Not paid";
  }
}
