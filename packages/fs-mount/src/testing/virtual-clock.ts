import type { Clock } from '../clock.js';

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

/** Time that passes only when a test says so. */
export class VirtualClock implements Clock {
  readonly #timers = new Set<Timer>();
  #nowMs: number;

  constructor(startMs = Date.UTC(2030, 0, 1)) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  async sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = this.setTimer(durationMs, resolve);
      signal?.addEventListener('abort', () => {
        timer[Symbol.dispose]();
        reject(signal.reason);
      });
    });
  }

  setTimer(durationMs: number, run: () => void): Disposable {
    const timer = { atMs: this.#nowMs + durationMs, run };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  /** Lets time pass, with what the timers start, as far as it goes without waiting for the machine. */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    for (;;) {
      const [next] = [...this.#timers].filter((timer) => timer.atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (!next) break;
      this.#timers.delete(next);
      this.#nowMs = next.atMs;
      next.run();
      await settle();
    }
    this.#nowMs = endMs;
    await settle();
  }
}

/** Lets everything run that is ready to, and what that makes ready. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}
