import type { StoreCalls, WatchEvent } from '@stampede/client';
import type { AttributeCache } from './attribute-cache.js';
import type { Clock } from './clock.js';
import type { OnMountEvent } from './mount-event.js';

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 30_000;

export interface ChangeWatchOptions {
  readonly store: StoreCalls;
  readonly bucket: string;
  readonly prefix: string;
  readonly cache: AttributeCache;
  readonly clock: Clock;
  readonly onEvent: OnMountEvent;
  readonly entries: { apply(event: WatchEvent): void };
}

/**
 * Follows the changes under the mounted prefix, so that what is remembered holds until it changes. It counts as live from
 * its first event on: only that shows that the store reports to us. When it ends, the short TTL applies again.
 */
export class ChangeWatch {
  readonly #options: ChangeWatchOptions;
  readonly #abort = new AbortController();

  constructor(options: ChangeWatchOptions) {
    this.#options = options;
  }

  get isLive(): boolean {
    return this.#options.cache.isLive;
  }

  start(): void {
    void this.#run();
  }

  close(): void {
    this.#abort.abort();
    this.#options.cache.watchIsLost();
  }

  async #run(): Promise<void> {
    const { clock, onEvent, cache } = this.#options;
    const { signal } = this.#abort;
    let delayMs = RETRY_MS_MIN;
    while (!signal.aborted) {
      try {
        for await (const event of this.#events()) {
          delayMs = RETRY_MS_MIN;
          this.#apply(event);
        }
      } catch (error) {
        if (!signal.aborted) onEvent({ type: 'watchLost', error });
      }
      cache.watchIsLost();
      await clock.sleep(delayMs, signal).catch(() => undefined);
      delayMs = Math.min(RETRY_MS_MAX, delayMs * 2);
    }
  }

  #events(): AsyncIterable<WatchEvent> {
    const { store, bucket, prefix } = this.#options;
    return store.objects.watch({ bucket, prefix }, { signal: this.#abort.signal });
  }

  #apply(event: WatchEvent): void {
    const { cache, entries, onEvent } = this.#options;
    if (!cache.isLive) {
      // What was read before may have changed unseen.
      cache.clear();
      cache.watchIsLive();
      onEvent({ type: 'watchLive' });
    }
    entries.apply(event);
  }
}
