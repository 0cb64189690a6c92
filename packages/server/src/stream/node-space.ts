import type { Clock, Disk, DiskSpace } from '../platform/index.js';

const MAX_AGE_MS = 1000;
const RESERVE_BYTES_MAX = 64 * 1024 * 1024;

export interface NodeSpaceOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  /** Used fraction of the disk from which on no new extent is created. */
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

  isFull(): boolean {
    return this.freeBytes <= this.totalBytes * (1 - this.#options.highWatermark);
  }

  /**
   * Counts bytes as written, or says that they do not fit. Extents that exist may grow past the watermark, so that what
   * frees space can still be logged, but not into the last bytes of the disk.
   */
  accept(byteLength: number): boolean {
    const isOld = this.#options.clock.monotonicMs() - this.#measuredAtMs > MAX_AGE_MS;
    if (isOld) this.measure().catch(() => undefined);
    const reserveBytes = Math.min(RESERVE_BYTES_MAX, this.totalBytes / 100);
    if (this.freeBytes - byteLength < reserveBytes) {
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
