import assert from 'node:assert/strict';
import { crc32c, isStoreError, StoreError } from '../api/index.js';
import type { OrderedStore, RangeQuery, StoreEntry, StoreOperation } from './ordered-store.js';

/** What the store needs of a database of the Level family; keys and values in the `view` encoding. */
export interface LevelDatabase {
  getSync(key: Uint8Array): Uint8Array | undefined;
  batch(operations: LevelOperation[], options: { sync: boolean }): Promise<void>;
  iterator(options: LevelRange): LevelIterator;
  close(): Promise<void>;
}

export type LevelOperation =
  | { type: 'put'; key: Uint8Array; value: Uint8Array }
  | { type: 'del'; key: Uint8Array };

export interface LevelRange {
  gte?: Uint8Array;
  lt?: Uint8Array;
  limit?: number;
  reverse?: boolean;
  highWaterMarkBytes?: number;
}

export interface LevelIterator {
  nextv(count: number): Promise<[Uint8Array, Uint8Array][]>;
  close(): Promise<void>;
}

const CHECKSUM_BYTES = 4;
const PAGE_ENTRIES_MAX = 1000;
const PAGE_BYTES = 256 * 1024;
/** Waiting batches are written as one; a group takes no further batch above this size. */
const GROUP_BYTES = 4 * 1024 * 1024;

interface WaitingBatch {
  readonly operations: readonly LevelOperation[];
  readonly lengthBytes: number;
  readonly sync: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * An ordered store on a database of the Level family.
 *
 * Each value ends with the CRC32C of key and value, because the engine verifies its own block checksums only in
 * compactions. Batches that arrive while one is written wait and are then written together in order of arrival: one
 * sync serves them all, and a crash never keeps a later one without an earlier one.
 */
export class LevelStore implements OrderedStore {
  readonly #name: string;
  readonly #database: LevelDatabase;
  #waiting: WaitingBatch[] = [];
  #writing: Promise<void> | undefined;
  /**
   * Set by the first failed write. The engine's log may then end in half a batch, and a batch after it could be lost
   * at the next start although it was acknowledged, so no later one is accepted.
   */
  #failure: StoreError | undefined;
  #closing: Promise<void> | undefined;

  constructor(name: string, database: LevelDatabase) {
    this.#name = name;
    this.#database = database;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    let stored: Uint8Array | undefined;
    try {
      stored = this.#database.getSync(key);
    } catch (cause) {
      throw this.#error('read', cause);
    }
    return stored && this.#verified(key, stored);
  }

