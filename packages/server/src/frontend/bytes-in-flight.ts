import assert from 'node:assert/strict';

interface Waiter {
  readonly bytes: number;
  readonly grant: () => void;
}

/** The memory that calls in flight may take over all connections. Who comes first is served first. */
export class BytesInFlight {
  readonly #bytesMax: number;
  readonly #waiting = new Set<Waiter>();
  #taken = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Takes the bytes if they are free and nobody waits. */
  tryTake(bytes: number): boolean {
    assert(bytes <= this.#bytesMax, 'one call fits');
    if (this.#waiting.size > 0 || this.#taken + bytes > this.#bytesMax) return false;
    this.#taken += bytes;
    return true;
  }

  /** Takes the bytes when they are free, then calls `granted`; dispose to give up before that. */
  wait(bytes: number, granted: () => void): Disposable {
    assert(bytes <= this.#bytesMax, 'one call fits');
    const waiter = { bytes, grant: granted };
    this.#waiting.add(waiter);
    return {
      [Symbol.dispose]: () => {
        // The ones behind may need less.
        if (this.#waiting.delete(waiter)) this.#grant();
      }
    };
  }

  give(bytes: number): void {
    assert(bytes <= this.#taken, 'only what was taken is given back');
    this.#taken -= bytes;
    this.#grant();
  }

  #grant(): void {
    for (const waiter of this.#waiting) {
      if (this.#taken + waiter.bytes > this.#bytesMax) return;
      this.#waiting.delete(waiter);
      this.#taken += waiter.bytes;
      waiter.grant();
    }
  }
}
