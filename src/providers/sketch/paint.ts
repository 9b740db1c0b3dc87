import type { RowPainter } from "./png.ts";
import { lattice, noisePlane } from "./random.ts";
import { between, blend, type Row, screen } from "./row.ts";
import type { Layer, Ridge, Scene, Windows } from "./scene.ts";
import type { Shape } from "./shapes.ts";
import { createSkyPainter } from "./sky.ts";

const GRAIN_EDGE = 128;
const GRAIN_STRENGTH = 1.3;
const VIGNETTE = 0.2;

/** Paints the scene row by row. It keeps a few rows and tables as long as an edge, never the whole image. */
export function createPainter(scene: Scene): RowPainter {
  const row: Row = new Float32Array(scene.width * 3);
  const paintSky = createSkyPainter(scene);
  const fill = createFiller(scene.width);
  const paintBackdrop = (y: number, out: Row, mirrored: boolean) => {
    paintSky(y, out, mirrored);
    for (const layer of scene.backdrop) paintLayer(scene, layer, y, out, fill);
  };
  const paintWater = createWaterPainter(scene, paintBackdrop);
  const finish = createFinisher(scene);
  return (y, out) => {
    if (scene.water && y >= scene.horizon) paintWater(y, row);
    else paintBackdrop(y, row, false);
    for (const layer of scene.foreground) paintLayer(scene, layer, y, row, fill);
    shineLamps(scene, y, row);
    finish(y, row, out);
  };
}

type Filler = (shape: Shape, y: number, out: Row) => void;

function paintLayer(scene: Scene, layer: Layer, y: number, out: Row, fill: Filler): void {
  for (const shape of layer.behind) fill(shape, y, out);
  if (y + 1 >= layer.ridge.crestTop) paintRidge(scene, layer.ridge, y, out);
}

function paintRidge(scene: Scene, ridge: Ridge, y: number, out: Row): void {
  const { crest, slope, hidden, relief, windows } = ridge;
  const fall = Math.min(1, Math.max(0, (y - ridge.crestTop) / (ridge.lowerAt - ridge.crestTop)));
  const [red, green, blue] = between(ridge.upper, ridge.lower, fall * fall * (3 - 2 * fall));
  for (let x = 0, at = 0; x < scene.width; x++, at += 3) {
    const depth = y + 0.5 - (crest[x] ?? 0);
    const edge = 1 / Math.max(1, Math.min(4, Math.abs(slope[x] ?? 0)));
    const cover = depth * edge + 0.5;
    if (cover <= 0 || y > (hidden[x] ?? 0)) continue;
    const share = Math.min(1, cover);
    out[at] = (out[at] ?? 0) * (1 - share) + red * share;
    out[at + 1] = (out[at + 1] ?? 0) * (1 - share) + green * share;
    out[at + 2] = (out[at + 2] ?? 0) * (1 - share) + blue * share;
  }
  if (relief) carveRelief(scene, ridge, y, out, 1 - fall);
  if (windows) lightWindows(scene, ridge, windows, y, out);
}

/** Smooth noise is sampled once per this many columns: it has no finer detail. */
function columnsPerMeasure(unit: number): number {
  return Math.max(1, Math.round(unit / 640));
}

/** Light and shade on the faces of a ridge, which wander sideways on their way down from the crest. */
function carveRelief(scene: Scene, ridge: Ridge, y: number, out: Row, clearness: number): void {
  const { relief, crest, hidden } = ridge;
  const strength = (relief?.strength ?? 0) * clearness;
  if (!relief || strength < 0.01) return;
  const { fine, coarse, lit, shaded, snow, lean, wander } = relief;
  const { unit, width, seed } = scene;
  const scale = 34 / unit;
  const coarseness = columnsPerMeasure(unit);
  let measured = -1;
  let rough = 0;
  let grit = 0;
  const last = width - 1;
  for (let x = 0, at = 0; x < width; x++, at += 3) {
    const depth = y + 0.5 - (crest[x] ?? 0);
    if (depth <= 0 || y > (hidden[x] ?? 0)) continue;
    const cell = x - (x % coarseness);
    if (cell !== measured) {
      measured = cell;
      rough = noisePlane(cell * scale, y * scale * 0.4, seed) - 0.5;
      grit = noisePlane(cell * scale * 3.1, y * scale * 1.5, seed + 5) - 0.5;
    }
    const from = Math.round(x + depth * lean + Math.min(depth, unit * 0.11) * wander * (rough + 0.45 * grit));
    const column = Math.max(0, Math.min(last, from));
    const far = Math.min(1, depth / (unit * 0.09));
    const facing = (fine[column] ?? 0) * (1 - far * 0.75) + (coarse[column] ?? 0) * (0.25 + far * 0.5);
    const snowed = snow
      ? Math.min(1, Math.max(0, (snow.line - y) / (unit * 0.03) + (rough + grit) * 2.6 + 0.7))
      : 0;
    const bare = facing > 0 ? lit : shaded;
    const bareShare = Math.min(0.8, Math.abs(facing)) * strength * (1 - snowed) * Math.min(1, depth);
    blend(out, at, bare, bareShare);
    if (!snow || snowed === 0) continue;
    const bright = Math.min(1, Math.max(0, facing * 0.9 + 0.5));
    blend(
      out,
      at,
      between(snow.shaded, snow.lit, bright),
      snowed * 0.92 * Math.min(1, depth) * clearness ** 0.5,
    );
  }
}

