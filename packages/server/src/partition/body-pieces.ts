import { crc32c, type ExtentId, extentId, LIMITS } from '../api/index.js';
import type { Piece } from './slice.js';

/** Stands for the block of the mutation itself, whose place is known only once it is appended. */
const OWN_BLOCK = extentId(0);

/** Bytes of a body that are in the log already. */
export interface StoredBytes {
  readonly extentId: ExtentId;
  readonly blockOffset: number;
  /** First of them within the block's payload. */
  readonly start: number;
  readonly length: number;
}

/** A body that is being stored: large ones in blocks before the mutation, the rest in the mutation's own block. */
export class BodyPieces {
  readonly #body: Uint8Array;
  readonly #stored: readonly StoredBytes[];
  readonly #storedBytes: number;

  constructor(body: Uint8Array, stored: readonly StoredBytes[] = []) {
    this.#body = body;
    this.#stored = stored;
    this.#storedBytes = stored.reduce((sum, { length }) => sum + length, 0);
  }

  get length(): number {
    return this.#body.byteLength;
  }

  get extentIds(): readonly ExtentId[] {
    return this.#stored.map((bytes) => bytes.extentId);
  }

  /** What travels with the mutation. */
  get rest(): Uint8Array {
    return this.#body.subarray(this.#storedBytes);
  }

  /** The pieces of [start, end), each with its checksum. */
  cut(start: number, end: number): Piece[] {
    const pieces: Piece[] = [];
    let at = 0;
    for (const bytes of [...this.#stored, this.#own()]) {
      const from = Math.max(start, at);
      const to = Math.min(end, at + bytes.length);
      if (from < to)
        pieces.push({
          extentId: bytes.extentId,
          blockOffset: bytes.blockOffset,
          start: bytes.start + from - at,
          length: to - from,
          crc32c: crc32c(this.#body.subarray(from, to))
        });
      at += bytes.length;
    }
    return pieces;
  }

  #own(): StoredBytes {
    const length = this.#body.byteLength - this.#storedBytes;
    return { extentId: OWN_BLOCK, blockOffset: 0, start: 0, length };
  }
}

/** The parts of a body that need a block of their own, so that the rest fits beside a mutation. */
export function* leadingBlocks(body: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; body.byteLength - at > LIMITS.blockBytesMax; at += LIMITS.blockBytesMax)
    yield body.subarray(at, at + LIMITS.blockBytesMax);
}
