import type { MemoryOrderedStores, OpenOrderedStore, OrderedStore } from '../../platform/index.js';
import type { Life } from './life.js';
import type { DiskPace } from './life-disk.js';

const STEP_MS = 0.2;
const SYNC_MS = 2;

/** The ordered stores of a machine's disk as one life of it sees them: batches and reads take time, lookups none. */
export function lifeStores(life: Life, stores: MemoryOrderedStores, pace: DiskPace): OpenOrderedStore {
  const takeTime = async (meanMs: number, what: () => string): Promise<void> => {
    await life.wait(meanMs * pace.factor * (0.5 + life.random.fraction()), () => `store ${what()}`);
  };
  return async (directory) => {
    await takeTime(SYNC_MS, () => `open ${directory}`);
    return wrap(await stores.open(directory));
  };

  function wrap(store: OrderedStore): OrderedStore {
    return {
      get: (key) => store.get(key),
      async batch(operations, options) {
        // At once, so that batches stay in the order of their calls.
        const written = store.batch(operations, options);
        written.catch(() => undefined);
        await takeTime(options?.sync ? SYNC_MS : STEP_MS, () => `batch of ${operations.length}`);
        await written;
      },
      async range(query) {
        const rows = store.range(query);
        rows.catch(() => undefined);
        await takeTime(STEP_MS, () => 'range');
        return await rows;
      },
      scan: (query) => store.scan(query),
      close: () => store.close()
    };
  }
}
