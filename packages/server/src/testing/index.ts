export {
  type CrashOptions,
  type DiskOperation,
  type DiskRule,
  DiskRules,
  FaultyDisk,
  type FaultyDiskOptions,
  flipByte,
  type ManualClock,
  type ManualClockOptions,
  MemoryDisk,
  type MemoryDiskOptions,
  type MemoryOrderedStores,
  manualClock,
  memoryOrderedStore,
  memoryOrderedStores,
  seededRandom
} from '../platform/index.js';
