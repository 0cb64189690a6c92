import { ClassicLevel } from 'classic-level';
import { MemoryLevel } from 'memory-level';
import { StoreError } from '../api/index.js';
import type { OrderedStore, RangeQuery, StoreEntry, StoreOperation } from './ordered-store.js';

const SCAN_PAGE_ENTRIES = 1000;
const SCAN_PAGE_BYTES = 1 << 20;
const WRITE_BUFFER_BYTES = 16 << 20;
const CACHE_BYTES = 64 << 20;

// Both implement abstract-level; the options that only one knows are ignored by the other.
type Level = ClassicLevel<Uint8Array, Uint8Array>;

/** Opens or creates the LevelDB in a folder; one process at a time may have it open. */
export async function openClassicLevelStore(directory: string): Promise<OrderedStore> {
  const level = new ClassicLevel<Uint8Array, Uint8Array>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer'
  });
  try {
    await level.open({ writeBufferSize: WRITE_BUFFER_BYTES, cacheSize: CACHE_BYTES, compression: true });
  } catch (error) {
    throw new StoreError(
      'DiskFailed',
      `the ordered store in ${directory} cannot be opened: ${reasonOf(error)}`,
      { cause: error }
    );
  }
  return new LevelStore(level);
}

/** The same contract in memory. */
export async function memoryOrderedStore(): Promise<OrderedStore> {
  const level = new MemoryLevel<Uint8Array, Uint8Array>({
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    storeEncoding: 'buffer'
  });
  await level.open();
  return new LevelStore(level as unknown as Level);
}

class LevelStore implements OrderedStore {
  constructor(readonly level: Level) {}

  get(key: Uint8Array): Uint8Array | undefined {
    try {
      return this.level.getSync(key);
    } catch (error) {
      throw failed('get', error);
    }
  }

  async batch(
    operations: readonly StoreOperation[],
    options: { readonly sync?: boolean } = {}
  ): Promise<void> {
    try {
      const batch = operations.map((operation) =>
        operation.type === 'put' ? operation : { type: 'del' as const, key: operation.key }
      );
      await this.level.batch(batch, { sync: options.sync ?? false });
    } catch (error) {
      throw failed('batch', error);
    }
  }

  async range(query: RangeQuery): Promise<readonly StoreEntry[]> {
    try {
      const entries = await this.level.iterator(boundsOf(query)).all();
      return entries.map(([key, value]) => ({ key, value }));
    } catch (error) {
      throw failed('range', error);
    }
  }

  async *scan(query: RangeQuery): AsyncIterable<StoreEntry> {
    const iterator = this.level.iterator({ ...boundsOf(query), highWaterMarkBytes: SCAN_PAGE_BYTES });
    try {
      for (;;) {
        const page = await iterator.nextv(SCAN_PAGE_ENTRIES);
        if (page.length === 0) return;
        for (const [key, value] of page) yield { key, value };
      }
    } catch (error) {
      throw failed('scan', error);
    } finally {
      await iterator.close();
    }
  }

  async close(): Promise<void> {
    await this.level.close();
  }
}

function boundsOf({ start, end, limit, reverse }: RangeQuery) {
  return {
    ...(start && { gte: start }),
    ...(end && { lt: end }),
    ...(limit !== undefined && { limit }),
    reverse: reverse ?? false
  };
}

function failed(what: string, error: unknown): StoreError {
  return error instanceof StoreError
    ? error
    : new StoreError('DiskFailed', `ordered store: ${what} failed: ${reasonOf(error)}`, { cause: error });
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message : message;
}
