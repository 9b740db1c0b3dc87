import { type ProvidedImage, ProviderError, type ProviderFailure } from "../provider.ts";
import { type Call, type CallLog, logCall, respond, startCall, withFacts } from "./call.ts";

/** An upstream call that returns one image. */
export type OneImage = {
  /** Sends the request. May reject with anything when there is no response. */
  send(signal: AbortSignal): Promise<Response>;
  /** @throws {ProviderError} from the iteration, or as the error of the body */
  read(response: Response, call: Call, signal: AbortSignal): AsyncGenerator<ProvidedImage, void>;
};

/**
 * Makes `n` calls at once, for a provider that returns one image a call, and yields the images in order. A response is
 * read only when its turn comes. Writes one log line for each call.
 * @throws {ProviderError} the failure of a call, after the images of the others; of several, the one that decides most
 */
export async function* callInParallel(
  n: number,
  { send, read }: OneImage,
  options: { provider: string; generationId: string; log: CallLog; signal: AbortSignal },
): AsyncGenerator<ProvidedImage, void> {
  const { provider, generationId, log } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const calls = Array.from({ length: n }, () => {
    const call = startCall();
    const response = respond(call, send(signal), signal);
    // A failure is handled when its turn comes.
    response.catch(() => undefined);
    return { call, response, ended: false };
  });
  let failure: ProviderError | null = null;
  try {
    for (const one of calls) {
      try {
        yield* read(await one.response, one.call, signal);
        one.ended = true;
      } catch (error) {
        one.call.broken = error;
        if (!(error instanceof ProviderError)) throw error;
        failure = graver(failure, withFacts(provider, error, one.call));
      }
    }
    if (failure !== null) throw failure;
  } finally {
    stop.abort();
    for (const { call, ended } of calls) logCall(log, call, { provider, generationId, ended });
  }
}

/**
 * From the one that decides most: a refusal is final for every provider, and a call that may have been paid must be
 * counted.
 */
const GRAVEST_FIRST: readonly ProviderFailure["reason"][] = [
  "refused",
  "unreadable",
  "invalid",
  "misconfigured",
  "undelivered",
  "timeout",
  "unavailable",
  "limited",
];

function graver(first: ProviderError | null, second: ProviderError): ProviderError {
  if (first === null) return second;
  const rank = ({ failure }: ProviderError) => GRAVEST_FIRST.indexOf(failure.reason);
  return rank(second) < rank(first) ? second : first;
}
