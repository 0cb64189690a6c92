import type { ObjectHead } from '@stampede/client';
import { type BlockCache, SEGMENT_BYTES_MAX } from './block-cache.js';

const WINDOW_BYTES_MIN = 128 * 1024;
const RANDOM_READ_BYTES = 64 * 1024;
/** The kernel asks for the pages of a sequential reader out of order, up to this far apart. */
const JITTER_BYTES = 1024 * 1024;

/** How far one handle reads ahead: twice as far with each sequential read, not at all after a seek. */
export class ReadAhead {
  readonly #cache: BlockCache;
  readonly #windowBytesMax: number;
  #windowBytes = 0;
  #expectedOffset = 0;
  /** Up to where bytes were asked for ahead. */
  #aheadTo = 0;

  constructor(cache: BlockCache, windowBytesMax: number) {
    this.#cache = cache;
    this.#windowBytesMax = windowBytesMax;
  }

  /** Copies [start, end) of the version into `into`, and asks for what comes next when reading goes on in order. */
  async read(head: ObjectHead, start: number, into: Uint8Array): Promise<void> {
    const end = start + into.byteLength;
    const isSequential = Math.abs(start - this.#expectedOffset) <= JITTER_BYTES;
    this.#expectedOffset = end;
    if (this.#cache.readFromDisk(head, start, into)) return;
    if (!isSequential) {
      this.#windowBytes = 0;
      this.#aheadTo = 0;
      // Small reads at scattered places often hit the same neighbourhood again.
      this.#cache.prefetch({ head, start: alignDown(start), end: Math.min(head.size, alignUp(end)) });
    } else {
      this.#advance(head, start, end);
    }
    await this.#cache.read({ head, start, end }, into);
  }

  #advance(head: ObjectHead, start: number, end: number): void {
    this.#windowBytes = Math.min(
      this.#windowBytesMax,
      Math.max(WINDOW_BYTES_MIN, this.#windowBytes * 2, alignUp(end - start))
    );
    if (this.#aheadTo < start || this.#aheadTo > end + 2 * this.#windowBytesMax) this.#aheadTo = start;
    // Asking again only when half of the window is used keeps single reads large.
    if (this.#aheadTo - end > this.#windowBytes / 2) return;
    const target = Math.min(head.size, alignUp(end + this.#windowBytes));
    while (this.#aheadTo < target) {
      const step = Math.min(target, this.#aheadTo + SEGMENT_BYTES_MAX);
      if (this.#aheadTo > end && !this.#cache.hasRoomFor(step - this.#aheadTo)) return;
      this.#cache.prefetch({ head, start: this.#aheadTo, end: step });
      this.#aheadTo = step;
    }
  }
}

function alignDown(offset: number): number {
  return offset - (offset % RANDOM_READ_BYTES);
}

function alignUp(offset: number): number {
  return Math.ceil(offset / RANDOM_READ_BYTES) * RANDOM_READ_BYTES;
}
