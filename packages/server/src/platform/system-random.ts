import { randomBytes, randomUUID } from 'node:crypto';
import type { Random } from './random.js';

/** The machine's own randomness. */
export function systemRandom(): Random {
  return { bytes: (length) => randomBytes(length), fraction: () => Math.random(), uuid: () => randomUUID() };
}
