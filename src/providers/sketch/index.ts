import { type Size, sizeOfNames } from "../../catalogue/sizes.ts";
import {
  type ImageRequest,
  type PartialPictures,
  type ProvidedImage,
  type Provider,
  ProviderError,
} from "../provider.ts";
import { composeScene, type SceneRequest } from "./compose.ts";
import { createPainter } from "./paint.ts";
import { encodePng } from "./png.ts";

/** The longest edge. Memory grows with the edge. */
export const EDGE_PIXELS_MAX = 12_288;
const AUTO_SIZE = { width: 1024, height: 1024 };

type GenerateOptions = Parameters<Provider["generate"]>[1];
/** The longest edges of partial pictures, from the first. */
const PARTIAL_EDGES = [128, 256, 512];

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
    const { prompt } = request;
    if (options.partials)
      await drawPartials({ ...size, prompt, quality: "low", seed }, options.partials, check);
    const scene = composeScene({ ...size, prompt, quality, seed });
    yield { body: encodePng(size, createPainter(scene), check) };
  }
}

/** Draws the same scene small and with little detail, a larger one each time: much cheaper than the image. */
async function drawPartials(
  scene: SceneRequest,
  partials: PartialPictures,
  check: () => void,
): Promise<void> {
  for (const [index, edge] of PARTIAL_EDGES.slice(0, partials.count).entries()) {
    if (!(await partials.hasRoom())) continue;
    const scale = Math.min(1, edge / Math.max(scene.width, scene.height));
    const size = { width: shrink(scene.width, scale), height: shrink(scene.height, scale) };
    const body = encodePng(size, createPainter(composeScene({ ...scene, ...size })), check);
    partials.send(index, new Uint8Array(await new Response(body).arrayBuffer()));
  }
}

function shrink(edge: number, scale: number): number {
  return Math.max(1, Math.round(edge * scale));
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
