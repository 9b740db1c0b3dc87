import type { FC } from "hono/jsx";
import * as z from "zod";
import { models } from "../../catalogue/models.ts";
import { type CreditLimit, type KeyScope, type KeyTerms, keyScopes } from "../../keys/terms.ts";
import { formatCredits, formatNumber } from "../format.ts";
import { type FormErrors, parseForm } from "../forms.ts";
import { Field, FieldError } from "../parts.tsx";

/** What a key may do: the fields of its forms, and the words for it. */

const CREDITS_MAX = 1_000_000_000;

const SCOPE_WORDS: Readonly<Record<KeyScope, string>> = {
  generate: "Generate images",
  read: "Read images, credits and usage",
};

const PERIODS = [
  { value: "day", words: "A day (UTC)", of: "today" },
  { value: "month", words: "A month (UTC)", of: "this month" },
  { value: "total", words: "In total", of: "in total" },
] as const satisfies readonly { value: CreditLimit["period"]; words: string; of: string }[];

export const ALL_TERMS: KeyTerms = { scopes: keyScopes, models: null, creditLimit: null };

const Limit = z
  .object({
    limit: z
      .string()
      .trim()
      .regex(/^\d{0,10}$/, "Enter a whole number of credits, or leave it empty.")
      .transform((text) => (text === "" ? null : Number(text)))
      .refine((credits) => credits === null || (credits >= 1 && credits <= CREDITS_MAX), {
        message: `Enter 1 to ${formatNumber(CREDITS_MAX)} credits, or leave it empty.`,
      }),
    period: z.enum(
      PERIODS.map(({ value }) => value),
      { error: "Choose a period." },
    ),
  })
  .transform(({ limit, period }) => (limit === null ? null : { credits: limit, period }));

/** The terms of a form. A form without {@link TermsFields}, of an older release or a program, leaves them out. */
export function readTermsForm(
  fields: ReadonlyMap<string, string>,
): { kind: "valid"; data: Partial<KeyTerms> } | { kind: "invalid"; errors: FormErrors } {
  if (!fields.has("terms")) return { kind: "valid", data: {} };
  const scopes = keyScopes.filter((scope) => fields.has(`scope_${scope}`));
  if (scopes.length === 0) return { kind: "invalid", errors: { scopes: "Allow at least one." } };
  const chosen = models.filter(({ id }) => fields.has(`model_${id}`)).map(({ id }) => id);
  const limit = parseForm(Limit, fields);
  if (limit.kind === "invalid") return limit;
  return {
    kind: "valid",
    data: { scopes, models: chosen.length === 0 ? null : chosen, creditLimit: limit.data },
  };
}

export const TermsFields: FC<{ terms: KeyTerms; errors: FormErrors | undefined }> = ({ terms, errors }) => (
  <div class="terms">
    <input type="hidden" name="terms" value="1" />
    <fieldset>
      <legend>Allowed to</legend>
      {keyScopes.map((scope) => (
        <Check name={`scope_${scope}`} words={SCOPE_WORDS[scope]} isOn={terms.scopes.includes(scope)} />
      ))}
      <FieldError name="scopes" errors={errors} />
    </fieldset>
    <fieldset>
      <legend>Only these models (none: all)</legend>
      {models.map(({ id, name }) => (
        <Check name={`model_${id}`} words={name} isOn={terms.models?.includes(id) ?? false} />
      ))}
    </fieldset>
    <fieldset>
      <legend>Spending limit</legend>
      <Field
        name="limit"
        label="Credits"
        value={terms.creditLimit === null ? "" : String(terms.creditLimit.credits)}
        hint="Empty: no limit."
        errors={errors}
        autocomplete="off"
        maxlength={10}
      />
      <div class="field">
        <label for="period">Period</label>
        <select id="period" name="period">
          {PERIODS.map(({ value, words }) => (
            <option value={value} selected={value === (terms.creditLimit?.period ?? "month")}>
              {words}
            </option>
          ))}
        </select>
        <FieldError name="period" errors={errors} />
      </div>
    </fieldset>
  </div>
);

const Check: FC<{ name: string; words: string; isOn: boolean }> = ({ name, words, isOn }) => (
  <label class="check">
    <input type="checkbox" name={name} checked={isOn} /> {words}
  </label>
);

/** "Spent 24 of 500 credits this month", and what the key may not do. */
export function termsWords({ scopes, models: ids, creditLimit }: KeyTerms, spent: number): string {
  const period = PERIODS.find(({ value }) => value === creditLimit?.period);
  const spending =
    creditLimit === null || !period
      ? `Spent ${formatCredits(spent)}`
      : `Spent ${formatNumber(spent)} of ${formatCredits(creditLimit.credits)} ${period.of}`;
  const only = keyScopes.filter((scope) => scopes.includes(scope)).map((scope) => SCOPE_WORDS[scope]);
  return [
    spending,
    ...(only.length === keyScopes.length ? [] : [`only: ${only.join(", ")}`]),
    ...(ids === null ? [] : [`only ${ids.join(", ")}`]),
  ].join(" · ");
}
