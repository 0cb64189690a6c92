import { crc32c } from '@stampede/client';
import type { CacheDisk, CacheFile } from './cache-disk.js';
import type { CacheEntry } from './cache-index.js';
import { bytesNameOf, sumsNameOf } from './cache-name.js';
import { CELL_BYTES, SINGLE_BYTES_MAX, Sums } from './sums.js';

/** So many cells may be forgotten by a crash. */
const UNSAVED_COUNT_MAX = 4096;
/** For cells of which only a part is wanted; all of one must be read to compare it. */
const EDGE = Buffer.allocUnsafeSlow(SINGLE_BYTES_MAX);
const VERIFY_BYTES = 1024 * 1024;

/** A file of the cache that is open: its bytes and their checksums. */
export class CachedFile {
  readonly sums: Sums;
  readonly #disk: CacheDisk;
  readonly #entry: CacheEntry;
  readonly #file: CacheFile;
  #unsavedCount = 0;
  #saving: Promise<void> = Promise.resolve();

  private constructor(disk: CacheDisk, entry: CacheEntry, opened: { file: CacheFile; sums: Sums }) {
    this.#disk = disk;
    this.#entry = entry;
    this.#file = opened.file;
    this.sums = opened.sums;
  }

  static async create(disk: CacheDisk, entry: CacheEntry): Promise<CachedFile> {
    const file = await disk.create(bytesNameOf(entry.id, undefined), entry.sizeBytes);
    return new CachedFile(disk, entry, { file, sums: new Sums(entry.sizeBytes) });
  }

  /** Undefined where it is not there, or its checksums are not. */
  static async open(disk: CacheDisk, entry: CacheEntry): Promise<CachedFile | undefined> {
    const { id, sizeBytes, checksum } = entry;
    const sums = checksum === undefined ? await readSums(disk, entry) : sumsOfOne(sizeBytes, checksum);
    const file = sums && (await disk.open(bytesNameOf(id, checksum)));
    return file && new CachedFile(disk, entry, { file, sums });
  }

  /** The bytes, once they are compared with their checksums; `offset` begins a cell, the end ends one or the file. */
  async read(offset: number, length: number): Promise<Uint8Array | 'damaged'> {
    const bytes = Buffer.allocUnsafeSlow(length);
    const count = await this.#file.read(offset, bytes);
    return count === length && this.sums.match(offset, bytes) ? bytes : 'damaged';
  }

  /** As `read`, into `into` from any offset on, where the bytes need no waiting for the disk. */
  readNow(offset: number, into: Uint8Array): 'read' | 'not now' | 'damaged' {
    const { cellBytes, sizeBytes } = this.sums;
    const end = offset + into.byteLength;
    let position = offset;
    while (position < end) {
      const cell = position - (position % cellBytes);
      const cellEnd = Math.min(cell + cellBytes, sizeBytes);
      const isWhole = cell === position && cellEnd <= end;
      const stop = isWhole ? this.#wholeCellsEnd(position, end) : Math.min(cellEnd, end);
      const bytes = isWhole
        ? into.subarray(position - offset, stop - offset)
        : EDGE.subarray(0, cellEnd - cell);
      if (this.#file.readNow(cell, bytes) !== bytes.byteLength) return 'not now';
      if (!this.sums.match(cell, bytes)) return 'damaged';
      if (!isWhole) into.set(bytes.subarray(position - cell, stop - cell), position - offset);
      position = stop;
    }
    return 'read';
  }

  #wholeCellsEnd(start: number, end: number): number {
    const { cellBytes, sizeBytes } = this.sums;
    return end >= sizeBytes ? sizeBytes : end - ((end - start) % cellBytes);
  }

  /** Whether every byte is still what was written. */
  async verify(): Promise<boolean> {
    const { sizeBytes } = this.#entry;
    for (let offset = 0; offset < sizeBytes; offset += VERIFY_BYTES)
      if ((await this.read(offset, Math.min(VERIFY_BYTES, sizeBytes - offset))) === 'damaged') return false;
    return true;
  }

  /** The cells within [start, end) that are not there yet, as ranges of bytes. */
  missing(start: number, end: number): (readonly [number, number])[] {
    const ranges: [number, number][] = [];
    for (let at = Math.ceil(start / CELL_BYTES) * CELL_BYTES; at < end; at += CELL_BYTES) {
      const stop = Math.min(at + CELL_BYTES, this.#entry.sizeBytes);
      if (stop > end || this.sums.has(at / CELL_BYTES)) continue;
      const last = ranges.at(-1);
      if (last && last[1] === at) last[1] = stop;
      else ranges.push([at, stop]);
    }
    return ranges;
  }

  /** Adds whole cells. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#file.write(offset, bytes);
    for (let position = 0; position < bytes.byteLength; position += CELL_BYTES) {
      const cell = (offset + position) / CELL_BYTES;
      this.sums.set(cell, crc32c(bytes.subarray(position, position + CELL_BYTES)));
      this.#unsavedCount++;
    }
    if (this.sums.isWhole || this.#unsavedCount > UNSAVED_COUNT_MAX) await this.save();
  }

  /** Writes down which cells are there, where that is not written down yet. */
  async save(): Promise<void> {
    if (this.#unsavedCount === 0) return this.#saving;
    this.#unsavedCount = 0;
    const encoded = this.sums.encode();
    const saving = this.#saving.then(() => this.#disk.replace(sumsNameOf(this.#entry.id), encoded));
    this.#saving = saving.catch(() => undefined);
    return saving;
  }

  async close(): Promise<void> {
    await this.#saving;
    await this.#file.close();
  }
}

async function readSums(disk: CacheDisk, { id, sizeBytes }: CacheEntry): Promise<Sums | undefined> {
  const bytes = await disk.read(sumsNameOf(id));
  return bytes && Sums.decode(bytes, sizeBytes);
}

function sumsOfOne(sizeBytes: number, checksum: number): Sums {
  const sums = new Sums(sizeBytes);
  sums.set(0, checksum);
  return sums;
}
