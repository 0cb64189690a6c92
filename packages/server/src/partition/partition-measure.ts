import type { LockService, PartitionId } from '../api/index.js';
import type { LoadedPartition } from './partition-loader.js';
import type { SpaceKeeper } from './space-keeper.js';

export type PartitionStreamName = keyof LoadedPartition['streams'];

/** How a range partition fares, for metrics; from memory alone. */
export interface PartitionMeasure {
  readonly partitionId: PartitionId;
  readonly epoch: number;
  readonly isServing: boolean;
  readonly lastSequence: number;
  /** Mutations since the checkpoint, and their bytes without those of objects: what a new owner replays. */
  readonly logLagCount: number;
  readonly logLagBytes: number;
  /** Bytes of extents that objects and uploads use. */
  readonly liveBytes: number;
  /** Bytes of the extents of each stream, each counted once however many replicas it has. */
  readonly streamBytes: Readonly<Record<PartitionStreamName, number>>;
  readonly streamExtentCounts: Readonly<Record<PartitionStreamName, number>>;
  /** To be written again so that mostly unused extents can go. */
  readonly compactionBytes: number;
  /** Sessions that may have locks, and separate ranges that are locked. */
  readonly lockSessionCount: number;
  readonly lockCount: number;
}

export interface MeasuredPartition extends LoadedPartition {
  readonly epoch: number;
  readonly space: SpaceKeeper;
  readonly locks: LockService;
  readonly isFailed: boolean;
}

export function measurePartition(partitionId: PartitionId, loaded: MeasuredPartition): PartitionMeasure {
  const { partition, streams, checkpoints, space, locks, epoch, isFailed } = loaded;
  const { sessions, segments } = locks.counts;
  const bytesOf = (name: PartitionStreamName): number =>
    streams[name].extents().reduce((sum, { length }) => sum + length, 0);
  const countOf = (name: PartitionStreamName): number => streams[name].extents().length;
  return {
    partitionId,
    epoch,
    isServing: !isFailed,
    lastSequence: partition.sequence,
    logLagCount: partition.sequence - (checkpoints.root.checkpoint?.position.sequence ?? 0),
    logLagBytes: partition.recordBytes,
    liveBytes: partition.liveBytes.total(),
    streamBytes: eachStream(bytesOf),
    streamExtentCounts: eachStream(countOf),
    compactionBytes: space.pendingBytes(),
    lockSessionCount: sessions,
    lockCount: segments
  };
}

function eachStream(measureOf: (name: PartitionStreamName) => number): Record<PartitionStreamName, number> {
  return {
    metadata: measureOf('metadata'),
    log: measureOf('log'),
    checkpoint: measureOf('checkpoint'),
    data: measureOf('data')
  };
}
