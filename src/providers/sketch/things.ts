import { type Colour, hex, mix } from "./colour.ts";
import type { Palette, Time } from "./palettes.ts";
import { createRandom, noiseLine, type Random } from "./random.ts";
import type { Detail, Layer, Scene } from "./scene.ts";
import {
  balloon,
  bird,
  blade,
  broadleaf,
  cabin,
  conifer,
  lighthouse,
  mirror,
  saguaro,
  sailboat,
} from "./shapes.ts";
import type { Feature, Place, Wishes } from "./words.ts";

type Setting = { place: Place; time: Time; palette: Palette; detail: Detail; wishes: Wishes };

/** Puts trees, buildings, boats and birds into a scene that has its land. */
export function placeThings(scene: Scene, setting: Setting): void {
  const { place, wishes } = setting;
  const random = (label: string) => createRandom(scene.seed, label);
  const wanted = (feature: Feature, chance: number) =>
    wishes.features.has(feature) || random(`has ${feature}`).chance(chance);
  // Trees first and grass last, so that what people built stands between them.
  plant(scene, setting);
  if (place === "sea" && wanted("lighthouse", 0.55)) raiseLighthouse(random("lighthouse"), scene, setting);
  else if (wanted("cabin", place === "mountains" || place === "hills" ? 0.35 : 0))
    buildCabin(random("cabin"), scene, setting);
  if (scene.water && wanted("boat", place === "sea" ? 0.7 : 0)) launchBoat(random("boat"), scene, setting);
  if (wanted("balloon", place === "desert" ? 0.4 : place === "hills" ? 0.3 : 0))
    floatBalloons(random("balloons"), scene, setting);
  if (setting.time !== "night" && wanted("birds", 0.5)) releaseBirds(random("birds"), scene, setting);
  coverWithGrass(scene, setting);
}

function plant(scene: Scene, setting: Setting): void {
  const { place, detail } = setting;
  const layers = [...scene.backdrop, ...scene.foreground];
  layers.forEach((layer, index) => {
    const random = createRandom(scene.seed, `plants ${index}`);
    const near = layer === layers[layers.length - 1];
    if (place === "forest" && layer.depth > 0.15) growForest(random, scene, layer, 0.9, detail, near);
    if (place === "mountains" && layer.depth > 0.6)
      growForest(random, scene, layer, near ? 0.7 : 0.8, detail, near);
    if (place === "hills" && layer.depth > 0.3) growGrove(random, scene, layer, detail);
    if (place === "desert" && near) growCacti(random, scene, layer);
  });
}

function coverWithGrass(scene: Scene, { place, detail }: Setting): void {
  const layer = scene.foreground.at(-1);
  if (!layer || place === "desert" || place === "city" || place === "forest") return;
  growGrass(createRandom(scene.seed, "grass"), scene, layer, detail);
}

function growForest(
  random: Random,
  scene: Scene,
  layer: Layer,
  cover: number,
  detail: Detail,
  near: boolean,
): void {
  const { unit, width, seed } = scene;
  const size = unit * (near ? 0.17 : 0.022 + 0.075 * layer.depth ** 2);
  const step = (size * (near ? 0.26 : 0.3)) / (0.6 + 0.4 * detail.amount);
  const clump = seed + Math.round(layer.depth * 1000);
  for (let x = -size; x < width + size; x += step * random.between(0.5, 1.5)) {
    const grove = noiseLine((x / unit) * (near ? 2.4 : 4), clump);
    const height = size * random.between(0.45, 1.15) * (0.55 + 0.6 * grove);
    const openness = near ? Math.abs(x / width - 0.5) * 1.1 : 0.5;
    if (grove + openness < 1.32 - cover) continue;
    const upper = mix(layer.ridge.upper, hex("#000000"), random.between(0, 0.1));
    layer.behind.push(
      conifer(
        random,
        { x, y: crestAt(layer, x) + height * 0.07, height },
        { upper, lower: mix(upper, layer.ridge.lower, 0.35) },
      ),
    );
  }
}

