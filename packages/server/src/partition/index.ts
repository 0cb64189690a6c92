export {
  type EmbeddedPartitionLayer,
  type EmbeddedPartitionLayerOptions,
  openEmbeddedPartitionLayer
} from './embedded-partition-layer.js';
export type { OnPartitionEvent, PartitionEvent } from './partition-event.js';
export type { PartitionLayer } from './partition-layer.js';
