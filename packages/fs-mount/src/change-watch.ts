import type { StoreCalls, WatchEvent } from '@stampede/client';
import type { AttributeCache } from './attribute-cache.js';
import type { Clock } from './clock.js';
import type { OnMountEvent } from './mount-event.js';

const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 5000;
/** How long after a loss what was told while the watch was live may stand: it may come back without a gap. */
const GRACE_MS = 500;
/** No store knows it: the answer is `reset`, which shows at once that the store reports to us. */
const FROM_NOW = 'from-now';

type Change = Exclude<WatchEvent, { readonly type: 'reset' }>;

export interface ChangeWatchOptions {
  readonly store: StoreCalls;
  readonly bucket: string;
  readonly prefix: string;
  readonly cache: AttributeCache;
  readonly clock: Clock;
  readonly onEvent: OnMountEvent;
  /** Hears every event first. */
  readonly entries: { apply(event: WatchEvent): void };
  readonly onChange: (change: Change) => void;
  /** Changes may have been missed. */
  readonly onReset: () => void;
}

/**
 * Follows the changes under the mounted prefix, so that what is remembered holds until it changes. It begins with a
 * `reset`; after a loss it goes on behind the last event. When it is lost the short TTL applies at once, and what was told
 * before is taken back unless the watch returns within a moment.
 */
export class ChangeWatch {
  readonly #options: ChangeWatchOptions;
  readonly #abort = new AbortController();
  #resumeToken: string | undefined;
  #grace: Disposable | undefined;
  #isLossTold = false;

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
    this.#grace?.[Symbol.dispose]();
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#abort;
    let delayMs = RETRY_MS_MIN;
    while (!signal.aborted) {
      const error = await this.#follow().catch((thrown: unknown) => thrown);
      if (signal.aborted) return;
      if (this.isLive) delayMs = RETRY_MS_MIN;
      this.#lost(error);
      await clock.sleep(delayMs, signal).catch(() => undefined);
      delayMs = Math.min(RETRY_MS_MAX, delayMs * 2);
    }
  }

  /** One watch, until it ends. */
  async #follow(): Promise<void> {
    const { store, bucket, prefix } = this.#options;
    const resumeToken = this.#resumeToken ?? FROM_NOW;
    const attempt = new AbortController();
    const signal = AbortSignal.any([this.#abort.signal, attempt.signal]);
    try {
      const events = store.objects.watch({ bucket, prefix, resumeToken }, { signal });
      if (this.#resumeToken !== undefined) void this.#prove(attempt.signal);
      for await (const event of events) {
        this.#resumeToken = event.resumeToken;
        this.#apply(event);
      }
    } finally {
      attempt.abort();
    }
  }

  /** A watch that goes on says nothing before the next change: a call that is answered shows that the store is there. */
  async #prove(signal: AbortSignal): Promise<void> {
    const { store, bucket } = this.#options;
    try {
      await store.buckets.head({ bucket }, { signal });
      if (!signal.aborted) this.#returned();
    } catch {
      // The watch ends for the same reason, or its next event proves it.
    }
  }

  #apply(event: WatchEvent): void {
    const { entries, onChange, onReset } = this.#options;
    entries.apply(event);
    this.#returned();
    if (event.type === 'reset') onReset();
    else onChange(event);
  }

  #returned(): void {
    const { cache, onEvent } = this.#options;
    if (cache.isLive) return;
    this.#grace?.[Symbol.dispose]();
    this.#grace = undefined;
    this.#isLossTold = false;
    cache.watchIsLive();
    onEvent({ type: 'watchLive' });
  }

  #lost(error: unknown): void {
    const { cache, clock, onEvent, onReset } = this.#options;
    if (cache.isLive) {
      cache.watchIsLost();
      this.#grace = clock.setTimer(GRACE_MS, onReset);
    }
    if (this.#isLossTold) return;
    this.#isLossTold = true;
    onEvent({ type: 'watchLost', error: error ?? new Error('the store ended the watch') });
  }
}
