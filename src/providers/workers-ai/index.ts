import {
  type ImageRequest,
  type ProvidedImage,
  type Provider,
  ProviderError,
  type Reference,
} from "../provider.ts";
import { type Call, type CallLog, IDLE_MS, printable, sourceOf } from "../wire/call.ts";
import { retryAfterMs } from "../wire/failure.ts";
import { readImage } from "../wire/image.ts";
import { JsonReader } from "../wire/json.ts";
import { callInParallel } from "../wire/parallel.ts";
import { openPicture } from "../wire/picture.ts";
import { readAnswer, type UpstreamError } from "./answer.ts";
import { failureOf } from "./failure.ts";
import { expresses, findModel } from "./models.ts";

/** The part of the `AI` binding that is used here. With `returnRawResponse` it returns every response as it came. */
export type AIBinding = {
  run(model: string, input: Record<string, unknown>, options: RunOptions): Promise<Response>;
};

export type RunOptions = {
  returnRawResponse: true;
  signal: AbortSignal;
  gateway?: { id: string; skipCache: boolean; collectLog: boolean; retries: { maxAttempts: 1 } };
};

/** Every account has this gateway. It keeps no prompts, repeats no paid call, and returns no earlier image. */
const GATEWAY = { id: "default", skipCache: true, collectLog: false, retries: { maxAttempts: 1 } } as const;
/** Image URLs must be of https; a relative one would be of this host. */
const BASE_URL = "https://api.cloudflare.com";

/**
 * The image models of the `AI` binding: Cloudflare's own, and those of other makers that AI Gateway runs and bills.
 * Returns one image a call, so `n` images are `n` calls at once, never repeated. The image of a third-party model is
 * fetched from its URL at once: how long it lives is not documented.
 *
 * References have lower limits than those of the service. For FLUX.2 [klein], each has less than 512×512 pixels: a
 * larger one is `unreadable` before any call. For third-party models, whose input is held in memory, they have at most
 * 4 MiB in all: a request with more is not accepted.
 *
 * Sources: `ai-api.ts` of `cloudflare/workerd` (the binding), and `cloudflare/cloudflare-docs` (models and errors).
 */
export function createWorkersAI({
  ai,
  log,
  idleMs = IDLE_MS,
}: {
  ai: AIBinding;
  log: CallLog;
  idleMs?: number;
}): Provider {
  return {
    formats: ["png", "jpeg", "webp"],
    accepts(options, references, providerModel) {
      const model = findModel(providerModel);
      return model !== undefined && expresses(model, options, references);
    },
    generate: (request, { references, signal }) => generate({ ai, log, idleMs }, request, references, signal),
  };
}

async function* generate(
  { ai, log, idleMs }: { ai: AIBinding; log: CallLog; idleMs: number },
  request: ImageRequest,
  references: readonly Reference[],
  signal: AbortSignal,
): AsyncGenerator<ProvidedImage, void> {
  const { providerModel, generationId, n } = request;
  const model = findModel(providerModel);
  if (model === undefined) throw new ProviderError({ reason: "misconfigured" }, "workers-ai: unknown model");
  const { isThirdParty } = model;
  // Once for all calls.
  const preparing = model.prepare(request, references);
  yield* callInParallel(
    n,
    {
      async send(stop) {
        const input = (await preparing)(stop);
        const options: RunOptions = { returnRawResponse: true, signal: stop };
        return ai.run(providerModel, input, isThirdParty ? { ...options, gateway: GATEWAY } : options);
      },
      read: (response, call, stop) =>
        read(response, call, { idleMs, signal: stop, isThirdParty, references: references.length }),
    },
    { provider: "workers-ai", generationId, log, signal },
  );
}

async function* read(
  response: Response,
  call: Call,
  options: { idleMs: number; signal: AbortSignal; isThirdParty: boolean; references: number },
): AsyncGenerator<ProvidedImage, void> {
  const { headers, status } = response;
  call.requestId = printable(headers.get("cf-ai-req-id") ?? headers.get("cf-aig-log-id"), /^[\w.:-]{1,128}$/);
  const source = sourceOf(response, options);
  const next = source?.next ?? (async () => null);
  try {
    if (response.ok && headers.get("content-type")?.startsWith("image/")) {
      // The source overwrites its buffer.
      yield* readImage(async () => (await next())?.slice() ?? null, call);
      return;
    }
    const openUrl = options.isThirdParty
      ? (url: string) => openPicture(url, { ...options, baseUrl: BASE_URL })
      : null;
    const answer = readAnswer(new JsonReader(next), call, openUrl);
    const error = response.ok ? yield* answer : await errorOf(answer);
    if (call.images > 0) return;
    call.code = error.code === null ? null : String(error.code);
    const wait = retryAfterMs(headers, Date.now());
    const failure = failureOf(status, error, { references: options.references, retryAfterMs: wait });
    throw new ProviderError(failure, response.ok ? "no image" : "refused");
  } finally {
    await source?.cancel();
  }
}

/** The error of a response with an error's status; empty when it is not the platform's JSON. */
async function errorOf(answer: AsyncGenerator<ProvidedImage, UpstreamError>): Promise<UpstreamError> {
  try {
    for (;;) {
      const { done, value } = await answer.next();
      if (done) return value;
    }
  } catch (error) {
    if (error instanceof ProviderError) return { code: null, message: "" };
    throw error;
  }
}
