import { type ExtentId, extentId, pack, StoreError, unpack } from '../api/index.js';
import type { Clock, OrderedStore, StoreOperation } from '../platform/index.js';
import { RecentMap } from './recent-map.js';
import { after, decodeRowKey, encodeRowKey, positionRow, type RowKey, type RowRange } from './row-key.js';

/** What of the commit log the index holds. */
export interface IndexPosition {
  /** Of the last mutation applied; 0 = none. */
  readonly sequence: number;
  /** The block of that mutation: a replay starts there and skips what has no greater sequence. */
  readonly extentId: ExtentId;
  readonly offset: number;
  /** Of the log that the rows come from: an index of another store is of no use. */
  readonly logId: string;
}

export interface Row {
  readonly key: RowKey;
  readonly value: Uint8Array;
}

/** Rows without the position that they belong to. */
export interface IndexSnapshot {
  /** Absent when nothing was ever applied. */
  readonly position: IndexPosition | undefined;
  readonly rows: AsyncIterable<Row>;
}

/** Rows to set; `undefined` = to delete. */
export type RowChanges = ReadonlyMap<RowKey, Uint8Array | undefined>;

export interface PartitionIndexOptions {
  readonly store: OrderedStore;
  readonly clock: Clock;
  /** The index cannot be written any more. What it holds can still be read. */
  readonly onFailure: (cause: unknown) => void;
  /** Rows cannot be read: the index must be made anew from the log. */
  readonly onDamage: (cause: unknown) => void;
}

const POSITION_ROW = positionRow();
const POSITION_VERSION = 1;
/** Above it mutations wait for the store. */
const DIRTY_BYTES_MAX = 32 * 1024 * 1024;
/** Changes are gathered for so long, or up to so many bytes: a batch costs the same for one row and for many. */
const GATHER_MS = 5;
const GATHER_BYTES = 256 * 1024;
const ROW_OVERHEAD_BYTES = 100;
const CACHED_ROWS_MIN = 10_000;
const CACHED_ROW_BYTES_MAX = 1024;

/**
 * The rows of a range partition. Changes are visible at once and written in the background, each batch with the position
 * in the log up to which it goes. A crash loses the last ones
 * and the replay of the log makes them anew.
 */
export class PartitionIndex {
  readonly #store: OrderedStore;
  readonly #clock: Clock;
  readonly #onFailure: (cause: unknown) => void;
  readonly #onDamage: (cause: unknown) => void;
  #dirty = new Map<RowKey, Uint8Array | undefined>();
  #dirtyBytes = 0;
  /** Rows as they were looked up or changed last; `undefined` = there is none. Mutations look most rows up twice. */
  readonly #cached = new RecentMap<RowKey, Uint8Array | undefined>(CACHED_ROWS_MIN);
  /** Being written. */
  #flushing: RowChanges = new Map();
  #position: IndexPosition | undefined;
  #isPositionDirty = false;
  #wantsSync = false;
  #snapshotWaiters: ((snapshot: IndexSnapshot) => void)[] = [];
  #running: Promise<void> | undefined;
  /** Who waits for what is being gathered. */
  #flushCount = 0;
  /** Ends the gathering. */
  #hurry: (() => void) | undefined;
  #failure: unknown;
  #isClosed = false;

  constructor({ store, clock, onFailure, onDamage }: PartitionIndexOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#onDamage = onDamage;
    this.#onFailure = onFailure;
    const stored = store.get(encodeRowKey(POSITION_ROW));
    this.#position = stored && decodePosition(stored);
  }

  get position(): IndexPosition | undefined {
    return this.#position;
  }

  /** True when changes wait for the store: new ones should wait too. */
  get isCrowded(): boolean {
    return this.#dirtyBytes > DIRTY_BYTES_MAX;
  }

  get failure(): unknown {
    return this.#failure;
  }

