import { type Size, sizeOfNames } from "../../catalogue/sizes.ts";
import {
  type ImageRequest,
  type ProvidedImage,
  type Provider,
  ProviderError,
  type Reference,
} from "../provider.ts";
import { composeScene } from "./compose.ts";
import { createPainter } from "./paint.ts";
import { encodePng } from "./png.ts";

/** The longest edge. Memory grows with the edge. */
export const EDGE_PIXELS_MAX = 12_288;
const AUTO_SIZE = { width: 1024, height: 1024 };

type GenerateOptions = { references: readonly Reference[]; signal: AbortSignal };

/**
 * The built-in provider: it draws a landscape in the Worker, from the words of the prompt. The same prompt, size,
 * quality, background, references and index give the same bytes, in every generation.
 */
export const sketch: Provider = { formats: ["png"], generate };

async function* generate(request: ImageRequest, options: GenerateOptions): AsyncGenerator<ProvidedImage> {
  const size = sizeFor(request);
  refuseUndrawable(request, size);
  const check = () => {
    if (options.signal.aborted)
      throw new ProviderError({ reason: "unavailable", retryAfterMs: null }, "drawing was aborted");
  };
  check();
  const references = await digestReferences(options);
  for (let index = request.offset; index < request.offset + request.n; index++) {
    check();
    const seed = await seedOf([request.prompt, request.background, references, String(index)]);
    const quality = request.renderQuality === "auto" ? "medium" : request.renderQuality;
    const scene = composeScene({ ...size, prompt: request.prompt, quality, seed });
    yield { body: encodePng(size, createPainter(scene), check) };
  }
}

/** The size of a request: in pixels, or else by its ratio and tier. */
function sizeFor({ size, aspectRatio, tier }: ImageRequest): Size {
  if (size !== "auto") return size;
  return sizeOfNames(aspectRatio, tier, EDGE_PIXELS_MAX) ?? AUTO_SIZE;
}

function refuseUndrawable({ outputFormat }: ImageRequest, { width, height }: Size): void {
  const drawable = [width, height].every(
    (edge) => Number.isInteger(edge) && edge > 0 && edge <= EDGE_PIXELS_MAX,
  );
  if (outputFormat === "png" && drawable) return;
  throw new ProviderError({ reason: "invalid" }, `cannot draw ${outputFormat} of ${width}x${height}`);
}

/** The SHA-256 of each reference, streamed, so that no reference is in memory. */
async function digestReferences({ references, signal }: GenerateOptions): Promise<string> {
  const digests: string[] = [];
  for (const reference of references) {
    try {
      const digest = new crypto.DigestStream("SHA-256");
      const [bytes] = await Promise.all([digest.digest, (await reference.open()).pipeTo(digest, { signal })]);
      digests.push(Buffer.from(bytes).toString("hex"));
    } catch (error) {
      throw new ProviderError(
        { reason: "unavailable", retryAfterMs: null },
        `reading a reference: ${String(error)}`,
      );
    }
  }
  return digests.join();
}

async function seedOf(parts: readonly string[]): Promise<number> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(parts)));
  return new DataView(digest).getInt32(0);
}
