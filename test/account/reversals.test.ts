import { env } from "cloudflare:test";
import { drizzle } from "drizzle-orm/d1";
import { expect, it } from "vitest";
import { creditEntries } from "../../src/db/log-schema.ts";
import { aCommand, aRequest, newUser } from "../support/account.ts";

/** The entries, oldest first, as `[kind, credits, balance]`. */
async function entriesOf(account: ReturnType<typeof newUser>["account"]) {
  const { entries, balance } = await account.statement(Number.MAX_SAFE_INTEGER, 100);
  expect(entries.reduce((sum, { credits }) => sum + credits, 0)).toBe(balance.credits);
  return entries.toReversed().map(({ kind, credits, balanceAfter }) => [kind, credits, balanceAfter]);
}

it("takes back what is left of one grant, never below zero, and says what is missing", async () => {
  const { account } = newUser();
  await account.grant("a", 100, null, null);
  await account.grant("b", 50, null, null);
  await account.submit(aCommand("gen_1", "sync", aRequest(), 30));
  const outcome = await account.reverse("refund", "a", null);
  expect(outcome).toMatchObject({ kind: "reversed", taken: 70, shortfall: 30, balance: { credits: 50 } });
  expect(await entriesOf(account)).toEqual([
    ["grant", 100, 100],
    ["grant", 50, 150],
    ["charge", -30, 120],
    ["reversal", -70, 50],
  ]);
});

it("takes nothing when it is repeated, or when all is spent", async () => {
  const { account } = newUser();
  await account.grant("a", 30, null, null);
  await account.submit(aCommand("gen_1", "sync", aRequest(), 30));
  const spent = await account.reverse("refund", "a", 30);
  expect(spent).toMatchObject({ kind: "reversed", taken: 0, shortfall: 30, balance: { credits: 0 } });
  const again = await Promise.all([1, 2, 3].map(() => account.reverse("refund", "a", 30)));
  expect(again.map(({ kind }) => kind)).toEqual(["repeated", "repeated", "repeated"]);
  expect(await entriesOf(account)).toHaveLength(2);
});

it("takes the difference when the same id asks for more, and never more than the grant", async () => {
  const { account } = newUser();
  await account.grant("a", 100, null, null);
  expect(await account.reverse("refund", "a", 40)).toMatchObject({ kind: "reversed", taken: 40 });
  expect(await account.reverse("refund", "a", 39)).toMatchObject({ kind: "repeated", taken: 40 });
  expect(await account.reverse("refund", "a", 41)).toMatchObject({ kind: "reversed", taken: 41 });
  expect(await account.reverse("refund", "a", 1_000)).toMatchObject({ kind: "reversed", taken: 100 });
  expect(await account.reverse("refund", "a", null)).toMatchObject({ kind: "repeated", shortfall: 0 });
  expect(await entriesOf(account)).toEqual([
    ["grant", 100, 100],
    ["reversal", -40, 60],
    ["reversal", -1, 59],
    ["reversal", -59, 0],
  ]);
});

it("takes what a canceled generation returns to a grant that was taken back", async () => {
  const { account } = newUser();
  await account.grant("a", 100, null, null);
  await account.submit(aCommand("gen_1", "async", aRequest(), 60));
  expect(await account.reverse("refund", "a", 90)).toMatchObject({ taken: 40, shortfall: 50 });
  await account.cancel("gen_1");
  expect(await account.reverse("refund", "a", 90)).toMatchObject({
    kind: "repeated",
    taken: 90,
    shortfall: 0,
  });
  expect(await entriesOf(account)).toEqual([
    ["grant", 100, 100],
    ["charge", -60, 40],
    ["reversal", -40, 0],
    ["refund", 60, 60],
    ["reversal", -50, 10],
  ]);
});

it("takes what a failed generation returns, even when those credits would be renewed", async () => {
  const { account } = newUser();
  await account.grant("a", 100, Date.now() + 86_400_000, null);
  await account.submit(aCommand("gen_1", "sync", aRequest(), 60));
  expect(await account.reverse("refund", "a", null)).toMatchObject({ taken: 40, shortfall: 60 });
  await account.finish("gen_1", 1, { images: [], failure: "generationFailed" });
  expect(await account.reverse("refund", "a", null)).toMatchObject({ taken: 100, shortfall: 0 });
  expect(await entriesOf(account)).toEqual([
    ["grant", 100, 100],
    ["charge", -60, 40],
    ["reversal", -40, 0],
    ["refund", 60, 60],
    ["reversal", -60, 0],
  ]);
});

it("refuses an unknown grant, and an id of another grant's", async () => {
  const { account } = newUser();
  await account.grant("a", 10, null, null);
  await account.grant("b", 10, null, null);
  expect(await account.reverse("refund", "c", null)).toEqual({ kind: "unknown" });
  await account.reverse("refund", "a", null);
  expect(await account.reverse("refund", "b", null)).toEqual({ kind: "conflict" });
  expect((await account.balance()).credits).toBe(10);
});

it("is copied to the log", async () => {
  const { userId, account } = newUser();
  await account.grant("a", 10, null, null);
  await account.reverse("refund", "a", null);
  const rows = await drizzle(env.LOG).select().from(creditEntries);
  expect(rows.filter((row) => row.userId === userId).map(({ kind, credits }) => [kind, credits])).toEqual([
    ["grant", 10],
    ["reversal", -10],
  ]);
});
