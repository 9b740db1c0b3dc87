import type { Colour } from "./colour.ts";
import type { Random } from "./random.ts";

/** A filled outline in pixels, its colour running from its top to its bottom. */
export type Shape = {
  /** x and y in turns; closed by itself. */
  points: Float32Array;
  top: number;
  bottom: number;
  upper: Colour;
  lower: Colour;
  opacity: number;
};

type Tint = { upper: Colour; lower?: Colour; opacity?: number };
/** Where a thing stands: the middle of its foot, and its height, all in pixels. */
export type Stand = { x: number; y: number; height: number };

function shape(points: readonly number[], { upper, lower = upper, opacity = 1 }: Tint): Shape {
  let top = Number.POSITIVE_INFINITY;
  let bottom = Number.NEGATIVE_INFINITY;
  for (let index = 1; index < points.length; index += 2) {
    top = Math.min(top, points[index] ?? top);
    bottom = Math.max(bottom, points[index] ?? bottom);
  }
  return { points: Float32Array.from(points), top, bottom, upper, lower, opacity };
}

/** Points given as shares of the height, from the foot up, so that a thing can be drawn at any size. */
function place(stand: Stand, points: readonly number[]): number[] {
  return points.map((value, index) =>
    index % 2 === 0 ? stand.x + value * stand.height : stand.y - value * stand.height,
  );
}

/** The same thing upside down below its foot, as still water shows it. */
export function mirror(original: Shape, y: number, opacity: number): Shape {
  const points = Array.from(original.points, (value, index) => (index % 2 === 0 ? value : 2 * y - value));
  return shape(points, { upper: original.lower, lower: original.upper, opacity: original.opacity * opacity });
}

/** A fir: tiers of drooping boughs, never quite alike. */
export function conifer(random: Random, stand: Stand, tint: Tint): Shape {
  const tiers = 7;
  const spread = random.between(0.15, 0.21);
  const right: number[] = [0, 1];
  const left: number[] = [];
  for (let tier = 1; tier <= tiers; tier++) {
    const down = tier / tiers;
    const low = 1 - down * 0.92;
    right.push(spread * down ** 0.9 * random.between(0.8, 1.15), low - 0.02);
    right.push(spread * down * 0.42, low + 0.02);
    left.unshift(-spread * down ** 0.9 * random.between(0.8, 1.15), low - 0.02);
    left.unshift(-spread * down * 0.42, low + 0.02);
  }
  return shape(place(stand, [...right, 0.02, 0.05, 0.02, -0.1, -0.02, -0.1, -0.02, 0.05, ...left]), tint);
}

/** A broad-leaved tree: a trunk under a lumpy crown. */
export function broadleaf(random: Random, stand: Stand, tint: Tint): Shape[] {
  const points: number[] = [];
  const count = 72;
  const phase = random.between(0, 6);
  for (let index = 0; index < count; index++) {
    const angle = (index / count) * 2 * Math.PI;
    const reach = 0.26 + 0.075 * Math.abs(Math.sin(angle * 4.5 + phase)) + random.between(0, 0.022);
    points.push(reach * Math.cos(angle), 0.64 + reach * Math.sin(angle));
  }
  const trunk = [-0.03, -0.1, 0.03, -0.1, 0.018, 0.5, -0.018, 0.5];
  return [shape(place(stand, trunk), tint), shape(place(stand, points), tint)];
}

export function saguaro(random: Random, stand: Stand, tint: Tint): Shape[] {
  const arm = (side: number, foot: number, tip: number) =>
    roundedStroke([0, foot, side * 0.2, foot + 0.03, side * 0.22, foot + 0.12, side * 0.22, tip], 0.052);
  const strokes = [
    roundedStroke([0, -0.1, 0, 0.95], 0.075),
    arm(-1, random.between(0.3, 0.42), random.between(0.62, 0.78)),
    arm(1, random.between(0.38, 0.52), random.between(0.72, 0.9)),
  ];
  return strokes.map((points) => shape(place(stand, points), tint));
}

export type LighthouseColours = {
  white: Colour;
  whiteShade: Colour;
  band: Colour;
  dark: Colour;
  lamp: Colour;
};

