import type { StoreCalls } from '@stampede/client';
import type { Clock } from './clock.js';
import type { OnMountEvent } from './mount-event.js';

interface Removal {
  readonly timer: Disposable;
  running: Promise<void> | undefined;
}

export interface RemovalsOptions {
  readonly store: StoreCalls;
  readonly bucket: string;
  readonly clock: Clock;
  readonly delayMs: number;
  readonly onEvent: OnMountEvent;
  /** The store has, or still has, the key. */
  readonly onDone: (key: string) => void;
}

/**
 * Names that are gone in the mount and will be in the store in a moment. A driver that must move an open file out of the
 * way before it renames another one over it cannot say so: waiting a little turns the pair into one atomic rename.
 */
export class Removals {
  readonly #options: RemovalsOptions;
  readonly #removals = new Map<string, Removal>();

  constructor(options: RemovalsOptions) {
    this.#options = options;
  }

  has(key: string): boolean {
    return this.#removals.has(key);
  }

  get isEmpty(): boolean {
    return this.#removals.size === 0;
  }

  add(key: string): void {
    const timer = this.#options.clock.setTimer(this.#options.delayMs, () => void this.#runQuietly(key));
    this.#removals.set(key, { timer, running: undefined });
  }

  /** The key is about to be replaced in one step: it need not be deleted before. */
  async cancel(key: string): Promise<void> {
    const removal = this.#removals.get(key);
    if (!removal) return;
    if (removal.running) return removal.running.catch(() => undefined);
    removal.timer[Symbol.dispose]();
    this.#removals.delete(key);
  }

  /** Deletes now. */
  async flush(key: string): Promise<void> {
    if (this.#removals.has(key)) await this.#run(key);
  }

  async flushUnder(prefix: string): Promise<void> {
    const keys = [...this.#removals.keys()].filter((key) => key.startsWith(prefix));
    await Promise.all(keys.map((key) => this.#run(key)));
  }

  async #runQuietly(key: string): Promise<void> {
    await this.#run(key).catch((error: unknown) =>
      this.#options.onEvent({ type: 'removalFailed', path: `/${key}`, error })
    );
  }

  async #run(key: string): Promise<void> {
    const removal = this.#removals.get(key);
    if (!removal) return;
    removal.timer[Symbol.dispose]();
    removal.running ??= this.#delete(key);
    await removal.running;
  }

  async #delete(key: string): Promise<void> {
    const { store, bucket, onDone } = this.#options;
    try {
      await store.objects.delete({ bucket, key });
    } finally {
      this.#removals.delete(key);
      onDone(key);
    }
  }
}
