import { env } from "cloudflare:test";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { afterEach, describe, expect, it, vi } from "vitest";
import { PACKS } from "../../src/billing/packs.ts";
import { findPurchase } from "../../src/billing/purchases.ts";
import { users } from "../../src/db/schema.ts";
import { recentPoints } from "../../src/metrics.ts";
import { aCommand, aRequest } from "../support/account.ts";
import { call, newUser, operate } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import {
  aPurchase,
  atPaymentPage,
  deliver,
  eventsOf,
  giveBack,
  PACK,
  STRIPE,
  type StripeEvent,
  signed,
  signedBody,
} from "./shop.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const balanceOf = async (userId: string) => (await env.ACCOUNT.getByName(userId).balance()).credits;

/** The entries of the user, oldest first, as `[kind, credits]`. */
async function bookOf(userId: string) {
  const { entries } = await env.ACCOUNT.getByName(userId).statement(Number.MAX_SAFE_INTEGER, 100);
  return entries.toReversed().map(({ kind, credits }) => [kind, credits]);
}

async function paidPurchase(credits = 0) {
  const user = await newUser(credits);
  const purchase = await aPurchase(user.id);
  await atPaymentPage(purchase.sessionId, "pay");
  return { user, purchase };
}

async function incidentsOf(kind: string): Promise<number> {
  const query = env.DB.prepare("SELECT coalesce(sum(count), 0) AS total FROM incidents WHERE kind = ?");
  return (await query.bind(kind).first<number>("total")) ?? 0;
}

const typeOf = async (userId: string) =>
  (await drizzle(env.DB).select().from(users).where(eq(users.id, userId)))[0]?.accountType;

describe("a payment", () => {
  it("grants the pack once, under the session's id, and makes the account PRO", async () => {
    const { user, purchase } = await paidPurchase();
    const [event] = await eventsOf(purchase.id);
    expect(await typeOf(user.id)).toBe("FREE");
    for (const _ of [1, 2, 3]) expect(await deliver(event ?? never())).toMatchObject({ status: 200 });
    const { grants, balance } = await env.ACCOUNT.getByName(user.id).statement(1, 0);
    expect(balance.credits).toBe(100);
    expect(grants).toMatchObject([{ id: `stripe_${purchase.sessionId}`, credits: 100, reason: "Test pack" }]);
    expect(await typeOf(user.id)).toBe("PRO");
  });

  it("leaves the account type to the operator after the first purchase", async () => {
    const { user, purchase } = await paidPurchase();
    for (const event of await eventsOf(purchase.id)) await deliver(event);
    await drizzle(env.DB).update(users).set({ accountType: "FREE" }).where(eq(users.id, user.id));
    const second = await aPurchase(user.id);
    await atPaymentPage(second.sessionId, "pay");
    for (const event of await eventsOf(second.id)) await deliver(event);
    expect([await balanceOf(user.id), await typeOf(user.id)]).toEqual([200, "FREE"]);
  });

  it("waits for the money when it comes later", async () => {
    const user = await newUser();
    const purchase = await aPurchase(user.id);
    await atPaymentPage(purchase.sessionId, "later");
    const [completed, succeeded] = await eventsOf(purchase.id);
    await deliver(completed ?? never());
    expect(await balanceOf(user.id)).toBe(0);
    await deliver(succeeded ?? never());
    await deliver(completed ?? never());
    expect(await balanceOf(user.id)).toBe(100);
  });

  it("that failed grants nothing", async () => {
    const user = await newUser();
    const { sessionId, id } = await aPurchase(user.id);
    const session = { id: sessionId, payment_intent: null, amount_total: 1_000, currency: "usd" };
    const failed = { ...session, payment_status: "unpaid" };
    await deliver(await signed("checkout.session.async_payment_failed", failed));
    expect(await balanceOf(user.id)).toBe(0);
    expect(await findPurchase(env.DB, user.id, id)).toMatchObject({
      paidAt: null,
      failedAt: expect.any(Number),
    });
  });

  it.each([
    ["another amount", { amount_total: 999 }],
    ["a higher amount", { amount_total: 1_001 }],
    ["no amount", { amount_total: null }],
    ["another currency", { currency: "jpy" }],
    ["an unknown session", { id: "cs_test_unknown" }],
    ["no payment", { payment_status: "no_payment_required" }],
  ])("with %s grants nothing, and is answered", async (_, changes) => {
    const { user, purchase } = await paidPurchase();
    const [event] = await eventsOf(purchase.id);
    const wrong = await signed("checkout.session.completed", { ...event?.data, ...changes });
    expect(await deliver(wrong)).toMatchObject({ status: 200 });
    expect([await balanceOf(user.id), await typeOf(user.id)]).toEqual([0, "FREE"]);
    // What the event claims to have been sold does not count.
    await deliver(
      await signed("checkout.session.completed", { ...event?.data, metadata: { credits: "1000000" } }),
    );
    expect(await balanceOf(user.id)).toBe(100);
  });

  it("with another amount is counted for the alerts", async () => {
    const { purchase } = await paidPurchase();
    const [event] = await eventsOf(purchase.id);
    const before = await incidentsOf("purchase_mismatch");
    await deliver(await signed("checkout.session.completed", { ...event?.data, amount_total: 999 }));
    expect(await incidentsOf("purchase_mismatch")).toBe(before + 1);
    await deliver(event ?? never());
    expect(await incidentsOf("purchase_mismatch")).toBe(before + 1);
  });

  it("is granted by Stripe's next try when the account fails in between", async () => {
    const { user, purchase } = await paidPurchase();
    const [event] = await eventsOf(purchase.id);
    const broken = { getByName: () => ({ grant: () => Promise.reject(new Error("the object was reset")) }) };
    const first = await deliver(event ?? never(), { ...STRIPE, ACCOUNT: broken });
    expect(first.status).toBe(500);
    expect(await findPurchase(env.DB, user.id, purchase.id)).toMatchObject({ paidAt: expect.any(Number) });
    expect(await balanceOf(user.id)).toBe(0);
    expect((await deliver(event ?? never())).status).toBe(200);
    expect(await balanceOf(user.id)).toBe(100);
  });
});