/** A striped tower with a gallery and a lit lantern under a dome. The lamp is at 0.86 of the height. */
export function lighthouse(stand: Stand, colours: LighthouseColours): Shape[] {
  const half = (height: number) => 0.092 - 0.044 * (height / 0.78);
  const part = (low: number, high: number) =>
    place(stand, [-half(low), low, half(low), low, half(high), high, -half(high), high]);
  const shade = (low: number, high: number) =>
    place(stand, [half(low) * 0.1, low, half(low), low, half(high), high, half(high) * 0.1, high]);
  const bands = [0.16, 0.4, 0.62].map((low) => shape(part(low, low + 0.11), { upper: colours.band }));
  const box = (left: number, right: number, low: number, high: number, upper: Colour) =>
    shape(place(stand, [left, low, right, low, right, high, left, high]), { upper });
  return [
    shape(part(-0.12, 0.78), { upper: colours.white, lower: colours.whiteShade }),
    ...bands,
    shape(shade(-0.12, 0.78), { upper: colours.dark, opacity: 0.34 }),
    box(-0.014, 0.014, 0.3, 0.345, colours.lamp),
    box(-0.012, 0.012, 0.54, 0.58, colours.lamp),
    box(-0.075, 0.075, 0.775, 0.8, colours.dark),
    box(-0.036, 0.036, 0.8, 0.915, colours.lamp),
    ...[-0.072, -0.042, -0.002, 0.038, 0.068].map((x) => box(x, x + 0.004, 0.8, 0.842, colours.dark)),
    box(-0.072, 0.072, 0.838, 0.844, colours.dark),
    box(-0.037, -0.033, 0.8, 0.915, colours.dark),
    box(0.033, 0.037, 0.8, 0.915, colours.dark),
    shape(place(stand, arc(0, 0.915, 0.05, 0.055)), { upper: colours.dark }),
    box(-0.004, 0.004, 0.965, 1, colours.dark),
  ];
}

/** A small house with a lit window; its height is to the ridge of the roof. */
export function cabin(stand: Stand, colours: { wall: Colour; roof: Colour; lamp: Colour }): Shape[] {
  const outline = (points: readonly number[], upper: Colour) => shape(place(stand, points), { upper });
  return [
    outline([0.3, 0.55, 0.44, 0.55, 0.44, 1.12, 0.3, 1.12], colours.roof),
    outline([-0.6, -0.3, 0.6, -0.3, 0.6, 0.56, -0.6, 0.56], colours.wall),
    outline([-0.76, 0.5, 0.76, 0.5, 0.56, 1, -0.56, 1], colours.roof),
    outline([-0.36, 0.14, -0.12, 0.14, -0.12, 0.4, -0.36, 0.4], colours.lamp),
    outline([0.16, -0.3, 0.38, -0.3, 0.38, 0.4, 0.16, 0.4], colours.roof),
  ];
}

/** A boat under sail, her keel a little below the foot. */
export function sailboat(stand: Stand, colours: { hull: Colour; sail: Colour; sailShade: Colour }): Shape[] {
  const outline = (points: readonly number[], upper: Colour, lower = upper) =>
    shape(place(stand, points), { upper, lower });
  const mainsail = curve([0.03, 0.97], [0.22, 0.5], [0.34, 0.17]);
  const jib = curve([-0.02, 0.88], [-0.1, 0.45], [-0.32, 0.16]);
  return [
    outline([-0.34, 0.11, 0.38, 0.11, 0.29, -0.005, -0.24, -0.005], colours.hull),
    outline([0.0, 0.1, 0.014, 0.1, 0.014, 1, 0.0, 1], colours.hull),
    outline([...mainsail, 0.03, 0.17], colours.sail, colours.sailShade),
    outline([...jib, -0.02, 0.2], colours.sailShade),
  ];
}

