import {
  isStoreError,
  LIMITS,
  LockService,
  type MemberId,
  type NameChange,
  type StampStatus,
  StoreError
} from '../api/index.js';
import type { MetaStore } from '../coordination/index.js';
import { isCheckpointDue, isRollDue } from './checkpoint-policy.js';
import type { MutationBody } from './mutation.js';
import type { OnPartitionEvent } from './partition-event.js';
import { type LoadedPartition, loadPartition, type PartitionLoaderOptions } from './partition-loader.js';
import { type PartitionRange, takeRange } from './partition-map.js';
import { measurePartition, type PartitionMeasure } from './partition-measure.js';
import type { RangePartition } from './range-partition.js';
import { everyUsageRow } from './row-key.js';
import { decodeUsage } from './small-records.js';
import { SpaceKeeper } from './space-keeper.js';
import { abortExpiredUploads } from './upload-abort.js';

export interface PartitionHostOptions extends Omit<PartitionLoaderOptions, 'partitionId'> {
  readonly range: PartitionRange;
  readonly owner: MemberId;
  /** Among several servers: load it only while the map gives it to `owner`. */
  readonly onlyIfAssigned?: boolean | undefined;
  readonly meta: MetaStore;
  readonly checkpointRecordBytesMin?: number | undefined;
  readonly onEvent: OnPartitionEvent;
}

const UPKEEP_INTERVAL_MS = 1000;
const EXPIRY_INTERVAL_MS = 60_000;
const SPACE_INTERVAL_MS = 5000;
const FIRST_LOADS_MAX = 5;
const RELOAD_MS_MIN = 100;
const RELOAD_MS_MAX = 5000;
const PAGE_ROWS = 1000;
const FIRST_EPOCH = 1;
const INDEX_FREE_BYTES_MIN = 64 * 1024 * 1024;
const INDEX_FREE_PART_MIN = 1 / 50;
/** Of the log: unused, before a checkpoint is made only to give them back. */
const DEAD_EXTENTS_MAX = 2;
/** The same when the store is full, unless the checkpoint takes more itself. */
const DEAD_BYTES_MAX_FULL = 256 * 1024;
/** Before a checkpoint is tried again for which there was no space. */
const FULL_PAUSE_MS_MIN = 1000;
const FULL_PAUSE_MS_MAX = 30_000;

interface Loaded extends LoadedPartition {
  readonly locks: LockService;
  readonly epoch: number;
  readonly space: SpaceKeeper;
  /** Becomes true when it must be loaded anew. */
  isFailed: boolean;
}

/**
 * Serves a range partition: loads it, loads it anew when its log or index fails under it, and does its upkeep
 * (checkpoints, release of extents, expiry). There is always at most one loaded partition.
 */
export class PartitionHost {
  readonly #options: PartitionHostOptions;
  readonly #closing = new AbortController();
  #loaded: Loaded | undefined;
  #loading: Promise<void> | undefined;
  #loadFailure: StoreError | undefined;
  #isRebuild = false;
  #checkpointPauseMs = FULL_PAUSE_MS_MIN;
  #noCheckpointBeforeMs = 0;
  #upkeep: Promise<unknown> = Promise.resolve();

  private constructor(options: PartitionHostOptions) {
    this.#options = options;
  }

  /** @throws StoreError what keeps the partition from being loaded. */
  static async start(options: PartitionHostOptions): Promise<PartitionHost> {
    const host = new PartitionHost(options);
    await host.#loadFirst();
    host.#upkeep = Promise.all([host.#keepUp(), host.#keepSpace()]);
    return host;
  }

  get isServing(): boolean {
    return this.#loaded !== undefined && !this.#loaded.isFailed;
  }

