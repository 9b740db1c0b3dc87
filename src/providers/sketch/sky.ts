import { fractalPlane, labelSeed, noisePlane } from "./random.ts";
import { between, blend, type Row, screen } from "./row.ts";
import type { Clouds, Curtain, Light, Scene, Star } from "./scene.ts";

/** Paints one row of the sky: air, stars, the light in it, northern lights and clouds. Rows may come in any order. */
export function createSkyPainter(scene: Scene): (y: number, out: Row, mirrored: boolean) => void {
  const { width, horizon, sky, light, curtains } = scene;
  const starRows = sortStars(scene.stars);
  const glow = createGlow(light);
  const paintClouds = scene.clouds ? createCloudPainter(scene, scene.clouds) : null;
  return (y, out, mirrored) => {
    const level = Math.min(y, horizon - 1) * 3;
    const air = [sky[level] ?? 0, sky[level + 1] ?? 0, sky[level + 2] ?? 0] as const;
    for (let x = 0, at = 0; x < width; x++, at += 3) {
      out[at] = air[0];
      out[at + 1] = air[1];
      out[at + 2] = air[2];
    }
    for (const star of starRows.get(y) ?? []) twinkle(star, y, width, out);
    for (const curtain of curtains) hangCurtain(curtain, y, width, out);
    glow(y, out, width);
    // On moving water the disc is a path of light, which the water itself paints.
    if (!mirrored) paintDisc(scene, y, out);
    paintClouds?.(y, out);
  };
}

function sortStars(stars: readonly Star[]): Map<number, Star[]> {
  const rows = new Map<number, Star[]>();
  for (const star of stars) {
    for (let y = Math.floor(star.y - star.radius * 2); y <= star.y + star.radius * 2; y++) {
      const row = rows.get(y);
      if (row) row.push(star);
      else rows.set(y, [star]);
    }
  }
  return rows;
}

function twinkle({ x, y, radius, strength }: Star, row: number, width: number, out: Row): void {
  const down = row + 0.5 - y;
  const last = Math.min(width - 1, Math.ceil(x + radius * 2));
  for (let column = Math.max(0, Math.floor(x - radius * 2)); column <= last; column++) {
    const off = column + 0.5 - x;
    const share = Math.exp(-(off * off + down * down) / (radius * radius)) * strength;
    screen(out, column * 3, [244, 246, 255], Math.min(1, share));
  }
}

/** The glow around the light: wide and flat, with a narrow halo. Computed once for each distance. */
function createGlow({ x: middle, y: level, glow, disc, reach, strength, radius }: Light) {
  const steps = 2048;
  const most = 3.2;
  const wide = Float32Array.from(
    { length: steps },
    (_, index) => strength * 0.8 * Math.exp(-(((index / steps) * most) ** 1.5) * 3.1),
  );
  const halo = Float32Array.from({ length: steps }, (_, index) => {
    const away = ((index / steps) * most * reach) / radius;
    return strength * 0.62 * Math.exp(-Math.max(0, away - 1) * 0.62);
  });
  return (y: number, out: Row, width: number): void => {
    const down = (y + 0.5 - level) / reach;
    for (let x = 0, at = 0; x < width; x++, at += 3) {
      const off = (x + 0.5 - middle) / reach;
      const flat = Math.sqrt(off * off * 0.42 + down * down * 1.5);
      const round = Math.sqrt(off * off + down * down);
      if (flat < most) blend(out, at, glow, wide[Math.floor((flat / most) * steps)] ?? 0);
      if (round < most) blend(out, at, disc, halo[Math.floor((round / most) * steps)] ?? 0);
    }
  };
}

function paintDisc({ light, width, seed }: Scene, y: number, out: Row): void {
  const { radius, disc, moon, bite } = light;
  const down = y + 0.5 - light.y;
  if (Math.abs(down) > radius + 1) return;
  const last = Math.min(width - 1, Math.ceil(light.x + radius + 1));
  for (let x = Math.max(0, Math.floor(light.x - radius - 1)); x <= last; x++) {
    const off = x + 0.5 - light.x;
    const inside = Math.min(1, Math.max(0, radius - Math.sqrt(off * off + down * down) + 0.5));
    const shadow =
      bite === 0
        ? 0
        : Math.min(
            1,
            Math.max(
              0,
              radius * 0.96 - Math.sqrt((off - bite * radius) ** 2 + (down + radius * 0.12) ** 2) + 0.5,
            ),
          );
    const face = moon
      ? 0.78 + 0.3 * fractalPlane((off / radius) * 1.6 + 5, (down / radius) * 1.6 + 5, 4, seed)
      : 1;
    const share = inside * (1 - shadow);
    if (share > 0)
      blend(
        out,
        x * 3,
        [Math.min(255, disc[0] * face), Math.min(255, disc[1] * face), Math.min(255, disc[2] * face)],
        share,
      );
  }
}

