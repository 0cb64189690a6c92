import type { Clock } from '../clock.js';

/** Time that passes only by sleeping: every sleep is over at once and moves the clock on. */
export class TestClock implements Clock {
  #nowMs: number;
  /** Every duration slept, in order. */
  readonly sleptMs: number[] = [];

  constructor(startMs = 1_000_000) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  advance(durationMs: number): void {
    this.#nowMs += durationMs;
  }

  async sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.sleptMs.push(durationMs);
    this.#nowMs += durationMs;
    // Others get their turn, as with any sleep.
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
  }
}
