/**
 * A sorted map of bytes to bytes (an LSM tree on a real disk). Keys sort bytewise. `get` is synchronous so that a
 * caller can decide and reserve in one critical section, with no `await` in between. A batch is atomic: after a crash
 * either all of it is there or nothing, and never a later batch without an earlier one; it survives a power cut only
 * when it, or a later batch, was written with `sync`. Batches apply in the order of the calls, and their buffers may be
 * reused at once. After a batch failed all later ones fail: close the store and open it again. Reading an entry that is
 * damaged throws `StoreError('ChecksumMismatch')`.
 */
export interface OrderedStore {
  get(key: Uint8Array): Uint8Array | undefined;
  batch(operations: readonly StoreOperation[], options?: { readonly sync?: boolean }): Promise<void>;
  /** Entries of [start, end) in order, at most `limit`; one consistent page. */
  range(query: RangeQuery): Promise<readonly StoreEntry[]>;
  /**
   * Walks [start, end) over one snapshot taken at the call, in bounded memory. Return early to stop. Iterate the result
   * once: it holds the snapshot until then.
   */
  scan(query: RangeQuery): AsyncIterable<StoreEntry>;
  close(): Promise<void>;
}

export type StoreOperation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'delete'; readonly key: Uint8Array };

export interface StoreEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface RangeQuery {
  /** Inclusive; absent = from the first key. */
  readonly start?: Uint8Array;
  /** Exclusive; absent = to the last key. */
  readonly end?: Uint8Array;
  readonly limit?: number;
  /** Descending when true. */
  readonly reverse?: boolean;
}

/**
 * Opens or creates the store in a directory. Throws `StoreError('DiskFailed')` when what is there cannot be read, its
 * log is damaged, or another process has it open.
 */
export type OpenOrderedStore = (directory: string) => Promise<OrderedStore>;
