import { vi } from "vitest";
import { type ProvidedImage, ProviderError, type ProviderFailure } from "../../src/providers/provider.ts";
import { sketch } from "../../src/providers/sketch/index.ts";
import { png } from "../images/samples.ts";

/** One picture, as small as can be. */
export function tinyImage(): ProvidedImage {
  return { body: new Blob([png(1024, 1024)]).stream() };
}

/**
 * Puts a double in the embedded provider's place: it makes at most `imagesMax` tiny pictures of those asked for, then
 * fails if told to. The spy tells what it was asked.
 */
export function provide(imagesMax = Number.POSITIVE_INFINITY, failure?: ProviderFailure) {
  return vi.spyOn(sketch, "generate").mockImplementation(async function* ({ n }) {
    for (let made = 0; made < Math.min(n, imagesMax); made++) yield tinyImage();
    if (failure) throw new ProviderError(failure, "a double fails as it was told");
  });
}
