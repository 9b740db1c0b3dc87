import type { CallToolResult, Tool as ListedTool } from "@modelcontextprotocol/server";
import type { Context } from "hono";
import * as z from "zod";
import { FAILURE_MESSAGES, renderGeneration } from "../account/render.ts";
import type { GenerationRecord } from "../account/views.ts";
import { findModel, models } from "../catalogue/models.ts";
import { readConfig } from "../config.ts";
import { GenerationInput } from "../generations/input.ts";
import { findByIdempotencyKey, findGeneration, listGenerations } from "../generations/read.ts";
import { readRequest } from "../generations/request.ts";
import { type Submission, submit } from "../generations/submit.ts";
import { awaitInAccount } from "../generations/wait.ts";
import { callerOf, requireScope } from "../http/authenticate.ts";
import { parse } from "../http/body.ts";
import type { AppEnv } from "../http/env.ts";
import { ApiError, notFound } from "../http/errors.ts";
import { CURSOR_DESCRIPTION } from "../http/fields.ts";
import { open, requestSchema } from "../http/openapi/schemas.ts";
import { listedReferences } from "../http/references.ts";
import {
  IDEMPOTENCY_KEY,
  readTestScenario,
  refuseOutcome,
  refusePricing,
  setGenerationHeaders,
} from "../http/submission.ts";
import { CreditBalance, renderBalance } from "../http/v1/credits.ts";
import { Estimate, renderEstimate } from "../http/v1/estimate.ts";
import { checkCompression, REFERENCES_MAX } from "../http/v1/generate.ts";
import {
  cancel,
  Generation,
  GenerationPage,
  LISTED,
  LISTED_MAX,
  renderPage,
  STATUSES,
} from "../http/v1/generations.ts";
import { ModelList, modelsJson } from "../http/v1/models.ts";
import { isGenerationId, newId } from "../id.ts";
import type { KeyScope } from "../keys/terms.ts";
import { publicOrigin } from "../origin.ts";
import { JSON_NAMES } from "../references/entries.ts";
import { generationResult, jsonResult } from "./results.ts";

/**
 * The tools of the MCP server. They call the same functions as the routes of `/api/v1`, with the same fields and
 * answers.
 */

/** How a call reports to its client that it is still running. */
export type Progress = {
  /** Aborted when the client has disconnected. */
  signal: AbortSignal;
  /** @param progress must rise from call to call */
  tell(progress: number, message: string): Promise<void>;
};

type Tool = {
  name: string;
  /** A tool in the answer to `tools/list`. */
  listed(): ListedTool;
  /** @throws {ApiError} for every refusal */
  call(c: Context<AppEnv>, args: unknown, progress: Progress): Promise<CallToolResult>;
};

/** Shorter than the 60 s after which many clients give up a call. */
const WAIT_SECONDS_MAX = 50;
/** The time between two notifications of progress. */
const PROGRESS_MS = 5_000;

const READS = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false };

type Definition<Args> = Pick<ListedTool, "name" | "title" | "description"> & {
  annotations: ListedTool["annotations"];
  /** What the key must be allowed to do. */
  scope: KeyScope;
  input: z.ZodType<Args>;
  /** The schema of the result's structured content: an answer of the API. */
  output: { unwrap(): z.ZodType };
  run(c: Context<AppEnv>, args: Args, progress: Progress): Promise<CallToolResult>;
};

function tool<Args>({ input, output, scope, run, ...rest }: Definition<Args>): Tool {
  let listed: ListedTool | undefined;
  return {
    name: rest.name,
    // Built when a client first asks: JSON Schema costs time, and most requests call a tool.
    listed() {
      listed ??= {
        ...rest,
        inputSchema: asJson(requestSchema(input)),
        outputSchema: asJson(open(z.toJSONSchema(output.unwrap(), { unrepresentable: "any" }))),
      };
      return listed;
    },
    async call(c, args, progress) {
      requireScope(callerOf(c), scope);
      return await run(c, parse(input, args), progress);
    },
  };
}

const ObjectSchema = z
  .object({
    properties: z.record(z.string(), z.json()).exactOptional(),
    required: z.array(z.string()).exactOptional(),
  })
  .catchall(z.json());

/** A JSON Schema of an object, as the library types it. */
function asJson(schema: object): ListedTool["inputSchema"] {
  return { ...ObjectSchema.parse(schema), type: "object" };
}

const generationId = z.string().meta({ description: "The id of the generation: gen_…" });