  get(key: RowKey): Uint8Array | undefined {
    const cached = this.#cached.get(key);
    if (cached || this.#cached.has(key)) return cached;
    const found = this.#find(key);
    this.#remember(key, found);
    return found;
  }

  /** Rows of a range in order, at most `limit`, as they are at the call. */
  async range({ start, end }: RowRange, limit: number): Promise<readonly Row[]> {
    const changed = this.#changedIn(start, end);
    // Rows that are deleted but not yet from the store must not make the page short.
    const deletedCount = changed.reduce((sum, [, value]) => sum + (value ? 0 : 1), 0);
    const stored = await this.#readStored({ start, end }, limit + deletedCount);
    return changed.length === 0 ? stored : merge(stored, changed, limit);
  }

  /** Walks a range page by page; each page is as of its own moment. */
  async *pages(range: RowRange, pageRows: number): AsyncGenerator<readonly Row[]> {
    let { start } = range;
    for (;;) {
      const rows = await this.range({ start, end: range.end }, pageRows);
      if (rows.length > 0) yield rows;
      if (rows.length < pageRows) return;
      start = after(rows.at(-1)!.key);
    }
  }

  /** Makes changes visible; they are written together with the position, or before it. */
  apply(changes: RowChanges, position?: IndexPosition): void {
    for (const [key, value] of changes) {
      this.#dirty.set(key, value);
      this.#remember(key, value);
      this.#dirtyBytes += key.length + (value?.byteLength ?? 0) + ROW_OVERHEAD_BYTES;
    }
    if (position) {
      this.#position = position;
      this.#isPositionDirty = true;
    }
    if (this.#failure !== undefined) return;
    this.#running ??= this.#run();
    if (this.#dirtyBytes > GATHER_BYTES) this.#hurry?.();
  }

  /** Waits until everything applied before the call is written. */
  async flushed(): Promise<void> {
    this.#flushCount += 1;
    try {
      while (this.#flushing.size > 0 || this.#hasWork()) {
        if (this.#failure !== undefined) throw this.#failure;
        this.#running ??= this.#run();
        this.#hurry?.();
        await this.#running;
      }
    } finally {
      this.#flushCount -= 1;
    }
  }

  /** Waits until everything applied before the call survives a power cut. */
  async synced(): Promise<void> {
    this.#wantsSync = true;
    await this.flushed();
  }

  /** All rows as of one position; those of mutations that are applied at the call are among them. */
  async snapshot(): Promise<IndexSnapshot> {
    const taken = new Promise<IndexSnapshot>((resolve) => this.#snapshotWaiters.push(resolve));
    await this.flushed();
    return await taken;
  }

  async close(): Promise<void> {
    // Whoever still reads is told to try again; it says nothing about the rows.
    this.#isClosed = true;
    this.#hurry?.();
    await this.#running;
    await this.#store.close();
  }

  async #readStored({ start, end }: RowRange, limit: number): Promise<readonly Row[]> {
    try {
      const entries = await this.#store.range({ start: encodeRowKey(start), end: encodeRowKey(end), limit });
      return entries.map(({ key, value }) => ({ key: decodeRowKey(key), value }));
    } catch (cause) {
      throw this.#damaged(cause);
    }
  }

  #find(key: RowKey): Uint8Array | undefined {
    if (this.#dirty.has(key)) return this.#dirty.get(key);
    if (this.#flushing.has(key)) return this.#flushing.get(key);
    try {
      return this.#store.get(encodeRowKey(key));
    } catch (cause) {
      throw this.#damaged(cause);
    }
  }

  #remember(key: RowKey, value: Uint8Array | undefined): void {
    if (value && value.byteLength > CACHED_ROW_BYTES_MAX) {
      this.#cached.delete(key);
      return;
    }
    this.#cached.set(key, value);
  }

  #damaged(cause: unknown): StoreError {
    if (!this.#isClosed) this.#onDamage(cause);
    return new StoreError(
      'ServiceUnavailable',
      'The index cannot be read and is made anew. Try again shortly.',
      {
        cause
      }
    );
  }

  async #run(): Promise<void> {
    try {
      while (this.#hasWork()) {
        await this.#gather();
        await this.#writeDirty();
      }
    } catch (cause) {
      this.#failure = cause;
      this.#onFailure(cause);
    } finally {
      this.#running = undefined;
    }
  }

  async #gather(): Promise<void> {
    // Everything of the same turn at least goes into one batch.
    await Promise.resolve();
    if (this.#flushCount > 0 || this.#isClosed || this.#dirtyBytes > GATHER_BYTES) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimer(GATHER_MS, resolve);
      this.#hurry = () => {
        timer[Symbol.dispose]();
        resolve();
      };
    });
    this.#hurry = undefined;
  }