describe("data points", () => {
  it("are written for each new fact, however often Stripe tells it", async () => {
    const { purchase } = await paidPurchase();
    await giveBack(purchase.id, "refund", 400);
    await giveBack(purchase.id, "dispute");
    for (const event of await eventsOf(purchase.id)) for (const _ of [1, 2]) await deliver(event);
    const points = recentPoints(200).filter(({ kind }) => kind === "purchase");
    const labels = (fact: string) => ({ fact, pack: "test", currency: "usd" });
    expect(points.slice(0, 3)).toMatchObject([
      { labels: labels("disputed"), values: { amount: 1_000, credits: 100 } },
      { labels: labels("refunded"), values: { amount: 400, credits: 100 } },
      { labels: labels("paid"), values: { amount: 1_000, credits: 100 } },
    ]);
    expect(points.slice(3).map(({ labels: { fact } }) => fact)).not.toContain("disputed");
  });

  it("are not written while the money is still to come, and once when the payment fails", async () => {
    const before = recentPoints(200).filter(({ kind }) => kind === "purchase").length;
    const { sessionId } = await aPurchase((await newUser()).id);
    const session = { id: sessionId, payment_intent: null, amount_total: 1_000, currency: "usd" };
    const unpaid = { ...session, payment_status: "unpaid" };
    await deliver(await signed("checkout.session.completed", unpaid));
    for (const _ of [1, 2]) await deliver(await signed("checkout.session.async_payment_failed", unpaid));
    const points = recentPoints(200).filter(({ kind }) => kind === "purchase");
    expect(points.length).toBe(before + 1);
    expect(points[0]).toMatchObject({ labels: { fact: "failed" }, values: { amount: 1_000 } });
  });
});

