import type { Generation } from "./api.ts";
import { ConnectionError } from "./errors.ts";
import { backoffMs, sleep, toError } from "./http.ts";
import { nativeSignal } from "./native.ts";
import type { Signal } from "./platform.ts";

/** The service sends a comment every 15 s: a stream without bytes for this long is broken. */
const STREAM_SILENCE_MS_MAX = 40_000;

export function isEnded({ status }: Generation): boolean {
  return status === "succeeded" || status === "failed" || status === "canceled";
}

/**
 * Follows a stream of events until the generation ends. After a break it opens the stream again, which then begins with
 * the current state: one that was already returned is skipped.
 */
export async function* follow(
  open: (headers: Record<string, string>) => Promise<Response>,
  maxRetries: number,
  signal: Signal | undefined,
): AsyncGenerator<Generation, void> {
  let lastEventId = "";
  for (let breaks = 0; ; breaks++) {
    const resumed: Record<string, string> = lastEventId === "" ? {} : { "Last-Event-ID": lastEventId };
    const response = await open({ Accept: "text/event-stream", ...resumed });
    if (!response.ok) throw await toError(response);
    const stream = eventsIn(response, signal);
    try {
      for (;;) {
        const event = await stream.next().catch(() => null);
        signal?.throwIfAborted();
        if (event === null || event.done) break;
        if (event.value.id === lastEventId) continue;
        lastEventId = event.value.id;
        breaks = 0;
        const generation: Generation = JSON.parse(event.value.data);
        yield generation;
        if (isEnded(generation)) return;
      }
    } finally {
      await stream.return();
    }
    if (breaks >= maxRetries) throw new ConnectionError("The stream of events broke.");
    await sleep(backoffMs(breaks), signal);
  }
}

/** The events of a stream. Throws when it breaks, is silent for too long, or `signal` is aborted. */
async function* eventsIn(
  { body }: Response,
  signal: Signal | undefined,
): AsyncGenerator<{ id: string; data: string }, void> {
  if (body === null) return;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (let text = ""; ; ) {
      const { done, value } = await within(STREAM_SILENCE_MS_MAX, reader.read(), signal);
      if (done) return;
      const blocks = (text + decoder.decode(value, { stream: true })).split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, "m").exec(block)?.[1];
        const data = field("data");
        if (data !== undefined) yield { id: field("id") ?? "", data };
      }
    }
  } finally {
    await reader.cancel().catch(() => null);
  }
}

/** Rejects when the promise takes longer, or when `signal` is aborted. */
async function within<T>(milliseconds: number, promise: Promise<T>, signal: Signal | undefined): Promise<T> {
  const settled = new AbortController();
  const native = nativeSignal(signal);
  const end = native ? AbortSignal.any([native, settled.signal]) : settled.signal;
  const late = sleep(milliseconds, end).then(() => {
    throw new ConnectionError("The stream is silent.");
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    settled.abort();
  }
}
