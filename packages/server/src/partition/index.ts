export type { PartitionLayer } from './partition-layer.js';
