import {
  type ImageRequest,
  type ProvidedImage,
  type Provider,
  ProviderError,
  type Reference,
} from "../provider.ts";
import { type Call, type CallLog, IDLE_MS, printable, readJson, sourceOf } from "../wire/call.ts";
import { retryAfterMs } from "../wire/failure.ts";
import { JsonReader } from "../wire/json.ts";
import { callInParallel } from "../wire/parallel.ts";
import { readAnswer } from "./answer.ts";
import { codeOf, errorIn, failureOf, failureOfVerdict } from "./failure.ts";
import { buildBody } from "./request.ts";

export type GoogleOptions = {
  apiKey: string;
  /** Ends in the API's version, `/v1beta`. */
  baseUrl: string;
  log: CallLog;
  idleMs?: number;
};

/**
 * The image models of the Gemini API (`generateContent`). It returns one image a call, so `n` images are `n` calls at
 * once, never repeated. The model chooses between PNG and JPEG, so a format is no part of the request.
 *
 * Sources: https://ai.google.dev/gemini-api/docs/image-generation (request, sizes), the types of npm `@google/genai`
 * 3.3.0 (block and finish reasons), https://ai.google.dev/gemini-api/docs/troubleshooting (statuses), and errors quoted
 * in public issues of `google-gemini/gemini-cli`: 5064 (image), 8437 (quota per minute and per day), 9570 of
 * `continuedev/continue` (a limit of 0).
 */
export function createGoogle(options: GoogleOptions): Provider {
  const { apiKey, baseUrl, log, idleMs = IDLE_MS } = options;
  return {
    formats: ["png", "jpeg"],
    generate: (request, { references, signal }) =>
      callInParallel(
        request.n,
        {
          send: (stop) => send({ apiKey, baseUrl }, request, references, stop),
          read: (response, call, stop) =>
            read(response, call, { idleMs, signal: stop, references: references.length }),
        },
        { provider: "google", generationId: request.generationId, log, signal },
      ),
  };
}

async function send(
  { apiKey, baseUrl }: { apiKey: string; baseUrl: string },
  request: ImageRequest,
  references: readonly Reference[],
  signal: AbortSignal,
): Promise<Response> {
  const init: RequestInit = {
    method: "POST",
    headers: { accept: "application/json", "content-type": "application/json", "x-goog-api-key": apiKey },
    body: buildBody(request, references, signal),
    // The key goes to the configured host only.
    redirect: "manual",
    signal,
  };
  return fetch(`${baseUrl.replace(/\/+$/, "")}/models/${request.providerModel}:generateContent`, init);
}

async function* read(
  response: Response,
  call: Call,
  { idleMs, signal, references }: { idleMs: number; signal: AbortSignal; references: number },
): AsyncGenerator<ProvidedImage, void> {
  const source = sourceOf(response, { idleMs, signal });
  try {
    if (!response.ok) {
      const error = errorIn(await readJson(source));
      call.code = printable(error && codeOf(error));
      const wait = retryAfterMs(response.headers, Date.now());
      const failure = failureOf(response.status, error, {
        references,
        retryAfterMs: wait,
        elapsedMs: call.elapsedMs,
      });
      throw new ProviderError(failure, "refused");
    }
    const verdict = yield* readAnswer(new JsonReader(source?.next ?? (async () => null)), call);
    call.requestId = printable(verdict.responseId, /^[\w.:-]{1,128}$/);
    if (call.images > 0) return;
    call.code = printable(verdict.blockReason ?? verdict.finishReason);
    throw new ProviderError(failureOfVerdict(verdict), "no image");
  } finally {
    await source?.cancel();
  }
}
