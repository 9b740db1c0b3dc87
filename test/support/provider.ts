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

/**
 * The next step of a call: an image's bytes, whole or in chunks; a failure that ends it; or `stall`, which does nothing
 * until aborted.
 */
export type Step = Uint8Array | (() => AsyncGenerator<Uint8Array>) | ProviderFailure | Error | "stall";

export type ScriptedProvider = Provider & {
  /** The request of each call, in order. */
  readonly requests: ImageRequest[];
  /** How many calls have been read to their end or cancelled. */
  closed: number;
};

export const UNAVAILABLE: ProviderFailure = { reason: "unavailable", retryAfterMs: null };

/**
 * A provider whose first call follows the first script, and so on. Calls beyond the last script fail with `invalid`.
 */
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

/** Options of a run whose model has this provider as its only route, without a gate. */
export function via(provider: Provider): RunOptions {
  const routes = [{ name: "openai", provider, providerModel: "gpt-image-2", gate: null } as const];
  return { userId: "user_1", routes, onBusy: "wait" };
}

/** Makes the embedded provider follow the scripts, until mocks are restored. */
export function drawWith(...scripts: readonly Step[][]): ScriptedProvider {
  const provider = scripted(...scripts);
  vi.spyOn(sketch, "generate").mockImplementation((request, options) => provider.generate(request, options));
  return provider;
}

/**
 * A body that is produced as it is read. Created inside the call, because an object may not read another object's
 * stream.
 */
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

/** The body of a step. @throws the failure of a step */
async function perform(step: Step, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  if (step instanceof Uint8Array) return new Blob([step]).stream();
  if (typeof step === "function") return bodyOf(step());
  if (step instanceof Error) throw step;
  if (step === "stall") await new Promise((resolve) => signal.addEventListener("abort", resolve));
  throw new ProviderError(step === "stall" ? UNAVAILABLE : step, "as the script has it");
}
