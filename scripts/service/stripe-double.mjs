/**
 * A double of Stripe for development and tests: the part of its API that the service uses, a payment page without any
 * payment, receipts with a refund and a dispute, and signed events. It holds its state in memory and moves no money.
 *
 * Shapes: https://docs.stripe.com/api/checkout/sessions and https://docs.stripe.com/webhooks/signature.
 */
import { createHmac, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { declinedPage, paymentPage, receiptPage } from "./stripe-pages.mjs";

const API_VERSION = "2026-10-28.endive";
const SESSIONS_MAX = 1_000;
const EVENTS_MAX = 10_000;
const BODY_BYTES_MAX = 64 * 1024;
const SESSION_SECONDS = 86_400;
/** How often an event is sent that the service does not accept, and how long the first pause is. It doubles. */
const DELIVERIES_MAX = 6;
const DELIVERY_PAUSE_MS = 250;
/** When a payment arrives whose buyer chose to pay later. */
const LATER_MS = 4_000;

/**
 * @typedef {{ id: string, created: number, amount: number, currency: string, name: string, reference: string,
 *   email: string, successUrl: string, cancelUrl: string, status: "open" | "complete",
 *   paymentStatus: "unpaid" | "paid", payment: Payment | null }} Session
 * @typedef {{ id: string, charge: string, refunded: number, disputed: boolean }} Payment
 * @typedef {{ id: string, type: string, purchase: string, body: string, signature: string }} SignedEvent
 * @typedef {{ secretKey: string, webhookSecret: string, webhookUrl: string | null, sessions: Map<string, Session>,
 *   idempotency: Map<string, { form: string, id: string }>, events: SignedEvent[], origin: string }} State
 * @typedef {{ status: number, json?: unknown, html?: string, location?: string }} Answer
 */

/**
 * Starts the double on a loopback port.
 * @param {{ webhookUrl?: string | null, secretKey?: string, webhookSecret?: string }} [options] `webhookUrl`: where
 * events are sent; null keeps them, and `GET /_events?purchase=…` lists them
 */
export async function startStripeDouble(options = {}) {
  /** @type {State} */
  const state = {
    secretKey: options.secretKey ?? `sk_test_${randomBytes(12).toString("hex")}`,
    webhookSecret: options.webhookSecret ?? `whsec_${randomBytes(24).toString("base64")}`,
    webhookUrl: options.webhookUrl ?? null,
    sessions: new Map(),
    idempotency: new Map(),
    events: [],
    origin: "",
  };
  const server = createServer((request, response) => {
    readForm(request)
      .then((form) => route(state, request, form))
      .then(({ status, json, html, location }) => {
        const type = html === undefined ? "application/json" : "text/html; charset=utf-8";
        const headers = { "Content-Type": type, ...(location === undefined ? {} : { Location: location }) };
        response.writeHead(status, headers).end(html ?? JSON.stringify(json ?? {}));
      })
      .catch(() => response.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  state.origin = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  // It must not keep its process alive.
  server.unref();
  const { origin, secretKey, webhookSecret } = state;
  return {
    origin,
    secretKey,
    webhookSecret,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(() => resolve(undefined)));
    },
  };
}

/**
 * @param {import("node:http").IncomingMessage} request
 * @returns {Promise<URLSearchParams>}
 */
async function readForm(request) {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > BODY_BYTES_MAX) throw new Error("The form is too large.");
  }
  return new URLSearchParams(text);
}

/**
 * @param {State} state
 * @param {import("node:http").IncomingMessage} request
 * @param {URLSearchParams} form
 * @returns {Promise<Answer>}
 */
async function route(state, request, form) {
  const { pathname, searchParams } = new URL(request.url ?? "/", state.origin);
  const [, area = "", id = "", action = ""] = pathname.split("/");
  const isPost = request.method === "POST";
  switch (area) {
    case "v1":
      return api(state, request, pathname, searchParams, form);
    case "pay":
      return isPost ? pay(state, id, form.get("outcome")) : showPayment(state, id);
    case "receipts":
      return isPost ? giveBack(state, id, action, form.get("amount")) : showReceipt(state, id);
    case "_events":
      return {
        status: 200,
        json: state.events.filter(({ purchase }) => purchase === searchParams.get("purchase")),
      };
    default:
      return { status: 404 };
  }
}

/**
 * The API, with Stripe's own errors.
 * @param {State} state
 * @param {import("node:http").IncomingMessage} request
 * @param {string} path
 * @param {URLSearchParams} query
 * @param {URLSearchParams} form
 * @returns {Answer}
 */
