import { type EditStep, LIMITS, StoreError } from '@stampede/server/api';

/** The in-memory store keeps holes as zeros, so it refuses what a machine's memory would not hold. */
const CONTENT_BYTES_MAX = 2 ** 31;

/** The bytes of an object while they are changed. */
export class MemoryContent {
  #bytes: Uint8Array;
  #size: number;

  /** @param expectedSize   Room for that much is made at once, unless it is too much. */
  constructor(initial: Uint8Array = new Uint8Array(0), expectedSize = 0) {
    const room = expectedSize <= CONTENT_BYTES_MAX ? expectedSize : 0;
    this.#bytes = new Uint8Array(Math.max(initial.length, room));
    this.#bytes.set(initial);
    this.#size = initial.length;
  }

  get size(): number {
    return this.#size;
  }

  write(offset: number, body: Uint8Array): void {
    this.#resize(Math.max(this.#size, offset + body.length));
    this.#bytes.set(body, offset);
  }

  truncate(size: number): void {
    this.#resize(size);
  }

  punch(offset: number, length: number): void {
    const end = Math.min(offset + length, this.#size);
    if (offset < end) this.#bytes.fill(0, offset, end);
  }

  /** A copy of what is there now. */
  toBytes(): Uint8Array {
    return this.#bytes.slice(0, this.#size);
  }

  #resize(size: number): void {
    if (size > LIMITS.objectBytesMax)
      throw new StoreError('EntityTooLarge', `an object has at most ${LIMITS.objectBytesMax} bytes`);
    if (size > CONTENT_BYTES_MAX)
      throw new StoreError('NoSpace', `the in-memory store holds objects up to ${CONTENT_BYTES_MAX} bytes`);
    if (size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(size, Math.min(this.#bytes.length * 2, CONTENT_BYTES_MAX)));
      larger.set(this.#bytes.subarray(0, this.#size));
      this.#bytes = larger;
    } else if (size < this.#size) {
      // What is cut off must read as zeros when the object grows again.
      this.#bytes.fill(0, size, this.#size);
    }
    this.#size = size;
  }
}

/** Applies the steps of `objects.edit` in order; the writes take the body's bytes one after the other. */
export function applySteps(content: MemoryContent, steps: readonly EditStep[], body: Uint8Array): void {
  const written = steps.reduce((sum, step) => sum + (step.type === 'write' ? step.length : 0), 0);
  if (written !== body.length)
    throw new StoreError(
      'InvalidArgument',
      `the writes take ${written} bytes, but the body has ${body.length}: make them equal`
    );
  let taken = 0;
  for (const step of steps) {
    if (step.type === 'truncate') content.truncate(step.size);
    else if (step.type === 'punch') content.punch(step.offset, step.length);
    else {
      content.write(step.offset ?? content.size, body.subarray(taken, taken + step.length));
      taken += step.length;
    }
  }
}
