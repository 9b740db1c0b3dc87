import { ProviderError } from "../provider.ts";
import { type ByteSource, readBytes } from "./bytes.ts";
import { LONG_MS, timedOut, unavailable } from "./failure.ts";
import type { Progress } from "./image.ts";

/** The longest pause in a response. Before a response begins, only the caller's signal ends the wait. */
export const IDLE_MS = 60_000;
/** How much of an error body is read. */
export const ERROR_BYTES_MAX = 65_536;

/** The state of an upstream call, for its log line and for the detail of its error. */
export type Call = Progress & {
  startedAt: number;
  /** The time until the response began, in milliseconds. */
  elapsedMs: number;
  status: number | null;
  code: string | null;
  requestId: string | null;
};

/** Writes a log line. It contains no prompt, key or upstream text. */
export type CallLog = (event: string, fields: Record<string, string | number | null>) => void;

export function startCall(): Call {
  return {
    startedAt: Date.now(),
    elapsedMs: 0,
    status: null,
    code: null,
    requestId: null,
    images: 0,
    broken: null,
  };
}

/**
 * Waits for the response of a call.
 * @throws {ProviderError} `unavailable` or `timeout` when there is none; or what `sending` threw as a ProviderError
 */
export async function respond(
  call: Call,
  sending: Promise<Response>,
  signal: AbortSignal,
): Promise<Response> {
  const response = await sending.catch((error: unknown) => {
    if (error instanceof ProviderError) throw error;
    return null;
  });
  call.elapsedMs = Date.now() - call.startedAt;
  if (response === null) {
    const detail = signal.aborted ? "aborted" : "no response";
    throw call.elapsedMs >= LONG_MS ? timedOut(detail) : unavailable(detail);
  }
  call.status = response.status;
  return response;
}

/** The bytes of a response: all of a successful one, and the first of an error. Null when it has no body. */
export function sourceOf(
  response: Response,
  { idleMs, signal }: { idleMs: number; signal: AbortSignal },
): ByteSource | null {
  if (response.body === null) return null;
  const bytesMax = response.ok ? Number.POSITIVE_INFINITY : ERROR_BYTES_MAX;
  return readBytes(response.body, { idleMs, signal, bytesMax });
}

/** A small JSON body; null when it is not JSON, breaks off, or is longer than its source allows. */
export async function readJson(source: ByteSource | null): Promise<unknown> {
  if (source === null) return null;
  let text = "";
  const decoder = new TextDecoder();
  try {
    for (let bytes = await source.next(); bytes !== null; bytes = await source.next()) {
      text += decoder.decode(bytes, { stream: true });
    }
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof ProviderError || error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Upstream text that has the form of a name or an id. Any other text could contain a prompt, and is not logged. */
export function printable(text: string | null, shape = /^[\w.-]{1,64}$/): string | null {
  return text !== null && shape.test(text) ? text : null;
}

export function withFacts(provider: string, error: ProviderError, call: Call): ProviderError {
  const facts = `status ${call.status}, code ${call.code}, request ${call.requestId}`;
  return new ProviderError(error.failure, `${provider}: ${error.message} (${facts})`);
}

/**
 * Writes the log line of a call.
 * @param ended whether the response was read to its end
 */
export function logCall(
  log: CallLog,
  call: Call,
  { provider, generationId, ended }: { provider: string; generationId: string; ended: boolean },
): void {
  const outcome = outcomeOf(call.broken, ended);
  log(eventOf(outcome), {
    provider,
    outcome,
    status: call.status,
    code: call.code,
    // Never upstream text: a ProviderError contains none.
    detail: call.broken instanceof ProviderError ? call.broken.message : null,
    images: call.images,
    upstream_request_id: call.requestId,
    generation_id: generationId,
  });
}

/** Failures that need an operator, and calls that may have been paid without images, have their own events. */
export function eventOf(outcome: string): string {
  if (outcome === "misconfigured") return "provider_misconfigured";
  return outcome === "undelivered" || outcome === "timeout" ? "provider_undelivered" : "provider_call";
}

/** How a call ended. A reader that gets a broken body leaves the iteration, and so does one that wants no more images. */
export function outcomeOf(broken: unknown, ended: boolean): string {
  if (broken === null) return ended ? "succeeded" : "canceled";
  return broken instanceof ProviderError ? broken.failure.reason : "crashed";
}
