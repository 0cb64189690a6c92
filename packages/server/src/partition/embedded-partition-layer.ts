import type { MemberId } from '../api/index.js';
import type { MetaStore } from '../coordination/index.js';
import type { Clock, OpenOrderedStore, Random } from '../platform/index.js';
import type { StreamLayer } from '../stream/index.js';
import { hostedCalls } from './partition-calls.js';
import type { OnPartitionEvent } from './partition-event.js';
import { PartitionHost } from './partition-host.js';
import type { PartitionLayer } from './partition-layer.js';
import { WHOLE_RANGE } from './partition-map.js';
import type { PartitionMeasure } from './partition-measure.js';

export interface EmbeddedPartitionLayerOptions {
  readonly layer: StreamLayer;
  readonly meta: MetaStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly openOrderedStore: OpenOrderedStore;
  /** Removes a store that is closed, with all that is in it. */
  readonly removeOrderedStore: (directory: string) => Promise<void>;
  /** Where indexes are; a cache of the log. */
  readonly indexDirectory: string;
  readonly durability: 'sync' | 'os';
  readonly owner: MemberId;
  /** Default `LIMITS.checkpointRecordBytesMin`. */
  readonly checkpointRecordBytesMin?: number | undefined;
  readonly onEvent?: OnPartitionEvent;
}

export interface EmbeddedPartitionLayer extends PartitionLayer {
  /** False while the partition is being loaded anew. */
  readonly isServing: boolean;
  /** For metrics. */
  measure(): readonly PartitionMeasure[];
  /** Writes a checkpoint of every partition now. */
  checkpoint(): Promise<void>;
}

/**
 * Opens the partition layer of a single process: one range partition with every key.
 *
 * @throws StoreError what keeps the partition from being loaded, such as a block of its log that no replica can give.
 */
export async function openEmbeddedPartitionLayer(
  options: EmbeddedPartitionLayerOptions
): Promise<EmbeddedPartitionLayer> {
  const host = await PartitionHost.start({
    ...options,
    range: WHOLE_RANGE,
    indexDirectory: `${options.indexDirectory}/${WHOLE_RANGE.partitionId}`,
    onEvent: options.onEvent ?? (() => undefined)
  });
  return {
    ...hostedCalls(host, options),
    partitions: async () => [await host.status()],
    get isServing() {
      return host.isServing;
    },
    measure: () => [host.measure()].filter((measure) => measure !== undefined),
    checkpoint: () => host.checkpoint(),
    close: () => host.close()
  };
}
