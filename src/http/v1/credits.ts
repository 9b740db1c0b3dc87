import { Hono } from "hono";
import * as z from "zod";
import type { Grant } from "../../account/ledger.ts";
import type { Balance } from "../../account/outcomes.ts";
import type { Entry } from "../../account/store/ledger.ts";
import type { Pack } from "../../billing/packs.ts";
import { packsOnSale } from "../../billing/settings.ts";
import { readConfig } from "../../config.ts";
import { type AccountType, accountTypes } from "../../users/users.ts";
import { callerOf } from "../authenticate.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { invalidRequest } from "../errors.ts";
import {
  CURSOR_DESCRIPTION,
  count,
  idOf,
  isoTime,
  isoTimeOrNull,
  limitMeta,
  listOf,
  named,
  page,
  time,
} from "../fields.ts";

const LISTED_MAX = 100;
const LISTED = 20;
const BAD_CURSOR = "cursor must be the next_cursor of an earlier answer.";

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

export const CreditGrant = named("CreditGrant", () =>
  z.strictObject({
    object: z.literal("credit_grant"),
    id: z.string(),
    credits: z.int().min(1).meta({ description: "The credits that were granted." }),
    remaining: count.meta({ description: "The credits that are left." }),
    expires_at: time.nullable(),
    reason: z.string().nullable(),
    created_at: time,
  }),
);

const CreditGrantPage = named("CreditGrantPage", () => listOf(CreditGrant).extend(page));

const CreditEntry = named("CreditEntry", () =>
  z.strictObject({
    object: z.literal("credit_entry"),
    id: z.string(),
    kind: z.enum(["grant", "charge", "refund", "expiry", "reversal"]),
    credits: z.int().meta({ description: "Negative where credits were taken." }),
    balance_after: count,
    generation_id: idOf("gen").nullable(),
    grant_id: z.string(),
    created_at: time,
  }),
);

export const CreditEntryPage = named("CreditEntryPage", () => listOf(CreditEntry).extend(page));

const CreditPack = named("CreditPack", () =>
  z.strictObject({
    object: z.literal("credit_pack"),
    id: z.string(),
    name: z.string(),
    credits: z.int().min(1),
    price: z.strictObject({
      amount: z.int().min(1).meta({ description: "In the smallest unit of the currency, such as cents." }),
      currency: z.string().meta({ description: "ISO 4217, in lower case." }),
    }),
    expires_after_days: z
      .int()
      .min(1)
      .nullable()
      .meta({ description: "From the payment until the credits expire. Null is never." }),
  }),
);

const CreditPackList = named("CreditPackList", () => listOf(CreditPack));

export const GRANT_EXAMPLE: z.input<typeof CreditGrant> = {
  object: "credit_grant",
  id: "invoice-1042",
  credits: 112,
  remaining: 112,
  expires_at: null,
  reason: "Invoice 1042",
  created_at: "2026-04-30T07:55:00.000Z",
};

export const ENTRIES_EXAMPLE: z.input<typeof CreditEntryPage> = {
  object: "list",
  data: [
    {
      object: "credit_entry",
      id: "entry_1",
      kind: "grant",
      credits: 112,
      balance_after: 112,
      generation_id: null,
      grant_id: "invoice-1042",
      created_at: "2026-04-30T07:55:00.000Z",
    },
  ],
  has_more: false,
  next_cursor: null,
};

const limit = z
  .string()
  .regex(/^\d{1,15}$/, { message: "limit must be a whole number." })
  .transform(Number)
  .pipe(z.int().min(1).max(LISTED_MAX))
  .default(LISTED)
  .meta(limitMeta(LISTED_MAX, LISTED));

/** `cursor` becomes the number of the entry that the page comes before. */
export const EntriesQuery = z.strictObject({
  limit,
  cursor: z
    .string()
    .transform((text) => readEntryCursor(text))
    .refine((seq) => seq !== null, { message: BAD_CURSOR })
    .transform((seq) => seq ?? 0)
    .default(Number.MAX_SAFE_INTEGER)
    .meta({ description: CURSOR_DESCRIPTION }),
});

/** `cursor` becomes the id of the grant that the page comes after. */
const GrantsQuery = z.strictObject({
  limit,
  cursor: z.string().transform(decode).optional().meta({ description: CURSOR_DESCRIPTION }),
});

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