describe("a refund", () => {
  it("takes back what is unspent, and notes the shortfall", async () => {
    const { user, purchase } = await paidPurchase();
    const [paid] = await eventsOf(purchase.id);
    await deliver(paid ?? never());
    await env.ACCOUNT.getByName(user.id).submit(aCommand("gen_1", "sync", aRequest(), 30));
    await giveBack(purchase.id, "refund");
    const [, refunded] = await eventsOf(purchase.id);
    const log = spyOnLog();
    for (const _ of [1, 2]) await deliver(refunded ?? never());
    const lines = log.mock.calls.map(([line]) => JSON.parse(String(line)));
    expect(lines.find(({ event }) => event === "purchase_shortfall")).toEqual({
      event: "purchase_shortfall",
      purchase_id: purchase.id,
      user_id: user.id,
      taken: 70,
      shortfall: 30,
    });
    expect(await bookOf(user.id)).toEqual([
      ["grant", 100],
      ["charge", -30],
      ["reversal", -70],
    ]);
    expect(await findPurchase(env.DB, user.id, purchase.id)).toMatchObject({
      refunded: 1_000,
      creditsReversed: 70,
      shortfall: 30,
    });
  });

  it.each([
    [1, 0],
    [9, 0],
    [10, 1],
    [999, 99],
    [1_000, 100],
  ])("of %i of 1000 cents takes %i of 100 credits", async (amount, credits) => {
    const { user, purchase } = await paidPurchase(5);
    await giveBack(purchase.id, "refund", amount);
    for (const event of await eventsOf(purchase.id)) await deliver(event);
    expect(await balanceOf(user.id)).toBe(105 - credits);
  });

  it("that comes before its payment leads to the same book", async () => {
    const { user, purchase } = await paidPurchase();
    await giveBack(purchase.id, "refund", 400);
    await giveBack(purchase.id, "dispute");
    const [paid, refunded, disputed] = await eventsOf(purchase.id);
    for (const event of [disputed, refunded]) await deliver(event ?? never());
    expect(await bookOf(user.id)).toEqual([]);
    for (const event of [paid, refunded, paid, disputed]) await deliver(event ?? never());
    expect(await bookOf(user.id)).toEqual([
      ["grant", 100],
      ["reversal", -100],
    ]);
  });

  it("of another payment changes nothing", async () => {
    const { user, purchase } = await paidPurchase();
    for (const event of await eventsOf(purchase.id)) await deliver(event);
    const charge = { payment_intent: "pi_other", amount_refunded: 1_000, currency: "usd" };
    expect((await deliver(await signed("charge.refunded", charge))).status).toBe(200);
    expect(await balanceOf(user.id)).toBe(100);
  });

  it("is answered with an error while Stripe can't say whose it is, and applied later", async () => {
    const { user, purchase } = await paidPurchase();
    await giveBack(purchase.id, "refund");
    const [paid, refunded] = await eventsOf(purchase.id);
    const log = spyOnLog();
    const first = await deliver(refunded ?? never(), { ...STRIPE, STRIPE_SECRET_KEY: "sk_test_wrong" });
    expect(first.status).toBe(500);
    expect(log.mock.calls.join("\n"), "no text of Stripe's").not.toContain("Invalid API Key");
    for (const event of [refunded, paid]) await deliver(event ?? never());
    expect(await balanceOf(user.id)).toBe(0);
  });
});

describe("a dispute", () => {
  const dispute = async (changes: Record<string, unknown>, type = "charge.dispute.created") => {
    const { user, purchase } = await paidPurchase();
    await giveBack(purchase.id, "dispute");
    const [paid, disputed] = await eventsOf(purchase.id);
    await deliver(paid ?? never());
    await deliver(await signed(type, { ...disputed?.data, ...changes }));
    return await balanceOf(user.id);
  };

  it.each([
    ["of the whole amount takes everything", {}, 0],
    ["of a part takes its share", { amount: 250 }, 75],
    ["in another currency takes everything", { amount: 900, currency: "eur" }, 0],
    ["that is only an inquiry takes nothing", { status: "warning_needs_response" }, 100],
  ])("%s", async (_, changes, left) => {
    expect(await dispute(changes)).toBe(left);
  });

  it("takes the credits when the funds of an inquiry are withdrawn", async () => {
    expect(await dispute({ status: "needs_response" }, "charge.dispute.funds_withdrawn")).toBe(0);
  });
});

