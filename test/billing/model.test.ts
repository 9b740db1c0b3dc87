import { env } from "cloudflare:test";
import { expect, it } from "vitest";
import { findPurchase } from "../../src/billing/purchases.ts";
import { createRandom } from "../../src/providers/sketch/random.ts";
import { aCommand, aRequest } from "../support/account.ts";
import { newUser } from "../support/http.ts";
import { aPurchase, atPaymentPage, deliver, eventsOf, giveBack, type StripeEvent } from "./shop.ts";

/** To repeat one sequence, replace the list with its seed. */
const SEEDS = Array.from({ length: 12 }, (_, index) => index + 1);
const PURCHASES = 3;
const STEPS = 40;

type Bought = {
  price: number;
  paid: boolean;
  refunded: number;
  disputed: number;
  left: number;
  taken: number;
};

/**
 * A naive book of one account, written from the documented rules: what each purchase has left, and what was taken back.
 * Charges take from the purchase whose credits expire first; all expire a year after they were paid.
 */
class NaiveBook {
  readonly #bought = new Map<string, Bought>();
  readonly #paidInOrder: string[] = [];

  open(id: string, price: number): void {
    this.#bought.set(id, { price, paid: false, refunded: 0, disputed: 0, left: 0, taken: 0 });
  }

  hear(id: string, { type, data }: StripeEvent): void {
    const bought = this.#bought.get(id);
    if (!bought) return;
    const isPaid = type.startsWith("checkout.session.") && data["payment_status"] === "paid";
    if (isPaid && !bought.paid) {
      bought.paid = true;
      bought.left = 100;
      this.#paidInOrder.push(id);
    }
    if (type === "charge.refunded") {
      bought.refunded = Math.max(bought.refunded, Number(data["amount_refunded"]));
    }
    if (type === "charge.dispute.created") bought.disputed = bought.price;
    const back = Math.min(bought.price, bought.refunded + bought.disputed);
    const owed = bought.paid ? Math.floor((back * 100) / bought.price) : 0;
    for (; bought.taken < owed && bought.left > 0; bought.taken++) bought.left--;
  }

  spend(credits: number): boolean {
    if (this.balance() < credits) return false;
    let open = credits;
    for (const id of this.#paidInOrder) {
      const bought = this.#bought.get(id);
      for (; bought && open > 0 && bought.left > 0; open--) bought.left--;
    }
    return true;
  }

  balance(): number {
    return [...this.#bought.values()].reduce((sum, { left }) => sum + left, 0);
  }

  taken(id: string): number {
    return this.#bought.get(id)?.taken ?? 0;
  }
}

/** Three purchases of prices of their own, each with everything that can happen to it at the double. */
async function shop(userId: string, book: NaiveBook, random: ReturnType<typeof createRandom>) {
  const events: { id: string; event: StripeEvent }[] = [];
  for (let n = 0; n < PURCHASES; n++) {
    const amount = random.pick([1, 333, 1_000, 10_000]);
    const pack = { id: "test", name: "Test", credits: 100, amount, currency: "usd", expiresAfterDays: 365 };
    const { id, sessionId } = await aPurchase(userId, pack);
    book.open(id, amount);
    await atPaymentPage(sessionId, random.pick(["pay", "later"]));
    for (let refunds = random.pick([0, 0, 1, 2]); refunds > 0; refunds--) {
      await giveBack(id, "refund", random.pick([1, Math.ceil(amount / 3), null]));
    }
    if (random.pick([true, false, false])) await giveBack(id, "dispute");
    events.push(...(await eventsOf(id)).map((event) => ({ id, event })));
  }
  return events;
}

it.each(SEEDS)("events twice, late and in any order lead to a naive book: SEEDS = [%i]", async (seed) => {
  const random = createRandom(seed, "billing");
  const below = (limit: number) => Math.floor(random.between(0, limit));
  const user = await newUser();
  const account = env.ACCOUNT.getByName(user.id);
  const book = new NaiveBook();
  const events = await shop(user.id, book, random);
  const hear = async (at: number) => {
    const chosen = events[at];
    if (!chosen) return;
    expect(await deliver(chosen.event)).toMatchObject({ status: 200 });
    book.hear(chosen.id, chosen.event);
  };
  for (let step = 0; step < STEPS; step++) {
    if (below(4) === 0) {
      const credits = 1 + below(60);
      const outcome = await account.submit(aCommand(`gen_${step}`, "sync", aRequest(), credits));
      expect(outcome.kind).toBe(book.spend(credits) ? "accepted" : "insufficient");
    } else await hear(below(events.length));
    expect((await account.balance()).credits, `step ${step}`).toBe(book.balance());
  }
  for (const at of events.keys()) await hear(at);
  const { balance, entries } = await account.statement(Number.MAX_SAFE_INTEGER, 100);
  expect(balance.credits).toBe(book.balance());
  expect(entries.reduce((sum, { credits }) => sum + credits, 0)).toBe(book.balance());
  for (const { id } of events) {
    expect(await findPurchase(env.DB, user.id, id)).toMatchObject({ creditsReversed: book.taken(id) });
  }
});
