import type { GenerationRecord } from "../account/views.ts";
import { readConfig } from "../config.ts";
import { awaitInAccount } from "../generations/wait.ts";

/** Proxies close connections that are silent for a minute, some sooner. */
const COMMENT_EVERY_MS = 15_000;
const COMMENT = ": keep-alive\n\n";
/** How often a queued generation is read, to notice its start. Its end is reported at once. */
const QUEUED_READ_EVERY_MS = 2_000;
/** Added to the longest life of a generation, after which a stream ends in any case. */
const GRACE_MS = 60_000;

/** The headers of a stream of events. The last one asks proxies not to buffer it. */
export const EVENT_STREAM_HEADERS = {
  "Content-Type": "text/event-stream; charset=utf-8",
  "X-Accel-Buffering": "no",
};

/**
 * A stream of server-sent events: `generation` with the generation at once and at each change of its status, until it
 * ends or the client has left. A comment keeps the connection open.
 * @param render the JSON of an event
 */
export function generationEvents(
  found: GenerationRecord,
  userId: string,
  env: Env,
  render: (generation: GenerationRecord) => unknown,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const client = new AbortController();
  const pieces = eventsOf(found, userId, env, render, client.signal);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel() {
      client.abort();
    },
  });
}

async function* eventsOf(
  found: GenerationRecord,
  userId: string,
  env: Env,
  render: (generation: GenerationRecord) => unknown,
  signal: AbortSignal,
): AsyncGenerator<string, void, void> {
  const { QUEUE_DEADLINE_SECONDS, RUN_DEADLINE_SECONDS } = readConfig(env);
  const until = Date.now() + (QUEUE_DEADLINE_SECONDS + RUN_DEADLINE_SECONDS) * 1000 + GRACE_MS;
  let generation = found;
  yield eventOf(generation, render);
  let writtenAt = Date.now();
  while (generation.endedAt === null && !signal.aborted && Date.now() < until) {
    const commentAt = writtenAt + COMMENT_EVERY_MS;
    const isQueued = generation.status === "queued";
    const readAt = isQueued ? Math.min(commentAt, Date.now() + QUEUED_READ_EVERY_MS) : commentAt;
    const before = generation.status;
    generation = (await awaitInAccount(env, userId, generation, readAt)).generation;
    const isChanged = generation.status !== before;
    if (!isChanged && Date.now() < commentAt) continue;
    yield isChanged ? eventOf(generation, render) : COMMENT;
    writtenAt = Date.now();
  }
}

function eventOf(generation: GenerationRecord, render: (generation: GenerationRecord) => unknown): string {
  return `event: generation\nid: ${generation.status}\ndata: ${JSON.stringify(render(generation))}\n\n`;
}
