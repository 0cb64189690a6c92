import assert from 'node:assert/strict';
import type { Clock } from './clock.js';

/** A clock that stands still until told to advance. */
export interface ManualClock extends Clock {
  /**
   * Moves time on and fires what falls due, in order of due time and then of registration. Between two of them, what
   * was woken gets to run, so that a loop which sleeps again is woken again within the same advance.
   */
  advance(durationMs: number): Promise<void>;
  /** Moves the wall clock alone, as an operator or a time service would. */
  setNowMs(nowMs: number): void;
  /** The machine sleeps: what is due stays due, and only `elapsedMs` and the wall clock go on. */
  suspend(durationMs: number): void;
  /** How many sleeps and timers wait; a test can check that none leaked. */
  pendingCount(): number;
  /** When the next of them falls due, in monotonic time. */
  findNextDueMs(): number | undefined;
}

export interface ManualClockOptions {
  readonly startAtMs?: number;
}

interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

/** 2024-01-01T00:00:00Z */
const START_AT_MS = 1_704_067_200_000;

export function manualClock(options: ManualClockOptions = {}): ManualClock {
  let monotonicMs = 0;
  let sleptMs = 0;
  let wallOffsetMs = options.startAtMs ?? START_AT_MS;
  /** In order of registration. */
  const timers = new Set<Timer>();

  const start = (durationMs: number, run: () => void): Disposable => {
    const timer = { dueMs: monotonicMs + Math.max(0, durationMs), run };
    timers.add(timer);
    return { [Symbol.dispose]: () => void timers.delete(timer) };
  };

  const findNext = (): Timer | undefined => {
    let next: Timer | undefined;
    for (const timer of timers) if (!next || timer.dueMs < next.dueMs) next = timer;
    return next;
  };

  return {
    nowMs: () => Math.floor(wallOffsetMs + monotonicMs),
    monotonicMs: () => monotonicMs,
    elapsedMs: () => monotonicMs + sleptMs,
    setTimer: start,
    sleep: (durationMs, signal) => sleep(start, durationMs, signal),
    setNowMs(nowMs) {
      wallOffsetMs = nowMs - monotonicMs;
    },
    suspend(durationMs) {
      sleptMs += durationMs;
      wallOffsetMs += durationMs;
    },
    pendingCount: () => timers.size,
    findNextDueMs: () => findNext()?.dueMs,
    async advance(durationMs) {
      assert(durationMs >= 0, 'time does not go back');
      const endMs = monotonicMs + durationMs;
      await letOthersRun();
      for (let timer = findNext(); timer && timer.dueMs <= endMs; timer = findNext()) {
        timers.delete(timer);
        monotonicMs = Math.max(monotonicMs, timer.dueMs);
        timer.run();
        await letOthersRun();
      }
      monotonicMs = Math.max(monotonicMs, endMs);
    }
  };
}

function sleep(
  start: (durationMs: number, run: () => void) => Disposable,
  durationMs: number,
  signal?: AbortSignal
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const timer = start(durationMs, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    const abort = (): void => {
      timer[Symbol.dispose]();
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/** All promise reactions that are ready, and those that they make ready, run before an immediate. */
function letOthersRun(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
