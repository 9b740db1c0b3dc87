import { type Colour, hex, mix } from "./colour.ts";
import type { Palette, Time } from "./palettes.ts";
import { createRandom, fractalLine, labelSeed, lattice, noiseLine, type Random } from "./random.ts";
import type { Detail, Layer, Light, Relief, Ridge, Windows } from "./scene.ts";
import type { Place, Wishes } from "./words.ts";

type Crest = { crest: Float32Array; windows: Windows | null };

const BLACK: Colour = [0, 0, 0];

type Profile = "peaks" | "hills" | "dunes" | "mesas" | "towers" | "headland" | "shore";

type LandPlan = {
  profile: Profile;
  depth: number;
  /** The foot of the profile above the horizon, its height above that, and its features, all in units. */
  base: number;
  rise: number;
  scale: number;
};

export type LandSetting = {
  width: number;
  height: number;
  unit: number;
  horizon: number;
  seed: number;
  place: Place;
  time: Time;
  palette: Palette;
  detail: Detail;
  wishes: Wishes;
  hasWater: boolean;
  light: Light;
};

/** All land of a picture: the backdrop behind the water, or behind the nearest land; and the foreground. */
export function createLand(setting: LandSetting): { backdrop: Layer[]; foreground: Layer[] } {
  const random = createRandom(setting.seed, "land");
  const { backdrop, foreground } = planLand(random, setting);
  const raise = (plan: LandPlan, index: number) =>
    createLayer(plan, labelSeed(setting.seed, `ridge ${plan.profile} ${index}`), setting);
  return {
    backdrop: hideBehind(backdrop.map(raise)),
    foreground: hideBehind(foreground.map((plan, index) => raise(plan, index + 100))),
  };
}

/** Stores in each layer where nearer layers cover it, so that hidden pixels are not computed. */
function hideBehind(layers: Layer[]): Layer[] {
  layers.reduceRight<Float32Array | null>((nearer, { ridge }) => {
    if (nearer) ridge.hidden = nearer.map((y) => y + 2);
    return ridge.crest.map((y, x) => Math.min(y, nearer?.[x] ?? y));
  }, null);
  return layers;
}

/** The layers of a picture's land, from far to near. */
type Land = { backdrop: LandPlan[]; foreground: LandPlan[] };

/** What the plans of all places share. */
type Ground = {
  random: Random;
  hasWater: boolean;
  extraLayers: number;
  /** The height of the picture below the horizon, in units. */
  floor: number;
  /** Makes layers from far (depth 0) to near (depth 1). */
  rows: (count: number, make: (depth: number) => LandPlan) => LandPlan[];
  /** The base of a layer: layers descend to the bottom of the picture, unless water takes that room. */
  descend: (depth: number, last: number) => number;
  nearShore: LandPlan;
};

function planLand(random: Random, setting: LandSetting): Land {
  const { place, hasWater, detail } = setting;
  const floor = (setting.height - setting.horizon) / setting.unit;
  return PLANS[place]({
    random,
    hasWater,
    extraLayers: detail.extraLayers,
    floor,
    rows: (count, make) => Array.from({ length: count }, (_, index) => make(index / Math.max(1, count - 1))),
    descend: (depth, last) =>
      hasWater ? 0.004 + 0.02 * (1 - depth) : 0.03 - (floor * last + 0.03) * depth ** 1.5,
    nearShore: { profile: "shore", depth: 1, base: -floor * 0.84, rise: 0.14, scale: 1.1 },
  });
}

