/**
 * Pseudo-random numbers that are the same for the same seed (32-bit xorshift).
 * @typedef {ReturnType<typeof randomFrom>} Random
 */

/** @param {number} seed a whole number */
export function randomFrom(seed) {
  // Neighbouring seeds must not begin alike, and a state of zero would stay zero.
  let state = Math.imul(seed + 1, 0x9e3779b1) || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return {
    /** @param {number} low @param {number} high inclusive */
    between: (low, high) => low + Math.floor(next() * (high - low + 1)),
    /** @param {number} part of 1 */
    chance: (part) => next() < part,
    /**
     * @template T
     * @param {readonly [T, ...T[]]} list
     * @returns {T}
     */
    pick: (list) => list[Math.floor(next() * list.length)] ?? list[0],
  };
}
