import {
  type ImageRequest,
  type ProvidedImage,
  type Provider,
  ProviderError,
  type Reference,
} from "../provider.ts";
import type { ByteSource } from "../wire/bytes.ts";
import {
  type Call,
  type CallLog,
  IDLE_MS,
  logCall,
  printable,
  respond,
  sourceOf,
  startCall,
  withFacts,
} from "../wire/call.ts";
import { retryAfterMs } from "../wire/failure.ts";
import { JsonReader } from "../wire/json.ts";
import { openPicture } from "../wire/picture.ts";
import { readAnswer, readErrorAnswer } from "./answer.ts";
import { failureOf, type UpstreamError } from "./failure.ts";
import { buildRequest } from "./request.ts";

export type OpenAIOptions = {
  /** Names it in the log. */
  name: string;
  apiKey: string;
  /** Ends in `/v1`. */
  baseUrl: string;
  log: CallLog;
  idleMs?: number;
};

/**
 * The OpenAI Images API, or a gateway with the same wire format. One `generate` is one upstream call, never repeated.
 */
export function createOpenAI(options: OpenAIOptions): Provider {
  return {
    formats: ["png", "jpeg", "webp"],
    generate: (request, call) => generate(options, request, call),
  };
}

async function* generate(
  options: OpenAIOptions,
  request: ImageRequest,
  { references, signal, onLimit, partials }: Parameters<Provider["generate"]>[1],
): AsyncGenerator<ProvidedImage, void> {
  const call = startCall();
  const { baseUrl, idleMs = IDLE_MS } = options;
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  let ended = false;
  let source: ByteSource | null = null;
  try {
    const response = await respond(
      call,
      send(options, request, references, partials?.count ?? 0, stopped),
      stopped,
    );
    call.requestId = printable(response.headers.get("x-request-id"), /^[!-~]{1,128}$/);
    const perMinute = /^\d{1,6}$/.exec(response.headers.get("x-ratelimit-limit-images") ?? "");
    if (perMinute) onLimit?.(Number(perMinute[0]));
    source = sourceOf(response, { idleMs, signal: stopped });
    const json = new JsonReader(source?.next ?? (async () => null));
    const openUrl = (url: string) => openPicture(url, { baseUrl, idleMs, signal: stopped });
    const error = response.ok
      ? yield* readAnswer(json, request.n, call, openUrl, partials)
      : await readRefusal(json);
    if (error !== null || !response.ok) throw refusal(response, error, call);
    ended = true;
  } catch (error) {
    call.broken = error;
    throw error instanceof ProviderError ? withFacts(options.name, error, call) : error;
  } finally {
    await source?.cancel();
    stop.abort();
    logCall(options.log, call, { provider: options.name, generationId: request.generationId, ended });
  }
}

async function send(
  { apiKey, baseUrl }: OpenAIOptions,
  request: ImageRequest,
  references: readonly Reference[],
  partials: number,
  signal: AbortSignal,
): Promise<Response> {
  const { path, headers, body } = buildRequest(request, references, partials, signal);
  const init: RequestInit = {
    method: "POST",
    // OpenAI logs this id, which helps when no response, and so none of its own ids, reaches us.
    headers: {
      ...headers,
      accept: partials > 0 ? "text/event-stream" : "application/json",
      authorization: `Bearer ${apiKey}`,
      "x-client-request-id": request.generationId,
    },
    body,
    // The key goes to the configured host only.
    redirect: "manual",
    signal,
  };
  return fetch(baseUrl.replace(/\/+$/, "") + path, init);
}

/** The error object of a refusal; null when the body is not the upstream's JSON, so that only the status counts. */
async function readRefusal(json: JsonReader): Promise<UpstreamError | null> {
  return readErrorAnswer(json).catch((error: unknown) => {
    if (error instanceof ProviderError) return null;
    throw error;
  });
}

function refusal(response: Response, error: UpstreamError | null, call: Call): ProviderError {
  call.code = printable(error?.code ?? error?.type ?? null);
  const wait = retryAfterMs(response.headers, Date.now());
  const failure = failureOf(response.status, error, { retryAfterMs: wait, elapsedMs: call.elapsedMs });
  return new ProviderError(failure, "refused");
}
