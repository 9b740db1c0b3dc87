import * as z from "zod";
import { readConfig } from "../config.ts";
import { routesFor } from "../dispatch/routes.ts";
import { describe, log } from "../log.ts";
import { run } from "./run.ts";

/** See {@link QueuedGeneration}. */
export const GenerationMessage = z.object({ userId: z.string(), generationId: z.string() });

/** When a failed message is delivered again. */
const RETRY_SECONDS = 30;

/**
 * Runs the generations that a batch of queue messages names, in parallel. Each message is acknowledged on its own. A
 * message is only a hint: the account decides whether there is anything to run, so duplicate and late ones do no harm.
 */
export async function consume(batch: MessageBatch, env: Env): Promise<void> {
  await Promise.all(batch.messages.map((message) => consumeMessage(message, env)));
}

async function consumeMessage(message: Message, env: Env): Promise<void> {
  const started = Date.now();
  const body = GenerationMessage.safeParse(message.body);
  if (!body.success) {
    log("message_refused", { message_id: message.id });
    message.ack();
    return;
  }
  const { userId, generationId } = body.data;
  const ids = { user_id: userId, generation_id: generationId, message_id: message.id };
  try {
    const outcome = await runNamed(userId, generationId, env);
    message.ack();
    log("message", { ...ids, outcome, ms: Date.now() - started });
  } catch (error) {
    message.retry({ delaySeconds: RETRY_SECONDS });
    log("message_failed", { ...ids, error: describe(error), ms: Date.now() - started });
  }
}

async function runNamed(userId: string, generationId: string, env: Env): Promise<string> {
  const config = readConfig(env);
  const openAccount = () => env.ACCOUNT.getByName(userId);
  const work = await openAccount().begin(generationId);
  if (work.kind !== "run") return work.kind;
  const { fence, mayCall, request } = work.job;
  const routes = routesFor(request.model, config, request.test);
  if (routes.length === 0) {
    await openAccount().defer(generationId, fence, null, mayCall ? 1 : 0);
    throw new Error("no provider is configured");
  }
  const options = { userId, routes, onBusy: "defer" } as const;
  const outcome = await run(work.job, openAccount, options, env);
  return outcome?.kind ?? "unreached";
}