const PLANS: Record<Place, (ground: Ground) => Land> = {
  mountains: ({ extraLayers, rows, descend, nearShore }) => ({
    backdrop: rows(3 + extraLayers, (depth) => ({
      profile: depth > 0.85 ? "hills" : "peaks",
      depth: depth * 0.78,
      base: descend(depth, 0.42),
      rise: depth > 0.85 ? 0.09 : 0.43 - 0.27 * depth,
      scale: 1 + 1.3 * depth,
    })),
    foreground: [nearShore],
  }),
  sea: ({ random, extraLayers, floor, rows }) => ({
    backdrop: rows(1 + extraLayers, (depth) => ({
      profile: "headland",
      depth: 0.15 + depth * 0.4,
      base: -0.035,
      rise: random.between(0.1, 0.17) * (1 - depth * 0.25),
      scale: random.between(0.5, 0.9),
    })),
    foreground: [{ profile: "shore", depth: 1, base: -floor * 0.92, rise: 0.28, scale: 0.8 }],
  }),
  forest: ({ extraLayers, floor, rows, descend }) => ({
    backdrop: rows(4 + extraLayers, (depth) => ({
      profile: depth < 0.2 ? "peaks" : "hills",
      depth: depth * 0.8,
      base: descend(depth, 0.6) + 0.04,
      rise: depth < 0.2 ? 0.28 : 0.17,
      scale: 1 + depth * 0.7,
    })),
    foreground: [{ profile: "hills", depth: 1, base: -floor * 0.98, rise: 0.16, scale: 1 }],
  }),
  desert: ({ extraLayers, floor, rows, descend }) => ({
    backdrop: rows(4 + extraLayers, (depth) => ({
      profile: depth < 0.34 ? "mesas" : "dunes",
      depth: depth * 0.72,
      base: descend(depth, 0.62),
      rise: depth < 0.34 ? 0.2 - 0.12 * depth : 0.15,
      scale: depth < 0.34 ? 1.3 : 1.3 - 0.4 * depth,
    })),
    foreground: [{ profile: "dunes", depth: 0.9, base: -floor * 0.95, rise: 0.16, scale: 0.8 }],
  }),
  city: ({ hasWater, extraLayers, floor, rows, nearShore }) => ({
    backdrop: [
      { profile: "hills", depth: 0, base: 0.04, rise: 0.16, scale: 0.9 },
      ...rows(
        2 + extraLayers,
        (depth): LandPlan => ({
          profile: "towers",
          depth: 0.22 + depth * 0.6,
          base: hasWater ? 0.012 : 0.012 - floor * 0.5 * depth,
          rise: 0.46 - 0.2 * depth,
          scale: 1.25 - 0.35 * depth,
        }),
      ),
    ],
    foreground: hasWater
      ? [{ ...nearShore, base: -floor * 0.98, rise: 0.07 }]
      : [{ profile: "towers", depth: 1, base: -floor * 0.8, rise: 0.16, scale: 0.9 }],
  }),
  hills: ({ extraLayers, floor, rows, descend }) => ({
    backdrop: rows(4 + extraLayers, (depth) => ({
      profile: depth < 0.2 ? "peaks" : "hills",
      depth: depth * 0.75,
      base: descend(depth, 0.55) + 0.02,
      rise: depth < 0.2 ? 0.2 : 0.14,
      scale: 1.2 - depth * 0.35,
    })),
    foreground: [{ profile: "hills", depth: 0.95, base: -floor * 0.95, rise: 0.2, scale: 0.7 }],
  }),
};

function createLayer(plan: LandPlan, seed: number, setting: LandSetting): Layer {
  const { unit, horizon, palette } = setting;
  const { crest, windows } =
    plan.profile === "towers" ? traceTowers(plan, seed, setting) : traceLand(plan, seed, setting);
  const slope = crest.map((y, x) => (x === 0 ? 0 : y - (crest[x - 1] ?? y)));
  const crestTop = crest.reduce((least, y) => Math.min(least, y), Number.POSITIVE_INFINITY);
  const crestBottom = crest.reduce((most, y) => Math.max(most, y), 0);
  const nearest = plan.depth > 0.89;
  const land = landColour(palette, plan.depth);
  const base = nearest ? mix(land, BLACK, 0.22) : land;
  const foot = Math.min(horizon - unit * Math.min(plan.base, 0), crestTop + unit * 0.5);
  const plain = plan.profile === "towers" || (plan.profile === "hills" && nearest);
  const ridge: Ridge = {
    crest,
    slope,
    hidden: new Float32Array(setting.width).fill(setting.height),
    crestTop,
    crestBottom,
    upper: base,
    lower: nearest
      ? mix(base, BLACK, 0.35)
      : mix(base, palette.sky.at(-1) ?? base, 0.5 * (1 - plan.depth) ** 0.8),
    lowerAt: Math.max(foot, crestTop + unit * 0.12),
    relief: plain ? null : createRelief(plan, slope, base, { crestTop, crestBottom }, setting),
    windows,
  };
  return { behind: [], ridge, depth: plan.depth };
}

/** The colour of the air far away, of the land near by. */
function landColour({ sky, far, near }: Palette, depth: number): Colour {
  const middle = mix(far, near, 0.3);
  if (depth < 0.3) return mix(mix(sky.at(-1) ?? far, far, 0.72), middle, depth / 0.3);
  return mix(far, near, depth);
}

