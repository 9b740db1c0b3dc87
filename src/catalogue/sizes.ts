import type { AspectRatio, FixedRatio, Tier } from "./model.ts";

/** In pixels. */
export type Size = { readonly width: number; readonly height: number };

export type ParsedSize = { kind: "size"; size: Size } | { kind: "invalid"; message: string };

export const EDGE_MULTIPLE = 16;
export const EDGE_MAX = 3840;
/** Long edge to short edge. */
export const ELONGATION_MAX = 3;
export const PIXELS_MIN = 655_360;
export const PIXELS_MAX = 8_294_400;

/** The upper limits of the sizes that a model takes. */
export type SizeLimits = { readonly edgeMax: number; readonly pixelsMax: number };

const LIMITS: SizeLimits = { edgeMax: EDGE_MAX, pixelsMax: PIXELS_MAX };

/** `pixelsMax`: the largest size of a tier. `drawnPixelsMax`: the largest size for a ratio and a tier. */
export const TIER_LIMITS: Readonly<Record<Tier, { pixelsMax: number; drawnPixelsMax: number }>> = {
  "1K": { pixelsMax: 1_572_864, drawnPixelsMax: 1_048_576 },
  "2K": { pixelsMax: 4_194_304, drawnPixelsMax: 4_194_304 },
  "4K": { pixelsMax: PIXELS_MAX, drawnPixelsMax: PIXELS_MAX },
};

/** From the smallest to the largest. */
export const tiers = ["1K", "2K", "4K"] as const satisfies readonly Tier[];

const RATIO = /^[1-9][0-9]{0,5}:[1-9][0-9]{0,5}$/;

/** A size this close to a supported ratio counts as that ratio: edges are multiples of 16, so few ratios are exact. */
const RATIO_TOLERANCE = 1.01;

/**
 * Parses `WIDTHxHEIGHT`: two decimal numbers without sign or leading zero around a lower-case `x`, within the limits
 * above. The error message names the violated rule and the nearest valid size.
 */
export function parseSize(text: string, limits = LIMITS): ParsedSize {
  const size = readPixels(text);
  if (size === undefined) {
    return { kind: "invalid", message: "size must be auto or WIDTHxHEIGHT in pixels, such as 1536x1024." };
  }
  const rule = brokenRule(size, limits);
  if (rule === undefined) return { kind: "size", size };
  return {
    kind: "invalid",
    message: `size: ${rule}. The nearest valid size is ${formatSize(nearestValidSize(size, limits))}.`,
  };
}

/** The two numbers of `WIDTHxHEIGHT`, within no limits, or undefined for any other text. */
export function readPixels(text: string): Size | undefined {
  return /^[1-9][0-9]*x[1-9][0-9]*$/.test(text) ? splitPair(text, "x") : undefined;
}

/** The first rule that a size violates, in words, or undefined when it is valid. */
export function brokenRule({ width, height }: Size, { edgeMax, pixelsMax } = LIMITS): string | undefined {
  const long = Math.max(width, height);
  const short = Math.min(width, height);
  const pixels = width * height;
  if (long > edgeMax) return `the longest edge must be at most ${edgeMax} pixels`;
  if (long > ELONGATION_MAX * short) {
    return `the long edge must be at most ${ELONGATION_MAX} times the short edge`;
  }
  if (pixels < PIXELS_MIN) return `width × height must be at least ${PIXELS_MIN} pixels`;
  if (pixels > pixelsMax) return `width × height must be at most ${pixelsMax} pixels`;
  if (width % EDGE_MULTIPLE !== 0 || height % EDGE_MULTIPLE !== 0) {
    return `width and height must both be multiples of ${EDGE_MULTIPLE}`;
  }
  return undefined;
}

/**
 * The valid size closest to the requested one. It minimizes the larger relative change of the two edges, then the
 * change of the ratio, so that a size that is only too small or too large keeps its ratio.
 */
export function nearestValidSize(asked: Size, limits = LIMITS): Size {
  let nearest: Size = { width: 1024, height: 1024 };
  let least: Deviation = { change: Number.POSITIVE_INFINITY, distortion: Number.POSITIVE_INFINITY };
  for (let width = EDGE_MULTIPLE; width <= limits.edgeMax; width += EDGE_MULTIPLE) {
    if (Math.abs(Math.log(width / asked.width)) > least.change) continue;
    for (let height = EDGE_MULTIPLE; height <= limits.edgeMax; height += EDGE_MULTIPLE) {
      if (brokenRule({ width, height }, limits) !== undefined) continue;
      const difference = deviationOf({ width, height }, asked);
      if (compare(difference, least) >= 0) continue;
      least = difference;
      nearest = { width, height };
    }
  }
  return nearest;
}

