import type { Clock } from '../clock.js';

interface Sleeper {
  readonly wakesAtMs: number;
  wake(): void;
}

/** Time that stands still until `advance`. */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #sleepers = new Set<Sleeper>();

  constructor(startMs = 1_000_000_000_000) {
    this.#nowMs = startMs;
  }

  /** Sleeps that have not ended. */
  get sleeperCount(): number {
    return this.#sleepers.size;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** Lets time pass: every sleep that ends meanwhile ends at its own time, and what it causes happens before the next. */
  async advance(durationMs: number): Promise<void> {
    const untilMs = this.#nowMs + durationMs;
    for (;;) {
      const next = [...this.#sleepers].sort((a, b) => a.wakesAtMs - b.wakesAtMs)[0];
      if (!next || next.wakesAtMs > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.wakesAtMs);
      next.wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#nowMs = untilMs;
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const end = (settle: () => void) => () => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      const onAbort = end(() => reject(signal?.reason));
      const sleeper = { wakesAtMs: this.#nowMs + durationMs, wake: end(resolve) };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
