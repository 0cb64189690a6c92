import type { Random } from '../clock.js';

/** Randomness that a seed decides, for tests: the same seed gives the same sequence. */
export function seededRandom(seed: number): Random & { integer(below: number): number } {
  let state = seed >>> 0;
  // A mulberry32 step: short, and even enough for tests.
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const hex = () => next().toString(16).padStart(8, '0');
  return {
    fraction: () => next() / 2 ** 32,
    integer: (below) => Math.floor((next() / 2 ** 32) * below),
    uuid: () => {
      const digits = hex() + hex() + hex() + hex();
      const parts = [digits.slice(0, 8), digits.slice(8, 12), `4${digits.slice(13, 16)}`];
      return [...parts, `8${digits.slice(17, 20)}`, digits.slice(20)].join('-');
    }
  };
}
