import { type ExtentId, LIMITS } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { StreamLayer } from '../stream/index.js';
import { chooseCompaction } from './compaction-policy.js';
import { type CompactionOutcome, Compactor } from './compactor.js';
import type { LoadedPartition } from './partition-loader.js';

export interface SpaceKeeperOptions {
  readonly loaded: LoadedPartition;
  readonly layer: StreamLayer;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface KeptSpace extends CompactionOutcome {
  readonly extentCount: number;
  readonly durationMs: number;
}

/** Together with what the log holds since the checkpoint, space stays below 1.3 times what is used, and two extents. */
const SPACE_FACTOR_MAX = 1.15;
const UNUSED_PART_MIN = 0.1;
const EXTENTS_PER_PASS = 8;
const BYTES_PER_SECOND = 64 * 1024 * 1024;
/** On a store that is full: what a pass writes must fit the reserve. */
const MOVED_PART_OF_FREE = 1 / 4;

/** Keeps the space that a partition takes in proportion to what is used of it. */
export class SpaceKeeper {
  readonly #options: SpaceKeeperOptions;
  /** Extents that a pass could not empty, with what was used of them then. */
  readonly #stuck = new Map<ExtentId, number>();

  constructor(options: SpaceKeeperOptions) {
    this.#options = options;
  }

  /** Empties extents if that is due. */
  async keep(): Promise<KeptSpace | undefined> {
    const { loaded, clock } = this.#options;
    const chosen = this.#choose(await this.#movedBytesMax());
    if (chosen.length === 0) return undefined;
    const startedMs = clock.monotonicMs();
    const compactor = new Compactor({
      ...this.#options,
      partition: loaded.partition,
      bytesPerSecond: BYTES_PER_SECOND
    });
    const outcome = await compactor.empty(chosen);
    const { liveBytes } = loaded.partition;
    for (const id of chosen) if (liveBytes.of(id) > 0) this.#stuck.set(id, liveBytes.of(id));
    await loaded.checkpoints.release();
    return { ...outcome, extentCount: chosen.length, durationMs: clock.monotonicMs() - startedMs };
  }

  /** What one pass may write when the store is full. */
  async #movedBytesMax(): Promise<number> {
    const { layer } = this.#options;
    if (!layer.isFull()) return Number.POSITIVE_INFINITY;
    const nodes = await layer.summary();
    return Math.min(...nodes.map(({ freeBytes }) => freeBytes)) * MOVED_PART_OF_FREE;
  }

  /** What a pass that began now would write again. */
  pendingBytes(): number {
    const { liveBytes } = this.#options.loaded.partition;
    return this.#choose().reduce((sum, id) => sum + liveBytes.of(id), 0);
  }

  #choose(movedBytesMax = Number.POSITIVE_INFINITY): readonly ExtentId[] {
    const { loaded, layer } = this.#options;
    const { partition, streams } = loaded;
    const isFull = layer.isFull();
    const { liveBytes } = partition;
    const extents = streams.data.extents();
    const ids = new Set(extents.map(({ extentId }) => extentId));
    for (const id of this.#stuck.keys()) if (!ids.has(id)) this.#stuck.delete(id);
    const largest = extents.reduce((most, { length }) => Math.max(most, length), 0);
    return chooseCompaction(
      {
        extents,
        liveBytes: (id) => liveBytes.of(id),
        isStuck: (id) => liveBytes.of(id) >= (this.#stuck.get(id) ?? Number.POSITIVE_INFINITY)
      },
      {
        // A store that is full needs whatever it can give back.
        spaceFactorMax: isFull ? 1 : SPACE_FACTOR_MAX,
        slackBytes: isFull ? 0 : Math.min(largest, LIMITS.extentBytesMax),
        unusedPartMin: UNUSED_PART_MIN,
        extentsMax: EXTENTS_PER_PASS,
        movedBytesMax
      }
    );
  }
}
