import { isStoreError, type PartitionId, StoreError, streamId } from '../api/index.js';
import type { Clock, OpenOrderedStore, OrderedStore, Random } from '../platform/index.js';
import type { OwnedStream, StreamLayer } from '../stream/index.js';
import { ChangeHistory } from './change-history.js';
import {
  type Checkpoint,
  decodeCheckpointBlock,
  decodeRoot,
  type PartitionRoot
} from './checkpoint-format.js';
import { CheckpointWriter, type PartitionStreams } from './checkpoint-writer.js';
import { LiveBytes } from './live-bytes.js';
import { decodeLogBlock, LOG_PREFIX_BYTES, logHeadBytes } from './log-block-format.js';
import type { MutationBody } from './mutation.js';
import { PartitionIndex } from './partition-index.js';
import { decodePrefixChange } from './prefix-change.js';
import { RangePartition } from './range-partition.js';
import { RequestTable } from './request-table.js';
import { prefixChangeRows } from './row-key.js';

export interface PartitionLoaderOptions {
  readonly partitionId: PartitionId;
  readonly layer: StreamLayer;
  readonly clock: Clock;
  readonly random: Random;
  readonly openOrderedStore: OpenOrderedStore;
  /** Removes a store that is closed, with all that is in it. */
  readonly removeOrderedStore: (directory: string) => Promise<void>;
  /** Of the index: a cache that may be deleted while the partition is not loaded. */
  readonly indexDirectory: string;
  readonly durability: 'sync' | 'os';
}

export interface LoadOptions {
  /** Greater than that of every earlier owner. */
  readonly epoch: number;
  /** Makes the index anew although there is one. */
  readonly isRebuild: boolean;
  readonly signal: AbortSignal;
  readonly onMutation: (body: MutationBody) => void;
  readonly onFailure: (cause: unknown) => void;
  readonly onIndexFailure: (cause: unknown) => void;
  readonly onIndexDamage: (cause: unknown) => void;
}

export interface LoadedPartition {
  readonly partition: RangePartition;
  readonly streams: PartitionStreams;
  readonly checkpoints: CheckpointWriter;
  readonly close: () => Promise<void>;
}

const PREFIX_CHANGES_MAX = 10_000;

/**
 * Loads a range partition as its new owner: fences the earlier one by epoch, opens the index or makes it anew from the
 * newest checkpoint, and replays the log from where the index stands. A block of the log that cannot be read stops it.
 */
