/** The credit packs on sale. A purchase keeps a copy of its pack, so that a change here changes no past purchase. */

export type Pack = {
  id: string;
  name: string;
  credits: number;
  /** In the smallest unit of the currency, such as cents. */
  amount: number;
  /** ISO 4217, in lower case, as Stripe has it. */
  currency: string;
  /** Days from the payment until the credits expire; null: never. */
  expiresAfterDays: number | null;
};

export const PACKS: readonly Pack[] = [
  { id: "starter", name: "Starter", credits: 5_000, amount: 500, currency: "usd", expiresAfterDays: 365 },
  {
    id: "standard",
    name: "Standard",
    credits: 21_000,
    amount: 2_000,
    currency: "usd",
    expiresAfterDays: 365,
  },
  { id: "studio", name: "Studio", credits: 110_000, amount: 10_000, currency: "usd", expiresAfterDays: 365 },
];

export function findPack(id: string): Pack | null {
  return PACKS.find((pack) => pack.id === id) ?? null;
}
