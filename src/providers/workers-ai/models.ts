import type { ImageOptions } from "../../catalogue/options.ts";
import { ProviderError, type Reference, type ReferenceSize } from "../provider.ts";
import { streamParts } from "../wire/body.ts";
import { formParts } from "../wire/form.ts";
import { dataUrlOf, pixelsOf } from "../wire/reference.ts";

/** The edges of a reference of FLUX.2 [klein] must be shorter, in pixels. */
export const KLEIN_REFERENCE_EDGE = 512;
/**
 * The most bytes of references, in all, of a third-party model. The gateway takes no streams ("AI Gateway does not
 * support ReadableStreams yet", `ai-api.ts` of workerd), so the references of a request are held as data URLs, and once
 * more in the JSON of each call.
 */
export const DATA_URL_REFERENCE_BYTES_MAX = 4 * 1024 * 1024;

/** Makes the input of one call. A stream can be sent only once, so each call needs an input of its own. */
type MakeInput = (signal: AbortSignal) => Record<string, unknown>;

export type BoundModel = {
  referencesMax: number;
  /** Whether the input has a render quality. */
  hasQuality: boolean;
  /** Whether AI Gateway runs it, and returns the image as a URL. Cloudflare's own models return base64. */
  isThirdParty: boolean;
  /** Whether the input can express the size, or the ratio and the tier. */
  fits(options: ImageOptions): boolean;
  /** @throws {ProviderError} `unreadable` when a reference is too large for the model */
  prepare(options: ImageOptions, references: readonly Reference[]): Promise<MakeInput>;
};

/**
 * The models of the binding that are used, by name. A call has one prompt and returns one image; everything else differs.
 * Sources: `src/content/workers-ai-models`, `src/content/catalog-models` and the changelog of 15 January 2026 (FLUX.2
 * [klein]) in `cloudflare/cloudflare-docs`.
 */
const MODELS: ReadonlyMap<string, BoundModel> = new Map([
  ["@cf/black-forest-labs/flux-1-schnell", schnell()],
  ["@cf/black-forest-labs/flux-2-klein-4b", klein()],
  ["openai/gpt-image-2", gptImage2()],
  ["google/nano-banana-2", nanoBanana("resolution")],
  ["google/nano-banana-pro", nanoBanana("image_size")],
  ["black-forest-labs/flux-2-pro-preview", flux2Pro()],
]);

export function findModel(name: string): BoundModel | undefined {
  return MODELS.get(name);
}

/** Whether the model's input can express the request. No input has a compression or a moderation level. */
export function expresses(
  model: BoundModel,
  options: ImageOptions,
  references: readonly ReferenceSize[],
): boolean {
  return (
    references.length <= model.referencesMax &&
    (!model.isThirdParty || bytesOf(references) <= DATA_URL_REFERENCE_BYTES_MAX) &&
    options.outputCompression === null &&
    options.moderation === "auto" &&
    (model.hasQuality || options.renderQuality === "auto") &&
    model.fits(options)
  );
}

/** Takes a prompt and a number of steps, and draws 1024×1024. Four steps are its default, and what its price assumes. */
function schnell(): BoundModel {
  return {
    referencesMax: 0,
    hasQuality: false,
    isThirdParty: false,
    fits: ({ size }) => size === "auto" || (size.width === 1024 && size.height === 1024),
    prepare:
      async ({ prompt }) =>
      () => ({ prompt, steps: 4 }),
  };
}

/** Takes a form, whose references are streamed. Without a size it would draw 1024×768. */
function klein(): BoundModel {
  return {
    referencesMax: 4,
    hasQuality: false,
    isThirdParty: false,
    fits: ({ size }) =>
      size === "auto" || [size.width, size.height].every((edge) => edge >= 256 && edge <= 1920),
    async prepare({ prompt, size }, references) {
      for (const reference of references) {
        const pixels = await pixelsOf(reference);
        if (pixels === null || Math.max(pixels.width, pixels.height) >= KLEIN_REFERENCE_EDGE) {
          throw unreadable("a reference has too many pixels");
        }
      }
      const { width, height } = size === "auto" ? { width: 1024, height: 1024 } : size;
      return (signal) => {
        const fields = { prompt, width, height };
        const { parts, contentType } = formParts(fields, references, (index) => `input_image_${index}`);
        return { multipart: { body: streamParts(parts, signal), contentType } };
      };
    },
  };
}

function gptImage2(): BoundModel {
  const sizes = ["1024x1024", "1024x1536", "1536x1024"];
  const sizeOf = ({ size }: ImageOptions) => (size === "auto" ? size : `${size.width}x${size.height}`);
  return thirdParty({
    referencesMax: 16,
    hasQuality: true,
    references: "images",
    fits: (options) => options.size === "auto" || sizes.includes(sizeOf(options)),
    fieldsOf: (options) => ({
      size: sizeOf(options),
      quality: options.renderQuality,
      output_format: options.outputFormat,
      background: options.background,
    }),
  });
}

/** Takes a ratio and a tier, whose field's name differs. The format is left to the model, as with Google's own API. */
function nanoBanana(tierField: "resolution" | "image_size"): BoundModel {
  const ratios = ["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"];
  const ratioOf = ({ aspectRatio }: ImageOptions) => (aspectRatio === "auto" ? "1:1" : aspectRatio);
  return thirdParty({
    referencesMax: 3,
    hasQuality: false,
    references: "image_input",
    fits: (options) => ratios.includes(ratioOf(options)) && ["1K", "2K", "4K"].includes(options.tier),
    fieldsOf: (options) => ({ aspect_ratio: ratioOf(options), [tierField]: options.tier }),
  });
}

/** Up to four megapixels. Without a size, the model chooses one. */
function flux2Pro(): BoundModel {
  return thirdParty({
    referencesMax: 8,
    hasQuality: false,
    references: "input_images",
    fits: ({ size }) =>
      size === "auto" || (Math.min(size.width, size.height) >= 64 && size.width * size.height <= 4_194_304),
    fieldsOf: ({ size, outputFormat }) => ({ ...(size !== "auto" && size), output_format: outputFormat }),
  });
}

/** A model behind AI Gateway, whose references are data URLs in the field `references`. */
function thirdParty({
  references: field,
  fieldsOf,
  ...model
}: Pick<BoundModel, "referencesMax" | "hasQuality" | "fits"> & {
  references: string;
  fieldsOf(options: ImageOptions): Record<string, string | number>;
}): BoundModel {
  return {
    ...model,
    isThirdParty: true,
    async prepare(options, references) {
      if (bytesOf(references) > DATA_URL_REFERENCE_BYTES_MAX)
        throw unreadable("the references are too large");
      const urls: string[] = [];
      for (const reference of references) urls.push(await dataUrlOf(reference));
      const input = {
        prompt: options.prompt,
        ...fieldsOf(options),
        ...(urls.length > 0 && { [field]: urls }),
      };
      return () => input;
    },
  };
}

function bytesOf(references: readonly ReferenceSize[]): number {
  return references.reduce((total, { bytes }) => total + bytes, 0);
}

function unreadable(detail: string): ProviderError {
  return new ProviderError({ reason: "unreadable" }, detail);
}
