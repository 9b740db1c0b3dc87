import { env } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { listPurchases } from "../../src/billing/purchases.ts";
import { atPaymentPage, deliver, eventsOf, STRIPE, signed } from "../billing/shop.ts";
import { spyOnLog } from "../support/log.ts";
import { findUser, titleOf, visit } from "./visitor.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

async function aBuyer(settings: Record<string, string> = STRIPE) {
  const visitor = visit(settings);
  const user = await findUser(await visitor.signUp());
  const page = async (path: string) => await (await visitor.get(path)).text();
  const latest = async () => (await listPurchases(env.DB, user?.id ?? ""))[0];
  return { visitor, userId: user?.id ?? "", page, latest };
}

describe("the landing page", () => {
  it("names the price of the smallest pack, where packs are sold", async () => {
    const [english, turkish] = [await visit(STRIPE).get("/"), await visit(STRIPE).get("/tr")];
    expect(await english.text()).toContain("Credits come in packs, from $5.00 for 5,000 credits.");
    expect(await turkish.text()).toContain("En küçük paket: $5,00 karşılığında 5.000 kredi.");
    expect(await (await visit().get("/")).text()).not.toContain("$5.00");
  });
});

describe("the credits page", () => {
  it("sells packs with their prices, marked as test money", async () => {
    const { page, visitor } = await aBuyer();
    const text = await page("/account/credits");
    for (const part of ["Starter", "5,000", "$5.00", "$1.00 for 1,000 credits", "Test money."]) {
      expect(text).toContain(part);
    }
    const policy = (await visitor.get("/account/credits")).headers.get("Content-Security-Policy");
    expect(policy).toContain(`form-action 'self' ${STRIPE.STRIPE_BASE_URL}`);
    expect(await page("/account")).toContain('<a href="/account/credits#packs">Buy a credit pack</a>');
  });

  it("says how credits are given where none are sold", async () => {
    const { page, visitor } = await aBuyer({});
    const text = await page("/account/credits");
    expect(text).toContain("This site sells no credits online. Contact support");
    expect(text).not.toContain("Test money.");
    expect((await visitor.post("/account/credits/buy", { pack: "starter" })).status).toBe(404);
    expect(await page("/account")).toContain("Contact support to add credits");
  });
});

describe("buying", () => {
  it("goes to the payment page and back, and shows the purchase with its receipt", async () => {
    const { visitor, page, latest } = await aBuyer();
    const sent = await visitor.post("/account/credits/buy", { pack: "starter" });
    const purchase = await latest();
    expect(sent.status).toBe(303);
    expect(sent.headers.get("Location")).toBe(`${STRIPE.STRIPE_BASE_URL}/pay/${purchase?.sessionId}`);
    const back = `/account/credits?purchase=${purchase?.id}`;
    const waiting = await page(back);
    expect(waiting).toContain("Waiting for the payment.");
    expect(waiting).toContain("reload.js");
    const canceled = await page(`${back}&canceled=1`);
    expect(canceled).toContain("You left the payment page. Nothing was charged.");
    expect(canceled).not.toContain("reload.js");
    await atPaymentPage(purchase?.sessionId ?? "", "pay");
    for (const event of await eventsOf(purchase?.id ?? "")) await deliver(event);
    const paid = await page(back);
    expect(paid).toContain("Thank you. 5,000 credits were added.");
    expect(paid).not.toContain("reload.js");
    const receipt = await visitor.get(`/account/credits/purchases/${purchase?.id}/receipt`);
    expect(receipt.headers.get("Location")).toContain(`${STRIPE.STRIPE_BASE_URL}/receipts/ch_`);
  });

  it("waits for the credits of a payment that is recorded before they are granted", async () => {
    const { visitor, userId, page, latest } = await aBuyer();
    await visitor.post("/account/credits/buy", { pack: "starter" });
    const purchase = await latest();
    await env.DB.prepare("UPDATE purchases SET paid_at = ? WHERE id = ?")
      .bind(Date.now(), purchase?.id)
      .run();
    const back = `/account/credits?purchase=${purchase?.id}`;
    const waiting = await page(back);
    expect(waiting).toContain("Waiting for the payment.");
    expect(waiting).toContain("reload.js");
    const grantId = `stripe_${purchase?.sessionId}`;
    await env.ACCOUNT.getByName(userId).grant(grantId, 5_000, null, "Starter pack");
    expect(await page(back)).toContain("Thank you. 5,000 credits were added.");
  });

  it("stops reloading after ten minutes, and says when a payment failed", async () => {
    const { visitor, page, latest } = await aBuyer();
    await visitor.post("/account/credits/buy", { pack: "starter" });
    const { id = "", sessionId, createdAt = 0 } = (await latest()) ?? {};
    const now = vi.spyOn(Date, "now").mockReturnValue(createdAt + 600_000 - 1);
    expect(await page(`/account/credits?purchase=${id}`)).toContain("reload.js");
    now.mockReturnValue(createdAt + 600_000);
    expect(await page(`/account/credits?purchase=${id}`)).not.toContain("reload.js");
    const session = { id: sessionId, payment_intent: null, amount_total: 500, currency: "usd" };
    await deliver(await signed("checkout.session.expired", { ...session, payment_status: "unpaid" }));
    expect(await page(`/account/credits?purchase=${id}`)).toContain(
      "The payment failed. Nothing was charged.",
    );
  });

  it("is refused from another site, for an unknown pack, and after 20 times in ten minutes", async () => {
    const { visitor, latest } = await aBuyer();
    const buy = (pack: string, origin?: string) => visitor.post("/account/credits/buy", { pack }, origin);
    expect((await buy("starter", "https://evil.example")).status).toBe(403);
    expect((await buy("palace")).status).toBe(404);
    expect(await latest()).toBeUndefined();
    const statuses = [];
    for (let n = 0; n < 21; n++) statuses.push((await buy("starter")).status);
    expect(statuses).toEqual([...Array(20).fill(303), 429]);
  });

  it("says that nothing was charged when Stripe is down, and logs no text of Stripe's", async () => {
    const { visitor, latest } = await aBuyer({ ...STRIPE, STRIPE_SECRET_KEY: "sk_test_wrong" });
    const log = spyOnLog();
    const answer = await visitor.post("/account/credits/buy", { pack: "starter" });
    expect(answer.status).toBe(503);
    expect(await answer.text()).toContain("Nothing was charged.");
    expect(log.mock.calls.join("\n")).toContain("Stripe: StripeAuthenticationError 401");
    expect(log.mock.calls.join("\n")).not.toContain("Invalid API Key");
    expect(await latest()).toMatchObject({ sessionId: null, paidAt: null });
  });

  it("shows nobody else's purchase or receipt", async () => {
    const [buyer, other] = [await aBuyer(), await aBuyer()];
    await buyer.visitor.post("/account/credits/buy", { pack: "starter" });
    const purchase = await buyer.latest();
    await atPaymentPage(purchase?.sessionId ?? "", "pay");
    for (const event of await eventsOf(purchase?.id ?? "")) await deliver(event);
    expect(await other.page(`/account/credits?purchase=${purchase?.id}`)).not.toContain("Thank you.");
    const receipt = await other.visitor.get(`/account/credits/purchases/${purchase?.id}/receipt`);
    expect([receipt.status, await titleOf(receipt)]).toEqual([404, "Page not found"]);
  });
});
