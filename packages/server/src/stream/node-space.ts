import type { Clock, Disk, DiskSpace } from '../platform/index.js';
import { reservePartFor, roomOf, type SpaceRoom, type SpaceUse } from './space-use.js';

const MAX_AGE_MS = 1000;
/** The last bytes of the disk are nobody's: of extents, that is. Tables and indexes may be on it too. */
const FLOOR_BYTES_MAX = 64 * 1024 * 1024;
const FLOOR_PART = 1 / 50;

export interface NodeSpaceOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  /** Used fraction of the disk from which on no new extent is created for bytes of objects. */
  readonly highWatermark: number;
}

/** How full a node's disk is, cheap to ask before each append: measured in the background, counted in between. */
export class NodeSpace {
  readonly #options: NodeSpaceOptions;
  #space: DiskSpace = { totalBytes: 0, freeBytes: 0 };
  #measuredAtMs = 0;
  #acceptedBytes = 0;
  #measuring: Promise<void> | undefined;

  constructor(options: NodeSpaceOptions) {
    this.#options = options;
  }

  get totalBytes(): number {
    return this.#space.totalBytes;
  }

  get freeBytes(): number {
    return Math.max(0, this.#space.freeBytes - this.#acceptedBytes);
  }

  /** For which uses a new extent may be created. */
  get room(): SpaceRoom {
    return roomOf((use) => this.#spareBytes > this.#reserveBytes * reservePartFor(use, 'create'));
  }

  /** What is free above the floor. */
  get #spareBytes(): number {
    return this.freeBytes - this.#floorBytes;
  }

  get #floorBytes(): number {
    return Math.min(FLOOR_BYTES_MAX, this.totalBytes * FLOOR_PART);
  }

  /** Between the high watermark and the floor. */
  get #reserveBytes(): number {
    return Math.max(0, this.totalBytes * (1 - this.#options.highWatermark) - this.#floorBytes);
  }

  /** Counts bytes as written, or says that they do not fit. */
  accept(byteLength: number, use: SpaceUse): boolean {
    const isOld = this.#options.clock.monotonicMs() - this.#measuredAtMs > MAX_AGE_MS;
    if (isOld) this.measure().catch(() => undefined);
    if (this.#spareBytes - byteLength < this.#reserveBytes * reservePartFor(use, 'append')) {
      this.measure().catch(() => undefined);
      return false;
    }
    this.#acceptedBytes += byteLength;
    return true;
  }

  /** Calls meanwhile share one measurement. */
  measure(): Promise<void> {
    this.#measuring ??= this.#measure().finally(() => {
      this.#measuring = undefined;
    });
    return this.#measuring;
  }

  async #measure(): Promise<void> {
    const { disk, clock, directory } = this.#options;
    const acceptedBytes = this.#acceptedBytes;
    this.#space = await disk.space(directory);
    // What was accepted since the start may be written or not: counting it twice for a moment is on the safe side.
    this.#acceptedBytes -= acceptedBytes;
    this.#measuredAtMs = clock.monotonicMs();
  }
}
