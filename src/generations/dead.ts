import { countIncident } from "../incidents.ts";
import { describe, log } from "../log.ts";
import { GenerationMessage } from "./consume.ts";

/** When a message whose account did not respond is delivered again. */
const RETRY_SECONDS = 60;

/**
 * Reads the messages that the queue gave up on. The generation of such a message is not lost: its account queues it again
 * until its deadline refunds it. So each one is logged, and the account is asked to look after its alarm.
 */
export async function consumeDead(batch: MessageBatch, env: Env): Promise<void> {
  await Promise.all(batch.messages.map((message) => consumeMessage(message, batch.queue, env)));
}

async function consumeMessage(message: Message, queue: string, env: Env): Promise<void> {
  const body = GenerationMessage.safeParse(message.body);
  const { userId, generationId } = body.data ?? {};
  const ids = { message_id: message.id, user_id: userId, generation_id: generationId };
  if (message.attempts === 1) {
    log("dead_letter", { queue, ...ids });
    await countIncident(env, "dead_letter", Date.now());
  }
  if (userId === undefined) return message.ack();
  try {
    await env.ACCOUNT.getByName(userId).checkUp();
    message.ack();
  } catch (error) {
    log("check_up_failed", { ...ids, error: describe(error) });
    message.retry({ delaySeconds: RETRY_SECONDS });
  }
}
