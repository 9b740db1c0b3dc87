import { type Context, Hono } from "hono";
import * as z from "zod";
import { reconcile as compare, type Discrepancy, type Page } from "../../generations/reconcile.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { count, named, page } from "../fields.ts";
import { logCursor, renderLogCursor } from "./log-cursor.ts";
import { audit } from "./operator.ts";
import { USER_ID_EXAMPLE } from "./users.ts";

const ReconcileQuery = z.strictObject({ cursor: logCursor });

const Reconciliation = named("Reconciliation", () =>
  z.strictObject({
    object: z.literal("reconciliation"),
    checked: z.strictObject({ accounts: count, generations: count, images: count }),
    differences: z.array(z.looseObject({ kind: z.string(), user_id: z.string() })),
    repaired: count,
    ...page,
  }),
);

const example = {
  object: "reconciliation",
  checked: { accounts: 20, generations: 312, images: 298 },
  differences: [
    {
      kind: "generation_missing",
      user_id: USER_ID_EXAMPLE,
      generation_id: "gen_01KQGQ3RWJ8Z4V5C0T2N6M9BDE",
    },
  ],
  repaired: 0,
  has_more: false,
  next_cursor: null,
} as const;

export const reconcile = new Hono<AppEnv>();

reconcile.get(
  "/reconcile",
  contract({
    id: "compareLog",
    summary: "Compare the log with the accounts' ledgers",
    tag: "operations",
    security: "operator",
    query: ReconcileQuery,
    answers: {
      200: json("The differences of a page of accounts.", Reconciliation, {
        ...example,
        differences: [...example.differences],
      }),
    },
  }),
  async (c) => c.json(await reconcilePage(c, c.req.valid("query").cursor, false)),
);

reconcile.post(
  "/reconcile",
  contract({
    id: "repairLog",
    summary: "Compare the log with the accounts' ledgers, and repair it",
    tag: "operations",
    security: "operator",
    query: ReconcileQuery,
    answers: {
      200: json("The differences of a page of accounts, before the repair.", Reconciliation, {
        ...example,
        differences: [...example.differences],
        repaired: 1,
      }),
    },
  }),
  async (c) => {
    const { cursor } = c.req.valid("query");
    return c.json(await reconcilePage(c, cursor, true));
  },
);

async function reconcilePage(
  c: Context<AppEnv>,
  cursor: z.output<typeof ReconcileQuery>["cursor"],
  repair: boolean,
) {
  const page = await compare(c.env, cursor, repair, Date.now());
  if (repair) await audit(c, "repair_log", { from_user_id: cursor?.userId ?? null, repaired: page.repaired });
  return renderReconciliation(page);
}

function renderReconciliation({
  checked,
  differences,
  repaired,
  next,
}: Page): z.input<typeof Reconciliation> {
  return {
    object: "reconciliation",
    checked,
    differences: differences.map(renderDiscrepancy),
    repaired,
    has_more: next !== null,
    next_cursor: renderLogCursor(next),
  };
}

function renderDiscrepancy(discrepancy: Discrepancy) {
  const { kind, userId } = discrepancy;
  const base = { kind, user_id: userId };
  switch (discrepancy.kind) {
    case "book_broken": {
      const { balance, entriesSum, held } = discrepancy;
      return { ...base, balance, entries_sum: entriesSum, held };
    }
    case "entries_differ":
      return { ...base, in_book: discrepancy.inBook, in_log: discrepancy.inLog };
    case "generation_missing":
    case "generation_differs":
    case "generation_unknown":
      return { ...base, generation_id: discrepancy.generationId };
    case "image_missing":
      return { ...base, generation_id: discrepancy.generationId, image_id: discrepancy.imageId };
  }
}
