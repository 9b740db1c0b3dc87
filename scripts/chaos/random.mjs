/**
 * Chance that comes again with the same seed (xorshift of 32 bits).
 * @typedef {ReturnType<typeof randomFrom>} Random
 */

/** @param {number} seed a whole number */
export function randomFrom(seed) {
  // A seed near another must not begin like it, and zero would stay zero.
  let state = Math.imul(seed + 1, 0x9e3779b1) || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return {
    /** @param {number} low @param {number} high both may come */
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
