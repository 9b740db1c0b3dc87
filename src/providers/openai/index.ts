import {
  type ImageRequest,
  type ProvidedImage,
  type Provider,
  ProviderError,
  type Reference,
} from "../provider.ts";
import { type ByteSource, readBytes } from "../wire/bytes.ts";
import { LONG_MS, retryAfterMs, timedOut, unavailable } from "../wire/failure.ts";
import { JsonReader } from "../wire/json.ts";
import { eventOf, type Log, outcomeOf, printable } from "../wire/log.ts";
import { openPicture } from "../wire/picture.ts";
import { type Progress, readAnswer, readErrorAnswer } from "./answer.ts";
import { failureOf, type UpstreamError } from "./failure.ts";
import { buildRequest } from "./request.ts";

/** The longest pause in a response. Before a response begins, only the caller's signal ends the wait. */
export const IDLE_MS = 60_000;
/** How much of an error body is read. */
export const ERROR_BYTES_MAX = 65_536;

export type OpenAIOptions = {
  /** Names it in the log. */
  name: string;
  apiKey: string;
  /** Ends in `/v1`. */
  baseUrl: string;
  /** Called at the end of each call. */
  log: Log;
  idleMs?: number;
};

/** The state of a call, for the log and for the detail of its error. */
type Call = Progress & {
  startedAt: number;
  status: number | null;
  code: string | null;
  requestId: string | null;
};

/**
 * The OpenAI Images API, or a gateway with the same wire format. One `generate` is one upstream call, never repeated.
 */
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
    const outcome = outcomeOf(call.broken, ended);
    options.log(eventOf(outcome), logFields(options.name, outcome, call, request.generationId));
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
  // If the body cannot be sent, fetch fails. If the response comes early, the body need not be sent.
  sent.catch(() => undefined);
  const init: RequestInit = {
    method: "POST",
    // OpenAI logs this id, which helps when no response, and so none of its own ids, reaches us.
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
    const detail = signal.aborted ? "aborted" : "no response";
    throw Date.now() - startedAt >= LONG_MS ? timedOut(detail) : unavailable(detail);
  });
}

function sourceOf(response: Response, idleMs: number, signal: AbortSignal): ByteSource | null {
  if (response.body === null) return null;
  const bytesMax = response.ok ? Number.POSITIVE_INFINITY : ERROR_BYTES_MAX;
  return readBytes(response.body, { idleMs, signal, bytesMax });
}

/** The error object of a refusal; null when the body is not the upstream's JSON, so that only the status counts. */
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

function withFacts(error: ProviderError, call: Call): ProviderError {
  const facts = `status ${call.status}, code ${call.code}, request ${call.requestId}`;
  return new ProviderError(error.failure, `openai: ${error.message} (${facts})`);
}

function logFields(provider: string, outcome: string, call: Call, generationId: string) {
  return {
    provider,
    outcome,
    status: call.status,
    code: call.code,
    // Never upstream text: a ProviderError contains none.
    detail: call.broken instanceof ProviderError ? call.broken.message : null,
    images: call.images,
    upstream_request_id: call.requestId,
    generation_id: generationId,
  };
}
