import type { Context } from "hono";
import type { GenerationRecord } from "../../account/record.ts";
import { readConfig } from "../../config.ts";
import { describe, log } from "../../log.ts";
import { TimeoutError, within } from "../../time.ts";
import type { AppEnv } from "../env.ts";
import { toApiError } from "../errors.ts";
import { toOpenAIError } from "./errors.ts";
import {
  completedEvents,
  encodeParts,
  errorEvent,
  imagesResponse,
  lengthOf,
  type Operation,
} from "./render.ts";
import type { ImageFields } from "./schemas.ts";

/** For so long a stream's status waits: a refusal, and a quick failure, come with a status of their own. */
const STATUS_WITHIN_MS = 3_000;
/** Proxies cut connections on which nothing comes for a minute, some sooner. */
const KEEP_ALIVE_MS = 10_000;
const KEEP_ALIVE = new TextEncoder().encode(": keep-alive\n\n");

/** Answers with all images in one JSON object, of known length, out of storage. */
export async function sendWhole(
  c: Context<AppEnv>,
  generation: GenerationRecord,
  fields: ImageFields,
): Promise<Response> {
  const parts = imagesResponse(generation, fields, readConfig(c.env));
  const bytes = encodeParts(parts, c.env.IMAGES);
  const length = lengthOf(parts);
  const { readable, writable } = new FixedLengthStream(length);
  c.header("X-Generation-Id", generation.id);
  c.header("Content-Length", String(length));
  c.header("Content-Type", "application/json");
  void pump(c, bytes, writable);
  return c.body(readable);
}

/**
 * Answers with server-sent events: the images once they are there, comments until then.
 * @param id the generation's, where it is known before it ends
 * @throws what `work` throws, if it does so soon; later it becomes an event
 */
export async function sendStream(
  c: Context<AppEnv>,
  work: Promise<GenerationRecord>,
  operation: Operation,
  fields: ImageFields,
  id: string | null,
): Promise<Response> {
  const soon = await within(STATUS_WITHIN_MS, work).catch((error: unknown) => {
    if (error instanceof TimeoutError) return null;
    throw error;
  });
  const known = soon?.id ?? id;
  if (known !== null) c.header("X-Generation-Id", known);
  c.header("Content-Type", "text/event-stream; charset=utf-8");
  // Proxies that gather answers before they pass them on are asked not to.
  c.header("X-Accel-Buffering", "no");
  const { readable, writable } = new IdentityTransformStream();
  void pump(c, events(c, work, operation, fields), writable);
  return c.body(readable);
}

async function* events(
  c: Context<AppEnv>,
  work: Promise<GenerationRecord>,
  operation: Operation,
  fields: ImageFields,
): AsyncGenerator<Uint8Array, void> {
  try {
    for (;;) {
      const generation = await within(KEEP_ALIVE_MS, work).catch((error: unknown) => {
        if (error instanceof TimeoutError) return null;
        throw error;
      });
      if (generation !== null) {
        yield* encodeParts(completedEvents(operation, generation, fields, readConfig(c.env)), c.env.IMAGES);
        return;
      }
      yield KEEP_ALIVE;
    }
  } catch (error) {
    const told = toApiError(error, c);
    log("stream_failed", { request_id: c.get("requestId"), code: told.code });
    yield new TextEncoder().encode(errorEvent(toOpenAIError(told)));
  }
}

/** Never rejects: what goes wrong breaks the answer off, which is all that a caller who reads it can be told. */
async function pump(
  c: Context<AppEnv>,
  bytes: AsyncIterable<Uint8Array>,
  writable: WritableStream<Uint8Array>,
): Promise<void> {
  const writer = writable.getWriter();
  try {
    for await (const piece of bytes) await writer.write(piece);
    await writer.close();
  } catch (error) {
    log("answer_broken", { request_id: c.get("requestId"), error: describe(error) });
    await writer.abort(error).catch(() => null);
  }
}
