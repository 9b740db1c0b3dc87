import type { AspectRatio, Model, Tier } from "./model.ts";
import { priceOf } from "./models.ts";
import type { RenderQuality } from "./options.ts";
import { formatSize, parseSize, ratioOf, type Size, sizeOf, tierOf } from "./sizes.ts";

/** The fields of a request that decide size and price, as the client sent them. */
export type ShapeRequest = {
  size?: string | undefined;
  /** A render quality, or, in an older form of the API, a tier. */
  quality?: string | undefined;
  aspect_ratio?: string | undefined;
  resolution?: string | undefined;
  n?: number | undefined;
};

export type Shape = {
  kind: "shape";
  /** A supported ratio, `auto`, or the lowest terms of an unusual size. */
  aspectRatio: string;
  tier: Tier;
  /** `auto`: the provider chooses. */
  size: Size | "auto";
  renderQuality: RenderQuality;
  n: number;
  /** For all `n` images. */
  credits: number;
};

export type InvalidShape = { kind: "invalid"; param: keyof ShapeRequest; message: string };

/**
 * Resolves size, tier and price of a request, or returns the invalid field. Nothing is clamped or guessed:
 * contradictory fields are invalid, because the client would be charged for whichever one won.
 */
export function resolveShape(model: Model, request: ShapeRequest): Shape | InvalidShape {
  const fields = readFields(model, request);
  if (fields.kind === "invalid") return fields;
  const conflict = findTierConflict(fields) ?? findRatioConflict(model, fields);
  if (conflict !== undefined) return conflict;

  const tier = namedTiers(fields)[0]?.tier ?? model.default_quality;
  return {
    kind: "shape",
    ...shapeOf(model, fields, tier),
    tier,
    renderQuality: fields.renderQuality,
    n: fields.n,
    credits: priceOf(model, tier, fields.n),
  };
}

type Fields = {
  kind: "fields";
  size: Size | "auto";
  ratio: AspectRatio;
  renderQuality: RenderQuality;
  qualityTier: Tier | undefined;
  resolutionTier: Tier | undefined;
  n: number;
};

/** Validates each field on its own. */
function readFields(model: Model, request: ShapeRequest): Fields | InvalidShape {
  const { quality = "auto", aspect_ratio = model.default_aspect_ratio, resolution, n = 1 } = request;

  const size = readSize(request.size ?? "auto");
  if (size.kind === "invalid") return invalid("size", size.message);

  const qualityTier = model.supported_qualities.find((tier) => tier === quality);
  const renderQuality =
    qualityTier === undefined ? model.supported_render_qualities.find((name) => name === quality) : "auto";
  if (renderQuality === undefined) {
    const allowed = [...model.supported_render_qualities, ...model.supported_qualities];
    return invalid("quality", `quality must be ${oneOf(allowed)}.`);
  }

  const ratio = model.supported_aspect_ratios.find((name) => name === aspect_ratio);
  if (ratio === undefined) {
    return invalid("aspect_ratio", `aspect_ratio must be ${oneOf(model.supported_aspect_ratios)}.`);
  }

  const resolutionTier = model.supported_qualities.find((tier) => tier === resolution);
  if (resolution !== undefined && resolutionTier === undefined) {
    return invalid("resolution", `resolution must be ${oneOf(model.supported_qualities)}.`);
  }

  if (!Number.isInteger(n) || n < 1 || n > model.max_images) {
    return invalid("n", `n must be a whole number from 1 to ${model.max_images}.`);
  }
  return { kind: "fields", size: size.size, ratio, renderQuality, qualityTier, resolutionTier, n };
}

function readSize(text: string): ReturnType<typeof parseSize> | { kind: "auto"; size: "auto" } {
  return text === "auto" ? { kind: "auto", size: "auto" } : parseSize(text);
}

type NamedTier = { param: "size" | "quality" | "resolution"; tier: Tier; words: string };

/** The fields that name a tier. */
function namedTiers({ size, qualityTier, resolutionTier }: Fields): NamedTier[] {
  const named: NamedTier[] = [];
  if (size !== "auto") {
    const tier = tierOf(size);
    named.push({ param: "size", tier, words: `size ${formatSize(size)} counts as ${tier}` });
  }
  if (qualityTier !== undefined) {
    named.push({ param: "quality", tier: qualityTier, words: `quality is ${qualityTier}` });
  }
  if (resolutionTier !== undefined) {
    named.push({ param: "resolution", tier: resolutionTier, words: `resolution is ${resolutionTier}` });
  }
  return named;
}

function findTierConflict(fields: Fields): InvalidShape | undefined {
  const [first, ...others] = namedTiers(fields);
  const other = others.find(({ tier }) => tier !== first?.tier);
  if (first === undefined || other === undefined) return undefined;
  return invalid(
    other.param,
    `${other.words}, but ${first.words}. Leave ${other.param} or ${first.param} out, or make them agree.`,
  );
}

function findRatioConflict(model: Model, { size, ratio }: Fields): InvalidShape | undefined {
  if (size === "auto" || ratio === "auto") return undefined;
  const actual = ratioOf(size, model.supported_aspect_ratios);
  if (actual === ratio) return undefined;
  const example = formatSize(sizeOf(ratio, tierOf(size)));
  return invalid(
    "aspect_ratio",
    `aspect_ratio is ${ratio}, but size ${formatSize(size)} is ${actual}. ` +
      `Leave one of them out, or give a size of that ratio, such as ${example}.`,
  );
}

function shapeOf(
  model: Model,
  { size, ratio }: Fields,
  tier: Tier,
): { aspectRatio: string; size: Size | "auto" } {
  if (size !== "auto") return { aspectRatio: ratioOf(size, model.supported_aspect_ratios), size };
  if (ratio !== "auto") return { aspectRatio: ratio, size: sizeOf(ratio, tier) };
  if (tier === "1K") return { aspectRatio: "auto", size: "auto" };
  // With `auto`, the provider could return a smaller image than the tier that was charged.
  return { aspectRatio: "1:1", size: sizeOf("1:1", tier) };
}

function invalid(param: keyof ShapeRequest, message: string): InvalidShape {
  return { kind: "invalid", param, message };
}

function oneOf(values: readonly string[]): string {
  return `one of ${values.join(", ")}`;
}
