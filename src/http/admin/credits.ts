import { Hono } from "hono";
import * as z from "zod";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, invalidRequest, notFound } from "../errors.ts";
import { count, named, timestamp } from "../fields.ts";
import { readIdempotencyKey } from "../submission.ts";
import {
  BALANCE_EXAMPLE,
  CreditBalance,
  CreditEntryPage,
  CreditGrant,
  ENTRIES_EXAMPLE,
  EntriesQuery,
  GRANT_EXAMPLE,
  renderBalance,
  renderEntries,
  renderGrant,
} from "../v1/credits.ts";
import { audit, withUser } from "./operator.ts";

const CREDITS_MAX = 1_000_000_000;
const REASON_LENGTH_MAX = 200;

/** Ids that the ledger creates itself, so an operator's grant must not use them. */
const OWN_GRANT_IDS = /^(signup$|refund_|stripe_cs_)/;

const grantId = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, { message: "id must be 1 to 128 visible ASCII characters." })
  .refine((id) => !OWN_GRANT_IDS.test(id), {
    message: "id must not be signup or begin with refund_ or stripe_cs_.",
  })
  .meta({
    description:
      "Your id of the grant, unless `Idempotency-Key` has it. Repeating a request with the same id adds the credits once.",
  });

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

const Granted = named("Granted", () => z.strictObject({ grant: CreditGrant, balance: CreditBalance }));

const Reversed = named("Reversed", () =>
  z.strictObject({
    grant: CreditGrant,
    taken: count.meta({ description: "The credits that were taken back so far." }),
    shortfall: count.meta({ description: "The credits that were spent or have expired." }),
    balance: CreditBalance,
  }),
);

const Statement = named("Statement", () =>
  z.strictObject({
    balance: CreditBalance,
    grants: z.array(CreditGrant),
    entries: CreditEntryPage,
  }),
);

const balanceExample = { object: "credit_balance", ...BALANCE_EXAMPLE } as const;
const grantedExample = { grant: GRANT_EXAMPLE, balance: balanceExample };

export const credits = new Hono<AppEnv>();

credits.post(
  "/users/:id/credits",
  withUser,
  contract({
    id: "grantCredits",
    summary: "Grant credits",
    description:
      "Repeating a request with the same `id` and the same credits adds nothing. Without `id`, `Idempotency-Key` is the id.",
    tag: "operator",
    security: "operator",
    headers: ["Idempotency-Key"],
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
      body.id ?? idInHeader(c),
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
        await audit(c, "grant_credits", {
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

/** The id of a grant that the body does not name. @throws {ApiError} 400 */
function idInHeader(c: Parameters<typeof readIdempotencyKey>[0]): string {
  const key = readIdempotencyKey(c);
  if (key === null) {
    const message =
      "Name the grant: send id in the body or the header Idempotency-Key, so that a repeated request adds the credits once.";
    throw invalidRequest(message, "Idempotency-Key");
  }
  if (grantId.safeParse(key).success) return key;
  const message =
    "Idempotency-Key must have at most 128 characters, and must not be signup or begin with refund_ or stripe_cs_.";
  throw invalidRequest(message, "Idempotency-Key");
}

credits.post(
  "/users/:id/grants/:grant_id/reverse",
  withUser,
  contract({
    id: "reverseGrant",
    summary: "Take a grant back",
    description:
      "Takes back what the grant has left. What returns to it later, after a failed generation, is taken back too. " +
      "Repeating the request takes nothing more.",
    tag: "operator",
    security: "operator",
    answers: {
      200: json("What was taken back.", Reversed, {
        grant: { ...GRANT_EXAMPLE, remaining: 0 },
        taken: 104,
        shortfall: 8,
        balance: { ...balanceExample, credits: 0 },
      }),
    },
  }),
  async (c) => {
    const { user } = c.var;
    const grantId = c.req.param("grant_id");
    const account = c.env.ACCOUNT.getByName(user.id);
    const outcome = await account.reverse(`operator_${grantId}`, grantId, null);
    if (outcome.kind === "unknown" || outcome.kind === "conflict") throw notFound();
    const { grant, taken, shortfall, balance } = outcome;
    await audit(c, "reverse_grant", { user_id: user.id, grant_id: grantId, taken, shortfall });
    return c.json({
      grant: renderGrant(grant),
      taken,
      shortfall,
      balance: { object: "credit_balance", ...renderBalance(balance, user.accountType) },
    });
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
        grants: [GRANT_EXAMPLE],
        entries: ENTRIES_EXAMPLE,
      }),
    },
  }),
  async (c) => {
    const { user } = c.var;
    const { limit, cursor } = c.req.valid("query");
    const account = c.env.ACCOUNT.getByName(user.id);
    const { balance, grants, entries, hasMore } = await account.statement(cursor, limit);
    return c.json({
      balance: { object: "credit_balance", ...renderBalance(balance, user.accountType) },
      grants: grants.map(renderGrant),
      entries: renderEntries(entries, hasMore),
    });
  },
);