function api(state, request, path, query, form) {
  if (request.headers.authorization !== `Bearer ${state.secretKey}`)
    return refusal(401, "Invalid API Key provided");
  if (request.headers["stripe-version"] !== API_VERSION) return refusal(400, "Unknown API version");
  if (request.method === "POST" && path === "/v1/checkout/sessions") {
    return createSession(state, form, String(request.headers["idempotency-key"] ?? ""));
  }
  if (request.method === "GET" && path === "/v1/checkout/sessions") {
    const payment = query.get("payment_intent");
    const found = [...state.sessions.values()].filter((session) => session.payment?.id === payment);
    const data = found.map((session) => sessionObject(state, session));
    return { status: 200, json: { object: "list", url: path, has_more: false, data } };
  }
  const [, paymentId] = /^\/v1\/payment_intents\/(\w+)$/.exec(path) ?? [];
  const session = [...state.sessions.values()].find(({ payment }) => payment?.id === paymentId);
  if (request.method !== "GET" || !session?.payment) return refusal(404, "No such object");
  const charge =
    query.get("expand[0]") === "latest_charge" ? chargeObject(state, session) : session.payment.charge;
  return { status: 200, json: { id: paymentId, object: "payment_intent", latest_charge: charge } };
}

/**
 * @param {number} status
 * @param {string} message
 * @returns {Answer}
 */
function refusal(status, message) {
  return { status, json: { error: { type: "invalid_request_error", message } } };
}

/**
 * @param {State} state
 * @param {URLSearchParams} form
 * @param {string} key
 * @returns {Answer}
 */
function createSession(state, form, key) {
  const known = state.idempotency.get(key);
  if (known && known.form !== form.toString()) return refusal(400, "Keys for idempotent requests differ");
  const earlier = known && state.sessions.get(known.id);
  if (earlier) return { status: 200, json: sessionObject(state, earlier) };
  const price = "line_items[0][price_data]";
  const amount = Number(form.get(`${price}[unit_amount]`));
  const currency = form.get(`${price}[currency]`) ?? "";
  const isWhole = form.get("mode") === "payment" && Number.isSafeInteger(amount) && amount > 0;
  if (!isWhole || !/^[a-z]{3}$/.test(currency)) return refusal(400, "Invalid session");
  for (const url of ["success_url", "cancel_url"]) {
    if (!URL.canParse(form.get(url) ?? "")) return refusal(400, `Not a valid URL: ${url}`);
  }
  const session = /** @type {Session} */ ({
    id: `cs_test_${randomBytes(24).toString("hex")}`,
    created: seconds(),
    amount: amount * Number(form.get("line_items[0][quantity]") ?? 1),
    currency,
    name: form.get(`${price}[product_data][name]`) ?? "",
    reference: form.get("client_reference_id") ?? "",
    email: form.get("customer_email") ?? "",
    successUrl: form.get("success_url") ?? "",
    cancelUrl: form.get("cancel_url") ?? "",
    status: "open",
    paymentStatus: "unpaid",
    payment: null,
  });
  state.sessions.set(session.id, session);
  if (key !== "") state.idempotency.set(key, { form: form.toString(), id: session.id });
  for (const oldest of state.sessions.keys()) {
    if (state.sessions.size <= SESSIONS_MAX) break;
    state.sessions.delete(oldest);
  }
  return { status: 200, json: sessionObject(state, session) };
}

/**
 * @param {State} state
 * @param {Session} session
 */
function sessionObject({ origin }, session) {
  return {
    id: session.id,
    object: "checkout.session",
    url: session.status === "open" ? `${origin}/pay/${session.id}` : null,
    status: session.status,
    payment_status: session.paymentStatus,
    payment_intent: session.payment?.id ?? null,
    amount_total: session.amount,
    currency: session.currency,
    client_reference_id: session.reference,
    created: session.created,
    expires_at: session.created + SESSION_SECONDS,
    livemode: false,
    mode: "payment",
  };
}

/**
 * @param {State} state
 * @param {Session} session
 */
function chargeObject({ origin }, { payment, amount, currency }) {
  const { id = "", charge = "", refunded = 0 } = payment ?? {};
  return {
    id: charge,
    object: "charge",
    amount,
    amount_refunded: refunded,
    currency,
    payment_intent: id,
    refunded: refunded === amount,
    receipt_url: `${origin}/receipts/${charge}`,
  };
}

/**
 * @param {State} state
 * @param {string} id
 * @returns {Answer}
 */
function showPayment(state, id) {
  const session = state.sessions.get(id);
  if (session?.status !== "open") return { status: 404, html: declinedPage(null) };
  return { status: 200, html: paymentPage(session) };
}

