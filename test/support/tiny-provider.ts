import { vi } from "vitest";
import {
  type ImageRequest,
  type ProvidedImage,
  ProviderError,
  type ProviderFailure,
} from "../../src/providers/provider.ts";
import { sketch } from "../../src/providers/sketch/index.ts";
import { png } from "../images/samples.ts";

/** An image of few bytes, in the requested size. */
export function tinyImage(size: ImageRequest["size"] = "auto"): ProvidedImage {
  const { width, height } = size === "auto" ? { width: 1024, height: 1024 } : size;
  return { body: new Blob([png(width, height)]).stream() };
}

/**
 * Replaces the embedded provider with a double that makes at most `imagesMax` tiny images, then
 * fails if told to. The spy records its requests.
 */
export function provide(imagesMax = Number.POSITIVE_INFINITY, failure?: ProviderFailure) {
  return vi.spyOn(sketch, "generate").mockImplementation(async function* ({ n, size }) {
    for (let made = 0; made < Math.min(n, imagesMax); made++) yield tinyImage(size);
    if (failure) throw new ProviderError(failure, "a double fails as it was told");
  });
}
