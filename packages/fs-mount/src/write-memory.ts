import type { Clock } from './clock.js';
import { FileSystemError } from './errno.js';

/** The unit in which data is uploaded; the largest buffer of dirty data. */
export const BLOCK_BYTES = 4 * 1024 * 1024;
const BUFFER_BYTES_MIN = 4096;
const FREE_BLOCKS_MAX = 16;

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

/** The buffers that hold dirty data. Whole blocks are used again, so copying any amount of data keeps memory flat. */
export class WriteMemory {
  readonly #options: WriteMemoryOptions;
  readonly #freeBlocks: Uint8Array[] = [];
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
    const buffer = (size === BLOCK_BYTES && this.#freeBlocks.pop()) || Buffer.allocUnsafeSlow(size);
    this.#usedBytes += buffer.byteLength;
    return buffer;
  }

  free(buffer: Uint8Array): void {
    if (buffer.byteLength === BLOCK_BYTES && this.#freeBlocks.length < FREE_BLOCKS_MAX)
      this.#freeBlocks.push(buffer);
    this.unreserve(buffer.byteLength);
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
