import { isStoreError, StoreError } from '../api/index.js';
import type { Clock, OrderedStore, RangeQuery, StoreEntry, StoreOperation } from '../platform/index.js';

export type MetaStoreEvent =
  /** A write failed: nothing is written until the store is open again, which is tried again and again. */
  | { readonly type: 'meta-store-failed'; readonly cause: unknown }
  | { readonly type: 'meta-store-reopened'; readonly attemptCount: number };

export interface MetaRowsOptions {
  /** Stays the caller's. */
  readonly store: OrderedStore;
  /** Opens what `store` was, once that is closed. Absent: after a failed write nothing more is written. */
  readonly reopen?: (() => Promise<OrderedStore>) | undefined;
  readonly clock: Clock;
  readonly onEvent?: ((event: MetaStoreEvent) => void) | undefined;
}

interface OpenAnewOptions {
  /** Whether what was opened has all that was ever acknowledged. */
  readonly isWhole: (rows: Pick<OrderedStore, 'get'>) => boolean;
  /** What keeps it from being opened now. */
  readonly onFailure: (cause: StoreError) => void;
}

const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 5000;

/** The ordered store under the tables, which is opened anew after a failed write. */
export class MetaRows {
  readonly #options: MetaRowsOptions;
  readonly #closing = new AbortController();
  #store: OrderedStore;
  #isOpen = true;

  constructor(options: MetaRowsOptions) {
    this.#options = options;
    this.#store = options.store;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#opened().get(key);
  }

  scan(query: RangeQuery): AsyncIterable<StoreEntry> {
    return this.#opened().scan(query);
  }

  /** Durable when it resolves. */
  batch(operations: readonly StoreOperation[]): Promise<void> {
    return this.#opened().batch(operations, { sync: true });
  }

  /** Tries until the store is open again and whole; false when it was closed before, or can never be. */
  async openAnew(error: StoreError, { isWhole, onFailure }: OpenAnewOptions): Promise<boolean> {
    const { reopen, clock, onEvent } = this.#options;
    const { signal } = this.#closing;
    onEvent?.({ type: 'meta-store-failed', cause: error });
    if (!reopen) return false;
    let pauseMs = RETRY_MS_MIN;
    for (let attemptCount = 1; !signal.aborted; attemptCount++) {
      try {
        const store = await this.#swap(reopen);
        if (!isWhole(store)) {
          onFailure(notWhole());
          onEvent?.({ type: 'meta-store-failed', cause: notWhole() });
          return false;
        }
        this.#isOpen = true;
        onEvent?.({ type: 'meta-store-reopened', attemptCount });
        return true;
      } catch (cause) {
        onFailure(asStoreError(cause));
      }
      await clock.sleep(pauseMs, signal).catch(() => undefined);
      pauseMs = Math.min(RETRY_MS_MAX, 2 * pauseMs);
    }
    return false;
  }

  async #swap(reopen: () => Promise<OrderedStore>): Promise<OrderedStore> {
    this.#isOpen = false;
    await this.#store.close();
    this.#store = await reopen();
    return this.#store;
  }

  #opened(): OrderedStore {
    if (this.#isOpen) return this.#store;
    throw new StoreError('ServiceUnavailable', 'The meta store is being opened anew. Try again.');
  }

  /** Opens nothing any more. */
  stop(): void {
    this.#closing.abort();
  }

  /** Closes what was opened here; after `stop`, when nothing is being opened. */
  async close(): Promise<void> {
    if (this.#store !== this.#options.store) await this.#store.close();
  }
}

function asStoreError(cause: unknown): StoreError {
  if (isStoreError(cause)) return cause;
  return new StoreError('DiskFailed', 'The meta store cannot be opened. Check its disk.', { cause });
}

function notWhole(): StoreError {
  const advice = 'Restore its folder from a copy.';
  return new StoreError('DiskFailed', `The meta store lost what was acknowledged. ${advice}`);
}
