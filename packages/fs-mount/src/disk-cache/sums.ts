import { crc32c } from '@stampede/client';

/** The unit of checksums: what is read from the disk at least, and therefore small. */
export const CELL_BYTES = 16 * 1024;
/** A file up to here is one cell, whose checksum is in its name. */
export const SINGLE_BYTES_MAX = 64 * 1024;

const VERSION = 1;
const HEAD_BYTES = 16;
const WORD = 2 ** 32;

/*
 * A `.sums` file, little-endian:
 *
 *   0    4   version: 1
 *   4    4   bytes of a cell
 *   8    8   size of the file
 *   16   4w  a bit for each cell that is there, in w words
 *   …    4n  the CRC32C of each of the n cells, 0 where it is not there
 *   …    4   CRC32C of all before
 */

/** Which cells of a file are there, and the CRC32C of each. */
export class Sums {
  readonly sizeBytes: number;
  readonly cellBytes: number;
  readonly #bits: Uint32Array;
  readonly #checksums: Uint32Array;
  #count = 0;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.cellBytes = sizeBytes <= SINGLE_BYTES_MAX ? SINGLE_BYTES_MAX : CELL_BYTES;
    const cellCount = Math.ceil(sizeBytes / this.cellBytes);
    this.#bits = new Uint32Array(Math.ceil(cellCount / 32));
    this.#checksums = new Uint32Array(cellCount);
  }

  get cellCount(): number {
    return this.#checksums.length;
  }

  get isWhole(): boolean {
    return this.#count === this.cellCount;
  }

  has(cell: number): boolean {
    return (this.#bits[cell >>> 5]! & (1 << (cell & 31))) !== 0;
  }

  /** Whether the bytes [start, end) are there. */
  covers(start: number, end: number): boolean {
    if (this.isWhole) return true;
    const { cellBytes } = this;
    for (let cell = Math.floor(start / cellBytes); cell * cellBytes < end; cell++)
      if (!this.has(cell)) return false;
    return true;
  }

  set(cell: number, checksum: number): void {
    if (!this.has(cell)) this.#count++;
    this.#bits[cell >>> 5]! |= 1 << (cell & 31);
    this.#checksums[cell] = checksum;
  }

  /** Whether bytes that begin with the cell at `offset` and end with one, or with the file, are those that were written. */
  match(offset: number, bytes: Uint8Array): boolean {
    const { cellBytes } = this;
    for (let position = 0; position < bytes.byteLength; position += cellBytes) {
      const expected = this.#checksums[(offset + position) / cellBytes];
      if (crc32c(bytes.subarray(position, position + cellBytes)) !== expected) return false;
    }
    return true;
  }

  encode(): Uint8Array {
    const bytes = Buffer.alloc(encodedBytes(this.cellCount));
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    words.set([VERSION, this.cellBytes, this.sizeBytes % WORD, Math.floor(this.sizeBytes / WORD)]);
    words.set(this.#bits, HEAD_BYTES / 4);
    words.set(this.#checksums, HEAD_BYTES / 4 + this.#bits.length);
    words[words.length - 1] = crc32c(bytes.subarray(0, -4));
    return bytes;
  }

  /** Undefined for what is damaged, of another version or of a file of another size. */
  static decode(bytes: Uint8Array, sizeBytes: number): Sums | undefined {
    const sums = new Sums(sizeBytes);
    if (bytes.byteLength !== encodedBytes(sums.cellCount)) return undefined;
    const words = new Uint32Array(bytes.byteLength / 4);
    new Uint8Array(words.buffer).set(bytes);
    if (words.at(-1) !== crc32c(bytes.subarray(0, -4))) return undefined;
    const [version, cellBytes, low = 0, high = 0] = words;
    if (version !== VERSION || cellBytes !== sums.cellBytes || low + high * WORD !== sizeBytes)
      return undefined;
    const checksumsAt = HEAD_BYTES / 4 + sums.#bits.length;
    sums.#bits.set(words.subarray(HEAD_BYTES / 4, checksumsAt));
    sums.#checksums.set(words.subarray(checksumsAt, -1));
    for (let cell = 0; cell < sums.cellCount; cell++) if (sums.has(cell)) sums.#count++;
    return sums;
  }
}

function encodedBytes(cellCount: number): number {
  return HEAD_BYTES + 4 * (Math.ceil(cellCount / 32) + cellCount + 1);
}
