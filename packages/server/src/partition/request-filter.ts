import { crc32c } from '../api/index.js';

const BITS = 2 ** 23;
const HASHES = 4;

/**
 * A Bloom filter over request ids: says for sure that one was not made, so that the many new ones cost no lookup. With
 * a million ids in it, about one in fifty others is looked up in vain.
 */
export class RequestFilter {
  readonly #bits = new Uint32Array(BITS / 32);

  add(requestId: string): void {
    for (const bit of bitsOf(requestId)) this.#bits[bit >>> 5]! |= 1 << (bit & 31);
  }

  mayHave(requestId: string): boolean {
    for (const bit of bitsOf(requestId)) if ((this.#bits[bit >>> 5]! & (1 << (bit & 31))) === 0) return false;
    return true;
  }
}

function bitsOf(requestId: string): number[] {
  const bytes = Buffer.from(requestId);
  const first = crc32c(bytes);
  // Odd, so that all steps differ.
  const second = (crc32c(bytes, 0x9e3779b9) | 1) >>> 0;
  return Array.from({ length: HASHES }, (_, index) => (first + index * second) % BITS);
}
