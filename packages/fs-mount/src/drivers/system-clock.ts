import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../clock.js';

/** The machine's time. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (durationMs, signal) => sleep(durationMs, undefined, signal && { signal }),
  setTimer(durationMs, run) {
    const timer = setTimeout(run, durationMs).unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  }
};
