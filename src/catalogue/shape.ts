import type { FixedRatio, Model, Tier } from "./model.ts";
import {
  formatSize,
  nearestListedSize,
  type ParsedSize,
  parseSize,
  ratioOf,
  readPixels,
  type Size,
  sizeOf,
  tierOf,
} from "./sizes.ts";

/** The sizes of one model: any within its limits, or those that it lists. */

type Listed = { ratio: FixedRatio; tier: Tier; size: Size };

/** Every size that the model lists, or null when it takes any size within its limits. */
function listedSizes({ sizes, supported_aspect_ratios, supported_qualities }: Model): Listed[] | null {
  if (sizes.kind === "any") return null;
  return supported_aspect_ratios.flatMap((ratio): Listed[] =>
    ratio === "auto"
      ? []
      : supported_qualities.flatMap((tier): Listed[] => {
          const size = readPixels(sizes.sizes[ratio]?.[tier] ?? "");
          return size === undefined ? [] : [{ ratio, tier, size }];
        }),
  );
}

/** The sizes that a request may name, as `WIDTHxHEIGHT`, or null: any within the limits. */
export function supportedSizes(model: Model): string[] | null {
  return listedSizes(model)?.map(({ size }) => formatSize(size)) ?? null;
}

const SQUARE: Size = { width: 1024, height: 1024 };

/** Parses a size that a request names. The error message names the nearest size that the model has. */
export function parseModelSize(model: Model, text: string): ParsedSize {
  if (model.sizes.kind === "any") return parseSize(text, model.sizes);
  const sizes = (listedSizes(model) ?? []).map(({ size }) => size);
  const asked = readPixels(text);
  const nearest = nearestListedSize(asked ?? SQUARE, sizes) ?? SQUARE;
  const name = formatSize(nearest);
  if (asked !== undefined && name === text) return { kind: "size", size: nearest };
  const message =
    asked === undefined
      ? `size must be auto or WIDTHxHEIGHT in pixels, such as ${name}.`
      : `size must be auto or one that ${model.id} has. The nearest valid size is ${name}.`;
  return { kind: "invalid", message };
}

/** The size of a ratio and a tier. */
export function modelSizeOf(model: Model, ratio: FixedRatio, tier: Tier): Size {
  const listed = listedSizes(model)?.find((entry) => entry.ratio === ratio && entry.tier === tier);
  if (listed) return listed.size;
  return sizeOf(ratio, tier, model.sizes.kind === "any" ? model.sizes.edgeMax : undefined);
}

/** The tier that a size of the model is priced at. */
export function modelTierOf(model: Model, size: Size): Tier {
  return findListed(model, size)?.tier ?? tierOf(size);
}

/** The ratio that a size of the model counts as. */
export function modelRatioOf(model: Model, size: Size): string {
  return findListed(model, size)?.ratio ?? ratioOf(size, model.supported_aspect_ratios);
}

function findListed(model: Model, { width, height }: Size): Listed | undefined {
  return listedSizes(model)?.find(({ size }) => size.width === width && size.height === height);
}