function traceLand(plan: LandPlan, seed: number, { width, unit, horizon, detail }: LandSetting): Crest {
  const heightAt = (x: number) => profileAt(plan, (x - width / 2) / unit, width / unit, detail.octaves, seed);
  const crest = Float32Array.from(
    { length: width },
    (_, x) => horizon - unit * (plan.base + plan.rise * heightAt(x)),
  );
  return { crest, windows: null };
}

/** The height of the crest from 0 to about 1 at `x` units from the middle of a picture `span` units wide. */
function profileAt(
  { profile, scale }: LandPlan,
  x: number,
  span: number,
  octaves: number,
  seed: number,
): number {
  const along = x * scale + 40;
  switch (profile) {
    case "peaks":
      return peaksAt(along * 2.3, octaves, seed);
    case "hills":
      return (
        fractalLine(along * 1.3, Math.min(octaves, 3), seed) +
        0.03 * fractalLine(along * 22, octaves - 3, seed + 50)
      );
    case "dunes": {
      const place = along * 1.5 + 0.5 * noiseLine(along * 1.4, seed + 70);
      const share = place - Math.floor(place);
      const height = 0.45 + 0.55 * lattice(Math.floor(place), 1, seed);
      const wave =
        share < 0.68
          ? 0.5 - 0.5 * Math.cos((share / 0.68) * Math.PI)
          : 0.5 + 0.5 * Math.cos(((share - 0.68) / 0.32) * Math.PI);
      return height * wave * 0.7 + 0.5 * noiseLine(along * 0.7, seed + 71);
    }
    case "mesas": {
      const rough = noiseLine(along * 2.1, seed);
      const table = smooth(0.5, 0.56, rough) * (0.55 + 0.45 * lattice(Math.floor(along * 1.05), 3, seed));
      const step = smooth(0.42, 0.47, rough) * 0.25;
      return (
        Math.max(table, step) +
        0.12 * fractalLine(along * 3, octaves, seed + 9) +
        0.02 * fractalLine(along * 40, 3, seed + 12)
      );
    }
    case "headland": {
      const side = lattice(7, 7, seed) < 0.5 ? -1 : 1;
      const inland = smooth(-0.1, 0.5, (x * side) / span + 0.16 * (noiseLine(along, seed + 4) - 0.5));
      return (
        inland * (0.55 + 0.6 * fractalLine(along * 3.2, octaves, seed)) +
        0.04 * inland * fractalLine(along * 30, 4, seed + 3)
      );
    }
    case "shore": {
      const side = lattice(7, 7, seed) < 0.5 ? -1 : 1;
      const rise = smooth(-0.1, 0.22, (x * side) / span + 0.1 * (noiseLine(along * 2, seed + 4) - 0.5));
      return (
        rise * (0.95 + 0.12 * fractalLine(along * 2.4, 4, seed)) +
        0.09 * fractalLine(along * 4, octaves, seed + 5)
      );
    }
    case "towers":
      return 0;
  }
}

/** Summits at uneven distances, each with its own height and steepness, roughened at every scale. */
function peaksAt(x: number, octaves: number, seed: number): number {
  const bent = x + 0.22 * (fractalLine(x * 2.6, 4, seed + 80) - 0.5);
  const cell = Math.floor(bent);
  let most = 0;
  for (let near = cell - 2; near <= cell + 2; near++) {
    const summit = near + 0.15 + 0.7 * lattice(near, 1, seed);
    const height = 0.3 + 0.7 * lattice(near, 2, seed) ** 1.3;
    const steepness = (bent < summit ? 0.5 : 0.58) + 0.3 * lattice(near, bent < summit ? 3 : 4, seed);
    most = Math.max(most, height - Math.abs(bent - summit) * steepness);
  }
  const rough = fractalLine(x * 5, octaves, seed + 81) - 0.5;
  return most + rough * 0.16 + 0.08;
}

