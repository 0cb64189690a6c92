export { type ClassicLevelOptions, openClassicLevelStore } from './classic-level-store.js';
export type { Clock } from './clock.js';
export type { Disk, DiskFile, DiskSpace } from './disk.js';
export { SMALL_FILE_BYTES_MAX } from './disk.js';
// Stand-ins for tests and simulation; they touch nothing outside.
export { type DiskOperation, type DiskRule, DiskRules } from './disk-rules.js';
export { FaultyDisk, type FaultyDiskOptions } from './faulty-disk.js';
export { flipByte } from './flip-byte.js';
export { type ManualClock, type ManualClockOptions, manualClock } from './manual-clock.js';
export { type CrashOptions, MemoryDisk, type MemoryDiskOptions } from './memory-disk.js';
export { type MemoryOrderedStores, memoryOrderedStore, memoryOrderedStores } from './memory-level-store.js';
export {
  type CounterMetric,
  type GaugeMetric,
  type HistogramMetric,
  type MetricDefinition,
  type MetricLabels,
  MetricRegistry
} from './metric-registry.js';
export {
  type HttpRequest,
  type HttpResponse,
  type HttpServer,
  type HttpSocket,
  type Listener,
  type ListenOptions,
  type Network,
  type ServerTls,
  systemNetwork
} from './network.js';
export type {
  OpenOrderedStore,
  OrderedStore,
  RangeQuery,
  StoreEntry,
  StoreOperation
} from './ordered-store.js';
export type { Random } from './random.js';
export { seededRandom } from './seeded-random.js';
export {
  type SocketConnectOptions,
  type SocketListener,
  type SocketListenOptions,
  type SocketNetwork,
  type SocketTls,
  systemSocketNetwork
} from './socket-network.js';
export { receiveInto, type SocketReceiver, type SocketReceiving } from './socket-receiving.js';
export { systemClock } from './system-clock.js';
export { systemDisk } from './system-disk.js';
export { systemRandom } from './system-random.js';
