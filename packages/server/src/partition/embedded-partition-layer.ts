import type { BucketCalls, MemberId, ObjectCalls, UploadCalls } from '../api/index.js';
import type { MetaStore } from '../coordination/index.js';
import type { Clock, OpenOrderedStore, Random } from '../platform/index.js';
import type { StreamLayer } from '../stream/index.js';
import { bucketCalls } from './bucket-calls.js';
import { objectCalls } from './object-calls.js';
import type { OnPartitionEvent } from './partition-event.js';
import { PartitionHost } from './partition-host.js';
import type { PartitionLayer } from './partition-layer.js';
import { WHOLE_RANGE } from './partition-map.js';
import type { RangePartition } from './range-partition.js';
import { uploadCalls } from './upload-calls.js';

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
  /** Writes a checkpoint of every partition now. */
  checkpoint(): Promise<void>;
}

/** The calls of one loaded partition. */
interface PartitionCalls {
  readonly buckets: BucketCalls;
  readonly objects: ObjectCalls;
  readonly uploads: UploadCalls;
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
  const known = new WeakMap<RangePartition, PartitionCalls>();
  const callsOf = (partition: RangePartition): PartitionCalls => {
    let calls = known.get(partition);
    if (!calls) {
      const services = { partition, layer: options.layer, clock: options.clock };
      calls = {
        buckets: bucketCalls(partition),
        objects: objectCalls(services),
        uploads: uploadCalls(services)
      };
      known.set(partition, calls);
    }
    return calls;
  };
  const current = async (): Promise<PartitionCalls> => callsOf(await host.partition());
  return {
    buckets: routed(current, 'buckets', ['create', 'delete', 'head', 'list', 'configure']),
    objects: {
      ...routed(current, 'objects', OBJECT_CALLS),
      async *watch(input, watchOptions) {
        yield* (await current()).objects.watch(input, watchOptions);
      }
    },
    uploads: routed(current, 'uploads', UPLOAD_CALLS),
    partitions: async () => [await host.status()],
    get isServing() {
      return host.isServing;
    },
    checkpoint: () => host.checkpoint(),
    close: () => host.close()
  };
}

const OBJECT_CALLS = [
  'put',
  'edit',
  'read',
  'head',
  'stat',
  'list',
  'delete',
  'deleteMany',
  'copy',
  'rename',
  'compose',
  'renamePrefix',
  'deletePrefix',
  'setAttributes',
  'usage'
] as const;
const UPLOAD_CALLS = [
  'create',
  'write',
  'putPart',
  'truncate',
  'punch',
  'copyRange',
  'complete',
  'abort',
  'list',
  'listParts'
] as const;

/** Calls that each go to the partition as it is loaded then. */
function routed<Group extends keyof PartitionCalls, Name extends keyof PartitionCalls[Group]>(
  current: () => Promise<PartitionCalls>,
  group: Group,
  names: readonly Name[]
): Pick<PartitionCalls[Group], Name> {
  type Call = (...args: unknown[]) => unknown;
  const calls = names.map((name) => {
    const call: Call = async (...args) => {
      const target = (await current())[group] as unknown as Record<Name, Call>;
      return await target[name](...args);
    };
    return [name, call] as const;
  });
  return Object.fromEntries(calls) as unknown as Pick<PartitionCalls[Group], Name>;
}
