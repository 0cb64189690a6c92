import { MemoryLevel } from 'memory-level';
import { StoreError } from '../api/index.js';
import { LevelStore } from './level-store.js';
import type { CrashOptions } from './memory-disk.js';
import type { OpenOrderedStore, OrderedStore, StoreOperation } from './ordered-store.js';

type Database = MemoryLevel<Uint8Array, Uint8Array>;

/** Ordered stores in memory, one for each directory, that outlive being closed, and know what a crash would lose. */
export interface MemoryOrderedStores {
  readonly open: OpenOrderedStore;
  /**
   * Ends the life of every store, as a power cut does. Batches after the last synced one are lost, or, with `random`,
   * kept up to some point. What was open fails from now on.
   */
  crash(options?: CrashOptions): Promise<void>;
  /** Removes a store that is closed, as removing its directory does. */
  remove(directory: string): void;
}

/** An ordered store in memory; its content ends with it. */
export async function memoryOrderedStore(): Promise<OrderedStore> {
  return await memoryOrderedStores().open('/in-memory');
}

export function memoryOrderedStores(): MemoryOrderedStores {
  const stores = new Map<string, MemoryStore>();
  return {
    async open(directory) {
      const store = stores.get(directory) ?? new MemoryStore(directory, await openDatabase());
      stores.set(directory, store);
      return store.open();
    },
    remove(directory) {
      stores.delete(directory);
    },
    async crash(options = {}) {
      for (const [directory, store] of stores) {
        store.end();
        stores.set(directory, await store.afterCrash(options));
      }
    }
  };
}

/** More unsynced batches than this are taken as written back by the system, as it may do at any time. */
const UNSYNCED_COUNT_MAX = 10_000;

/** The content of one directory through several openings. */
class MemoryStore {
  readonly #directory: string;
  readonly #database: Database;
  #level: LevelStore;
  #isOpen = false;
  #hasEnded = false;
  #durable: ReturnType<Database['snapshot']>;
  /** Batches after the durable snapshot, oldest first. */
  #unsynced: (readonly StoreOperation[])[] = [];

  constructor(directory: string, database: Database) {
    this.#directory = directory;
    this.#database = database;
    this.#level = new LevelStore(directory, database);
    this.#durable = database.snapshot();
  }

  open(): OrderedStore {
    if (this.#isOpen) {
      const message = `The database ${this.#directory} is in use. Close it first, or choose another folder.`;
      throw new StoreError('DiskFailed', message);
    }
    this.#isOpen = true;
    let isClosed = false;
    const level = (): LevelStore => {
      if (!isClosed && !this.#hasEnded) return this.#level;
      throw new StoreError('DiskFailed', `The database ${this.#directory} was closed. Reopen it.`);
    };
    const inFlight = new Set<Promise<void>>();
    return {
      get: (key) => level().get(key),
      range: async (query) => await level().range(query),
      scan: (query) => level().scan(query),
      batch: async (operations, options) => {
        const written = this.#batch(level(), operations, options?.sync ?? false);
        inFlight.add(written);
        await written.finally(() => inFlight.delete(written));
      },
      close: async () => {
        if (isClosed) return;
        isClosed = true;
        await Promise.allSettled(inFlight);
        this.#isOpen = false;
      }
    };
  }

  end(): void {
    this.#hasEnded = true;
  }

  async afterCrash({ random }: CrashOptions): Promise<MemoryStore> {
    const database = await openDatabase();
    const rows = await this.#database.iterator({ snapshot: this.#durable }).all();
    await database.batch(rows.map(([key, value]) => ({ type: 'put', key, value })));
    const left = new MemoryStore(this.#directory, database);
    const keptCount = random ? Math.floor(random.fraction() * (this.#unsynced.length + 1)) : 0;
    for (const operations of this.#unsynced.slice(0, keptCount)) await left.#level.batch(operations);
    left.#markDurable();
    await this.#level.close();
    return left;
  }

  async #batch(level: LevelStore, operations: readonly StoreOperation[], sync: boolean): Promise<void> {
    const copies = operations.map(copyOf);
    await level.batch(operations, { sync });
    if (this.#hasEnded) {
      throw new StoreError('DiskFailed', `The database ${this.#directory} was cut off. Reopen it.`);
    }
    this.#unsynced.push(copies);
    if (sync || this.#unsynced.length > UNSYNCED_COUNT_MAX) this.#markDurable();
  }

  #markDurable(): void {
    this.#unsynced = [];
    void this.#durable.close();
    this.#durable = this.#database.snapshot();
  }
}

function copyOf(operation: StoreOperation): StoreOperation {
  const key = new Uint8Array(operation.key);
  if (operation.type === 'delete') return { type: 'delete', key };
  return { type: 'put', key, value: new Uint8Array(operation.value) };
}

async function openDatabase(): Promise<Database> {
  const database: Database = new MemoryLevel({
    storeEncoding: 'view',
    keyEncoding: 'view',
    valueEncoding: 'view'
  });
  await database.open();
  return database;
}
