import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock, Random } from './clock.js';

/* The machine's time and randomness: the only place of the client that touches them. */

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(durationMs, signal) {
    try {
      await delay(durationMs, undefined, signal && { signal });
    } catch (error) {
      // Node wraps the reason in an error of its own.
      throw signal?.aborted ? signal.reason : error;
    }
  }
};

export const systemRandom: Random = {
  fraction: () => Math.random(),
  uuid: () => randomUUID()
};
