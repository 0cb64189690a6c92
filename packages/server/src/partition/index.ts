export {
  type EmbeddedPartitionLayer,
  type EmbeddedPartitionLayerOptions,
  openEmbeddedPartitionLayer
} from './embedded-partition-layer.js';
export type { OnPartitionEvent, PartitionEvent } from './partition-event.js';
export type { PartitionLayer } from './partition-layer.js';
export { PARTITION_MANAGER_ELECTION, PartitionManager } from './partition-manager.js';
export type { PartitionMeasure, PartitionStreamName } from './partition-measure.js';
export { PartitionServer } from './partition-server.js';
export { PARTITION, servePartitions } from './remote/partition-server-calls.js';
export {
  openRemotePartitionLayer,
  type PartitionSurvey,
  type RemotePartitionLayer,
  type RemotePartitionLayerOptions
} from './remote/remote-partition-layer.js';
