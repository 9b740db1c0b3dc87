import { Hono } from "hono";
import * as z from "zod";
import { listActions, type OperatorAction } from "../../watch/audit.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { CURSOR_DESCRIPTION, idOf, isoTime, limitMeta, named, page, time } from "../fields.ts";

const ACTIONS_LISTED = 50;
const ACTIONS_LISTED_MAX = 200;

const AuditQuery = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,15}$/, { message: "limit must be a whole number." })
    .transform(Number)
    .pipe(z.int().min(1).max(ACTIONS_LISTED_MAX))
    .default(ACTIONS_LISTED)
    .meta(limitMeta(ACTIONS_LISTED_MAX, ACTIONS_LISTED)),
  cursor: z
    .string()
    .regex(/^action_[0-9A-Z]{26}$/, { message: "cursor must be the next_cursor of an earlier answer." })
    .optional()
    .meta({ description: CURSOR_DESCRIPTION }),
});

const Action = named("OperatorAction", () =>
  z.strictObject({
    object: z.literal("operator_action"),
    id: idOf("action"),
    action: z.string().meta({ description: "What was done, such as `grant_credits`." }),
    request_id: z.string(),
    details: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
      .meta({ description: "The ids and amounts of what changed." }),
    created_at: time,
  }),
);

const ActionList = named("OperatorActionList", () =>
  z.strictObject({ object: z.literal("list"), data: z.array(Action), ...page }),
);

export const auditTrail = new Hono<AppEnv>();

auditTrail.get(
  "/audit",
  contract({
    id: "listOperatorActions",
    summary: "List what operators did",
    description:
      "Every change that was made with the operator's token, newest first. Nothing is ever deleted.",
    tag: "operations",
    security: "operator",
    query: AuditQuery,
    answers: {
      200: json("A page of actions.", ActionList, {
        object: "list",
        data: [
          {
            object: "operator_action",
            id: "action_01KQGPZ8T4C5M7B2N9R6W3XYHD",
            action: "operate_provider",
            request_id: "req_01KQGPZ8T4C5M7B2N9R6W3XYHD",
            details: { provider: "openai", state: "open" },
            created_at: "2026-04-30T08:00:00.000Z",
          },
        ],
        ...{ has_more: false, next_cursor: null },
      }),
    },
  }),
  async (c) => {
    const { limit, cursor } = c.req.valid("query");
    const found = await listActions(c.env.LOG, cursor, limit + 1);
    const data = found.slice(0, limit);
    const hasMore = found.length > limit;
    const next_cursor = hasMore ? (data.at(-1)?.id ?? null) : null;
    return c.json({ object: "list", data: data.map(render), has_more: hasMore, next_cursor });
  },
);

function render({ id, action, requestId, fields, createdAt }: OperatorAction): z.input<typeof Action> {
  return {
    object: "operator_action",
    ...{ id, action, request_id: requestId, details: { ...fields } },
    created_at: isoTime(createdAt),
  };
}
