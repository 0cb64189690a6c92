import type { Clock } from '../clock.js';

/** One timer for the deadlines of many calls: most calls end long before theirs, and then cost nothing. */
export class DeadlineTimer {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly #onDue: (nowMs: number) => number;
  #wakesAtMs = Number.POSITIVE_INFINITY;
  #sleep = new AbortController();

  /** @param onDue   Ends what is due and returns the next deadline, or Infinity. */
  constructor(clock: Pick<Clock, 'monotonicMs' | 'sleep'>, onDue: (nowMs: number) => number) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Wakes at this time at the latest. */
  wakeBy(atMs: number): void {
    if (atMs >= this.#wakesAtMs) return;
    this.stop();
    this.#wakesAtMs = atMs;
    this.#sleep = new AbortController();
    const { signal } = this.#sleep;
    this.#clock.sleep(Math.max(0, atMs - this.#clock.monotonicMs()), signal).then(
      () => !signal.aborted && this.#wake(),
      () => {}
    );
  }

  stop(): void {
    this.#wakesAtMs = Number.POSITIVE_INFINITY;
    this.#sleep.abort();
  }

  #wake(): void {
    this.#wakesAtMs = Number.POSITIVE_INFINITY;
    this.wakeBy(this.#onDue(this.#clock.monotonicMs()));
  }
}