  /**
   * The partition, loaded.
   *
   * @throws StoreError `ServiceUnavailable` while it cannot be loaded.
   */
  async partition(): Promise<RangePartition> {
    const loaded = this.#loaded;
    if (loaded && !loaded.isFailed) return loaded.partition;
    if (this.#closing.signal.aborted) throw closedError();
    if (this.#loadFailure) throw this.#loadFailure;
    await this.#loading;
    if (this.#loaded && !this.#loaded.isFailed) return this.#loaded.partition;
    throw this.#loadFailure ?? reloadingError(undefined);
  }

  /**
   * The locks of what is loaded. A new load has none of the load before: what happened between is not known for sure.
   *
   * @throws StoreError `ServiceUnavailable` while nothing is loaded.
   */
  get locks(): LockService {
    if (!this.#loaded || this.#loaded.isFailed) throw reloadingError(undefined);
    return this.#loaded.locks;
  }

  async status(): Promise<StampStatus['partitions'][number]> {
    const { partition, streams, epoch } = await this.#current();
    const { partitionId, startKey, endKey } = this.#options.range;
    let objectCount = 0;
    for await (const rows of partition.index.pages(everyUsageRow(), PAGE_ROWS))
      for (const { value } of rows) objectCount += decodeUsage(value).objectCount;
    return {
      partitionId,
      startKey,
      endKey,
      epoch,
      objectCount,
      lastSequence: partition.sequence,
      logExtentCount: streams.log.extents().length,
      dataExtentCount: streams.data.extents().length
    };
  }

  /** Absent while it is not loaded. */
  measure(): PartitionMeasure | undefined {
    return this.#loaded && measurePartition(this.#options.range.partitionId, this.#loaded);
  }

  /** Writes a checkpoint now, whatever the policy says. */
  async checkpoint(): Promise<void> {
    await this.#checkpoint(await this.#current());
  }

  /** Takes no more mutations, waits for those in flight and writes what the index still has in memory. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(closedError());
    await this.#upkeep;
    await this.#loading;
    const loaded = this.#loaded;
    if (!loaded) return;
    loaded.locks.close(closedError());
    loaded.partition.fail(closedError());
    await loaded.partition.idle();
    await loaded.partition.index.synced().catch(() => undefined);
    await loaded.close();
    this.#loaded = undefined;
  }

  async #current(): Promise<Loaded> {
    await this.partition();
    return this.#loaded!;
  }

  /** What an earlier life left may need a second look, such as a replica that had no time to answer. */
  async #loadFirst(): Promise<void> {
    const { clock } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#load();
        return;
      } catch (error) {
        const mayPass = isStoreError(error, 'ServiceUnavailable', 'ReplicaUnavailable');
        if (!mayPass || attempt === FIRST_LOADS_MAX) throw error;
      }
      await clock.sleep(RELOAD_MS_MIN * attempt);
    }
  }

  async #load(): Promise<void> {
    const { range, meta, owner, onlyIfAssigned, clock, onEvent } = this.#options;
    const { partitionId } = range;
    const { random } = this.#options;
    const startedMs = clock.monotonicMs();
    const { signal } = this.#closing;
    const { epoch } = await takeRange(meta, range, { owner, signal, onlyIfAssigned });
    let loaded: Loaded | undefined;
    /** What fails while it is being loaded. */
    let early: unknown;
    const fail = (cause: unknown): void => {
      early ??= cause;
      if (loaded) this.#failed(loaded, cause);
    };
    // Nobody had locks of a range that was never served.
    const locks = new LockService({ clock, lifeId: random.uuid(), mayHaveBefore: epoch > FIRST_EPOCH });
    const parts = await loadPartition(
      { ...this.#options, partitionId },
      {
        epoch,
        signal,
        onMutation: (body) => {
          if (isNameChange(body)) locks.namesChanged(body);
        },
        isRebuild: this.#isRebuild,
        onFailure: fail,
        onIndexFailure: (cause) => onEvent({ type: 'index-write-failed', partitionId, cause }),
        onIndexDamage: (cause) => {
          onEvent({ type: 'index-damaged', partitionId, cause });
          this.#isRebuild = true;
          fail(cause);
        }
      }
    );
    if (early !== undefined) {
      await parts.close();
      throw early;
    }
    const space = new SpaceKeeper({ ...this.#options, loaded: parts, signal });
    loaded = { ...parts, locks, epoch, space, isFailed: false };
    this.#isRebuild = false;
    this.#loadFailure = undefined;
    this.#loaded = loaded;
    const durationMs = clock.monotonicMs() - startedMs;
    onEvent({ type: 'partition-loaded', partitionId, epoch, sequence: parts.partition.sequence, durationMs });
  }

  #failed(loaded: Loaded, cause: unknown): void {
    if (loaded.isFailed || this.#closing.signal.aborted) return;
    loaded.isFailed = true;
    this.#options.onEvent({ type: 'partition-failed', partitionId: this.#options.range.partitionId, cause });
    loaded.locks.close(reloadingError(cause));
    loaded.partition.fail(reloadingError(cause));
    this.#loading = this.#reload(loaded).finally(() => {
      this.#loading = undefined;
    });
  }

  async #reload(failed: Loaded): Promise<void> {
    const { clock, onEvent, range } = this.#options;
    const { signal } = this.#closing;
    await failed.close();
    // What was in flight has learned by now that the streams are closed.
    await failed.partition.idle();
    this.#loaded = undefined;
    for (let pauseMs = RELOAD_MS_MIN; !signal.aborted; pauseMs = Math.min(RELOAD_MS_MAX, pauseMs * 2)) {
      try {
        await this.#load();
        return;
      } catch (cause) {
        onEvent({ type: 'partition-load-failed', partitionId: range.partitionId, cause });
        this.#loadFailure = reloadingError(cause);
        await clock.sleep(pauseMs, signal).catch(() => undefined);
      }
    }
  }

