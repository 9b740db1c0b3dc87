import { type Colour, gradient, hex, mix, turnHue } from "./colour.ts";
import { createLand } from "./land.ts";
import { PALETTES, type Palette, type Time } from "./palettes.ts";
import { createRandom, labelSeed, noiseLine, type Random } from "./random.ts";
import type { Clouds, Curtain, Detail, Light, Scene, Star } from "./scene.ts";
import { placeThings } from "./things.ts";
import { type Place, readWishes, type Wishes } from "./words.ts";

type Quality = "low" | "medium" | "high";

export type SceneRequest = {
  width: number;
  height: number;
  prompt: string;
  quality: Quality;
  /** Derived from prompt, references and index. Size and quality are left out, so that they keep the composition. */
  seed: number;
};

const DETAILS: Record<Quality, Detail> = {
  low: { octaves: 5, cloudOctaves: 3, amount: 0.5, extraLayers: 0 },
  medium: { octaves: 7, cloudOctaves: 5, amount: 1, extraLayers: 1 },
  high: { octaves: 9, cloudOctaves: 6, amount: 1.7, extraLayers: 2 },
};

const PLACES: readonly [Place, ...Place[]] = [
  "mountains",
  "mountains",
  "sea",
  "sea",
  "forest",
  "desert",
  "city",
  "hills",
];
const TIMES: readonly [Time, ...Time[]] = ["dawn", "dusk", "dusk", "golden", "night", "day", "mist"];

/** Composes the scene of a request. The same request always gives the same scene. */
export function composeScene(request: SceneRequest): Scene {
  const { width, height, seed } = request;
  const wishes = readWishes(request.prompt);
  const random = createRandom(seed, "composition");
  const place = wishes.place ?? random.pick(PLACES);
  const time = wishes.time ?? random.pick(TIMES);
  const palette = choosePalette(createRandom(seed, "palette"), time, place, wishes);
  const detail = DETAILS[request.quality];
  const unit = Math.min(Math.sqrt(width * height), height * 1.35);
  const horizon = Math.round(height * (HORIZONS[place] + random.between(-0.03, 0.03)));
  const hasWater = place === "sea" || wishes.features.has("water") || random.chance(WATER_CHANCES[place]);
  const light = placeLight(createRandom(seed, "light"), { width, horizon, unit, time, palette });
  const scene: Scene = {
    width,
    height,
    seed,
    unit,
    horizon,
    sky: gradient(palette.sky, horizon),
    light,
    stars: scatterStars(createRandom(seed, "stars"), { width, horizon, unit, time, amount: detail.amount }),
    clouds: chooseClouds(createRandom(seed, "clouds"), palette, time, wishes, detail),
    curtains: hangCurtains(createRandom(seed, "aurora"), { width, horizon, unit, time, wishes, seed }),
    ...createLand({
      width,
      height,
      unit,
      horizon,
      seed,
      place,
      time,
      palette,
      detail,
      wishes,
      hasWater,
      light,
    }),
    water: hasWater ? fillWater(random, palette, place, time) : null,
    lamps: [],
    beam: null,
  };
  placeThings(scene, { place, time, palette, detail, wishes });
  return scene;
}

/** The part of the height above the horizon. */
const HORIZONS: Record<Place, number> = {
  mountains: 0.62,
  sea: 0.6,
  forest: 0.52,
  desert: 0.56,
  city: 0.66,
  hills: 0.55,
};
const WATER_CHANCES: Record<Place, number> = {
  mountains: 0.6,
  sea: 1,
  forest: 0.15,
  desert: 0,
  city: 0.7,
  hills: 0.15,
};

function choosePalette(random: Random, time: Time, place: Place, wishes: Wishes): Palette {
  const chosen = random.pick(PALETTES[time]);
  const drift = random.between(-0.16, 0.16);
  const tint = (colour: Colour) => {
    const turned = turnHue(colour, drift, 1.04);
    return wishes.hue === null ? turned : mix(turned, toHue(turned, wishes.hue), 0.4);
  };
  const ground = mix(
    chosen.near,
    nearGround(time, place, wishes),
    time === "night" || time === "dusk" ? 0.2 : 0.62,
  );
  return {
    sky: [tint(chosen.sky[0]), ...chosen.sky.slice(1).map(tint)],
    light: chosen.light,
    glow: tint(chosen.glow),
    far: tint(place === "desert" ? mix(chosen.far, hex("#d98c5f"), 0.35) : chosen.far),
    near: tint(ground),
    cloudLit: tint(chosen.cloudLit),
    cloudShade: tint(chosen.cloudShade),
  };
}

function nearGround(time: Time, place: Place, wishes: Wishes): Colour {
  if (wishes.features.has("snow")) return mix(hex("#dfeaf6"), hex("#233450"), time === "day" ? 0.25 : 0.6);
  if (place === "desert") return hex(time === "mist" ? "#7a5240" : "#8e3d22");
  if (wishes.features.has("autumn")) return hex("#6d2f16");
  if (time === "day" && (place === "hills" || place === "forest")) return hex("#2c6a35");
  if (place === "city") return hex("#141d33");
  return hex(time === "golden" ? "#3b2d14" : "#143a2b");
}

