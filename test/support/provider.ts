import { vi } from "vitest";
import type { RunOptions } from "../../src/generations/run.ts";
import {
  type ImageRequest,
  type ProvidedImage,
  type Provider,
  ProviderError,
  type ProviderFailure,
} from "../../src/providers/provider.ts";
import { sketch } from "../../src/providers/sketch/index.ts";

/** What a call does next: an image's bytes, whole or as they are made, the failure it ends with, or `stall`: nothing until it is aborted. */
export type Step = Uint8Array | (() => AsyncGenerator<Uint8Array>) | ProviderFailure | Error | "stall";

export type ScriptedProvider = Provider & {
  /** What each call asked for, in order. */
  readonly requests: ImageRequest[];
  /** How many calls have been read to their end, or let go. */
  closed: number;
};

export const UNAVAILABLE: ProviderFailure = { reason: "unavailable", retryAfterMs: null };

/** A provider that does in its first call the steps of the first script, and so on; beyond the last it is `invalid`. */
export function scripted(...scripts: readonly Step[][]): ScriptedProvider {
  const provider: ScriptedProvider = {
    formats: ["png"],
    requests: [],
    closed: 0,
    async *generate(request, { signal }): AsyncGenerator<ProvidedImage> {
      provider.requests.push(request);
      const script = scripts[provider.requests.length - 1] ?? [{ reason: "invalid" }];
      try {
        for (const step of script) yield { body: await perform(step, signal) };
      } finally {
        provider.closed++;
      }
    },
  };
  return provider;
}

/** How a run is made whose model has this provider as its one route, without a gate. */
export function via(provider: Provider): RunOptions {
  const routes = [{ provider, providerModel: "gpt-image-2", gate: null }];
  return { userId: "user_1", routes, onBusy: "wait" };
}

/** Has the embedded provider follow the scripts, wherever it is called, until mocks are restored. */
export function drawWith(...scripts: readonly Step[][]): ScriptedProvider {
  const provider = scripted(...scripts);
  vi.spyOn(sketch, "generate").mockImplementation((request, options) => provider.generate(request, options));
  return provider;
}

/** A body that is made as it is read; inside the call, as an object may not read a stream of another's. */
function bodyOf(chunks: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await chunks.return(undefined);
    },
  });
}

/** The body that a step gives. @throws what a step fails with */
async function perform(step: Step, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  if (step instanceof Uint8Array) return new Blob([step]).stream();
  if (typeof step === "function") return bodyOf(step());
  if (step instanceof Error) throw step;
  if (step === "stall") await new Promise((resolve) => signal.addEventListener("abort", resolve));
  throw new ProviderError(step === "stall" ? UNAVAILABLE : step, "as the script has it");
}
