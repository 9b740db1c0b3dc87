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

/** `pixelsMax`: the largest size of a tier. `drawnPixelsMax`: the largest size for a ratio and a tier. */
export const TIER_LIMITS: Readonly<Record<Tier, { pixelsMax: number; drawnPixelsMax: number }>> = {
  "1K": { pixelsMax: 1_572_864, drawnPixelsMax: 1_048_576 },
  "2K": { pixelsMax: 4_194_304, drawnPixelsMax: 4_194_304 },
  "4K": { pixelsMax: PIXELS_MAX, drawnPixelsMax: PIXELS_MAX },
};

/** A size this close to a supported ratio counts as that ratio: edges are multiples of 16, so few ratios are exact. */
const RATIO_TOLERANCE = 1.01;

/**
 * Parses `WIDTHxHEIGHT`: two decimal numbers without sign or leading zero around a lower-case `x`, within the limits
 * above. The error message names the violated rule and the nearest valid size.
 */
export function parseSize(text: string): ParsedSize {
  if (!/^[1-9][0-9]*x[1-9][0-9]*$/.test(text)) {
    return { kind: "invalid", message: "size must be auto or WIDTHxHEIGHT in pixels, such as 1536x1024." };
  }
  const size = splitPair(text, "x");
  const rule = brokenRule(size);
  if (rule === undefined) return { kind: "size", size };
  return {
    kind: "invalid",
    message: `size: ${rule}. The nearest valid size is ${formatSize(nearestValidSize(size))}.`,
  };
}

/** The first rule that a size violates, in words, or undefined when it is valid. */
export function brokenRule({ width, height }: Size): string | undefined {
  const long = Math.max(width, height);
  const short = Math.min(width, height);
  const pixels = width * height;
  if (long > EDGE_MAX) return `the longest edge must be at most ${EDGE_MAX} pixels`;
  if (long > ELONGATION_MAX * short) {
    return `the long edge must be at most ${ELONGATION_MAX} times the short edge`;
  }
  if (pixels < PIXELS_MIN) return `width × height must be at least ${PIXELS_MIN} pixels`;
  if (pixels > PIXELS_MAX) return `width × height must be at most ${PIXELS_MAX} pixels`;
  if (width % EDGE_MULTIPLE !== 0 || height % EDGE_MULTIPLE !== 0) {
    return `width and height must both be multiples of ${EDGE_MULTIPLE}`;
  }
  return undefined;
}

/**
 * The valid size closest to the requested one. It minimizes the larger relative change of the two edges, then the
 * change of the ratio, so that a size that is only too small or too large keeps its ratio.
 */
export function nearestValidSize(asked: Size): Size {
  let nearest: Size = { width: 1024, height: 1024 };
  let least = { change: Number.POSITIVE_INFINITY, distortion: Number.POSITIVE_INFINITY };
  for (let width = EDGE_MULTIPLE; width <= EDGE_MAX; width += EDGE_MULTIPLE) {
    const across = Math.log(width / asked.width);
    if (Math.abs(across) > least.change) continue;
    for (let height = EDGE_MULTIPLE; height <= EDGE_MAX; height += EDGE_MULTIPLE) {
      if (brokenRule({ width, height }) !== undefined) continue;
      const down = Math.log(height / asked.height);
      const change = Math.max(Math.abs(across), Math.abs(down));
      const distortion = Math.abs(across - down);
      if (change > least.change || (change === least.change && distortion >= least.distortion)) continue;
      least = { change, distortion };
      nearest = { width, height };
    }
  }
  return nearest;
}

/** The tier of a valid size, by its pixels. */
export function tierOf({ width, height }: Size): Tier {
  const pixels = width * height;
  if (pixels <= TIER_LIMITS["1K"].pixelsMax) return "1K";
  if (pixels <= TIER_LIMITS["2K"].pixelsMax) return "2K";
  return "4K";
}

/** The largest size of exactly that ratio, in multiples of 16, within the tier's `drawnPixelsMax`. */
export function sizeOf(ratio: FixedRatio, tier: Tier): Size {
  const terms = lowestTerms(splitPair(ratio, ":"));
  const width = EDGE_MULTIPLE * terms.width;
  const height = EDGE_MULTIPLE * terms.height;
  const scale = Math.min(
    Math.floor(Math.sqrt(TIER_LIMITS[tier].drawnPixelsMax / (width * height))),
    Math.floor(EDGE_MAX / Math.max(width, height)),
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
