import * as z from "zod";
import { findModel, models } from "../catalogue/models.ts";
import { type KeyTerms, keyScopes, limitPeriods } from "../keys/terms.ts";
import { named } from "./fields.ts";

/** What an API key may do, in requests and answers: fields that several resources share. */

const CREDITS_MAX = 1_000_000_000;

const CreditLimit = named("CreditLimit", () =>
  z.strictObject({ credits: z.int().min(1), period: z.enum(limitPeriods) }),
);

/** The terms in the body of a request; each may be left out. */
export const termsInput = {
  scopes: z
    .array(z.enum(keyScopes))
    .min(1)
    .max(keyScopes.length)
    .refine(isWithoutRepeats, { message: "scopes has a value twice." })
    .optional()
    .meta({
      description: "What the key may do: `read` is every GET, `generate` all else. The default is both.",
    }),
  models: z
    .array(z.string().refine((id) => findModel(id) !== undefined, { message: "There is no such model." }))
    .min(1)
    .max(models.length)
    .transform((ids) => ids.map((id) => findModel(id)?.id ?? id))
    .refine(isWithoutRepeats, { message: "models has a model twice." })
    .nullable()
    .optional()
    .meta({ description: "The ids of the models that the key may use. Null, the default, is all." }),
  credit_limit: z
    .strictObject({ credits: z.int().min(1).max(CREDITS_MAX), period: z.enum(limitPeriods) })
    .nullable()
    .optional()
    .meta({
      description:
        "The most credits that the key may spend in a day or a calendar month, in UTC, or in all. Null, the default, is no limit.",
    }),
};

/** The terms of an answer. */
export const termsFields = () => ({
  scopes: z.array(z.enum(keyScopes)).meta({ description: "`read` is every GET, `generate` all else." }),
  models: z.array(z.string()).nullable().meta({ description: "Null: all models." }),
  credit_limit: CreditLimit.nullable().meta({ description: "Null: only the balance limits the key." }),
});

export const TERMS_EXAMPLE = {
  scopes: ["generate", "read"],
  models: null,
  credit_limit: { credits: 500, period: "month" },
} satisfies z.input<z.ZodObject<ReturnType<typeof termsFields>>>;

/** The terms that a body gives, with the names of src/keys. */
export function readTermsInput({
  scopes,
  models: ids,
  credit_limit: creditLimit,
}: {
  scopes?: KeyTerms["scopes"] | undefined;
  models?: KeyTerms["models"] | undefined;
  credit_limit?: KeyTerms["creditLimit"] | undefined;
}): Partial<KeyTerms> {
  return {
    ...(scopes === undefined ? {} : { scopes }),
    ...(ids === undefined ? {} : { models: ids }),
    ...(creditLimit === undefined ? {} : { creditLimit }),
  };
}

export function renderTerms({ scopes, models: ids, creditLimit }: KeyTerms) {
  return { scopes: [...scopes], models: ids === null ? null : [...ids], credit_limit: creditLimit };
}

function isWithoutRepeats(items: readonly string[]): boolean {
  return new Set(items).size === items.length;
}
