const CLASS_BITS_MIN = 12;
const NOTHING = new Uint8Array(0);

/**
 * Memory for the tails of frames, reused: allocating it anew for each would keep the garbage collector busy. What is
 * given back may still be looked at by nobody.
 */
export class TailMemory {
  readonly #keptBytesMax: number;
  /** free[bits] holds pieces of 2^bits bytes. */
  readonly #free: Uint8Array[][] = [];
  #keptBytes = 0;

  /** @param keptBytesMax   Most bytes kept for reuse while nobody needs them. */
  constructor(keptBytesMax: number) {
    this.#keptBytesMax = keptBytesMax;
  }

  /** At least `length` bytes with whatever is in them. */
  take(length: number): Uint8Array {
    if (length === 0) return NOTHING;
    const bits = Math.max(CLASS_BITS_MIN, Math.ceil(Math.log2(length)));
    const memory = this.#free[bits]?.pop();
    if (!memory) return Buffer.allocUnsafeSlow(2 ** bits);
    this.#keptBytes -= memory.length;
    return memory;
  }

  /** Takes back what `take` gave. */
  give(memory: Uint8Array): void {
    if (memory.length === 0 || this.#keptBytes + memory.length > this.#keptBytesMax) return;
    const bits = Math.log2(memory.length);
    this.#free[bits] ??= [];
    this.#free[bits].push(memory);
    this.#keptBytes += memory.length;
  }
}