  batch(operations: readonly StoreOperation[], options: { readonly sync?: boolean } = {}): Promise<void> {
    const refusal = this.#failure ?? (this.#closing && this.#error('write', 'it was closed'));
    if (refusal) return Promise.reject(refusal);
    const encoded = operations.map(encodeOperation);
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        operations: encoded,
        lengthBytes: lengthOf(encoded),
        sync: options.sync ?? false,
        resolve,
        reject
      });
      this.#writing ??= this.#writeWaiting();
    });
  }

  async range(query: RangeQuery): Promise<readonly StoreEntry[]> {
    const entries: StoreEntry[] = [];
    for await (const page of this.#pages(query)) for (const entry of page) entries.push(entry);
    return entries;
  }

  scan(query: RangeQuery): AsyncIterable<StoreEntry> {
    const pages = this.#pages(query);
    return {
      async *[Symbol.asyncIterator]() {
        for await (const page of pages) yield* page;
      }
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#writing;
    try {
      await this.#database.close();
    } catch (cause) {
      throw this.#error('close', cause);
    }
  }

  /** Never rejects: each batch learns of its own failure. */
  async #writeWaiting(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup();
      try {
        if (this.#failure) throw this.#failure;
        const operations =
          group.length === 1 ? [...group[0]!.operations] : group.flatMap((one) => one.operations);
        await this.#database.batch(operations, { sync: group.some((one) => one.sync) });
        for (const one of group) one.resolve();
      } catch (cause) {
        this.#failure ??= this.#error('write', cause);
        for (const one of group) one.reject(this.#failure);
      }
    }
    this.#writing = undefined;
  }

  #takeGroup(): WaitingBatch[] {
    let count = 0;
    let lengthBytes = 0;
    while (count < this.#waiting.length && (count === 0 || lengthBytes < GROUP_BYTES)) {
      lengthBytes += this.#waiting[count]!.lengthBytes;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  /** The iterator, and with it the snapshot, is made at the call and not at the first page. */
  #pages(query: RangeQuery): AsyncIterable<StoreEntry[]> {
    if (isEmpty(query)) return emptyPages();
    let iterator: LevelIterator;
    try {
      iterator = this.#database.iterator(levelRange(query));
    } catch (cause) {
      throw this.#error('read', cause);
    }
    return this.#readPages(iterator);
  }

  async *#readPages(iterator: LevelIterator): AsyncGenerator<StoreEntry[]> {
    try {
      for (;;) {
        const rows = await iterator.nextv(PAGE_ENTRIES_MAX);
        if (rows.length === 0) return;
        yield rows.map(([key, stored]) => ({ key, value: this.#verified(key, stored) }));
      }
    } catch (cause) {
      throw this.#error('read', cause);
    } finally {
      await iterator.close();
    }
  }

  #verified(key: Uint8Array, stored: Uint8Array): Uint8Array {
    const length = stored.byteLength - CHECKSUM_BYTES;
    const value = stored.subarray(0, Math.max(0, length));
    if (length < 0 || checksumAt(stored, length) !== checksumOf(key, value)) {
      throw new StoreError(
        'ChecksumMismatch',
        `An entry of the database ${this.#name} is damaged. Check the disk, then rebuild the database.`
      );
    }
    return value;
  }

  #error(action: string, cause: unknown): StoreError {
    if (isStoreError(cause)) return cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const isFull = /No space left|Disk quota exceeded/i.test(reason);
    return new StoreError(
      isFull ? 'NoSpace' : 'DiskFailed',
      `Cannot ${action} the database ${this.#name}: ${reason}. ${isFull ? 'Free space' : 'Check the disk'}, then reopen it.`,
      { cause }
    );
  }
}

function encodeOperation(operation: StoreOperation): LevelOperation {
  // Copies, so that the caller may reuse its buffers at once.
  const key = Uint8Array.prototype.slice.call(operation.key);
  if (operation.type === 'delete') return { type: 'del', key };
  const { value } = operation;
  const stored = Buffer.allocUnsafe(value.byteLength + CHECKSUM_BYTES);
  stored.set(value);
  stored.writeUInt32LE(checksumOf(key, value), value.byteLength);
  return { type: 'put', key, value: stored };
}

function lengthOf(operations: readonly LevelOperation[]): number {
  let lengthBytes = 0;
  for (const operation of operations) {
    lengthBytes += operation.key.byteLength + (operation.type === 'put' ? operation.value.byteLength : 0);
  }
  return lengthBytes;
}

function checksumOf(key: Uint8Array, value: Uint8Array): number {
  return crc32c(value, crc32c(key));
}

function checksumAt(bytes: Uint8Array, offset: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(offset, true);
}

function isEmpty({ start, end, limit }: RangeQuery): boolean {
  assert(limit === undefined || (Number.isInteger(limit) && limit >= 0), 'a limit is a count');
  return limit === 0 || (end !== undefined && Buffer.compare(start ?? new Uint8Array(0), end) >= 0);
}

async function* emptyPages(): AsyncGenerator<StoreEntry[]> {}

function levelRange({ start, end, limit, reverse }: RangeQuery): LevelRange {
  return {
    highWaterMarkBytes: PAGE_BYTES,
    ...(start && start.byteLength > 0 && { gte: start }),
    ...(end && { lt: end }),
    ...(limit !== undefined && { limit }),
    ...(reverse && { reverse })
  };
}
