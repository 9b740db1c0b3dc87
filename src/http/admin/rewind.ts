import { Hono } from "hono";
import * as z from "zod";
import { describe, log } from "../../log.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, invalidRequest } from "../errors.ts";
import { idOf, named, timestamp } from "../fields.ts";
import { BALANCE_EXAMPLE, CreditBalance, renderBalance } from "../v1/credits.ts";
import { audit, withUser } from "./operator.ts";
import { USER_ID_EXAMPLE } from "./users.ts";

/** How far the platform can go back. */
const REWIND_MS_MAX = 30 * 86_400_000;

const RewindBody = z
  .strictObject({
    at: timestamp.optional().meta({ description: "A time within the last 30 days." }),
    bookmark: z
      .string()
      .regex(/^[0-9a-zA-Z_-]{1,200}$/, { message: "bookmark must be the bookmark of an earlier rewind." })
      .optional()
      .meta({ description: "The `undo_bookmark` of an earlier rewind." }),
  })
  .refine(({ at, bookmark }) => (at === undefined) !== (bookmark === undefined), {
    message: "The body must have either at or bookmark.",
  });

const Rewound = named("Rewound", () =>
  z.strictObject({
    object: z.literal("rewind"),
    user_id: idOf("user"),
    undo_bookmark: z.string().meta({ description: "Rewinding to it undoes this." }),
    balance: CreditBalance,
  }),
);

export const rewind = new Hono<AppEnv>();

rewind.post(
  "/users/:id/rewind",
  withUser,
  contract({
    id: "rewindAccount",
    summary: "Put one account back to an earlier moment",
    description:
      "The whole account goes back: ledger, generations and idempotency keys. Grants and charges since then are lost; the log still has them until it is reconciled. Read the runbook first. A runtime without point-in-time recovery, such as the local one, answers 503.",
    tag: "operations",
    security: "operator",
    body: { schema: RewindBody, example: { at: "2026-04-30T07:00:00Z" } },
    answers: {
      200: json("The account as it is now.", Rewound, {
        object: "rewind",
        user_id: USER_ID_EXAMPLE,
        undo_bookmark: "00000085-00000043-000050aa-c5da9dc8e0a40c8d23a1d5e0fc4ae33a",
        balance: { object: "credit_balance", ...BALANCE_EXAMPLE },
      }),
    },
  }),
  async (c) => {
    const { user } = c.var;
    const { at, bookmark } = c.req.valid("json");
    const now = Date.now();
    if (at !== undefined && (at > now || at <= now - REWIND_MS_MAX))
      throw invalidRequest("at must be within the last 30 days.", "at");
    const outcome = await c.env.ACCOUNT.getByName(user.id).prepareRewind(at ?? bookmark ?? "");
    if (outcome.kind === "unsupported") {
      throw new ApiError("serviceUnavailable", "This runtime has no point-in-time recovery.");
    }
    await audit(c, "rewind_account", {
      ...{ user_id: user.id, at: at ?? null, bookmark: bookmark ?? null, undo_bookmark: outcome.undo },
    });
    try {
      await c.env.ACCOUNT.getByName(user.id).restart();
    } catch (error) {
      log("account_restarted", { user_id: user.id, error: describe(error) });
    }
    const balance = await c.env.ACCOUNT.getByName(user.id).balance();
    return c.json({
      object: "rewind",
      user_id: user.id,
      undo_bookmark: outcome.undo,
      balance: { object: "credit_balance", ...renderBalance(balance, user.accountType) },
    });
  },
);