function lightWindows(scene: Scene, ridge: Ridge, windows: Windows, y: number, out: Row): void {
  const { left, building, pitch, share, colour } = windows;
  const { crest } = ridge;
  for (let x = 0; x < scene.width; x++) {
    const number = building[x] ?? -1;
    const depth = y - (crest[x] ?? 0) - pitch * 0.8;
    if (number < 0 || depth < 0 || y > (ridge.hidden[x] ?? 0)) continue;
    const across = (x - (left[x] ?? 0)) / pitch - 0.4;
    const storey = depth / (pitch * 1.35);
    const column = Math.floor(across);
    const row = Math.floor(storey);
    if (across - column > 0.62 || storey - row > 0.6 || column < 0) continue;
    if ((building[Math.min(scene.width - 1, Math.round(x + pitch * 0.7))] ?? -1) !== number) continue;
    const dice = lattice(column + number * 131, row, scene.seed + ridge.crest.length);
    const mood = 0.4 + 1.2 * lattice(number, 5, scene.seed);
    if (dice < share * mood) blend(out, x * 3, colour, 0.45 + 0.5 * (dice / (share * mood)));
  }
}

/** Still water shows the backdrop upside down; waves pull its rows apart, more so towards the viewer. */
function createWaterPainter(scene: Scene, paintBackdrop: (y: number, out: Row, mirrored: boolean) => void) {
  const { width, height, horizon, unit, water, light, seed } = scene;
  const near: Row = new Float32Array(width * 3);
  const other: Row = new Float32Array(width * 3);
  const depthMost = height - horizon;
  return (y: number, out: Row): void => {
    if (!water) return;
    const depth = y - horizon;
    const share = depth / depthMost;
    /** Waves look larger and farther apart the nearer they are. */
    const size = unit * (0.0035 + 0.055 * share) * (0.7 + 0.3 * water.roughness);
    const lift = size * 0.75 * water.roughness;
    const mirrored = (offset: number) =>
      Math.max(0, Math.min(horizon - 1, Math.round(horizon - 1 - depth * 0.96 + offset)));
    paintBackdrop(mirrored(-lift), near, true);
    paintBackdrop(mirrored(lift), other, true);
    const scaleX = 1 / (size * 7);
    const scaleY = 9 / (0.03 + share * 0.9);
    const waveY = Math.log(0.02 + share) * 26 + scaleY * 0.02;
    const murk = 0.16 + 0.5 * share ** 0.8;
    const coarseness = columnsPerMeasure(unit);
    let wave = 0;
    const beamWidth = unit * (0.028 + 0.16 * share);
    for (let x = 0, at = 0; x < width; x++, at += 3) {
      if (x % coarseness === 0)
        wave =
          0.62 * noisePlane(x * scaleX, waveY, seed + 31) +
          0.38 * noisePlane(x * scaleX * 2.7 + 9, waveY * 2.3, seed + 32);
      const shift = Math.round((wave - 0.5) * size * 2.2 * water.roughness);
      const column = Math.max(0, Math.min(width - 1, x + shift)) * 3;
      const side = Math.min(1, Math.max(0, (wave - 0.5) * 5 + 0.5));
      const dark = murk + (0.5 - wave) * 0.5 * water.roughness * Math.min(1, share * 6 + 0.2);
      const keep = 1 - Math.min(0.88, Math.max(0, dark));
      for (let channel = 0; channel < 3; channel++) {
        const seen = (near[column + channel] ?? 0) * side + (other[column + channel] ?? 0) * (1 - side);
        out[at + channel] = seen * keep + (water.colour[channel] ?? 0) * (1 - keep);
      }
      const off = (x - light.x) / beamWidth;
      if (off > 3 || off < -3) continue;
      const sparkle = Math.min(1, Math.max(0, (wave - 0.53 + 0.1 * Math.exp(-off * off)) * 6));
      blend(
        out,
        at,
        water.glitter,
        sparkle * Math.exp(-off * off * 0.8) * water.strength * (0.9 - 0.35 * share),
      );
    }
    for (let x = 0, at = 0; x < width && depth < 2; x++, at += 3) blend(out, at, water.glitter, 0.1);
  };
}

