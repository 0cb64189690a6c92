import type { PartitionMeasure } from '../partition/index.js';
import type { MetricRegistry } from '../platform/index.js';
import { type GaugeDefinitions, GaugeTable } from './gauge-table.js';

/** More series of single ranges would only burden who scrapes. */
const PARTITIONS_MAX = 1000;

type Name =
  | 'partition_serving'
  | 'partition_epoch'
  | 'partition_last_sequence'
  | 'commit_log_lag_mutations'
  | 'commit_log_lag_bytes'
  | 'live_bytes'
  | 'stream_bytes'
  | 'stream_extents'
  | 'compaction_pending_bytes'
  | 'lock_sessions'
  | 'locks';

const DEFINITIONS: GaugeDefinitions<Name> = {
  partition_serving: ['Whether a range partition of this process serves.', 'partition'],
  partition_epoch: ['Grows with each owner of a range partition.', 'partition'],
  partition_last_sequence: ['Number of the last mutation.', 'partition'],
  commit_log_lag_mutations: ['Mutations since the last checkpoint: a new owner replays them.', 'partition'],
  commit_log_lag_bytes: [
    'Bytes of mutations since the last checkpoint, without those of objects.',
    'partition'
  ],
  live_bytes: ['Bytes of extents that objects and uploads use.', 'partition'],
  stream_bytes: ['Bytes of extents by stream, each extent counted once.', 'partition', 'stream'],
  stream_extents: ['Extents by stream.', 'partition', 'stream'],
  compaction_pending_bytes: ['To be written again so that mostly unused extents can go.', 'partition'],
  lock_sessions: ['Sessions of those who may hold locks, as mounts do.', 'partition'],
  locks: ['Separate ranges of files that are locked.', 'partition']
};

/** The range partitions that this process serves. */
export class PartitionMetrics {
  readonly #gauges: GaugeTable<Name>;

  constructor(registry: MetricRegistry) {
    this.#gauges = new GaugeTable(registry, DEFINITIONS);
  }

  show(measures: readonly PartitionMeasure[]): void {
    const gauges = this.#gauges;
    gauges.clear();
    for (const measure of measures.slice(0, PARTITIONS_MAX)) {
      const partition = { partition: measure.partitionId };
      gauges.set('partition_serving', Number(measure.isServing), partition);
      gauges.set('partition_epoch', measure.epoch, partition);
      gauges.set('partition_last_sequence', measure.lastSequence, partition);
      gauges.set('commit_log_lag_mutations', measure.logLagCount, partition);
      gauges.set('commit_log_lag_bytes', measure.logLagBytes, partition);
      gauges.set('live_bytes', measure.liveBytes, partition);
      gauges.set('compaction_pending_bytes', measure.compactionBytes, partition);
      gauges.set('lock_sessions', measure.lockSessionCount, partition);
      gauges.set('locks', measure.lockCount, partition);
      for (const [stream, bytes] of Object.entries(measure.streamBytes))
        gauges.set('stream_bytes', bytes, { ...partition, stream });
      for (const [stream, count] of Object.entries(measure.streamExtentCounts))
        gauges.set('stream_extents', count, { ...partition, stream });
    }
  }
}