function growGrove(random: Random, scene: Scene, layer: Layer, detail: Detail): void {
  const { unit, width } = scene;
  const size = unit * (0.02 + 0.1 * layer.depth ** 2);
  for (let x = 0; x < width; x += (size * random.between(0.25, 2.6)) / (0.5 + 0.5 * detail.amount)) {
    if (noiseLine((x / unit) * 3.5, scene.seed + Math.round(layer.depth * 900)) < 0.47) continue;
    const height = size * random.between(0.6, 1.1);
    const stand = { x, y: crestAt(layer, x) + height * 0.06, height };
    const tint = {
      upper: mix(layer.ridge.upper, hex("#0a1410"), 0.25),
      lower: mix(layer.ridge.upper, hex("#000000"), 0.4),
    };
    if (random.chance(0.7)) layer.behind.push(...broadleaf(random, stand, tint));
    else layer.behind.push(conifer(random, { ...stand, height: height * 1.25 }, tint));
  }
}

function growCacti(random: Random, scene: Scene, layer: Layer): void {
  const { unit, width } = scene;
  const upper = mix(layer.ridge.upper, hex("#04100c"), 0.72);
  for (let x = width * random.between(0.04, 0.16); x < width; x += unit * random.between(0.16, 0.5)) {
    const height = unit * random.between(0.07, 0.22);
    layer.behind.push(...saguaro(random, { x, y: crestAt(layer, x) + height * 0.05, height }, { upper }));
  }
}

function growGrass(random: Random, scene: Scene, layer: Layer, detail: Detail): void {
  const { unit, width } = scene;
  const lean = random.between(-0.5, 0.5);
  const step = (unit * 0.0042) / detail.amount;
  for (let x = 0; x < width; x += step * random.between(0.4, 1.6)) {
    const tuft = noiseLine((x / unit) * 16, scene.seed + 77);
    const height = unit * (0.008 + 0.034 * tuft ** 2) * random.between(0.6, 1.3);
    layer.behind.push(blade(random, { x, y: crestAt(layer, x), height }, lean, { upper: layer.ridge.upper }));
  }
}

function raiseLighthouse(random: Random, scene: Scene, { time, palette }: Setting): void {
  const { unit, width, light } = scene;
  const layer = scene.foreground[0];
  if (!layer) return;
  const onLeft = crestAt(layer, width * 0.12) < crestAt(layer, width * 0.88);
  const x = width * (onLeft ? random.between(0.2, 0.26) : random.between(0.74, 0.8));
  const height = Math.min(unit * random.between(0.5, 0.6), (crestAt(layer, x) - scene.height * 0.06) * 0.94);
  const y = crestAt(layer, x) + unit * 0.012;
  const lateness = time === "night" ? 0.72 : time === "dusk" ? 0.46 : time === "mist" ? 0.3 : 0.12;
  const shadow = mix(palette.near, palette.cloudShade, 0.5);
  const dim = (colour: Colour, extra = 0) => mix(colour, shadow, Math.min(0.9, lateness + extra));
  const lamp = time === "day" ? hex("#d6eef5") : hex("#fff0bd");
  const dark = mix(palette.near, hex("#05060c"), 0.55);
  const towers = lighthouse(
    { x, y, height },
    {
      white: dim(mix(hex("#fffaf2"), palette.glow, 0.15)),
      whiteShade: dim(hex("#e9e2e0"), 0.14),
      band: dim(hex("#c8232f")),
      dark,
      lamp,
    },
  );
  const houseSide = x < light.x ? -1 : 1;
  const house = cabin(
    {
      x: x + houseSide * height * 0.27,
      y: crestAt(layer, x + houseSide * height * 0.27) + height * 0.02,
      height: height * 0.17,
    },
    { wall: dim(hex("#efe6df"), 0.1), roof: dark, lamp: hex("#ffd489") },
  );
  layer.behind.push(...house, ...towers);
  if (time === "day") return;
  const lampY = y - height * 0.86;
  scene.lamps.push({
    x,
    y: lampY,
    reach: unit * 0.2,
    colour: hex("#ffe6a3"),
    strength: time === "golden" ? 0.4 : 0.85,
  });
  if (time !== "golden" && time !== "dawn")
    scene.beam = {
      x,
      y: lampY,
      angle: (onLeft ? 0 : Math.PI) + random.between(-0.1, 0.02) * (onLeft ? 1 : -1),
      colour: hex("#ffedbb"),
    };
}

