import type { FC } from "hono/jsx";
import * as z from "zod";
import { models } from "../../catalogue/models.ts";
import { type CreditLimit, type KeyTerms, keyScopes } from "../../keys/terms.ts";
import { type FormErrors, parseForm } from "../forms.ts";
import { Field, FieldError } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";

/** What a key may do: the fields of its forms, and the words for it. */

const CREDITS_MAX = 1_000_000_000;

const PERIODS = ["day", "month", "total"] as const satisfies readonly CreditLimit["period"][];

export const ALL_TERMS: KeyTerms = { scopes: keyScopes, models: null, creditLimit: null };

const limitSchema = ({ terms }: Texts) =>
  z
    .object({
      limit: z
        .string()
        .trim()
        .regex(/^\d{0,10}$/, terms.notANumber)
        .transform((text) => (text === "" ? null : Number(text)))
        .refine((credits) => credits === null || (credits >= 1 && credits <= CREDITS_MAX), {
          message: terms.outOfRange(CREDITS_MAX),
        }),
      period: z.enum(PERIODS, { error: terms.periodMissing }),
    })
    .transform(({ limit, period }) => (limit === null ? null : { credits: limit, period }));

/** The terms of a form. A form without {@link TermsFields}, of an older release or a program, leaves them out. */
export function readTermsForm(
  fields: ReadonlyMap<string, string>,
  texts: Texts,
): { kind: "valid"; data: Partial<KeyTerms> } | { kind: "invalid"; errors: FormErrors } {
  if (!fields.has("terms")) return { kind: "valid", data: {} };
  const scopes = keyScopes.filter((scope) => fields.has(`scope_${scope}`));
  if (scopes.length === 0) return { kind: "invalid", errors: { scopes: texts.terms.allowOne } };
  const chosen = models.filter(({ id }) => fields.has(`model_${id}`)).map(({ id }) => id);
  const limit = parseForm(limitSchema(texts), fields);
  if (limit.kind === "invalid") return limit;
  return {
    kind: "valid",
    data: { scopes, models: chosen.length === 0 ? null : chosen, creditLimit: limit.data },
  };
}

export const TermsFields: FC<{ terms: KeyTerms; errors: FormErrors | undefined }> = ({ terms, errors }) => {
  const texts = useTexts().terms;
  return (
    <div class="terms">
      <input type="hidden" name="terms" value="1" />
      <fieldset>
        <legend>{texts.allowed}</legend>
        {keyScopes.map((scope) => (
          <Check name={`scope_${scope}`} words={texts.scopes[scope]} isOn={terms.scopes.includes(scope)} />
        ))}
        <FieldError name="scopes" errors={errors} />
      </fieldset>
      <fieldset>
        <legend>{texts.models}</legend>
        {models.map(({ id, name }) => (
          <Check name={`model_${id}`} words={name} isOn={terms.models?.includes(id) ?? false} />
        ))}
      </fieldset>
      <fieldset>
        <legend>{texts.limit}</legend>
        <Field
          name="limit"
          label={texts.credits}
          value={terms.creditLimit === null ? "" : String(terms.creditLimit.credits)}
          hint={texts.empty}
          errors={errors}
          autocomplete="off"
          maxlength={10}
        />
        <div class="field">
          <label for="period">{texts.period}</label>
          <select id="period" name="period">
            {PERIODS.map((value) => (
              <option value={value} selected={value === (terms.creditLimit?.period ?? "month")}>
                {texts.periods[value]}
              </option>
            ))}
          </select>
          <FieldError name="period" errors={errors} />
        </div>
      </fieldset>
    </div>
  );
};

const Check: FC<{ name: string; words: string; isOn: boolean }> = ({ name, words, isOn }) => (
  <label class="check">
    <input type="checkbox" name={name} checked={isOn} /> {words}
  </label>
);

/** "Spent 24 of 500 credits this month", and what the key may not do. */
export function termsWords(
  { scopes, models: ids, creditLimit }: KeyTerms,
  spent: number,
  { terms }: Texts,
): string {
  const spending =
    creditLimit === null ? terms.spent(spent) : terms.spentOf(spent, creditLimit.credits, creditLimit.period);
  const only = keyScopes.filter((scope) => scopes.includes(scope)).map((scope) => terms.scopes[scope]);
  return [
    spending,
    ...(only.length === keyScopes.length ? [] : [terms.onlyScopes(only.join(", "))]),
    ...(ids === null ? [] : [terms.onlyModels(ids.join(", "))]),
  ].join(" · ");
}