function traceTowers(plan: LandPlan, seed: number, setting: LandSetting): Crest {
  const { width, unit, horizon, time, detail } = setting;
  const random = createRandom(seed, "towers");
  const crest = new Float32Array(width).fill(horizon - unit * plan.base);
  const left = new Float32Array(width);
  const building = new Int32Array(width).fill(-1);
  const centre = width * random.between(0.3, 0.7);
  let x = -unit * random.between(0, 0.05);
  for (let index = 0; x < width; index++) {
    const wide = unit * random.between(0.026, 0.075) * plan.scale;
    const crowd = 0.3 + 0.7 * Math.exp(-(((x - centre) / (unit * 0.42)) ** 2));
    const tall = unit * plan.rise * crowd * (0.22 + 0.78 * random.between(0, 1) ** 1.7);
    const crown = random.pick(["flat", "flat", "step", "spire", "slant"] as const);
    const slant = random.between(-0.5, 0.5);
    for (let column = Math.max(0, Math.round(x)); column < Math.min(width, Math.round(x + wide)); column++) {
      const across = (column - x) / wide;
      crest[column] = horizon - unit * plan.base - tall - crownAt(crown, across, slant, unit);
      left[column] = x;
      building[column] = index;
    }
    x += wide * (random.chance(0.25) ? random.between(1.05, 1.5) : 1);
  }
  const dark = time === "night" ? 0.42 : time === "dusk" ? 0.34 : time === "mist" ? 0.16 : 0.08;
  const windows: Windows = {
    left,
    building,
    pitch: Math.max(3, (unit / 1024) * (5.5 + 4 * plan.depth) * plan.scale),
    share: dark * Math.min(1, 0.6 + detail.amount * 0.4),
    colour: mix(hex("#ffcf7d"), setting.palette.light, 0.3),
  };
  return { crest, windows };
}

function crownAt(crown: string, across: number, slant: number, unit: number): number {
  const middle = Math.abs(across - 0.5);
  if (crown === "step") return middle < 0.28 ? unit * 0.018 : 0;
  if (crown === "spire") return middle < 0.045 ? unit * 0.055 : middle < 0.2 ? unit * 0.016 : 0;
  return crown === "slant" ? unit * 0.03 * (across - 0.5) * slant * 2 : 0;
}

function createRelief(
  plan: LandPlan,
  slope: Float32Array,
  base: Colour,
  crest: { crestTop: number; crestBottom: number },
  setting: LandSetting,
): Relief {
  const { unit, palette, light, width, wishes, time, seed } = setting;
  const side = light.x < width / 2 ? -1 : 1;
  const facing = (radius: number, gain: number) =>
    blur(slope, Math.max(1, Math.round(unit * radius))).map((value) =>
      Math.max(-1, Math.min(1, value * side * gain)),
    );
  const gain = plan.profile === "dunes" ? 5 : plan.profile === "hills" ? 1.6 : 1.7;
  const fine =
    plan.profile === "peaks"
      ? 0.004
      : plan.profile === "hills"
        ? 0.03
        : plan.profile === "shore"
          ? 0.06
          : 0.012;
  const snowy =
    plan.profile === "peaks" && (wishes.features.has("snow") || createRandom(seed, "snow").chance(0.62));
  const bright = mix(hex("#ffffff"), palette.glow, 0.35);
  const veil = (colour: Colour) =>
    mix(colour, base, 0.22 + 0.4 * (1 - plan.depth) ** 2 + (time === "night" ? 0.3 : 0));
  return {
    fine: facing(fine, gain),
    coarse: facing(fine * 6, gain * 1.5),
    lit: mix(base, palette.glow, 0.5),
    shaded: mix(base, mix(palette.near, palette.cloudShade, 0.4), 0.5),
    strength:
      plan.profile === "hills" || plan.profile === "headland" || plan.profile === "shore" ? 0.45 : 0.9,
    lean: plan.profile === "dunes" ? -side * 1.1 : 0,
    wander: plan.profile === "peaks" ? 0.95 : plan.profile === "dunes" ? 0.12 : 0.5,
    snow: snowy
      ? {
          line:
            crest.crestTop +
            (crest.crestBottom - crest.crestTop) * (wishes.features.has("snow") ? 0.72 : 0.42),
          lit: veil(bright),
          shaded: veil(mix(palette.cloudShade, hex("#b9cbe6"), 0.4)),
        }
      : null,
  };
}

/** The mean over `radius` columns to both sides. */
function blur(values: Float32Array, radius: number): Float32Array {
  const sums = new Float64Array(values.length + 1);
  for (let index = 0; index < values.length; index++)
    sums[index + 1] = (sums[index] ?? 0) + (values[index] ?? 0);
  return values.map((_, index) => {
    const from = Math.max(0, index - radius);
    const to = Math.min(values.length, index + radius + 1);
    return ((sums[to] ?? 0) - (sums[from] ?? 0)) / (to - from);
  });
}

function smooth(low: number, high: number, value: number): number {
  const t = Math.min(1, Math.max(0, (value - low) / (high - low)));
  return t * t * (3 - 2 * t);
}
