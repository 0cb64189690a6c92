import type { Clock } from '../platform/index.js';

interface Entry {
  readonly atMs: number;
  readonly expire: () => void;
}

/** Deadlines of many calls behind one timer: most calls end long before theirs, and then cost no timer. */
export class Deadlines implements Disposable {
  readonly #clock: Clock;
  readonly #entries = new Set<Entry>();
  #wakesAtMs = Number.POSITIVE_INFINITY;
  #timer: Disposable | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `expire` at a monotonic time, unless disposed before. `Infinity` = never. */
  add(atMs: number, expire: () => void): Disposable {
    const entry = { atMs, expire };
    this.#entries.add(entry);
    this.#wakeBy(atMs);
    return { [Symbol.dispose]: () => void this.#entries.delete(entry) };
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#entries.clear();
  }

  #wakeBy(atMs: number): void {
    if (atMs >= this.#wakesAtMs) return;
    this.#timer?.[Symbol.dispose]();
    this.#wakesAtMs = atMs;
    this.#timer = this.#clock.setTimer(Math.max(0, atMs - this.#clock.monotonicMs()), () => this.#wake());
  }

  #wake(): void {
    this.#wakesAtMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries) {
      if (entry.atMs > nowMs) nextMs = Math.min(nextMs, entry.atMs);
      else if (this.#entries.delete(entry)) entry.expire();
    }
    this.#wakeBy(nextMs);
  }
}
