import type { Clock } from './clock.js';
import { FileSystemError } from './errno.js';

/** The unit in which data is uploaded; the largest buffer of dirty data. */
export const BLOCK_BYTES = 4 * 1024 * 1024;
const BUFFER_BYTES_MIN = 4096;
/** What free buffers take at most, on top of the limit and as a part of it. */
const FREE_SHARE = 1 / 4;

export interface WriteMemoryOptions {
  /** Most bytes of all buffers together. */
  readonly limitBytes: number;
  /** How long a write waits for room before it fails. */
  readonly deadlineMs: number;
  readonly clock: Clock;
  /** Called when a write has to wait: whoever holds dirty data should store some. */
  readonly onPressure: () => void;
}

interface Waiter {
  readonly bytes: number;
  readonly proceed: () => void;
}

/**
 * The buffers that hold dirty data. They are used again: V8 notices late that large buffers are garbage, and making them
 * anew for each of many small files costs more than the files do.
 */
export class WriteMemory {
  readonly #options: WriteMemoryOptions;
  /** By size, a power of two. */
  readonly #free = new Map<number, Uint8Array[]>();
  #freeBytes = 0;
  readonly #waiters: Waiter[] = [];
  #usedBytes = 0;

  constructor(options: WriteMemoryOptions) {
    this.#options = options;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get limitBytes(): number {
    return this.#options.limitBytes;
  }

  /** Takes `bytes` of the budget when they are there and nobody waits; the caller gives them back with `unreserve`. */
  tryReserve(bytes: number): boolean {
    if (this.#waiters.length > 0 || this.#usedBytes + bytes > this.#options.limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  /** Waits, first come first served, until `bytes` fit. Fails with `EIO` when nothing was stored for the deadline. */
  async reserve(bytes: number): Promise<void> {
    if (this.tryReserve(bytes)) return;
    const { clock, deadlineMs, onPressure } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        proceed: () => {
          timer[Symbol.dispose]();
          resolve();
        }
      };
      const timer = clock.setTimer(deadlineMs, () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(new FileSystemError('EIO', 'the write memory is full and the store takes no data; check it'));
      });
      this.#waiters.push(waiter);
      onPressure();
    });
  }

  unreserve(bytes: number): void {
    this.#usedBytes -= bytes;
    this.#admit();
  }

  /** A buffer of at least `bytes` ≤ BLOCK_BYTES, charged to the budget in full. Its content is arbitrary. */
  allocate(bytes: number): Uint8Array {
    let size = BUFFER_BYTES_MIN;
    while (size < bytes) size *= 2;
    const buffer = this.#takeFree(size) ?? Buffer.allocUnsafeSlow(size);
    this.#usedBytes += size;
    return buffer;
  }

  free(buffer: Uint8Array): void {
    const size = buffer.byteLength;
    if (this.#freeBytes + size <= this.#options.limitBytes * FREE_SHARE) {
      const known = this.#free.get(size);
      if (known) known.push(buffer);
      else this.#free.set(size, [buffer]);
      this.#freeBytes += size;
    }
    this.unreserve(size);
  }

  #takeFree(size: number): Uint8Array | undefined {
    const buffer = this.#free.get(size)?.pop();
    if (buffer) this.#freeBytes -= size;
    // Small ones that nobody took for a while must not keep the blocks of a large file from being used again.
    else if (size === BLOCK_BYTES) this.#dropFree();
    return buffer;
  }

  #dropFree(): void {
    this.#free.clear();
    this.#freeBytes = 0;
  }

  #admit(): void {
    for (;;) {
      const first = this.#waiters[0];
      if (!first || this.#usedBytes + first.bytes > this.#options.limitBytes) return;
      this.#waiters.shift();
      this.#usedBytes += first.bytes;
      first.proceed();
    }
  }
}
