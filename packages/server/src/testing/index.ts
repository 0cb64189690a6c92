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
  manualClock,
  memoryOrderedStore,
  seededRandom
} from '../platform/index.js';
