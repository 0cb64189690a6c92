import { uptime } from 'node:os';
import type { Clock } from './clock.js';
import { elapsedTime } from './elapsed-time.js';

/** Longer timers overflow the 32 bits that the runtime has for them and would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The clock of this machine. */
export function systemClock(): Clock {
  const monotonicMs = (): number => performance.now();
  const wallMs = (): number => Date.now();
  return {
    nowMs: wallMs,
    monotonicMs,
    elapsedMs: elapsedTime({ monotonicMs, wallMs, uptimeMs: () => uptime() * 1000 }),
    sleep,
    setTimer(durationMs, run) {
      const timer = startTimer(durationMs, run, { keepsAlive: false });
      return { [Symbol.dispose]: timer.stop };
    }
  };
}

function sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const timer = startTimer(durationMs, wake, { keepsAlive: true });
    signal?.addEventListener('abort', abort, { once: true });

    function wake(): void {
      signal?.removeEventListener('abort', abort);
      resolve();
    }

    function abort(): void {
      timer.stop();
      reject(signal?.reason);
    }
  });
}

function startTimer(durationMs: number, run: () => void, options: { keepsAlive: boolean }): { stop(): void } {
  let remainingMs = Math.max(0, durationMs);
  let timeout: NodeJS.Timeout;
  const startNext = (): void => {
    const nextMs = Math.min(remainingMs, TIMER_MS_MAX);
    remainingMs -= nextMs;
    timeout = setTimeout(remainingMs > 0 ? startNext : run, nextMs);
    if (!options.keepsAlive) timeout.unref();
  };
  startNext();
  return { stop: () => clearTimeout(timeout) };
}
