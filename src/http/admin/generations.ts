import { Hono } from "hono";
import * as z from "zod";
import type { GenerationFacts } from "../../account/outcomes.ts";
import { renderGeneration } from "../../account/render.ts";
import { readConfig } from "../../config.ts";
import { findGeneration } from "../../generations/read.ts";
import { isGenerationId } from "../../id.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { notFound } from "../errors.ts";
import { count, idOf, isoTime, isoTimeOrNull, named, time } from "../fields.ts";
import { Generation, SUCCEEDED_EXAMPLE } from "../v1/generations.ts";
import { renderDeliveries, WebhookDeliveries } from "../v1/webhooks.ts";
import { USER_ID_EXAMPLE } from "./users.ts";

const ReportQuery = z.strictObject({
  user_id: z.string().meta({ description: "The user whose generation it is. The log is stored by user." }),
});

const Report = named("GenerationReport", () =>
  z.strictObject({
    object: z.literal("generation_report"),
    user_id: idOf("user"),
    generation: Generation.nullable().meta({ description: "Null when it was deleted." }),
    account: z
      .strictObject({
        mode: z.enum(["sync", "async"]),
        api_key_id: z.string().nullable().meta({ description: "The key that pays. Null: the pages." }),
        began_at: time.nullable(),
        deadline: time,
        due_at: time.nullable().meta({ description: "When the account handles it next." }),
        provider_calls: count,
        fence: count.meta({ description: "Grows when a worker loses the lease." }),
        allocations: z.array(z.strictObject({ grant_id: z.string(), credits: count })),
        logged: z.boolean(),
        references_deleted: z.boolean(),
        deleted_at: time.nullable(),
      })
      .nullable()
      .meta({ description: "What the account has of it, until a day after its end." }),
    deliveries: WebhookDeliveries.unwrap().shape.data,
  }),
);

export const generations = new Hono<AppEnv>();

generations.get(
  "/generations/:id",
  contract({
    id: "reportGeneration",
    summary: "Retrieve everything that is known of a generation",
    description:
      "The log lines `provider_call` with its `generation_id` have the routes, and the ids of the provider's requests.",
    tag: "operations",
    security: "operator",
    query: ReportQuery,
    answers: {
      200: json("The facts.", Report, {
        object: "generation_report",
        user_id: USER_ID_EXAMPLE,
        generation: SUCCEEDED_EXAMPLE,
        account: {
          mode: "async",
          api_key_id: "key_01KQGQ0V5E8H2T7J4M9S6D3WXR",
          began_at: "2026-04-30T08:00:01.000Z",
          deadline: "2026-04-30T08:13:21.000Z",
          due_at: null,
          provider_calls: 1,
          fence: 1,
          allocations: [{ grant_id: "invoice-1042", credits: 8 }],
          logged: true,
          references_deleted: true,
          deleted_at: null,
        },
        deliveries: [],
      }),
    },
  }),
  async (c) => {
    const id = c.req.param("id");
    const { user_id: userId } = c.req.valid("query");
    if (!isGenerationId(id)) throw notFound();
    const account = c.env.ACCOUNT.getByName(userId);
    const [record, facts, deliveries] = await Promise.all([
      findGeneration(userId, id, null, Date.now(), c.env),
      account.facts(id),
      account.deliveries(id),
    ]);
    if (record === null && facts === null) throw notFound();
    c.set("userId", userId);
    c.set("generationId", id);
    return c.json({
      object: "generation_report",
      user_id: userId,
      generation: record && renderGeneration(record, readConfig(c.env)),
      account: facts && renderFacts(facts),
      deliveries: renderDeliveries(deliveries ?? []).data,
    });
  },
);

function renderFacts(facts: GenerationFacts) {
  return {
    mode: facts.mode,
    api_key_id: facts.keyId,
    began_at: isoTimeOrNull(facts.beganAt),
    deadline: isoTime(facts.deadline),
    due_at: isoTimeOrNull(facts.dueAt),
    provider_calls: facts.providerCalls,
    fence: facts.fence,
    allocations: facts.allocations.map(({ grantId, credits }) => ({ grant_id: grantId, credits })),
    logged: facts.isLogged,
    references_deleted: facts.areReferencesDeleted,
    deleted_at: isoTimeOrNull(facts.deletedAt),
  };
}