/** A hot-air balloon; the foot is the bottom of its basket. */
export function balloon(stand: Stand, stripes: readonly [Colour, ...Colour[]], basket: Colour): Shape[] {
  const half = (height: number) =>
    height > 0.62
      ? 0.36 * Math.sqrt(Math.max(0, 1 - ((height - 0.62) / 0.38) ** 2))
      : 0.05 + 0.31 * Math.sin(((height - 0.2) / 0.42) * (Math.PI / 2)) ** 1.1;
  const gores = 8;
  const gore = (index: number) => {
    const side = (share: number) => Math.sin((share - 0.5) * Math.PI);
    const points: number[] = [];
    const heights = Array.from({ length: 25 }, (_, step) => 0.2 + (step / 24) * 0.8);
    for (const height of heights) points.push(half(height) * side(index / gores), height);
    for (const height of heights.reverse()) points.push(half(height) * side((index + 1) / gores), height);
    return shape(place(stand, points), { upper: stripes[index % stripes.length] ?? stripes[0] });
  };
  const box = (points: readonly number[]) => shape(place(stand, points), { upper: basket });
  return [
    ...Array.from({ length: gores }, (_, index) => gore(index)),
    box([-0.055, 0, 0.055, 0, 0.06, 0.09, -0.06, 0.09]),
    box([-0.052, 0.09, -0.046, 0.09, -0.046, 0.21, -0.052, 0.21]),
    box([0.046, 0.09, 0.052, 0.09, 0.052, 0.21, 0.046, 0.21]),
  ];
}

/** A far bird: two bent wings. */
export function bird(random: Random, stand: Stand, tint: Tint): Shape {
  const lift = random.between(0.25, 0.6);
  const wing = [0, 0.02, 0.45, lift, 1, lift * 0.55, 0.45, lift - 0.13, 0.05, -0.14];
  const other = [-0.05, -0.14, -0.45, lift * 0.9 - 0.13, -1, lift * 0.45, -0.45, lift * 0.9];
  return shape(place(stand, [...wing, ...other]), tint);
}

/** A blade of grass, bent by the wind. */
export function blade(random: Random, stand: Stand, lean: number, tint: Tint): Shape {
  const width = random.between(0.018, 0.035);
  const bend = lean + random.between(-0.18, 0.18);
  const points = [
    -width,
    -0.1,
    width,
    -0.1,
    width + bend * 0.35,
    0.5,
    bend,
    1,
    bend * 0.3 - width * 0.4,
    0.5,
  ];
  return shape(place(stand, points), tint);
}

function arc(x: number, y: number, width: number, height: number): number[] {
  return Array.from({ length: 17 }, (_, step) => (step / 16) * Math.PI).flatMap((angle) => [
    x + width * Math.cos(angle),
    y + height * Math.sin(angle),
  ]);
}

function curve(
  from: readonly [number, number],
  bend: readonly [number, number],
  to: readonly [number, number],
) {
  return Array.from({ length: 13 }, (_, step) => step / 12).flatMap((t) => {
    const at = (index: 0 | 1) =>
      from[index] * (1 - t) ** 2 + 2 * bend[index] * t * (1 - t) + to[index] * t ** 2;
    return [at(0), at(1)];
  });
}

/** The outline of a line through the points, `radius` wide on both sides, rounded at its end. */
function roundedStroke(path: readonly number[], radius: number): number[] {
  const right: number[] = [];
  const left: number[] = [];
  const count = path.length / 2;
  const at = (index: number): [number, number] => [path[index * 2] ?? 0, path[index * 2 + 1] ?? 0];
  for (let index = 0; index < count; index++) {
    const [x, y] = at(index);
    const [fromX, fromY] = at(Math.max(0, index - 1));
    const [toX, toY] = at(Math.min(count - 1, index + 1));
    const angle = Math.atan2(toY - fromY, toX - fromX);
    right.push(x + radius * Math.sin(angle), y - radius * Math.cos(angle));
    left.unshift(x - radius * Math.sin(angle), y + radius * Math.cos(angle));
    if (index < count - 1) continue;
    for (let step = 1; step < 8; step++) {
      const turn = angle - Math.PI / 2 + (step / 8) * Math.PI;
      right.push(x + radius * Math.cos(turn), y + radius * Math.sin(turn));
    }
  }
  return [...right, ...left];
}