const keyOfCall = z.string().regex(IDEMPOTENCY_KEY, {
  message: "idempotency_key must be 1 to 255 visible ASCII characters without spaces.",
});

const GenerateInput = GenerationInput.extend({
  model: GenerationInput.shape.model.default(models[0].id),
  idempotency_key: keyOfCall.optional().meta({
    description:
      "An id of this one picture, chosen by you, such as `lighthouse-cover-1`. If the call times out or its answer is lost, repeat the call unchanged, with the same key: you get the same picture and pay once. Use another key only for another picture.",
  }),
  reference_images: z
    .array(
      z.string().refine((entry) => !/^data:/i.test(entry), {
        message: "reference_images takes https URLs and ids of uploaded references here, not data URLs.",
      }),
    )
    .optional()
    .meta({
      description:
        "Pictures to start from, each as an https URL or the id of an uploaded reference (`ref_…`). The URL of an earlier picture works too.",
      maxItems: REFERENCES_MAX,
    }),
  async: z.boolean().default(false).meta({
    description: "Answer at once with the id, instead of waiting. Use it to start several at the same time.",
  }),
}).superRefine(checkCompression);

const generateImage = tool({
  name: "generate_image",
  title: "Generate images",
  description:
    "Makes one to four pictures from a prompt, optionally starting from reference pictures. It costs credits (list_models has the prices); what is not delivered is refunded. Waits up to 50 seconds. If the picture is not finished by then, the answer has the status `queued` or `processing` and an id: call get_generation with it, and do not call generate_image again. Always send an idempotency_key, and repeat the call unchanged, with the same key, if it timed out. Each picture comes as a URL that needs no key and, up to 1 MiB, as the picture itself: `output_format` `jpeg` or `webp` keeps it small, where the model supports it.",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  scope: "generate",
  input: GenerateInput,
  output: Generation,
  async run(c, args, progress) {
    const { async, idempotency_key: idempotencyKey = null, reference_images: listed = [], ...input } = args;
    const config = readConfig(c.env);
    const key = callerOf(c);
    const id = newId("gen");
    const submission: Submission = {
      ...{ id, input, mode: "async", idempotencyKey, sdk: null, uploadId: null },
      ...{ userId: key.userId, key, origin: publicOrigin(config, c.req.url), test: readTestScenario(c) },
      ...{ references: listedReferences(listed, [], JSON_NAMES, config), names: JSON_NAMES },
    };
    const outcome = await submit(submission, c.env, config);
    if (outcome.kind !== "ended" && outcome.kind !== "pending") throw refuseOutcome(c, outcome, id);
    setGenerationHeaders(c, outcome.generation, outcome.replayed, outcome.quota);
    const record = async
      ? outcome.generation
      : await awaitEnd(c, outcome.generation, WAIT_SECONDS_MAX, progress);
    if (record.error !== null) {
      const extra = { generation_id: record.id };
      throw new ApiError(record.error, FAILURE_MESSAGES[record.error], { extra });
    }
    return await generationResult(record, c.env, config);
  },
});

const getGeneration = tool({
  name: "get_generation",
  title: "Read a generation",
  description:
    "Shows a generation by its id: its status, its cost and, once it has succeeded, its pictures. It costs nothing. Generations stay readable, and the URLs of pictures are permanent.",
  annotations: READS,
  scope: "read",
  input: z.strictObject({
    id: generationId,
    wait_seconds: z.int().min(0).max(WAIT_SECONDS_MAX).default(0).meta({
      description: "Waits so long for the end. With 50, a picture that is being made is often there.",
    }),
  }),
  output: Generation,
  async run(c, { id, wait_seconds: seconds }, progress) {
    const { userId, livemode } = callerOf(c);
    const found = await findGeneration(userId, id, livemode, Date.now(), c.env);
    if (!found) throw noGeneration();
    c.set("generationId", found.id);
    return await generationResult(await awaitEnd(c, found, seconds, progress), c.env, readConfig(c.env));
  },
});

