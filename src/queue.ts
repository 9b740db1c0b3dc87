/** A message that names a generation to run. Only a hint: the account decides whether there is anything to run. */
export type QueuedGeneration = { userId: string; generationId: string };

type QueueEnv = Pick<Env, "GENERATIONS" | "GENERATIONS_2" | "GENERATIONS_3" | "GENERATIONS_4">;

/**
 * The queue of a generation, chosen by the last character of its id, which is random. One queue has at most 250
 * consumers (Cloudflare Queues, Limits), so a deployment may bind up to four.
 */
export function queueOf(env: QueueEnv, generationId: string): Queue {
  const others = [env.GENERATIONS_2, env.GENERATIONS_3, env.GENERATIONS_4];
  const queues = [env.GENERATIONS, ...others.filter((queue) => queue !== undefined)];
  return queues[generationId.charCodeAt(generationId.length - 1) % queues.length] ?? env.GENERATIONS;
}

/** Groups messages by their queue. */
export function byQueue(
  env: QueueEnv,
  messages: readonly QueuedGeneration[],
): Map<Queue, QueuedGeneration[]> {
  const queues = new Map<Queue, QueuedGeneration[]>();
  for (const message of messages) {
    const queue = queueOf(env, message.generationId);
    queues.set(queue, [...(queues.get(queue) ?? []), message]);
  }
  return queues;
}
