import {
  type ImageRequest,
  type ProvidedImage,
  type Provider,
  ProviderError,
  type Reference,
} from "../provider.ts";
import { type Progress, readAnswer, readErrorAnswer } from "./answer.ts";
import { type ByteSource, readBytes } from "./bytes.ts";
import { failureOf, LONG_MS, retryAfterMs, timedOut, type UpstreamError, unavailable } from "./failure.ts";
import { JsonReader } from "./json.ts";
import { openPicture } from "./picture.ts";
import { buildRequest } from "./request.ts";

/** How long an answer that has begun may stay silent. Until it begins, only the caller's signal ends the wait. */
export const IDLE_MS = 60_000;
/** How much of an error body is read. */
export const ERROR_BYTES_MAX = 65_536;

export type OpenAIOptions = {
  apiKey: string;
  /** Ends in `/v1`. */
  baseUrl: string;
  /** Takes one line for the operator's log at the end of each call: no prompt, key or upstream text is in it. */
  log: (event: string, fields: Record<string, string | number | null>) => void;
  idleMs?: number;
};

/** What a call has shown so far, for the log and for the detail of its error. */
type Call = Progress & {
  startedAt: number;
  status: number | null;
  code: string | null;
  requestId: string | null;
};

/** The OpenAI Images API, and whatever speaks its wire format. One `generate` is one call upstream, never repeated. */
export function createOpenAI(options: OpenAIOptions): Provider {
  return {
    formats: ["png", "jpeg", "webp"],
    generate: (request, { references, signal, onLimit }) =>
      generate(options, request, references, signal, onLimit),
  };
}

async function* generate(
  options: OpenAIOptions,
  request: ImageRequest,
  references: readonly Reference[],
  signal: AbortSignal,
  onLimit: ((perMinute: number) => void) | undefined,
): AsyncGenerator<ProvidedImage, void> {
  const call: Call = {
    startedAt: Date.now(),
    status: null,
    code: null,
    requestId: null,
    images: 0,
    broken: null,
  };
  const { baseUrl, idleMs = IDLE_MS } = options;
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  let ended = false;
  let source: ByteSource | null = null;
  try {
    const response = await send(options, request, references, stopped, call);
    call.status = response.status;
    call.requestId = printable(response.headers.get("x-request-id"), /^[!-~]{1,128}$/);
    const perMinute = /^\d{1,6}$/.exec(response.headers.get("x-ratelimit-limit-images") ?? "");
    if (perMinute) onLimit?.(Number(perMinute[0]));
    const elapsedMs = Date.now() - call.startedAt;
    source = sourceOf(response, idleMs, stopped);
    const json = new JsonReader(source?.next ?? (async () => null));
    const openUrl = (url: string) => openPicture(url, { baseUrl, idleMs, signal: stopped });
    const error = response.ok ? yield* readAnswer(json, request.n, call, openUrl) : await readRefusal(json);
    if (error !== null || !response.ok) throw refusal(response, error, call, elapsedMs);
    ended = true;
  } catch (error) {
    call.broken = error;
    throw error instanceof ProviderError ? withFacts(error, call) : error;
  } finally {
    await source?.cancel();
    stop.abort();
    // A reader who is told of a broken body leaves the iteration at once, as one does who wants no more images.
    const outcome = call.broken === null ? (ended ? "succeeded" : "canceled") : reasonOf(call.broken);
    options.log(eventOf(outcome), logFields(outcome, call, request.generationId));
  }
}

async function send(
  { apiKey, baseUrl }: OpenAIOptions,
  request: ImageRequest,
  references: readonly Reference[],
  signal: AbortSignal,
  { startedAt }: Call,
): Promise<Response> {
  const { path, headers, body, sent } = buildRequest(request, references, signal);
  // A body that could not be sent whole makes fetch itself fail; one that was answered early need not be sent.
  sent.catch(() => undefined);
  const init: RequestInit = {
    method: "POST",
    // The client's request id is logged upstream even where no answer, and so no id of theirs, reaches us.
    headers: {
      ...headers,
      accept: "application/json",
      authorization: `Bearer ${apiKey}`,
      "x-client-request-id": request.generationId,
    },
    body,
    // The key goes to the configured host only.
    redirect: "manual",
    signal,
  };
  return fetch(baseUrl.replace(/\/+$/, "") + path, init).catch(() => {
    const detail = signal.aborted ? "stopped" : "no answer";
    throw Date.now() - startedAt >= LONG_MS ? timedOut(detail) : unavailable(detail);
  });
}

function sourceOf(response: Response, idleMs: number, signal: AbortSignal): ByteSource | null {
  if (response.body === null) return null;
  const bytesMax = response.ok ? Number.POSITIVE_INFINITY : ERROR_BYTES_MAX;
  return readBytes(response.body, { idleMs, signal, bytesMax });
}

/** The error object of a refusal; null when the body is not upstream's JSON, and the status alone must tell. */
async function readRefusal(json: JsonReader): Promise<UpstreamError | null> {
  return readErrorAnswer(json).catch((error: unknown) => {
    if (error instanceof ProviderError) return null;
    throw error;
  });
}

function refusal(
  response: Response,
  error: UpstreamError | null,
  call: Call,
  elapsedMs: number,
): ProviderError {
  call.code = printable(error?.code ?? error?.type ?? null, /^[\w.-]{1,64}$/);
  const wait = retryAfterMs(response.headers, Date.now());
  return new ProviderError(failureOf(response.status, error, { retryAfterMs: wait, elapsedMs }), "refused");
}

/** Text of the upstream that is shaped like a name or an id; anything else could carry a prompt into the log. */
function printable(text: string | null, shape: RegExp): string | null {
  return text !== null && shape.test(text) ? text : null;
}

function withFacts(error: ProviderError, call: Call): ProviderError {
  const facts = `status ${call.status}, code ${call.code}, request ${call.requestId}`;
  return new ProviderError(error.failure, `openai: ${error.message} (${facts})`);
}

/** What an operator must look at, and what may have been paid for in vain, have events of their own. */
function eventOf(outcome: string): string {
  if (outcome === "misconfigured") return "provider_misconfigured";
  return outcome === "undelivered" || outcome === "timeout" ? "provider_undelivered" : "provider_call";
}

function reasonOf(error: unknown): string {
  return error instanceof ProviderError ? error.failure.reason : "crashed";
}

function logFields(outcome: string, call: Call, generationId: string) {
  return {
    provider: "openai",
    outcome,
    status: call.status,
    code: call.code,
    // Our own words: no text of the upstream is ever put into a ProviderError.
    detail: call.broken instanceof ProviderError ? call.broken.message : null,
    images: call.images,
    upstream_request_id: call.requestId,
    generation_id: generationId,
  };
}
