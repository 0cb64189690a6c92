import { isStoreError, type StoreCalls } from '@stampede/client';
import type { Clock } from './clock.js';

/** What statfs(2) tells of the drive. */
export interface Space {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly fileCount: number;
}

const KEPT_MS = 2000;
/** Shown when the stamp's space cannot be known: a number that stops no program. */
const UNKNOWN_BYTES = 2 ** 50;

/** The bucket's quota where it has one, else the stamp's disks; without a bucket these alone. */
export class SpaceReader {
  readonly #store: StoreCalls;
  readonly #bucket: string | undefined;
  readonly #clock: Clock;
  #last: { readonly space: Space; readonly readAtMs: number } | undefined;

  constructor(store: StoreCalls, bucket: string | undefined, clock: Clock) {
    this.#store = store;
    this.#bucket = bucket;
    this.#clock = clock;
  }

  async read(): Promise<Space> {
    const now = this.#clock.monotonicMs();
    if (this.#last && now - this.#last.readAtMs < KEPT_MS) return this.#last.space;
    const space = await this.#ask();
    this.#last = { space, readAtMs: now };
    return space;
  }

  async #ask(): Promise<Space> {
    if (this.#bucket === undefined) return { ...(await this.#stampSpace()), fileCount: 0 };
    const { settings, usage } = await this.#store.buckets.head({ bucket: this.#bucket });
    const fileCount = usage.objectCount;
    const { totalBytes, freeBytes } = await this.#stampSpace();
    if (typeof settings.quotaBytes !== 'number') return { totalBytes, freeBytes, fileCount };
    const left = Math.max(0, settings.quotaBytes - usage.bytes);
    return { totalBytes: settings.quotaBytes, freeBytes: Math.min(left, freeBytes), fileCount };
  }

  async #stampSpace(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }> {
    try {
      const { space } = await this.#store.admin.status();
      // A store without a disk has no numbers; zero would tell programs that the drive is full.
      return space.totalBytes > 0 ? space : { totalBytes: UNKNOWN_BYTES, freeBytes: UNKNOWN_BYTES };
    } catch (error) {
      if (!isStoreError(error, 'AccessDenied')) throw error;
      return { totalBytes: UNKNOWN_BYTES, freeBytes: UNKNOWN_BYTES };
    }
  }
}
