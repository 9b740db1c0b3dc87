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

/** For so long a stream's status waits: a refusal, and a quick failure, come with a status of their own. */
const STATUS_WITHIN_MS = 3_000;
/** Proxies cut connections on which nothing comes for a minute, some sooner. */
const KEEP_ALIVE_MS = 10_000;
const KEEP_ALIVE = new TextEncoder().encode(": keep-alive\n\n");

/** Called once an answer with the generation has been written to its end. Must not reject. */
type Delivered = (generation: GenerationRecord) => Promise<void>;

/** Answers with all images in one JSON object, of known length, out of storage. */
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
 * Answers with server-sent events: the images once they are there; partial pictures and comments until then.
 * @param id the generation's, where it is known before it ends
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
  // Proxies that gather answers before they pass them on are asked not to.
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
  /** The generation, once all its images have been handed over: an error is told in place of the rest. */
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
      // Also when the client has left: the run then makes no further ones.
      this.#partials.close();
    }
  }
}

/** What the promise resolves to, or null when that takes longer. */
async function settledWithin<T>(milliseconds: number, promise: Promise<T>): Promise<T | null> {
  return await withTimeout(milliseconds, promise).catch((error: unknown) => {
    if (error instanceof TimeoutError) return null;
    throw error;
  });
}

/** Whether the answer was written to its end. Never rejects: what goes wrong breaks the answer off. */
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