credits.get(
  "/credits/packs",
  contract({
    id: "listCreditPacks",
    summary: "List the credit packs on sale",
    description: "A signed-in user buys them on the credits page. The list is empty where none are sold.",
    tag: "credits",
    security: null,
    answers: {
      200: json("All packs.", CreditPackList, {
        object: "list",
        data: [
          {
            object: "credit_pack",
            id: "starter",
            name: "Starter",
            credits: 5000,
            price: { amount: 500, currency: "usd" },
            expires_after_days: 365,
          },
        ],
      }),
    },
    errors: [503],
  }),
  (c) => c.json({ object: "list", data: packsOnSale(readConfig(c.env)).map(renderPack) }),
);

credits.get(
  "/credits/entries",
  contract({
    id: "listCreditEntries",
    summary: "List the entries of the ledger, newest first",
    description: "The `credits` of all entries always sum to the balance.",
    tag: "credits",
    security: "apiKey",
    query: EntriesQuery,
    answers: { 200: json("A page of entries.", CreditEntryPage, ENTRIES_EXAMPLE) },
  }),
  async (c) => {
    const { limit, cursor } = c.req.valid("query");
    const account = c.env.ACCOUNT.getByName(callerOf(c).userId);
    const { entries, hasMore } = await account.statement(cursor, limit);
    return c.json(renderEntries(entries, hasMore));
  },
);

credits.get(
  "/credits/grants",
  contract({
    id: "listCreditGrants",
    summary: "List credit grants, newest first",
    description: "The `remaining` credits of all grants always sum to the balance.",
    tag: "credits",
    security: "apiKey",
    query: GrantsQuery,
    answers: {
      200: json("A page of grants.", CreditGrantPage, {
        object: "list",
        data: [GRANT_EXAMPLE],
        has_more: false,
        next_cursor: null,
      }),
    },
  }),
  async (c) => {
    const { limit, cursor } = c.req.valid("query");
    const found = await c.env.ACCOUNT.getByName(callerOf(c).userId).grants(cursor ?? null, limit);
    if (found === null) throw invalidRequest(BAD_CURSOR, "cursor");
    const last = found.grants.at(-1);
    return c.json({
      object: "list",
      data: found.grants.map(renderGrant),
      has_more: found.hasMore,
      next_cursor: found.hasMore && last ? btoa(last.id) : null,
    });
  },
);

/** A balance, as its own response and inside others. */
export function renderBalance(balance: Balance, accountType: AccountType) {
  return {
    credits: balance.credits,
    account_type: accountType,
    next_expiration: isoTimeOrNull(balance.nextExpiration),
  };
}

function renderPack(pack: Pack): z.input<typeof CreditPack> {
  return {
    object: "credit_pack",
    id: pack.id,
    name: pack.name,
    credits: pack.credits,
    price: { amount: pack.amount, currency: pack.currency },
    expires_after_days: pack.expiresAfterDays,
  };
}

export function renderGrant(grant: Grant): z.input<typeof CreditGrant> {
  return {
    object: "credit_grant",
    id: grant.id,
    credits: grant.credits,
    remaining: grant.remaining,
    expires_at: isoTimeOrNull(grant.expiresAt),
    reason: grant.reason,
    created_at: isoTime(grant.createdAt),
  };
}

/** A page of ledger entries, newest first. */
export function renderEntries(entries: readonly Entry[], hasMore: boolean): z.input<typeof CreditEntryPage> {
  const last = entries.at(-1);
  return {
    object: "list",
    data: entries.map((entry) => ({
      object: "credit_entry",
      id: `entry_${entry.seq}`,
      kind: entry.kind,
      credits: entry.credits,
      balance_after: entry.balanceAfter,
      generation_id: entry.generationId,
      grant_id: entry.grantId,
      created_at: isoTime(entry.createdAt),
    })),
    has_more: hasMore,
    next_cursor: hasMore && last ? btoa(String(last.seq)) : null,
  };
}

function readEntryCursor(text: string): number | null {
  const digits = decode(text);
  return /^[1-9]\d{0,14}$/.test(digits) ? Number(digits) : null;
}

/** The text of a cursor; empty when it is not base64. */
function decode(cursor: string): string {
  try {
    return /^[A-Za-z0-9+/]{1,256}={0,2}$/.test(cursor) ? atob(cursor) : "";
  } catch {
    return "";
  }
}