/** The listed size that is closest to the requested one, by the same measure; undefined for an empty list. */
export function nearestListedSize(asked: Size, sizes: readonly Size[]): Size | undefined {
  return sizes.toSorted((a, b) => compare(deviationOf(a, asked), deviationOf(b, asked)))[0];
}

type Deviation = { change: number; distortion: number };

function deviationOf({ width, height }: Size, asked: Size): Deviation {
  const across = Math.log(width / asked.width);
  const down = Math.log(height / asked.height);
  return { change: Math.max(Math.abs(across), Math.abs(down)), distortion: Math.abs(across - down) };
}

function compare(a: Deviation, b: Deviation): number {
  return a.change === b.change ? a.distortion - b.distortion : a.change - b.change;
}

/** The tier of a valid size, by its pixels. */
export function tierOf({ width, height }: Size): Tier {
  const pixels = width * height;
  if (pixels <= TIER_LIMITS["1K"].pixelsMax) return "1K";
  if (pixels <= TIER_LIMITS["2K"].pixelsMax) return "2K";
  return "4K";
}

/** The largest size of exactly that ratio, in multiples of 16, within the tier's `drawnPixelsMax`. */
export function sizeOf(ratio: FixedRatio, tier: Tier, edgeMax = EDGE_MAX): Size {
  return largestSize(ratio, tier, edgeMax);
}

/** {@link sizeOf} for a ratio and a tier as text. Undefined for `auto`, and where there is no such size. */
export function sizeOfNames(ratio: string, tier: string, edgeMax: number): Size | undefined {
  const named = tiers.find((name) => name === tier);
  if (named === undefined || !RATIO.test(ratio)) return undefined;
  const size = largestSize(ratio, named, edgeMax);
  return size.width > 0 && size.height > 0 ? size : undefined;
}

function largestSize(ratio: string, tier: Tier, edgeMax: number): Size {
  const terms = lowestTerms(splitPair(ratio, ":"));
  const width = EDGE_MULTIPLE * terms.width;
  const height = EDGE_MULTIPLE * terms.height;
  const scale = Math.min(
    Math.floor(Math.sqrt(TIER_LIMITS[tier].drawnPixelsMax / (width * height))),
    Math.floor(edgeMax / Math.max(width, height)),
  );
  return { width: width * scale, height: height * scale };
}

/**
 * The ratio of a size: the supported ratio that it has, or is within {@link RATIO_TOLERANCE} of, otherwise its own
 * ratio in lowest terms.
 */
export function ratioOf(size: Size, supported: readonly AspectRatio[]): string {
  let name: string | undefined;
  let least = RATIO_TOLERANCE;
  for (const ratio of supported) {
    if (ratio === "auto") continue;
    const terms = splitPair(ratio, ":");
    const across = size.width * terms.height;
    const down = size.height * terms.width;
    const deviation = Math.max(across, down) / Math.min(across, down);
    if (deviation <= least) {
      least = deviation;
      name = ratio;
    }
  }
  if (name !== undefined) return name;
  const terms = lowestTerms(size);
  return `${terms.width}:${terms.height}`;
}

/** The ratio closest to `text`, or undefined when it is not `width:height`. */
export function nearestRatio(text: string, ratios: readonly AspectRatio[]): AspectRatio | undefined {
  if (!RATIO.test(text)) return undefined;
  const asked = elongation(text);
  const [nearest] = ratios
    .filter((ratio) => ratio !== "auto")
    .toSorted((a, b) => Math.abs(asked - elongation(a)) - Math.abs(asked - elongation(b)));
  return nearest;
}

/** The logarithm of width to height: equally far from 0 for a ratio and its transposed one. */
function elongation(ratio: string): number {
  const { width, height } = splitPair(ratio, ":");
  return Math.log(width / height);
}

/** `WIDTHxHEIGHT`. */
export function formatSize({ width, height }: Size): string {
  return `${width}x${height}`;
}

/** Numbers beyond the safe range become the largest safe integer: an infinite edge would have no nearest size. */
function splitPair(text: string, separator: string): Size {
  const at = text.indexOf(separator);
  return {
    width: Math.min(Number(text.slice(0, at)), Number.MAX_SAFE_INTEGER),
    height: Math.min(Number(text.slice(at + 1)), Number.MAX_SAFE_INTEGER),
  };
}

function lowestTerms({ width, height }: Size): Size {
  const divisor = greatestCommonDivisor(width, height);
  return { width: width / divisor, height: height / divisor };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
