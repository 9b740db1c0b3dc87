import { Hono } from "hono";
import { renderGeneration } from "../../account/render.ts";
import type { GenerationRecord } from "../../account/views.ts";
import { type Config, readConfig } from "../../config.ts";
import { findGeneration } from "../../generations/read.ts";
import { awaitInAccount } from "../../generations/wait.ts";
import { callerOf } from "../authenticate.ts";
import { contract } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { notFound } from "../errors.ts";
import { Generation, SUCCEEDED_EXAMPLE } from "./generations.ts";

/** Proxies cut connections on which nothing comes for a minute, some sooner. */
const COMMENT_EVERY_MS = 15_000;
const COMMENT = ": keep-alive\n\n";
/** How often a queued generation is read, to see that it has begun. The end of a generation is known at once. */
const QUEUED_READ_EVERY_MS = 2_000;
/** Added to the longest life of a generation, after which a stream ends in any case. */
const GRACE_MS = 60_000;

export const events = new Hono<AppEnv>();

events.get(
  "/generations/:id/events",
  contract({
    id: "streamGeneration",
    summary: "Follow a generation",
    description:
      "Server-sent events. Each `generation` event has the whole generation: one at once, one at each change of its status, the last one when it ends. A stream that is opened again, with or without `Last-Event-ID`, begins with the current state.",
    tag: "generations",
    security: "apiKey",
    answers: {
      200: {
        description: "The events. The stream ends with the generation.",
        schema: null,
        event: { schema: Generation, example: SUCCEEDED_EXAMPLE },
      },
    },
  }),
  async (c) => {
    const { userId, livemode } = callerOf(c);
    const found = await findGeneration(userId, c.req.param("id"), livemode, Date.now(), c.env);
    if (!found) throw notFound();
    c.set("generationId", found.id);
    c.header("Content-Type", "text/event-stream; charset=utf-8");
    // Proxies that gather answers before they pass them on are asked not to.
    c.header("X-Accel-Buffering", "no");
    const encoder = new TextEncoder();
    const client = new AbortController();
    const pieces = eventsOf(found, userId, c.env, readConfig(c.env), client.signal);
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const { done, value } = await pieces.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
      cancel() {
        client.abort();
      },
    });
    return c.body(body);
  },
);

/** The events, until the generation ends or the client has left (`signal`). */
async function* eventsOf(
  found: GenerationRecord,
  userId: string,
  env: Env,
  config: Config,
  signal: AbortSignal,
): AsyncGenerator<string, void, void> {
  const lifeSeconds = config.QUEUE_DEADLINE_SECONDS + config.RUN_DEADLINE_SECONDS;
  const until = Date.now() + lifeSeconds * 1000 + GRACE_MS;
  let generation = found;
  yield eventOf(generation, config);
  let writtenAt = Date.now();
  while (generation.endedAt === null && !signal.aborted && Date.now() < until) {
    const commentAt = writtenAt + COMMENT_EVERY_MS;
    const isQueued = generation.status === "queued";
    const readAt = isQueued ? Math.min(commentAt, Date.now() + QUEUED_READ_EVERY_MS) : commentAt;
    const before = generation.status;
    generation = (await awaitInAccount(env, userId, generation, readAt)).generation;
    const isChanged = generation.status !== before;
    if (!isChanged && Date.now() < commentAt) continue;
    yield isChanged ? eventOf(generation, config) : COMMENT;
    writtenAt = Date.now();
  }
}

function eventOf(generation: GenerationRecord, config: Config): string {
  const data = JSON.stringify(renderGeneration(generation, config));
  return `event: generation\nid: ${generation.status}\ndata: ${data}\n\n`;
}
