import { StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';

/** Shorter waits are put together. */
const WAIT_MS_MIN = 5;

export interface PacerOptions {
  readonly clock: Clock;
  readonly bytesPerSecond: number;
  readonly signal?: AbortSignal | undefined;
}

/** Holds background work to a rate. Time that went by unused is not caught up on. */
export class Pacer {
  readonly #options: PacerOptions;
  #freeAtMs = 0;

  constructor(options: PacerOptions) {
    this.#options = options;
  }

  /** Resolves when the next bytes may be moved after these. @throws StoreError `Cancelled` when given up. */
  async spend(bytes: number): Promise<void> {
    const { clock, bytesPerSecond, signal } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + (bytes * 1000) / bytesPerSecond;
    const waitMs = this.#freeAtMs - nowMs;
    if (waitMs >= WAIT_MS_MIN && !signal?.aborted) await clock.sleep(waitMs, signal).catch(() => undefined);
    if (signal?.aborted) {
      throw new StoreError('Cancelled', 'The caller gave the work up.', { cause: signal.reason });
    }
  }
}