/** The colour at the same lightness in a named hue. */
function toHue(colour: Colour, hue: number): Colour {
  const red = turnHue(hex("#c65a5a"), hue - 0.37, 1);
  const [r, g, b] = colour;
  const lightness = (0.3 * r + 0.59 * g + 0.11 * b) / 255;
  return lightness < 0.5
    ? mix(hex("#000000"), red, lightness * 2)
    : mix(red, hex("#ffffff"), lightness * 2 - 1);
}

type LightSetting = { width: number; horizon: number; unit: number; time: Time; palette: Palette };

function placeLight(random: Random, { width, horizon, unit, time, palette }: LightSetting): Light {
  const night = time === "night";
  const low = time === "dusk" || time === "dawn" || time === "golden";
  const side = random.chance(0.5) ? 1 : -1;
  const x = width * (0.5 + side * random.between(0.08, 0.27));
  const y = low ? horizon - unit * random.between(0.07, 0.17) : horizon * random.between(0.2, 0.42);
  return {
    x,
    y,
    radius: unit * (low ? random.between(0.04, 0.062) : night ? random.between(0.032, 0.05) : 0.03),
    disc: palette.light,
    glow: palette.glow,
    strength: night ? 0.5 : time === "mist" ? 0.6 : 0.85,
    reach: unit * (low ? 0.62 : night ? 0.45 : 0.5),
    moon: night,
    bite: night && random.chance(0.4) ? random.between(0.45, 0.7) * side : 0,
  };
}

type StarSetting = { width: number; horizon: number; unit: number; time: Time; amount: number };

function scatterStars(random: Random, { width, horizon, unit, time, amount }: StarSetting): Star[] {
  const density = time === "night" ? 900 : time === "dusk" ? 220 : 0;
  const count = Math.round((density * amount * width * horizon) / (unit * unit));
  const tilt = random.between(-0.9, 0.9);
  const middle = random.between(0.3, 0.7) * width;
  return Array.from({ length: count }, () => {
    const inBand = time === "night" && random.chance(0.45);
    const y = horizon * random.between(0, 1) ** (time === "dusk" ? 2 : 1.25);
    const spread = random.between(-1, 1) * random.between(0, 1) * unit * 0.26;
    const x = inBand ? middle + tilt * (y - horizon / 2) + spread : random.between(0, width);
    const size = random.between(0, 1) ** 9;
    const fade = Math.min(1, (1.02 - y / horizon) * 2.2) * (time === "dusk" ? 0.55 : 1);
    return {
      x,
      y,
      radius: Math.max(0.62, (unit / 1024) * (inBand ? 0.62 : 0.75 + 1.5 * size)),
      strength: fade * (inBand ? random.between(0.12, 0.55) : random.between(0.25, 0.8) + size),
    };
  });
}

function chooseClouds(
  random: Random,
  palette: Palette,
  time: Time,
  wishes: Wishes,
  detail: Detail,
): Clouds | null {
  const cover = wishes.features.has("storm") ? 0.36 : random.between(0.47, 0.6);
  if (wishes.features.has("aurora") || (time === "night" && random.chance(0.55))) return null;
  return {
    lit: palette.cloudLit,
    shade: palette.cloudShade,
    cover,
    opacity: time === "night" ? 0.5 : random.between(0.72, 0.95),
    scale: random.between(1.3, 2),
    stretch: random.between(2.2, 3.6),
    octaves: detail.cloudOctaves,
  };
}

type CurtainSetting = {
  width: number;
  horizon: number;
  unit: number;
  time: Time;
  wishes: Wishes;
  seed: number;
};

function hangCurtains(random: Random, setting: CurtainSetting): Curtain[] {
  const { width, horizon, unit, time, wishes, seed } = setting;
  if (!wishes.features.has("aurora") && !(time === "night" && random.chance(0.18))) return [];
  const greens = ["#4dffb0", "#5affd0", "#8dffa0"] as const;
  return Array.from({ length: 3 }, (_, index) => {
    const folds = labelSeed(seed, `folds ${index}`);
    const level = horizon * random.between(0.5, 0.86);
    const column = (from: (x: number) => number) =>
      Float32Array.from({ length: width }, (__, x) => from(x / unit));
    return {
      edge: column(
        (x) => level - unit * 0.3 * noiseLine(x * 1.7, folds) - unit * 0.05 * noiseLine(x * 7, folds + 1),
      ),
      rise: column((x) => unit * (0.16 + 0.4 * noiseLine(x * 2.6, folds + 2))),
      strength: column((x) => {
        const veil = noiseLine(x * 1.4, folds + 3) ** 0.9;
        const rays = 0.45 + 0.35 * noiseLine(x * 24, folds + 4) + 0.2 * noiseLine(x * 70, folds + 5);
        return 1.35 * veil * rays;
      }),
      low: hex(random.pick(greens)),
      high: hex(random.pick(["#7a4dff", "#b04dd8", "#3f7bff"])),
    };
  });
}

function fillWater(random: Random, palette: Palette, place: Place, time: Time): Scene["water"] {
  const middle = palette.sky[Math.floor(palette.sky.length / 3)] ?? palette.near;
  return {
    colour: mix(middle, palette.near, time === "day" ? 0.22 : 0.45),
    glitter: mix(palette.glow, palette.light, 0.6),
    roughness: place === "sea" ? random.between(0.8, 1.15) : random.between(0.35, 0.6),
    strength: time === "mist" ? 0.35 : time === "day" ? 0.4 : 0.9,
  };
}