/** Fills outlines row by row: four lines in each row, with the exact share of each column. */
function createFiller(width: number): Filler {
  const cover = new Float32Array(width);
  const crossings = new Float64Array(64);
  return (shape, y, out) => {
    if (y + 1 <= shape.top || y >= shape.bottom) return;
    let least = width;
    let most = -1;
    for (let line = 0; line < 4; line++) {
      const count = findCrossings(shape.points, y + 0.125 + line * 0.25, crossings);
      for (let index = 0; index + 1 < count; index += 2) {
        const start = Math.max(0, crossings[index] ?? 0);
        const end = Math.min(width, crossings[index + 1] ?? 0);
        if (end <= start) continue;
        const first = Math.floor(start);
        const last = Math.min(width - 1, Math.floor(end));
        least = Math.min(least, first);
        most = Math.max(most, last);
        for (let x = first; x <= last; x++) {
          const inside = Math.min(end, x + 1) - Math.max(start, x);
          if (inside > 0) cover[x] = (cover[x] ?? 0) + inside * 0.25;
        }
      }
    }
    const colour = between(shape.upper, shape.lower, (y - shape.top) / Math.max(1, shape.bottom - shape.top));
    for (let x = least; x <= most; x++) {
      blend(out, x * 3, colour, Math.min(1, cover[x] ?? 0) * shape.opacity);
      cover[x] = 0;
    }
  };
}

/** Finds where the outline crosses a horizontal line, from left to right. Returns the number of crossings. */
function findCrossings(points: Float32Array, y: number, crossings: Float64Array): number {
  let count = 0;
  let fromX = points[points.length - 2] ?? 0;
  let fromY = points[points.length - 1] ?? 0;
  for (let index = 0; index < points.length; index += 2) {
    const toX = points[index] ?? 0;
    const toY = points[index + 1] ?? 0;
    if (fromY <= y !== toY <= y && count < crossings.length) {
      crossings[count++] = fromX + ((y - fromY) / (toY - fromY)) * (toX - fromX);
    }
    fromX = toX;
    fromY = toY;
  }
  crossings.subarray(0, count).sort();
  return count;
}

function shineLamps(scene: Scene, y: number, out: Row): void {
  if (scene.beam) shineBeam(scene, scene.beam, y, out);
  for (const { x: middle, y: level, reach, colour, strength } of scene.lamps) {
    const down = (y + 0.5 - level) / reach;
    if (Math.abs(down) >= 1) continue;
    const last = Math.min(scene.width - 1, Math.ceil(middle + reach));
    for (let x = Math.max(0, Math.floor(middle - reach)); x <= last; x++) {
      const off = (x + 0.5 - middle) / reach;
      const away = Math.sqrt(off * off + down * down);
      if (away < 1)
        screen(out, x * 3, colour, strength * ((1 - away) ** 3 * 0.5 + 0.6 * Math.max(0, 1 - away * 9) ** 2));
    }
  }
}

/** Both arms of a lighthouse's beam: strong along its axis, fading with the distance. */
function shineBeam(scene: Scene, beam: NonNullable<Scene["beam"]>, y: number, out: Row): void {
  const { unit, width } = scene;
  const down = y + 0.5 - beam.y;
  const cosine = Math.cos(beam.angle);
  const sine = Math.sin(beam.angle);
  const reach = unit * 0.9;
  for (let x = 0, at = 0; x < width; x++, at += 3) {
    const off = x + 0.5 - beam.x;
    const along = off * cosine + down * sine;
    const length = Math.abs(along);
    const half = unit * 0.004 + length * 0.075;
    const aside = (down * cosine - off * sine) / half;
    if (length > reach || aside > 1 || aside < -1) continue;
    const edge = 1 - aside * aside;
    screen(out, at, beam.colour, edge * edge * (1 - length / reach) ** 1.6 * (along > 0 ? 0.6 : 0.42));
  }
}

/** The last step: darker corners, and a fine grain, the same for all three colours, that hides the steps of 8 bits. */
function createFinisher({ width, height, seed }: Scene) {
  const grain = new Float32Array(GRAIN_EDGE * GRAIN_EDGE);
  for (let index = 0; index < grain.length; index++) {
    grain[index] = (lattice(index, 1, seed) + lattice(index, 2, seed) - 1) * GRAIN_STRENGTH;
  }
  const columns = Float32Array.from({ length: width }, (_, x) => ((x / width - 0.5) * 2) ** 4 * VIGNETTE);
  return (y: number, row: Row, out: Uint8Array): void => {
    const base = 1 - ((y / height - 0.5) * 2) ** 4 * VIGNETTE;
    const grainRow = (y % GRAIN_EDGE) * GRAIN_EDGE;
    const grainShift = Math.floor(lattice(Math.floor(y / GRAIN_EDGE), 3, seed) * GRAIN_EDGE);
    for (let x = 0, at = 0; x < width; x++, at += 3) {
      const bright = base - (columns[x] ?? 0);
      const noise = (grain[grainRow + ((x + grainShift) % GRAIN_EDGE)] ?? 0) + 0.5;
      out[at] = clampByte((row[at] ?? 0) * bright + noise);
      out[at + 1] = clampByte((row[at + 1] ?? 0) * bright + noise);
      out[at + 2] = clampByte((row[at + 2] ?? 0) * bright + noise);
    }
  };
}

function clampByte(value: number): number {
  return Math.max(0, Math.min(255, value));
}