const listGenerationsTool = tool({
  name: "list_generations",
  title: "List generations",
  description:
    "Lists generations, newest first, without the pictures themselves. With `idempotency_key` it finds the generation of a call whose answer was lost.",
  annotations: READS,
  scope: "read",
  input: z.strictObject({
    limit: z.int().min(1).max(LISTED_MAX).default(LISTED).meta({ description: "The most items of a page." }),
    cursor: z
      .string()
      .refine(isGenerationId, { message: "cursor must be the next_cursor of an earlier answer." })
      .optional()
      .meta({ description: CURSOR_DESCRIPTION }),
    status: z.enum(STATUSES).optional().meta({ description: "Only generations with this status." }),
    model: z.string().optional().meta({ description: "Only generations of this model." }),
    idempotency_key: z.string().optional().meta({ description: "Only the generation of this key." }),
  }),
  output: GenerationPage,
  async run(c, { limit, cursor = null, status = null, model, idempotency_key: key }) {
    const config = readConfig(c.env);
    const { userId, livemode } = callerOf(c);
    const filter = {
      ...{ status, livemode, createdAfter: null, createdBefore: null },
      model: model === undefined ? null : (findModel(model)?.id ?? model),
    };
    if (key !== undefined) {
      const record = await findByIdempotencyKey(key, filter, userId, c.env);
      return jsonResult(renderPage(record ? [record] : [], null, config));
    }
    const { records, next } = await listGenerations(userId, filter, cursor, limit, c.env);
    return jsonResult(renderPage(records, next, config));
  },
});

const cancelGeneration = tool({
  name: "cancel_generation",
  title: "Cancel a generation",
  description:
    "Cancels a generation that is still queued and refunds it whole. One that is being made or has ended cannot be canceled.",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  scope: "generate",
  input: z.strictObject({ id: generationId }),
  output: Generation,
  async run(c, { id }) {
    if (!isGenerationId(id)) throw noGeneration();
    return jsonResult(renderGeneration(await cancel(c, id), readConfig(c.env)));
  },
});

const listModels = tool({
  name: "list_models",
  title: "List models",
  description:
    "Lists the models with their sizes, aspect ratios, formats, limits and prices: `credits` is the price of one picture, by resolution.",
  annotations: READS,
  scope: "read",
  input: z.strictObject({}),
  output: ModelList,
  run: async (c) => jsonResult(JSON.parse(modelsJson(readConfig(c.env)))),
});

const getCredits = tool({
  name: "get_credits",
  title: "Read the balance",
  description: "Shows the credits that are left, and when the next of them expire.",
  annotations: READS,
  scope: "read",
  input: z.strictObject({}),
  output: CreditBalance,
  async run(c) {
    const { userId, accountType } = callerOf(c);
    const balance = await c.env.ACCOUNT.getByName(userId).balance();
    return jsonResult({ object: "credit_balance", ...renderBalance(balance, accountType) });
  },
});

const estimateCost = tool({
  name: "estimate_cost",
  title: "Estimate the cost",
  description:
    "Shows what generate_image would cost with the same arguments, and whether the balance is enough. It charges nothing and refuses what generate_image would refuse.",
  annotations: READS,
  scope: "generate",
  input: GenerateInput,
  output: Estimate,
  async run(c, { async: _, idempotency_key: __, reference_images: listed = [], ...input }) {
    const config = readConfig(c.env);
    const key = callerOf(c);
    const context = {
      ...{ userId: key.userId, key, origin: publicOrigin(config, c.req.url), test: readTestScenario(c) },
      ...{ references: listedReferences(listed, [], JSON_NAMES, config), names: JSON_NAMES },
    };
    const priced = await readRequest(input, context, config);
    if (priced.kind !== "priced") throw refusePricing(priced);
    return jsonResult(await renderEstimate(c, priced));
  },
});

export const tools: readonly Tool[] = [
  generateImage,
  estimateCost,
  getGeneration,
  listGenerationsTool,
  cancelGeneration,
  listModels,
  getCredits,
];

export function findTool(name: string): Tool | undefined {
  return tools.find((known) => known.name === name);
}

/** Waits for the end of a generation, and sends progress to the client. Returns its state when the time is up. */
async function awaitEnd(
  c: Context<AppEnv>,
  known: GenerationRecord,
  seconds: number,
  { signal, tell }: Progress,
): Promise<GenerationRecord> {
  const started = Date.now();
  const until = started + seconds * 1000;
  let record = known;
  for (let now = started; record.endedAt === null && now < until && !signal.aborted; now = Date.now()) {
    const elapsed = (now - started) / 1000;
    await tell(elapsed, `${record.status} after ${Math.round(elapsed)} s`);
    const next = Math.min(until, now + PROGRESS_MS);
    record = (await awaitInAccount(c.env, callerOf(c).userId, record, next)).generation;
  }
  return record;
}

function noGeneration(): ApiError {
  return new ApiError(notFound().code, "There is no generation with this id.", { param: "id" });
}
