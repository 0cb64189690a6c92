import { setTimeout as sleepFor } from 'node:timers/promises';
import type { Clock } from './clock.js';

/** The machine's own time. */
export function systemClock(): Clock {
  return {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    sleep: async (durationMs, signal) => {
      try {
        await sleepFor(durationMs, undefined, signal ? { signal } : {});
      } catch (error) {
        throw signal?.reason ?? error;
      }
    },
    setTimer: (durationMs, run) => {
      const timer = setTimeout(run, durationMs);
      timer.unref();
      return { [Symbol.dispose]: () => clearTimeout(timer) };
    }
  };
}
