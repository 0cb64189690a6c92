import type { Clock } from '../clock.js';
import type { CacheDisk } from './cache-disk.js';

const CHECK_MS = 10_000;
/** What is written between two looks at the disk, at most. */
const UNCHECKED_BYTES_MAX = 64 * 1024 * 1024;

export interface SpaceGuardOptions {
  readonly disk: CacheDisk;
  readonly clock: Clock;
  /** The part of the disk that stays free. */
  readonly freeShareMin: number;
  /** So many bytes are missing to that. */
  readonly onLow: (bytes: number) => void;
}

/** Keeps a part of the disk free: says whether there is room for more, and when others have taken too much. */
export class SpaceGuard {
  readonly #options: SpaceGuardOptions;
  #roomBytes = 0;
  #uncheckedBytes = 0;
  #checking: Promise<void> | undefined;
  #timer: Disposable | undefined;
  #isClosed = false;

  constructor(options: SpaceGuardOptions) {
    this.#options = options;
  }

  get hasRoom(): boolean {
    return this.#roomBytes > 0;
  }

  async start(): Promise<void> {
    await this.#check();
  }

  /** So many bytes are about to be written. */
  taken(bytes: number): void {
    this.#roomBytes -= bytes;
    this.#uncheckedBytes += bytes;
    if (this.#uncheckedBytes > UNCHECKED_BYTES_MAX || !this.hasRoom) void this.#check();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
  }

  #check(): Promise<void> {
    this.#uncheckedBytes = 0;
    this.#checking ??= this.#look().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  async #look(): Promise<void> {
    const { disk, clock, freeShareMin, onLow } = this.#options;
    this.#timer?.[Symbol.dispose]();
    const space = await disk.space().catch(() => undefined);
    if (this.#isClosed) return;
    this.#timer = clock.setTimer(CHECK_MS, () => void this.#check());
    // What cannot be known is taken for full.
    this.#roomBytes = space ? space.freeBytes - Math.ceil(space.totalBytes * freeShareMin) : 0;
    if (this.#roomBytes < 0) onLow(-this.#roomBytes);
  }
}
