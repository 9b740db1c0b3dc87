/** The pages of the double of Stripe, each marked as test money. */

const STYLE = `
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
  body { max-width: 26rem; margin: 3rem auto; padding: 0 1rem; }
  .mark { padding: .5rem .75rem; border: 2px dashed; border-radius: .5rem; font-weight: 600; }
  h1 { margin: 1.5rem 0 .25rem; font-size: 1.5rem; }
  form { display: grid; gap: .75rem; margin: 1.5rem 0; }
  a { color: inherit; }
  button { padding: .75rem; font: inherit; cursor: pointer; }`;

const ENTITIES = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ['"', "&quot;"],
]);

/** @param {string} text */
function escapeHtml(text) {
  return text.replace(/[&<>"]/g, (character) => ENTITIES.get(character) ?? character);
}

/**
 * @param {string} title
 * @param {string} body in HTML
 */
function page(title, body) {
  return `<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><title>${escapeHtml(title)} · test money</title>
<style>${STYLE}</style>
<main><p class="mark">Test money. This page stands in for Stripe, and no payment is made.</p>
<h1>${escapeHtml(title)}</h1>${body}</main></html>`;
}

/** @param {{ amount: number, currency: string }} price in the smallest unit */
function priceOf({ amount, currency }) {
  const format = new Intl.NumberFormat("en", { style: "currency", currency });
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 0));
}

/** @param {import("./stripe-double.mjs").Session} session */
export function paymentPage(session) {
  return page(
    `Pay ${priceOf(session)}`,
    `<p>${escapeHtml(session.name)}</p><p>${escapeHtml(session.email)}</p>
<form method="post">
<button name="outcome" value="pay">Pay</button>
<button name="outcome" value="later">Pay later (arrives after some seconds)</button>
<button name="outcome" value="decline">Decline</button>
</form>
<p><a href="${escapeHtml(session.cancelUrl)}">Back without paying</a></p>`,
  );
}

/** @param {import("./stripe-double.mjs").Session | null} session null when there is nothing to pay */
export function declinedPage(session) {
  if (session === null) return page("Nothing to pay here", "<p>The session has ended or never existed.</p>");
  return page(
    "Payment declined",
    `<p>Nothing was paid.</p><p><a href="/pay/${session.id}">Try again</a></p>
<p><a href="${escapeHtml(session.cancelUrl)}">Back without paying</a></p>`,
  );
}

/**
 * @param {import("./stripe-double.mjs").Session} session
 * @param {import("./stripe-double.mjs").Payment} payment
 */
export function receiptPage(session, { charge, refunded, disputed }) {
  const left = session.amount - refunded;
  const refund = `<form method="post" action="/receipts/${charge}/refund"><button>Refund the payment</button></form>`;
  const dispute = `<form method="post" action="/receipts/${charge}/dispute"><button>Dispute the payment</button></form>`;
  return page(
    `Receipt for ${priceOf(session)}`,
    `<p>${escapeHtml(session.name)}</p><p>Refunded: ${priceOf({ ...session, amount: refunded })}</p>
${disputed ? "<p>Disputed.</p>" : ""}${left > 0 ? refund : ""}${disputed ? "" : dispute}`,
  );
}
