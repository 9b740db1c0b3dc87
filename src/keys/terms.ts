import * as z from "zod";
import { type CreditLimit, type KeyScope, keyScopes, limitPeriods } from "../db/schema.ts";

export { type CreditLimit, type KeyScope, keyScopes, limitPeriods };

/** What a key may do, with which models, and how much it may spend. */
export type KeyTerms = {
  scopes: readonly KeyScope[];
  /** Ids of models; null: all. */
  models: readonly string[] | null;
  /** Null: only the balance limits it. */
  creditLimit: CreditLimit | null;
};

/** Keys of older releases have no terms: they may do everything. */
const StoredTerms = z
  .object({
    scopes: z.array(z.enum(keyScopes)).nullable(),
    models: z.array(z.string()).nullable(),
    creditLimit: z.int().min(1).nullable(),
    creditLimitPeriod: z.enum(limitPeriods).nullable(),
  })
  .transform(({ scopes, models, creditLimit: credits, creditLimitPeriod: period }, context): KeyTerms => {
    if ((credits === null) !== (period === null)) {
      context.addIssue({ code: "custom", message: "A credit limit has an amount and a period." });
    }
    const creditLimit = credits === null || period === null ? null : { credits, period };
    return { scopes: scopes ?? keyScopes, models, creditLimit };
  });

/** The columns of a key's terms, as D1 has them. */
export type TermsRow = {
  scopes: unknown;
  models: unknown;
  creditLimit: number | null;
  creditLimitPeriod: string | null;
};

/** @throws {z.ZodError} when the row is malformed: such a key must not be taken for one without limits */
export function readTerms(row: TermsRow): KeyTerms {
  return StoredTerms.parse(row);
}

/** The columns for these terms; those that are left out are not among them. */
export function termsRow({ scopes, models, creditLimit }: Partial<KeyTerms>): Partial<TermsRow> {
  return {
    ...(scopes === undefined ? {} : { scopes: scopes.length === keyScopes.length ? null : scopes }),
    ...(models === undefined ? {} : { models }),
    ...(creditLimit === undefined
      ? {}
      : { creditLimit: creditLimit?.credits ?? null, creditLimitPeriod: creditLimit?.period ?? null }),
  };
}
