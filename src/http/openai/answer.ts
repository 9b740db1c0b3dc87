import type { Context } from "hono";
import type { GenerationRecord } from "../../account/views.ts";
import { readConfig } from "../../config.ts";
import { describe, log } from "../../log.ts";
import { TimeoutError, withTimeout } from "../../time.ts";
import type { AppEnv } from "../env.ts";
import { toApiError } from "../errors.ts";
import { toOpenAIError } from "./errors.ts";
import type { PartialInbox } from "./partials.ts";
import {
  completedEvents,
  encodeParts,
  errorEvent,
  imagesResponse,
  lengthOf,
  type Operation,
  partialEvent,
} from "./render.ts";
import type { ImageFields } from "./schemas.ts";

/** How long the status of a stream is held back, so that a refusal or a quick failure has its own status. */
const STATUS_WITHIN_MS = 3_000;
/** Proxies close connections that are silent for a minute, some sooner. */
const KEEP_ALIVE_MS = 10_000;
const KEEP_ALIVE = new TextEncoder().encode(": keep-alive\n\n");

/** Called when a response with the generation has been written completely. Must not reject. */
type Delivered = (generation: GenerationRecord) => Promise<void>;

/** Responds with all images in one JSON object, of known length, from storage. */
export async function sendWhole(
  c: Context<AppEnv>,
  generation: GenerationRecord,
  fields: ImageFields,
  delivered: Delivered,
): Promise<Response> {
  const parts = imagesResponse(generation, fields, readConfig(c.env));
  const bytes = encodeParts(parts, c.env.IMAGES);
  const length = lengthOf(parts);
  const { readable, writable } = new FixedLengthStream(length);
  c.header("X-Generation-Id", generation.id);
  c.header("Content-Length", String(length));
  c.header("Content-Type", "application/json");
  const sent = pump(c, bytes, writable).then((whole) => (whole ? delivered(generation) : undefined));
  c.executionCtx.waitUntil(sent);
  return c.body(readable);
}

/**
 * Responds with server-sent events: partial pictures and comments, then the images.
 * @param id the generation's id, if it is known before its end
 * @throws what `work` throws, if it does so soon and before any partial picture; later it becomes an event
 */
export async function sendStream(
  c: Context<AppEnv>,
  work: Promise<GenerationRecord>,
  operation: Operation,
  fields: ImageFields,
  id: string | null,
  delivered: Delivered,
  partials: PartialInbox,
): Promise<Response> {
  const begun = partials.next().then(() => null);
  const soon = await settledWithin(STATUS_WITHIN_MS, Promise.race([work, begun]));
  const known = soon?.id ?? id;
  if (known !== null) c.header("X-Generation-Id", known);
  c.header("Content-Type", "text/event-stream; charset=utf-8");
  // Asks proxies not to buffer the response.
  c.header("X-Accel-Buffering", "no");
  const { readable, writable } = new IdentityTransformStream();
  const stream = new EventStream(c, work, operation, fields, partials);
  const sent = pump(c, stream.events(), writable).then((whole) =>
    whole && stream.shown !== null ? delivered(stream.shown) : undefined,
  );
  c.executionCtx.waitUntil(sent);
  return c.body(readable);
}

class EventStream {
  /** Returns the generation after all its images were sent. An error is sent in place of the rest. */
  shown: GenerationRecord | null = null;
  readonly #c: Context<AppEnv>;
  readonly #work: Promise<GenerationRecord>;
  readonly #operation: Operation;
  readonly #fields: ImageFields;
  readonly #partials: PartialInbox;

  constructor(
    c: Context<AppEnv>,
    work: Promise<GenerationRecord>,
    operation: Operation,
    fields: ImageFields,
    partials: PartialInbox,
  ) {
    this.#c = c;
    this.#work = work;
    this.#operation = operation;
    this.#fields = fields;
    this.#partials = partials;
  }

  async *events(): AsyncGenerator<Uint8Array, void> {
    try {
      for (;;) {
        const next = await settledWithin(KEEP_ALIVE_MS, Promise.race([this.#partials.next(), this.#work]));
        if (next !== null && "bytes" in next) {
          yield* partialEvent(this.#operation, next, this.#fields);
          this.#partials.written();
        } else if (next !== null) {
          const parts = completedEvents(this.#operation, next, this.#fields, readConfig(this.#c.env));
          yield* encodeParts(parts, this.#c.env.IMAGES);
          this.shown = next;
          return;
        } else yield KEEP_ALIVE;
      }
    } catch (error) {
      const told = toApiError(error, this.#c);
      log("stream_failed", { request_id: this.#c.get("requestId"), code: told.code });
      yield new TextEncoder().encode(errorEvent(toOpenAIError(told)));
    } finally {
      // Also when the client has disconnected: the run then makes no further ones.
      this.#partials.close();
    }
  }
}

/** The value of the promise, or null when it takes longer. */
async function settledWithin<T>(milliseconds: number, promise: Promise<T>): Promise<T | null> {
  return await withTimeout(milliseconds, promise).catch((error: unknown) => {
    if (error instanceof TimeoutError) return null;
    throw error;
  });
}

/** Whether the response was written completely. Never rejects: an error aborts the response. */
async function pump(
  c: Context<AppEnv>,
  bytes: AsyncIterable<Uint8Array>,
  writable: WritableStream<Uint8Array>,
): Promise<boolean> {
  const writer = writable.getWriter();
  try {
    for await (const piece of bytes) await writer.write(piece);
    await writer.close();
    return true;
  } catch (error) {
    log("answer_broken", { request_id: c.get("requestId"), error: describe(error) });
    await writer.abort(error).catch(() => null);
    return false;
  }
}