export async function loadPartition(
  loader: PartitionLoaderOptions,
  options: LoadOptions
): Promise<LoadedPartition> {
  const streams = await openStreams(loader, options.epoch);
  let index: PartitionIndex | undefined;
  const close = async (): Promise<void> => {
    // What is in flight still goes into the index.
    await Promise.allSettled(Object.values(streams).map((stream: OwnedStream) => stream.close()));
    await index?.close().catch(() => undefined);
  };
  try {
    const { root, rootNumber } = await readRoot(loader, streams);
    index = await openIndex(loader, { ...options, streams, root });
    const liveBytes = await LiveBytes.load(index);
    const checkpoints = new CheckpointWriter({ streams, index, liveBytes, root, rootNumber });
    if (rootNumber === 0) await checkpoints.writeRoot(root);
    const partition = new RangePartition({
      logId: root.logId,
      clock: loader.clock,
      log: streams.log,
      index,
      liveBytes,
      requests: await RequestTable.load(index, loader.clock),
      changes: new ChangeHistory({ lifeId: loader.random.uuid().slice(0, 8) }),
      onMutation: options.onMutation,
      isFull: () => loader.layer.isFull(),
      onFailure: options.onFailure
    });
    await resumePrefixChanges(partition);
    await replay(partition, options.signal);
    return { partition, streams, checkpoints, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openStreams(
  { partitionId, layer, durability }: PartitionLoaderOptions,
  epoch: number
): Promise<PartitionStreams> {
  const open = (role: keyof PartitionStreams) =>
    layer.openStream({ streamId: streamId(`${partitionId}/${role}`), epoch, durability });
  const [metadata, log, checkpoint, data] = await Promise.all([
    open('metadata'),
    open('log'),
    open('checkpoint'),
    open('data')
  ]);
  return { metadata, log, checkpoint, data };
}

async function readRoot(
  { random }: PartitionLoaderOptions,
  { metadata, log }: PartitionStreams
): Promise<{ readonly root: PartitionRoot; readonly rootNumber: number }> {
  let found: PartitionRoot | undefined;
  let rootNumber = 0;
  for await (const block of metadata.scan()) {
    found = decodeRoot(await block.read(0, block.location.length));
    rootNumber = block.sequence;
  }
  if (found) return { root: found, rootNumber };
  if (log.extents().some(({ length }) => length > 0) && (await hasBlocks(log)))
    throw new StoreError(
      'ChecksumMismatch',
      'The partition has a log but no root to read it with. Restore its metadata stream.'
    );
  return { root: { logId: random.uuid(), checkpoint: undefined }, rootNumber: 0 };
}

async function hasBlocks(stream: OwnedStream): Promise<boolean> {
  for await (const _ of stream.scan()) return true;
  return false;
}

interface OpenIndexOptions extends LoadOptions {
  readonly streams: PartitionStreams;
  readonly root: PartitionRoot;
}

async function openIndex(loader: PartitionLoaderOptions, options: OpenIndexOptions): Promise<PartitionIndex> {
  const { root, streams } = options;
  const store = options.isRebuild ? undefined : await findUsableStore(loader);
  if (store) {
    const index = indexOver(loader, store, options);
    if (isUsable(index, root, streams)) return index;
    await index.close();
  }
  await loader.removeOrderedStore(loader.indexDirectory);
  const index = indexOver(loader, await loader.openOrderedStore(loader.indexDirectory), options);
  if (root.checkpoint) await restore(index, root.checkpoint, options);
  return index;
}

function indexOver(
  { clock }: PartitionLoaderOptions,
  store: OrderedStore,
  { onIndexFailure, onIndexDamage }: LoadOptions
): PartitionIndex {
  return new PartitionIndex({ store, clock, onFailure: onIndexFailure, onDamage: onIndexDamage });
}

/** An index that cannot be opened is made anew; one for which there is no space is not. */
async function findUsableStore({
  openOrderedStore,
  indexDirectory
}: PartitionLoaderOptions): Promise<OrderedStore | undefined> {
  try {
    return await openOrderedStore(indexDirectory);
  } catch (error) {
    if (isStoreError(error, 'DiskFailed', 'ChecksumMismatch')) return undefined;
    throw error;
  }
}

/** Whether the log still has all that the index has not. */
function isUsable({ position }: PartitionIndex, root: PartitionRoot, { log }: PartitionStreams): boolean {
  if (!position) return root.checkpoint === undefined;
  if (position.logId !== root.logId || position.sequence < (root.checkpoint?.position.sequence ?? 0))
    return false;
  // Without syncs a power cut may leave less of the log than of the index.
  return log
    .extents()
    .some(({ extentId, length }) => extentId === position.extentId && position.offset < length);
}

async function restore(
  index: PartitionIndex,
  { first, blockCount, rowCount, position }: Checkpoint,
  { root, streams, signal }: OpenIndexOptions
): Promise<void> {
  let blocks = 0;
  let rows = 0;
  for await (const block of streams.checkpoint.scan(first)) {
    if (blocks === blockCount) break;
    signal.throwIfAborted();
    blocks += 1;
    const read = decodeCheckpointBlock(await block.read(0, block.location.length));
    rows += read.length;
    index.apply(new Map(read.map(({ key, value }) => [key, value])));
    await index.flushed();
  }
  if (blocks !== blockCount || rows !== rowCount)
    throw new StoreError(
      'ChecksumMismatch',
      `The checkpoint has ${rows} of ${rowCount} rows. Restore its stream.`
    );
  index.apply(new Map(), { ...position, logId: root.logId });
  await index.flushed();
}

/** Changes of prefixes that an earlier life began: nobody else touched their ranges since. */
async function resumePrefixChanges(partition: RangePartition): Promise<void> {
  const rows = await partition.index.range(prefixChangeRows(), PREFIX_CHANGES_MAX);
  for (const { value } of rows) await partition.resume(decodePrefixChange(value));
}

async function replay(partition: RangePartition, signal: AbortSignal): Promise<void> {
  const { position } = partition.index;
  const applied = position?.sequence ?? 0;
  for await (const block of partition.logStream.scan(position)) {
    if (block.sequence <= applied) continue;
    signal.throwIfAborted();
    const headBytes = logHeadBytes(block.head);
    const head =
      headBytes <= block.head.byteLength
        ? block.head
        : await block.read(0, Math.max(headBytes, LOG_PREFIX_BYTES));
    const mutation = decodeLogBlock(head);
    await partition.replay({ sequence: block.sequence, mutation, location: block.location, headBytes });
  }
  await partition.index.flushed();
}
