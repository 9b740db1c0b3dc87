/** A repeatable random source. The same seed and label always give the same numbers. */
export type Random = {
  /** At least `low`, below `high`. */
  between(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<Item>(items: readonly [Item, ...Item[]]): Item;
};

/** Each label has its own stream, so that drawing more of one thing does not move another. */
export function createRandom(seed: number, label: string): Random {
  const start = labelSeed(seed, label);
  let count = 0;
  const next = () => lattice(count++, 0, start);
  return {
    between: (low, high) => low + (high - low) * next(),
    chance: (probability) => next() < probability,
    pick: (items) => items[Math.floor(next() * items.length)] ?? items[0],
  };
}

/** A 32-bit seed, derived from another seed and a label. */
export function labelSeed(seed: number, label: string): number {
  let state = seed | 0;
  for (let index = 0; index < label.length; index++) {
    state = Math.imul(state ^ label.charCodeAt(index), 0x01000193);
    state ^= state >>> 15;
  }
  return state | 0;
}

/** A number from 0 to 1 for a point with whole coordinates. */
export function lattice(x: number, y: number, seed: number): number {
  let state = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1) ^ seed;
  state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
  state = Math.imul(state ^ (state >>> 12), 0x297a2d39);
  return ((state ^ (state >>> 15)) >>> 0) / 0x100000000;
}

/** Smooth noise from 0 to 1 along a line; one swing is about two units long. */
export function noiseLine(x: number, seed: number): number {
  const cell = Math.floor(x);
  const left = lattice(cell, 0, seed);
  return left + (lattice(cell + 1, 0, seed) - left) * ease(x - cell);
}

/** Smooth noise from 0 to 1 over a plane. */
export function noisePlane(x: number, y: number, seed: number): number {
  const column = Math.floor(x);
  const row = Math.floor(y);
  const across = ease(x - column);
  const upperLeft = lattice(column, row, seed);
  const lowerLeft = lattice(column, row + 1, seed);
  const upper = upperLeft + (lattice(column + 1, row, seed) - upperLeft) * across;
  const lower = lowerLeft + (lattice(column + 1, row + 1, seed) - lowerLeft) * across;
  return upper + (lower - upper) * ease(y - row);
}

/** Noise from 0 to 1 with detail at `octaves` scales, each half as large as the one before. */
export function fractalLine(x: number, octaves: number, seed: number): number {
  let sum = 0;
  let weight = 0.5;
  for (let octave = 0; octave < octaves; octave++, weight /= 2) {
    sum += weight * noiseLine(x * 2 ** octave, seed + octave);
  }
  return sum / (1 - weight * 2);
}

/** As {@link fractalLine}, over a plane. */
export function fractalPlane(x: number, y: number, octaves: number, seed: number): number {
  let sum = 0;
  let weight = 0.5;
  for (let octave = 0; octave < octaves; octave++, weight /= 2) {
    const scale = 2 ** octave;
    sum += weight * noisePlane(x * scale, y * scale, seed + octave);
  }
  return sum / (1 - weight * 2);
}

function ease(t: number): number {
  return t * t * t * (t * (t * 6 - 15) + 10);
}
