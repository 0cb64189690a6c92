export { type ClassicLevelOptions, openClassicLevelStore } from './classic-level-store.js';
export type { Clock } from './clock.js';
export type { Disk, DiskFile, DiskSpace } from './disk.js';
export { memoryOrderedStore } from './memory-level-store.js';
export type {
  OpenOrderedStore,
  OrderedStore,
  RangeQuery,
  StoreEntry,
  StoreOperation
} from './ordered-store.js';
export type { Random } from './random.js';
export { systemClock } from './system-clock.js';
export { systemDisk } from './system-disk.js';
export { systemRandom } from './system-random.js';