  async #writeDirty(): Promise<void> {
    const changes = this.#dirty;
    this.#flushing = changes;
    this.#dirty = new Map();
    this.#dirtyBytes = 0;
    this.#isPositionDirty = false;
    const sync = this.#wantsSync;
    this.#wantsSync = false;
    const position = this.#position;
    const snapshotWaiters = this.#snapshotWaiters.splice(0);
    const operations: StoreOperation[] = [];
    for (const [key, value] of changes)
      operations.push(
        value ? { type: 'put', key: encodeRowKey(key), value } : { type: 'delete', key: encodeRowKey(key) }
      );
    if (position) operations.push(positionPut(position));
    try {
      await this.#store.batch(operations, { sync });
      this.#flushing = new Map();
      // Nothing is written between the batch and the snapshot, so its rows are those of this position.
      for (const resolve of snapshotWaiters) resolve({ position, rows: this.#scan() });
    } catch (cause) {
      // What could not be written stays readable here.
      for (const [key, value] of this.#dirty) changes.set(key, value);
      this.#dirty = changes;
      this.#flushing = new Map();
      throw cause;
    }
  }

  #hasWork(): boolean {
    return (
      this.#dirty.size > 0 || this.#isPositionDirty || this.#wantsSync || this.#snapshotWaiters.length > 0
    );
  }

  #scan(): AsyncIterable<Row> {
    const entries = this.#store.scan({});
    return {
      async *[Symbol.asyncIterator]() {
        for await (const { key, value } of entries) {
          const row = decodeRowKey(key);
          if (row !== POSITION_ROW) yield { key: row, value };
        }
      }
    };
  }

  #changedIn(start: RowKey, end: RowKey): [RowKey, Uint8Array | undefined][] {
    const changed = new Map<RowKey, Uint8Array | undefined>();
    for (const [key, value] of this.#flushing) if (key >= start && key < end) changed.set(key, value);
    for (const [key, value] of this.#dirty) if (key >= start && key < end) changed.set(key, value);
    return [...changed].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

/** Both in order; a changed row stands for the stored one. */
function merge(
  stored: readonly Row[],
  changed: readonly [RowKey, Uint8Array | undefined][],
  limit: number
): Row[] {
  const rows: Row[] = [];
  let next = 0;
  for (const row of stored) {
    for (; next < changed.length && changed[next]![0] < row.key; next++) push(rows, changed[next]!);
    if (changed[next]?.[0] === row.key) push(rows, changed[next++]!);
    else rows.push(row);
    if (rows.length >= limit) return rows.slice(0, limit);
  }
  for (; next < changed.length; next++) push(rows, changed[next]!);
  return rows.slice(0, limit);
}

function push(rows: Row[], [key, value]: readonly [RowKey, Uint8Array | undefined]): void {
  if (value) rows.push({ key, value });
}

function positionPut({ sequence, extentId: id, offset, logId }: IndexPosition): StoreOperation {
  const value = pack([POSITION_VERSION, sequence, id, offset, logId]);
  return { type: 'put', key: encodeRowKey(POSITION_ROW), value };
}

function decodePosition(bytes: Uint8Array): IndexPosition {
  const [version, sequence, id, offset, logId] = unpack(bytes) as [number, number, number, number, string];
  if (version !== POSITION_VERSION)
    throw new StoreError('ChecksumMismatch', `The index has version ${version}. It is made anew.`);
  return { sequence, extentId: extentId(id), offset, logId };
}
