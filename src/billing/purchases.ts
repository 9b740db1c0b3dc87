import { and, desc, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { purchases, users } from "../db/schema.ts";
import { newId } from "../id.ts";
import type { Fact } from "./events.ts";
import type { Pack } from "./packs.ts";

export type Purchase = typeof purchases.$inferSelect;

const LISTED_MAX = 100;

/** Writes a purchase, before the buyer is redirected to the payment page. */
export async function openPurchase(
  d1: D1Database,
  userId: string,
  pack: Pack,
  now: number,
): Promise<Purchase> {
  const [purchase] = await drizzle(d1)
    .insert(purchases)
    .values({
      id: newId("purchase"),
      userId,
      packId: pack.id,
      packName: pack.name,
      credits: pack.credits,
      amount: pack.amount,
      currency: pack.currency,
      expiresAfterDays: pack.expiresAfterDays,
      createdAt: now,
    })
    .returning();
  if (!purchase) throw new Error("The purchase was not written.");
  return purchase;
}

/** The id of the grant of a purchase, which makes it one grant even if its event arrives again. */
export const grantIdOf = (sessionId: string) => `stripe_${sessionId}`;

/** Notes the session in which a purchase is paid. */
export async function setSession(d1: D1Database, id: string, sessionId: string): Promise<void> {
  await drizzle(d1).update(purchases).set({ sessionId }).where(eq(purchases.id, id));
}

export async function findBySession(d1: D1Database, sessionId: string): Promise<Purchase | null> {
  const [purchase] = await drizzle(d1).select().from(purchases).where(eq(purchases.sessionId, sessionId));
  return purchase ?? null;
}

export async function findByPayment(d1: D1Database, paymentIntent: string): Promise<Purchase | null> {
  const [purchase] = await drizzle(d1)
    .select()
    .from(purchases)
    .where(eq(purchases.paymentIntent, paymentIntent));
  return purchase ?? null;
}

/** A purchase of that user, or null. */
export async function findPurchase(d1: D1Database, userId: string, id: string): Promise<Purchase | null> {
  const own = and(eq(purchases.userId, userId), eq(purchases.id, id));
  const [purchase] = await drizzle(d1).select().from(purchases).where(own);
  return purchase ?? null;
}

/** The user's purchases, newest first, at most 100. */
export async function listPurchases(d1: D1Database, userId: string): Promise<Purchase[]> {
  return await drizzle(d1)
    .select()
    .from(purchases)
    .where(eq(purchases.userId, userId))
    .orderBy(desc(purchases.id))
    .limit(LISTED_MAX);
}

/**
 * Adds a fact to a purchase. The same fact again changes nothing. The first payment of a user makes the account `PRO`.
 * @returns the purchase with all its facts
 */
export async function recordFact(
  d1: D1Database,
  purchase: Purchase,
  fact: Fact,
  now: number,
): Promise<Purchase> {
  const db = drizzle(d1);
  const note = db
    .update(purchases)
    .set(changesOf(fact, now))
    .where(eq(purchases.id, purchase.id))
    .returning();
  if (fact.kind !== "paid") return only(await note);
  const paid = db
    .select({ id: purchases.id })
    .from(purchases)
    .where(and(eq(purchases.userId, purchase.userId), sql`${purchases.paidAt} IS NOT NULL`));
  const isFirst = and(eq(users.id, purchase.userId), sql`NOT EXISTS ${paid}`);
  const [, noted] = await db.batch([db.update(users).set({ accountType: "PRO" }).where(isFirst), note]);
  return only(noted);
}

/** Columns only get a first value, or a higher one: facts may come in any order. */
function changesOf(fact: Fact, now: number) {
  switch (fact.kind) {
    case "pending":
      return { pendingAt: first(purchases.pendingAt, now), ...paymentOf(fact.session.paymentIntent) };
    case "failed":
      return { failedAt: first(purchases.failedAt, now), ...paymentOf(fact.session.paymentIntent) };
    case "paid":
      return { paidAt: first(purchases.paidAt, now), ...paymentOf(fact.session.paymentIntent) };
    case "refunded":
      return { refunded: sql`max(${purchases.refunded}, ${fact.amount})`, ...paymentOf(fact.paymentIntent) };
    case "disputed":
      return { disputed: sql`max(${purchases.disputed}, ${fact.amount})`, ...paymentOf(fact.paymentIntent) };
  }
}

function first(
  column: typeof purchases.pendingAt | typeof purchases.failedAt | typeof purchases.paidAt,
  now: number,
) {
  return sql`coalesce(${column}, ${now})`;
}

function paymentOf(paymentIntent: string | null) {
  return paymentIntent === null ? {} : { paymentIntent };
}

function only(rows: readonly Purchase[]): Purchase {
  const [row] = rows;
  if (!row) throw new Error("Purchases are never deleted.");
  return row;
}

/** Records how many credits the account took back. An older result that arrives late changes nothing. */
export async function recordReversal(
  d1: D1Database,
  id: string,
  { taken, shortfall }: { taken: number; shortfall: number },
): Promise<void> {
  const { creditsReversed, shortfall: noted } = purchases;
  const isNewer = sql`(${creditsReversed} + ${noted}, ${creditsReversed}) <= (${taken + shortfall}, ${taken})`;
  await drizzle(d1)
    .update(purchases)
    .set({ creditsReversed: taken, shortfall })
    .where(and(eq(purchases.id, id), isNewer));
}