describe("the webhook", () => {
  const ping = { id: "cs_1", payment_status: "paid", payment_intent: null, amount_total: 1, currency: "usd" };
  const MINUTES_5 = 300_000;
  const at = (ms: number) => signed("checkout.session.completed", ping, Date.now() + ms);

  it.each<[string, () => Promise<{ body: string; signature: string }>, number]>([
    ["a fresh signature", () => at(0), 200],
    ["one of 299 s ago", () => at(1_000 - MINUTES_5), 200],
    ["one of 301 s ago", () => at(-1_000 - MINUTES_5), 400],
    ["one 299 s ahead", () => at(MINUTES_5 - 1_000), 200],
    ["one 302 s ahead", () => at(MINUTES_5 + 2_000), 400],
    ["another secret's", () => signed("x", {}, Date.now(), "whsec_other"), 400],
    ["another body's", async () => ({ ...(await at(0)), body: "{}" }), 400],
    ["none", async () => ({ body: "{}", signature: "" }), 400],
    ["nonsense", async () => ({ body: "{}", signature: "t=x,v1=y" }), 400],
    ["two, of which one is right", async () => withSecond(await at(0)), 200],
  ])("takes or refuses %s", async (_, make, status) => {
    const answer = await deliver(await make());
    expect(answer.status).toBe(status);
    if (status === 400)
      expect(answer.body).toMatchObject({ error: { code: "invalid_request", param: "Stripe-Signature" } });
  });

  it("counts a refusal for the alerts, at most once in ten seconds", async () => {
    const counted = () => incidentsOf("stripe_refused");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 60_000 });
    const refuse = async (afterMs: number) => {
      vi.setSystemTime(Date.now() + afterMs);
      await deliver({ body: "{}", signature: "" });
      return (await counted()) - before;
    };
    const before = await counted();
    expect([await refuse(0), await refuse(9_999), await refuse(1)]).toEqual([1, 1, 2]);
    vi.useRealTimers();
  });

  const withSecond = ({ body, signature }: { body: string; signature: string }) => ({
    body,
    signature: signature.replace("v1=", `v1=${"0".repeat(64)},v1=`),
  });

  it("names what is wrong with a signed event, and ignores types that it does not know", async () => {
    const wrong = await deliver(await signed("charge.refunded", { payment_intent: "pi_1", currency: "usd" }));
    expect(wrong).toMatchObject({ status: 400, body: { error: { param: "data.object.amount_refunded" } } });
    expect(await deliver(await signed("customer.created", {}))).toMatchObject({ status: 200 });
  });

  it("takes 256 KiB, and no byte more", async () => {
    const ofBytes = async (bytes: number) => {
      const event = JSON.stringify({ id: "evt_1", object: "event", type: "x", padding: "" });
      return await signedBody(
        event.replace('"padding":""', `"padding":"${"x".repeat(bytes - event.length)}"`),
      );
    };
    expect((await deliver(await ofBytes(256 * 1024))).status).toBe(200);
    expect((await deliver(await ofBytes(256 * 1024 + 1))).status).toBe(413);
  });

  it.each([
    ["no secrets", {}],
    ["no webhook secret", { ...STRIPE, STRIPE_WEBHOOK_SECRET: "" }],
    ["no secret key", { ...STRIPE, STRIPE_SECRET_KEY: "" }],
  ])("does not exist with %s, and no packs are sold", async (_, settings) => {
    expect((await deliver(await at(0), settings)).status).toBe(404);
    const { body } = await call("GET", "/api/v1/credits/packs", { settings });
    expect(body).toEqual({ object: "list", data: [] });
  });
});

it("lists the packs to everybody", async () => {
  const { status, body } = await call("GET", "/api/v1/credits/packs", { settings: STRIPE });
  expect(status).toBe(200);
  expect(body).toEqual({
    object: "list",
    data: PACKS.map(({ id, name, credits, amount, currency, expiresAfterDays }) => ({
      object: "credit_pack",
      id,
      name,
      credits,
      price: { amount, currency },
      expires_after_days: expiresAfterDays,
    })),
  });
});

it("shows the operator a user's purchases, newest first", async () => {
  const { user, purchase } = await paidPurchase();
  await giveBack(purchase.id, "refund", 250);
  for (const event of await eventsOf(purchase.id)) await deliver(event);
  await aPurchase(user.id);
  const { body } = await operate("GET", `/users/${user.id}/purchases`);
  expect(body).toMatchObject({
    data: [
      { status: "open", paid_at: null, stripe_payment_intent: null },
      {
        id: purchase.id,
        status: "paid",
        price: { amount: 1_000, currency: "usd" },
        refunded_amount: 250,
        credits_reversed: 25,
        shortfall: 0,
        stripe_session: purchase.sessionId,
      },
    ],
  });
});

it("opens one payment page for a purchase, and returns from it with the purchase's id", async () => {
  const user = await newUser();
  const purchase = await aPurchase(user.id, { ...PACK, name: "<b>Test</b>" });
  expect((await atPaymentPage(purchase.sessionId, "decline")).status).toBe(200);
  expect(await eventsOf(purchase.id)).toEqual([]);
  const { location } = await atPaymentPage(purchase.sessionId, "pay");
  expect(location).toBe(`https://hub.test/account/credits?purchase=${purchase.id}`);
});

function never(): StripeEvent {
  throw new Error("The double sent no such event.");
}
