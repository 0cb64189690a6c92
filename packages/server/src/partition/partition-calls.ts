import type { BucketCalls, LockCalls, ObjectCalls, UploadCalls } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { StreamLayer } from '../stream/index.js';
import { bucketCalls } from './bucket-calls.js';
import { lockCalls } from './lock-calls.js';
import { objectCalls } from './object-calls.js';
import type { PartitionHost } from './partition-host.js';
import type { RangePartition } from './range-partition.js';
import { uploadCalls } from './upload-calls.js';

/** The calls of one range partition. */
export interface PartitionCalls {
  readonly buckets: BucketCalls;
  readonly objects: ObjectCalls;
  readonly uploads: UploadCalls;
  readonly locks: LockCalls;
}

/** Names of the calls that answer once, by group. */
export const PARTITION_CALLS = {
  buckets: ['create', 'delete', 'head', 'list', 'configure'],
  objects: [
    'put',
    'edit',
    'read',
    'head',
    'holes',
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
  ],
  uploads: [
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
  ],
  locks: ['renew', 'acquire', 'release', 'find', 'end']
} as const satisfies { readonly [Group in keyof PartitionCalls]: readonly (keyof PartitionCalls[Group])[] };

export type OnceCall = (input: never, options?: { readonly signal?: AbortSignal }) => Promise<unknown>;

/** All calls made by one function, which is told group and name. */
export function callsBy(
  make: (group: keyof PartitionCalls, name: string) => OnceCall,
  watch: ObjectCalls['watch']
): PartitionCalls {
  const groups = Object.entries(PARTITION_CALLS).map(([group, names]) => [
    group,
    Object.fromEntries(names.map((name) => [name, make(group as keyof PartitionCalls, name)]))
  ]);
  const calls = Object.fromEntries(groups) as unknown as PartitionCalls;
  return { ...calls, objects: { ...calls.objects, watch } };
}

/** The calls of what a host has loaded at the time of each call. */
export function hostedCalls(
  host: PartitionHost,
  { layer, clock }: { readonly layer: StreamLayer; readonly clock: Clock }
): PartitionCalls {
  const known = new WeakMap<RangePartition, PartitionCalls>();
  const current = async (): Promise<PartitionCalls> => {
    const partition = await host.partition();
    let calls = known.get(partition);
    if (!calls) {
      const services = { partition, layer, clock };
      calls = {
        buckets: bucketCalls(partition),
        objects: objectCalls(services),
        uploads: uploadCalls(services),
        locks: lockCalls(() => host.locks)
      };
      known.set(partition, calls);
    }
    return calls;
  };
  return callsBy(
    (group, name) => async (input, options) => {
      const target = (await current())[group] as unknown as Readonly<Record<string, OnceCall>>;
      return await target[name]!(input, options);
    },
    async function* watch(input, options) {
      yield* (await current()).objects.watch(input, options);
    }
  );
}
