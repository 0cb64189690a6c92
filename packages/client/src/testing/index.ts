export type { ConformanceStore, ConformanceTest } from './conformance/fixture.js';
export { type Fault, type FaultRule, type FaultyOptions, faultyCalls } from './faulty-calls.js';
export { type Cut, FrameServer, type FrameServerOptions } from './frame-server.js';
export { type MemoryStoreOptions, memoryStore } from './memory-store.js';
export { seededRandom } from './seeded-random.js';
export {
  type StoreCallsConformanceOptions,
  type StoreCallsSection,
  storeCallsConformance
} from './store-calls-conformance.js';
export { TestClock } from './test-clock.js';
