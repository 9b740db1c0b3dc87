import type { AspectRatio, Model, Tier } from "./model.ts";
import { priceOf } from "./models.ts";
import type { RenderQuality } from "./options.ts";
import { modelRatioOf, modelSizeOf, modelTierOf, parseModelSize } from "./shape.ts";
import { formatSize, nearestRatio, type ParsedSize, type Size, tiers } from "./sizes.ts";

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
  const named = namedTiers(model, fields);
  const conflict = findTierConflict(named) ?? findRatioConflict(model, fields);
  if (conflict !== undefined) return conflict;

  const tier = named[0]?.tier ?? model.default_quality;
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
  const { quality = "auto", aspect_ratio, resolution, n = 1 } = request;

  const size = readSize(model, request.size ?? "auto");
  if (size.kind === "invalid") return invalid("size", size.message);

  const qualityTier = model.supported_qualities.find((tier) => tier === quality);
  const renderQuality =
    qualityTier === undefined ? model.supported_render_qualities.find((name) => name === quality) : "auto";
  if (renderQuality === undefined) {
    const allowed = [...model.supported_render_qualities, ...model.supported_qualities];
    const nearest = nearestTier(quality, model) ?? nearestRenderQuality(quality, model);
    return invalid("quality", `quality must be ${oneOf(allowed, nearest)}`);
  }

  const ratio = readRatio(model, aspect_ratio, size.size);
  if (ratio === undefined) {
    const ratios = model.supported_aspect_ratios;
    const nearest =
      aspect_ratio === "auto" ? model.default_aspect_ratio : nearestRatio(aspect_ratio ?? "", ratios);
    return invalid("aspect_ratio", `aspect_ratio must be ${oneOf(ratios, nearest)}`);
  }

  const resolutionTier = model.supported_qualities.find((tier) => tier === resolution);
  if (resolution !== undefined && resolutionTier === undefined) {
    const nearest = nearestTier(resolution, model);
    return invalid("resolution", `resolution must be ${oneOf(model.supported_qualities, nearest)}`);
  }

  if (!Number.isInteger(n) || n < 1 || n > model.max_images) {
    return invalid("n", `n must be a whole number from 1 to ${model.max_images}.`);
  }
  return { kind: "fields", size: size.size, ratio, renderQuality, qualityTier, resolutionTier, n };
}

function readSize(model: Model, text: string): ParsedSize | { kind: "auto"; size: "auto" } {
  return text === "auto" ? { kind: "auto", size: "auto" } : parseModelSize(model, text);
}

/** The ratio that the fields name; `auto` when a size alone decides it. */
function readRatio(model: Model, name: string | undefined, size: Size | "auto"): AspectRatio | undefined {
  if (name === undefined) return size === "auto" ? model.default_aspect_ratio : "auto";
  return model.supported_aspect_ratios.find((ratio) => ratio === name);
}

/** The model's largest tier below the named one, or its smallest; undefined when `name` is no tier. */
function nearestTier(name: string, { supported_qualities: supported }: Model): Tier | undefined {
  const order: readonly string[] = tiers;
  const asked = order.indexOf(name);
  if (asked < 0) return undefined;
  return supported.findLast((tier) => order.indexOf(tier) < asked) ?? supported[0];
}

const RENDER_QUALITIES: readonly string[] = ["auto", "low", "medium", "high"] satisfies RenderQuality[];

function nearestRenderQuality(name: string, model: Model): RenderQuality | undefined {
  return RENDER_QUALITIES.includes(name) ? model.supported_render_qualities[0] : undefined;
}

type NamedTier = { param: "size" | "quality" | "resolution"; tier: Tier; words: string };

/** The fields that name a tier. */
function namedTiers(model: Model, { size, qualityTier, resolutionTier }: Fields): NamedTier[] {
  const named: NamedTier[] = [];
  if (size !== "auto") {
    const tier = modelTierOf(model, size);
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

function findTierConflict([first, ...others]: readonly NamedTier[]): InvalidShape | undefined {
  const other = others.find(({ tier }) => tier !== first?.tier);
  if (first === undefined || other === undefined) return undefined;
  return invalid(
    other.param,
    `${other.words}, but ${first.words}. Leave ${other.param} or ${first.param} out, or make them agree.`,
  );
}

function findRatioConflict(model: Model, { size, ratio }: Fields): InvalidShape | undefined {
  if (size === "auto" || ratio === "auto") return undefined;
  const actual = modelRatioOf(model, size);
  if (actual === ratio) return undefined;
  const example = formatSize(modelSizeOf(model, ratio, modelTierOf(model, size)));
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
  if (size !== "auto") return { aspectRatio: modelRatioOf(model, size), size };
  if (ratio !== "auto") return { aspectRatio: ratio, size: modelSizeOf(model, ratio, tier) };
  if (tier === "1K") return { aspectRatio: "auto", size: "auto" };
  // With `auto`, the provider could return a smaller image than the tier that was charged.
  return { aspectRatio: "1:1", size: modelSizeOf(model, "1:1", tier) };
}

function invalid(param: keyof ShapeRequest, message: string): InvalidShape {
  return { kind: "invalid", param, message };
}

function oneOf(values: readonly string[], nearest?: string): string {
  const [only, ...others] = values;
  const list = others.length === 0 ? `${only}.` : `one of ${values.join(", ")}.`;
  return nearest === undefined || others.length === 0 ? list : `${list} The nearest is ${nearest}.`;
}