  async #keepUp(): Promise<void> {
    const { clock, onEvent, range } = this.#options;
    const { signal } = this.#closing;
    let expireAtMs = clock.monotonicMs() + EXPIRY_INTERVAL_MS;
    while (!signal.aborted) {
      await clock.sleep(UPKEEP_INTERVAL_MS, signal).catch(() => undefined);
      const loaded = this.#loaded;
      if (signal.aborted || !loaded || loaded.isFailed) continue;
      try {
        await this.#reloadForIndex(loaded);
        await this.#checkpointIfDue(loaded);
        if (loaded.isFailed || signal.aborted) continue;
        await loaded.checkpoints.release();
        if (clock.monotonicMs() < expireAtMs) continue;
        expireAtMs = clock.monotonicMs() + EXPIRY_INTERVAL_MS;
        await loaded.partition.expireRequests();
        await abortExpiredUploads(loaded.partition, { clock, signal });
      } catch (cause) {
        if (loaded.isFailed || signal.aborted) continue;
        onEvent({ type: 'upkeep-failed', partitionId: range.partitionId, cause });
        // A stream that stopped takes no more until it is opened again.
        if (isStoreError(cause, 'ReplicaUnavailable', 'StaleEpoch')) this.#failed(loaded, cause);
      }
    }
  }

  /** Apart from the other upkeep, as a pass may take long. */
  async #keepSpace(): Promise<void> {
    const { clock, onEvent, range } = this.#options;
    const { partitionId } = range;
    const { signal } = this.#closing;
    let isDone = true;
    while (!signal.aborted) {
      if (isDone) await clock.sleep(SPACE_INTERVAL_MS, signal).catch(() => undefined);
      isDone = true;
      const loaded = this.#loaded;
      if (signal.aborted || !loaded || loaded.isFailed) continue;
      try {
        const kept = await loaded.space.keep();
        isDone = kept === undefined;
        if (kept) onEvent({ type: 'extents-compacted', partitionId, ...kept });
      } catch (cause) {
        if (!loaded.isFailed && !signal.aborted) onEvent({ type: 'upkeep-failed', partitionId, cause });
      }
    }
  }

  /**
   * An index that could not be written takes no more until it is opened again. Until then it serves what it has, so
   * after a full disk it is opened only when there is space for it.
   */
  async #reloadForIndex(loaded: Loaded): Promise<void> {
    const { failure } = loaded.partition.index;
    if (failure === undefined) return;
    if (isStoreError(failure, 'NoSpace') && !(await this.#hasSpaceForIndex())) return;
    this.#failed(loaded, failure);
  }

  async #hasSpaceForIndex(): Promise<boolean> {
    const nodes = await this.#options.layer.summary();
    return nodes.some(
      ({ freeBytes, totalBytes }) =>
        freeBytes > Math.min(INDEX_FREE_BYTES_MIN, totalBytes * INDEX_FREE_PART_MIN)
    );
  }

  async #checkpointIfDue(loaded: Loaded): Promise<void> {
    const { clock, layer } = this.#options;
    if (clock.monotonicMs() < this.#noCheckpointBeforeMs) return;
    const { partition, streams, checkpoints } = loaded;
    const checkpointBytes = checkpoints.root.checkpoint?.rowBytes ?? 0;
    const fullBytesMax = layer.isFull() ? Math.max(DEAD_BYTES_MAX_FULL, checkpointBytes) : undefined;
    if (fullBytesMax !== undefined && isRollDue(streams.log.extents(), partition.liveBytes, fullBytesMax))
      await partition.rollLog();
    const extents = streams.log.extents();
    const state = { recordBytes: partition.recordBytes, checkpointBytes, extents };
    const largest = extents.reduce((most, { length }) => Math.max(most, length), 0);
    const limits = {
      recordBytesMin: this.#options.checkpointRecordBytesMin ?? LIMITS.checkpointRecordBytesMin,
      logExtentsMax: LIMITS.checkpointLogExtentsMax,
      deadBytesMax: fullBytesMax ?? DEAD_EXTENTS_MAX * largest
    };
    if (isCheckpointDue(state, partition.liveBytes, limits)) await this.#tryCheckpoint(loaded);
  }

  async #tryCheckpoint(loaded: Loaded): Promise<void> {
    try {
      await this.#checkpoint(loaded);
      this.#checkpointPauseMs = FULL_PAUSE_MS_MIN;
    } catch (error) {
      if (isStoreError(error, 'NoSpace')) {
        this.#noCheckpointBeforeMs = this.#options.clock.monotonicMs() + this.#checkpointPauseMs;
        this.#checkpointPauseMs = Math.min(FULL_PAUSE_MS_MAX, 2 * this.#checkpointPauseMs);
      }
      throw error;
    }
  }

  async #checkpoint({ partition, checkpoints }: Loaded): Promise<void> {
    const { clock, onEvent, range } = this.#options;
    const startedMs = clock.monotonicMs();
    const coveredBytes = partition.recordBytes;
    await checkpoints.write();
    partition.recordBytes -= coveredBytes;
    const { checkpoint } = checkpoints.root;
    if (!checkpoint) return;
    onEvent({
      type: 'checkpoint-written',
      partitionId: range.partitionId,
      sequence: checkpoint.position.sequence,
      rowCount: checkpoint.rowCount,
      durationMs: clock.monotonicMs() - startedMs
    });
  }
}

function isNameChange(body: MutationBody): body is MutationBody & NameChange {
  const { type } = body;
  return type === 'rename' || type === 'delete' || type === 'renamePrefix' || type === 'deletePrefix';
}

function closedError(): StoreError {
  return new StoreError('ServiceUnavailable', 'The store was stopped. Try again when it is back.');
}

function reloadingError(cause: unknown): StoreError {
  if (isStoreError(cause, 'NoSpace')) return new StoreError('NoSpace', cause.message, { cause });
  return new StoreError('ServiceUnavailable', 'The partition is being loaded anew. Try again shortly.', {
    cause
  });
}
