import { MemoryLevel } from 'memory-level';
import { LevelStore } from './level-store.js';
import type { OrderedStore } from './ordered-store.js';

/** An ordered store in memory; its content ends with it. */
export function memoryOrderedStore(): OrderedStore {
  const database = new MemoryLevel<Uint8Array, Uint8Array>({
    storeEncoding: 'view',
    keyEncoding: 'view',
    valueEncoding: 'view'
  });
  return new LevelStore('in memory', database);
}