function buildCabin(random: Random, scene: Scene, { time, palette }: Setting): void {
  const { unit, width } = scene;
  const layer = scene.foreground[0];
  if (!layer) return;
  const onLeft = crestAt(layer, width * 0.15) < crestAt(layer, width * 0.85);
  const x = width * (onLeft ? random.between(0.2, 0.32) : random.between(0.68, 0.8));
  const height = unit * random.between(0.075, 0.1);
  const feet = [-0.6, 0, 0.6].map((share) => crestAt(layer, x + share * height));
  const y = Math.max(...feet);
  const lit = time === "night" || time === "dusk" || time === "mist";
  const lamp = lit ? hex("#ffcf7a") : mix(palette.near, palette.sky[0], 0.4);
  layer.behind.push(
    ...cabin(
      { x, y, height },
      {
        wall: mix(palette.near, hex("#5b3a26"), lit ? 0.25 : 0.6),
        roof: mix(palette.near, hex("#0d0a10"), 0.6),
        lamp,
      },
    ),
  );
  if (lit)
    scene.lamps.push({
      x: x - 0.24 * height,
      y: y - 0.27 * height,
      reach: unit * 0.1,
      colour: hex("#ffb75e"),
      strength: 0.55,
    });
}

function launchBoat(random: Random, scene: Scene, { time, palette }: Setting): void {
  const { unit, width, horizon, light } = scene;
  const x = light.x + (light.x < width / 2 ? 1 : -1) * width * random.between(0.08, 0.3);
  const y = horizon + unit * random.between(0.035, 0.075);
  const late = time === "night" ? 0.66 : time === "dusk" ? 0.35 : 0.08;
  const dim = (colour: Colour) => mix(colour, palette.near, late);
  const boat = sailboat(
    { x, y, height: unit * random.between(0.1, 0.14) },
    {
      hull: mix(palette.near, hex("#1a0e12"), 0.4),
      sail: dim(mix(hex("#fff8ea"), palette.glow, 0.35)),
      sailShade: dim(mix(hex("#d9cfd0"), palette.cloudShade, 0.35)),
    },
  );
  const shown = [...boat.map((part) => mirror(part, y, 0.38)), ...boat];
  scene.foreground[0]?.behind.unshift(...shown);
}

function floatBalloons(random: Random, scene: Scene, { time, palette, detail }: Setting): void {
  const { unit, width, horizon } = scene;
  const late = time === "night" ? 0.6 : time === "dusk" ? 0.3 : 0.08;
  const paints = [
    "#d8432f #f4b942 #f7ead0",
    "#2f6f9f #f0e3c0 #e0653a",
    "#8a2f5f #f2a65a #fbe3c0",
    "#1f7a6d #f5d06a #f7efdc",
  ] as const;
  const count = 3 + Math.round(detail.amount * 2);
  const balloons = Array.from({ length: count }, (_, index) => {
    const height = unit * (index === 0 ? random.between(0.2, 0.25) : random.between(0.035, 0.11));
    const x = width * ((index + random.between(0.15, 0.85)) / count);
    const ground = Math.min(...scene.backdrop.map((layer) => crestAt(layer, x)));
    const y = Math.min(horizon * random.between(0.16, 0.82) + height * 0.4, ground - unit * 0.03);
    const far = 1 - height / (unit * 0.25);
    const air = palette.sky[palette.sky.length - 1] ?? palette.far;
    const [first = air, ...others] = random
      .pick(paints)
      .split(" ")
      .map((code) => mix(mix(hex(code), palette.near, late), air, far * 0.5));
    return balloon({ x, y, height }, [first, ...others], mix(palette.near, air, far * 0.4));
  });
  scene.backdrop[0]?.behind.unshift(...balloons.reverse().flat());
}

function releaseBirds(random: Random, scene: Scene, { palette, detail }: Setting): void {
  const { unit, width, horizon } = scene;
  const middleX = width * random.between(0.25, 0.75);
  const middleY = horizon * random.between(0.25, 0.55);
  const upper = mix(palette.near, palette.sky[1] ?? palette.near, 0.25);
  for (let count = Math.round(random.between(5, 9) * (0.6 + 0.5 * detail.amount)); count > 0; count--) {
    const x = middleX + unit * random.between(-0.2, 0.2);
    const y = middleY + unit * random.between(-0.09, 0.09);
    scene.backdrop[0]?.behind.push(
      bird(random, { x, y, height: unit * random.between(0.007, 0.015) }, { upper, opacity: 0.85 }),
    );
  }
}

function crestAt(layer: Layer, x: number): number {
  const { crest } = layer.ridge;
  return crest[Math.min(crest.length - 1, Math.max(0, Math.round(x)))] ?? 0;
}
