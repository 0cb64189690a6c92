import { randomBytes, randomUUID } from 'node:crypto';
import type { Random } from './random.js';

/** Randomness of the operating system; `bytes` and `uuid` are fit for secrets, `fraction` is not. */
export function systemRandom(): Random {
  return {
    bytes: (length) => randomBytes(length),
    fraction: () => Math.random(),
    uuid: () => randomUUID()
  };
}