/**
 * The buyer's click on the payment page. A declined payment leaves the page open, and tells the service nothing.
 * @param {State} state
 * @param {string} id
 * @param {string | null} outcome `pay`, `later` or `decline`
 * @returns {Answer}
 */
function pay(state, id, outcome) {
  const session = state.sessions.get(id);
  if (session?.status !== "open") return { status: 404, html: declinedPage(null) };
  if (outcome !== "pay" && outcome !== "later") return { status: 200, html: declinedPage(session) };
  session.status = "complete";
  session.payment = { id: newId("pi"), charge: newId("ch"), refunded: 0, disputed: false };
  if (outcome === "pay") session.paymentStatus = "paid";
  send(state, session, "checkout.session.completed", sessionObject(state, session));
  if (outcome === "later") {
    session.paymentStatus = "paid";
    const paid = sessionObject(state, session);
    send(state, session, "checkout.session.async_payment_succeeded", paid, LATER_MS);
  }
  return { status: 303, location: session.successUrl };
}

/**
 * @param {State} state
 * @param {string} charge
 */
function sessionOfCharge(state, charge) {
  return [...state.sessions.values()].find(({ payment }) => payment?.charge === charge);
}

/**
 * @param {State} state
 * @param {string} charge
 * @returns {Answer}
 */
function showReceipt(state, charge) {
  const session = sessionOfCharge(state, charge);
  return session?.payment
    ? { status: 200, html: receiptPage(session, session.payment) }
    : { status: 404, html: declinedPage(null) };
}

/**
 * A refund or a dispute, from the receipt's page: what the operator or the buyer's bank would do.
 * @param {State} state
 * @param {string} charge
 * @param {string} action `refund` or `dispute`
 * @param {string | null} amount of a refund; null is all that is left
 * @returns {Answer}
 */
function giveBack(state, charge, action, amount) {
  const session = sessionOfCharge(state, charge);
  if (!session?.payment) return { status: 404, html: declinedPage(null) };
  const { payment } = session;
  if (action === "dispute" && !payment.disputed) {
    payment.disputed = true;
    send(state, session, "charge.dispute.created", {
      id: newId("dp"),
      object: "dispute",
      amount: session.amount,
      currency: session.currency,
      charge,
      payment_intent: payment.id,
      status: "needs_response",
    });
  }
  if (action === "refund" && payment.refunded < session.amount) {
    const left = session.amount - payment.refunded;
    payment.refunded += Math.min(left, amount === null ? left : Number(amount));
    send(state, session, "charge.refunded", chargeObject(state, session));
  }
  return { status: 303, location: `/receipts/${charge}` };
}

/**
 * Signs an event, keeps it, and sends it to the service.
 * @param {State} state
 * @param {Session} session
 * @param {string} type
 * @param {object} object
 * @param {number} [delayMs]
 */
function send(state, session, type, object, delayMs = 0) {
  const id = newId("evt");
  const event = { id, object: "event", api_version: API_VERSION, created: seconds(), type, livemode: false };
  const body = JSON.stringify({ ...event, data: { object } });
  state.events.push({ id, type, purchase: session.reference, body, signature: sign(state, body) });
  if (state.events.length > EVENTS_MAX) state.events.shift();
  if (state.webhookUrl !== null) void deliver(state, state.webhookUrl, body, delayMs);
}

/**
 * The header `Stripe-Signature` for a body.
 * @param {{ webhookSecret: string }} state
 * @param {string} body
 */
function sign({ webhookSecret }, body) {
  const timestamp = seconds();
  const signature = createHmac("sha256", webhookSecret).update(`${timestamp}.${body}`).digest("hex");
  return `t=${timestamp},v1=${signature}`;
}

/**
 * Sends an event until the service accepts it.
 * @param {State} state
 * @param {string} url
 * @param {string} body
 * @param {number} delayMs
 */
async function deliver(state, url, body, delayMs) {
  let pause = DELIVERY_PAUSE_MS;
  await sleep(delayMs, undefined, { ref: false });
  for (let delivery = 0; delivery < DELIVERIES_MAX; delivery++) {
    const headers = { "Content-Type": "application/json", "Stripe-Signature": sign(state, body) };
    const response = await fetch(url, { method: "POST", headers, body }).catch(() => null);
    await response?.body?.cancel();
    if (response?.ok) return;
    await sleep(pause, undefined, { ref: false });
    pause *= 2;
  }
}

function seconds() {
  return Math.floor(Date.now() / 1000);
}

/** @param {string} prefix */
function newId(prefix) {
  return `${prefix}_${randomBytes(12).toString("hex")}`;
}
