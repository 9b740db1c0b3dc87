import { Hono } from "hono";
import * as z from "zod";
import type { Grant } from "../../account/ledger.ts";
import type { Entry } from "../../account/store/ledger.ts";
import { newId } from "../../id.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, invalidRequest } from "../errors.ts";
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
  timestamp,
} from "../fields.ts";
import { BALANCE_EXAMPLE, CreditBalance, renderBalance } from "../v1/credits.ts";
import { audit, withUser } from "./operator.ts";

const CREDITS_MAX = 1_000_000_000;
const REASON_LENGTH_MAX = 200;
const ENTRIES_LISTED_MAX = 100;
const ENTRIES_LISTED = 20;

/** Ids that the ledger gives itself, so that no grant of an operator's can stand in their place. */
const OWN_GRANT_IDS = /^(signup$|refund_)/;

const grantId = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, { message: "id must be 1 to 128 visible ASCII characters." })
  .refine((id) => !OWN_GRANT_IDS.test(id), { message: "id must not be signup or begin with refund_." })
  .meta({ description: "Your id of the grant. Repeating a request with the same id adds the credits once." });

const CreditsBody = z.strictObject({
  id: grantId.optional(),
  credits: z.number().min(1).max(CREDITS_MAX).int().meta({ description: "The credits to add." }),
  // A new grant's must be in the future. The account checks it: the same grant may be sent again after its expiry.
  expires_at: timestamp
    .nullable()
    .optional()
    .meta({ description: "A time in the future. Null, the default, is never." }),
  reason: z.string().max(REASON_LENGTH_MAX).optional().meta({ description: "Shown to the user." }),
});

/** `cursor` becomes the number of the entry that the page comes before. */
const EntriesQuery = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,15}$/, { message: "limit must be a whole number." })
    .transform(Number)
    .pipe(z.int().min(1).max(ENTRIES_LISTED_MAX))
    .default(ENTRIES_LISTED)
    .meta(limitMeta(ENTRIES_LISTED_MAX, ENTRIES_LISTED)),
  cursor: z
    .string()
    .transform((text) => readCursor(text))
    .refine((seq) => seq !== null, { message: "cursor must be the next_cursor of an earlier answer." })
    .transform((seq) => seq ?? 0)
    .default(Number.MAX_SAFE_INTEGER)
    .meta({ description: CURSOR_DESCRIPTION }),
});

const CreditGrant = named("CreditGrant", () =>
  z.strictObject({
    object: z.literal("credit_grant"),
    id: z.string(),
    credits: z.int().min(1),
    remaining: count,
    expires_at: time.nullable(),
    reason: z.string().nullable(),
    created_at: time,
  }),
);

const Granted = named("Granted", () => z.strictObject({ grant: CreditGrant, balance: CreditBalance }));

const CreditEntry = named("CreditEntry", () =>
  z.strictObject({
    object: z.literal("credit_entry"),
    id: z.string(),
    kind: z.enum(["grant", "charge", "refund", "expiry"]),
    credits: z.int().meta({ description: "Negative where credits were taken." }),
    balance_after: count,
    generation_id: idOf("gen").nullable(),
    grant_id: z.string(),
    created_at: time,
  }),
);

const Statement = named("Statement", () =>
  z.strictObject({
    balance: CreditBalance,
    grants: z.array(CreditGrant),
    entries: listOf(CreditEntry).extend(page),
  }),
);

const grantExample: z.input<typeof CreditGrant> = {
  object: "credit_grant",
  id: "invoice-1042",
  credits: 112,
  remaining: 112,
  expires_at: null,
  reason: "Invoice 1042",
  created_at: "2026-04-30T07:55:00.000Z",
};

const balanceExample = { object: "credit_balance", ...BALANCE_EXAMPLE } as const;
const grantedExample = { grant: grantExample, balance: balanceExample };

export const credits = new Hono<AppEnv>();

credits.post(
  "/users/:id/credits",
  withUser,
  contract({
    id: "grantCredits",
    summary: "Grant credits",
    description: "Repeating a request with the same `id` and the same credits adds nothing.",
    tag: "operator",
    security: "operator",
    body: {
      schema: CreditsBody,
      example: { id: "invoice-1042", credits: 112, reason: "Invoice 1042" },
    },
    answers: {
      200: json("The grant, which an earlier request added.", Granted, grantedExample),
      201: json("The new grant.", Granted, grantedExample),
    },
    errors: [409],
  }),
  async (c) => {
    const { user } = c.var;
    const body = c.req.valid("json");
    const outcome = await c.env.ACCOUNT.getByName(user.id).grant(
      body.id ?? newId("grant"),
      body.credits,
      body.expires_at ?? null,
      body.reason ?? null,
    );
    switch (outcome.kind) {
      case "conflict":
        throw new ApiError(
          "conflict",
          "A grant with this id and other credits or another expires_at exists.",
          { param: "id" },
        );
      case "expired":
        throw invalidRequest("expires_at must be in the future.", "expires_at");
      case "granted":
      case "repeated":
        audit(c, "grant_credits", {
          user_id: user.id,
          grant_id: outcome.grant.id,
          credits: outcome.grant.credits,
          expires_at: outcome.grant.expiresAt,
          repeated: outcome.kind === "repeated",
        });
        return c.json(
          {
            grant: renderGrant(outcome.grant),
            balance: { object: "credit_balance", ...renderBalance(outcome.balance, user.accountType) },
          },
          outcome.kind === "granted" ? 201 : 200,
        );
    }
  },
);

credits.get(
  "/users/:id/credits",
  withUser,
  contract({
    id: "getStatement",
    summary: "Retrieve a user's balance, grants and ledger entries",
    tag: "operator",
    security: "operator",
    query: EntriesQuery,
    answers: {
      200: json("The balance, all grants with credits left, and a page of entries.", Statement, {
        balance: balanceExample,
        grants: [grantExample],
        entries: {
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
        },
      }),
    },
  }),
  async (c) => {
    const { user } = c.var;
    const { limit, cursor } = c.req.valid("query");
    const account = c.env.ACCOUNT.getByName(user.id);
    const { balance, grants, entries, hasMore } = await account.statement(cursor, limit);
    const last = entries.at(-1);
    return c.json({
      balance: { object: "credit_balance", ...renderBalance(balance, user.accountType) },
      grants: grants.map(renderGrant),
      entries: {
        object: "list",
        data: entries.map(renderEntry),
        has_more: hasMore,
        next_cursor: hasMore && last ? btoa(String(last.seq)) : null,
      },
    });
  },
);

function renderGrant(grant: Grant): z.input<typeof CreditGrant> {
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

function renderEntry(entry: Entry): z.input<typeof CreditEntry> {
  return {
    object: "credit_entry",
    id: `entry_${entry.seq}`,
    kind: entry.kind,
    credits: entry.credits,
    balance_after: entry.balanceAfter,
    generation_id: entry.generationId,
    grant_id: entry.grantId,
    created_at: isoTime(entry.createdAt),
  };
}

function readCursor(text: string): number | null {
  const digits = /^[A-Za-z0-9+/]{1,24}={0,2}$/.test(text) ? decode(text) : "";
  return /^[1-9]\d{0,14}$/.test(digits) ? Number(digits) : null;
}

function decode(text: string): string {
  try {
    return atob(text);
  } catch {
    return "";
  }
}
