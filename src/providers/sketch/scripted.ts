import type { TestScenario } from "../../scenario.ts";
import { sleep } from "../../time.ts";
import { type ImageRequest, type ProvidedImage, type Provider, ProviderError } from "../provider.ts";
import { sketch } from "./index.ts";

/** How often a delay looks whether the run was ended meanwhile. */
const DELAY_STEP_MS = 1_000;

/** The built-in provider with the outcome that a test key's scenario asks for. It answers at once, after the delay. */
export function scripted({ outcome, delaySeconds }: TestScenario): Provider {
  async function* generate(
    request: ImageRequest,
    options: Parameters<Provider["generate"]>[1],
  ): AsyncGenerator<ProvidedImage> {
    await delay(delaySeconds, options.signal);
    switch (outcome?.kind) {
      case "refuse":
        throw new ProviderError({ reason: "refused" }, "the test scenario refuses");
      case "fail":
      case "timeout":
      case "insufficient":
        // A complete response without an image ends the generation at once: nothing is retried.
        return;
      case "partial": {
        const left = Math.max(0, outcome.images - request.offset);
        yield* sketch.generate({ ...request, n: Math.min(request.n, left) }, options);
        return;
      }
      case undefined:
        yield* sketch.generate(request, options);
    }
  }
  return { formats: sketch.formats, generate };
}

async function delay(seconds: number, signal: AbortSignal): Promise<void> {
  const until = Date.now() + seconds * 1000;
  for (let left = until - Date.now(); left > 0 && !signal.aborted; left = until - Date.now()) {
    await sleep(Math.min(left, DELAY_STEP_MS));
  }
}