function hangCurtain({ edge, rise, strength, low, high }: Curtain, y: number, width: number, out: Row): void {
  for (let x = 0, at = 0; x < width; x++, at += 3) {
    const up = ((edge[x] ?? 0) - y) / (rise[x] ?? 1);
    if (up < -0.12 || up > 2.4) continue;
    const fade = up < 0 ? (1 + up / 0.12) ** 2 : Math.exp(-up * 1.9);
    screen(out, at, between(low, high, Math.min(1, Math.max(0, up * 1.1))), fade * (strength[x] ?? 0));
  }
}

const KEPT_CLOUD_ROWS = 16;
type CloudRow = { level: number; thickness: Float32Array; lit: Float32Array };

/** Clouds are soft, so they are computed on a coarse grid and interpolated. */
function createCloudPainter(scene: Scene, clouds: Clouds): (y: number, out: Row) => void {
  const { width, unit, horizon } = scene;
  const cell = Math.max(2, Math.round(unit / 256));
  const columns = Math.ceil(width / cell) + 2;
  const kept = Array.from(
    { length: KEPT_CLOUD_ROWS },
    (): CloudRow => ({ level: -1, thickness: new Float32Array(columns), lit: new Float32Array(columns) }),
  );
  const measure = createCloudMeasure(scene, clouds);
  const rowAt = (level: number): CloudRow | undefined => {
    const row = kept[level % KEPT_CLOUD_ROWS];
    if (!row || row.level === level) return row;
    row.level = level;
    for (let column = 0; column < columns; column++) {
      const [thickness, lit] = measure(column * cell, level * cell);
      row.thickness[column] = thickness;
      row.lit[column] = lit;
    }
    return row;
  };
  return (y, out) => {
    if (y >= horizon) return;
    const level = Math.floor(y / cell);
    const down = y / cell - level;
    const above = rowAt(level);
    const below = rowAt(level + 1);
    if (!above || !below) return;
    const at = (values: "thickness" | "lit", column: number) =>
      (above[values][column] ?? 0) * (1 - down) + (below[values][column] ?? 0) * down;
    for (let column = 0; column < columns - 1; column++) {
      const thickness = at("thickness", column);
      const thicknessStep = (at("thickness", column + 1) - thickness) / cell;
      if (thickness === 0 && thicknessStep === 0) continue;
      const lit = at("lit", column);
      const litStep = (at("lit", column + 1) - lit) / cell;
      const last = Math.min(cell, width - column * cell);
      for (let step = 0; step < last; step++) {
        const colour = between(clouds.shade, clouds.lit, lit + litStep * step);
        blend(out, (column * cell + step) * 3, colour, (thickness + thicknessStep * step) * clouds.opacity);
      }
    }
  };
}

/** How thick the clouds are at a point, 0 to 1, and how much of the light reaches them there. */
function createCloudMeasure({ unit, horizon, light, seed, width }: Scene, clouds: Clouds) {
  const own = labelSeed(seed, "clouds");
  const density = (x: number, y: number) => {
    /** The layer of clouds is flat: towards the horizon it is seen edge on, and its clouds get small and long. */
    const height = Math.max(0.02, (horizon - y) / unit);
    const far = 1 / (height + 0.2);
    const across = ((x - width / 2) / unit) * clouds.scale * (0.55 + 0.32 * far);
    const away = far * clouds.stretch * 0.9;
    const warp = noisePlane(across * 1.5, away * 1.5, own + 40) * 0.5;
    return fractalPlane(across + warp, away + warp * 0.6, clouds.octaves, own);
  };
  return (x: number, y: number): [thickness: number, lit: number] => {
    const here = density(x, y);
    const soft = Math.min(1, Math.max(0, (here - clouds.cover) / 0.2));
    if (soft === 0) return [0, 0.5];
    const towardsX = (light.x - x) / unit;
    const towardsY = (light.y - y) / unit;
    const length = Math.max(0.05, Math.sqrt(towardsX * towardsX + towardsY * towardsY));
    const step = 0.035 * unit;
    const there = density(x + (towardsX / length) * step, y + (towardsY / length) * step);
    const height = (horizon - y) / unit;
    const fade = Math.min(1, Math.max(0, height * 14));
    return [
      soft * soft * (3 - 2 * soft) * fade,
      Math.min(1, Math.max(0, 0.62 + (here - there) * 5 - soft * 0.35)),
    ];
  };
}
