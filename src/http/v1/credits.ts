import { Hono } from "hono";
import * as z from "zod";
import type { Balance } from "../../account/outcomes.ts";
import { type AccountType, accountTypes } from "../../users/users.ts";
import { callerOf } from "../authenticate.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { count, isoTimeOrNull, named, time } from "../fields.ts";

/** The members of a balance, which other answers contain too. */
export const balanceFields = () => ({
  credits: count,
  account_type: z.enum(accountTypes),
  next_expiration: time
    .nullable()
    .meta({ description: "When the soonest-expiring credits of the balance expire." }),
});

export const CreditBalance = named("CreditBalance", () =>
  z.strictObject({ object: z.literal("credit_balance"), ...balanceFields() }),
);

export const BALANCE_EXAMPLE = { credits: 112, account_type: "PRO", next_expiration: null } as const;

export const credits = new Hono<AppEnv>();

credits.get(
  "/credits",
  contract({
    id: "getCredits",
    summary: "Retrieve the balance",
    tag: "credits",
    security: "apiKey",
    answers: {
      200: json("The current balance.", CreditBalance, { object: "credit_balance", ...BALANCE_EXAMPLE }),
    },
  }),
  async (c) => {
    const caller = callerOf(c);
    const balance = await c.env.ACCOUNT.getByName(caller.userId).balance();
    return c.json({ object: "credit_balance", ...renderBalance(balance, caller.accountType) });
  },
);

/** A balance as answers have it, on its own or inside of others. */
export function renderBalance(balance: Balance, accountType: AccountType) {
  return {
    credits: balance.credits,
    account_type: accountType,
    next_expiration: isoTimeOrNull(balance.nextExpiration),
  };
}
