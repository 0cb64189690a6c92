import { type ExtentId, LIMITS, StoreError } from '../api/index.js';
import type { Disk, DiskFile } from '../platform/index.js';
import {
  BLOCK_BYTES_MAX,
  BLOCK_HEADER_BYTES_MAX,
  decodeBlockHeader,
  isPayloadIntact
} from './block-format.js';
import {
  decodeExtentHeader,
  EXTENT_HEADER_BYTES,
  type ExtentHeader,
  type ExtentSlot,
  encodeExtentHeader,
  encodeExtentSlot,
  extentSlotOffset,
  findForeignVersion
} from './extent-format.js';
import { type Inspection, inspectBlocks, intactRun } from './inspect-blocks.js';

/** A recovery writes at most so much again: what a writer may have had in flight, and some more. */
const UNPROVEN_BYTES_MAX = 2 * LIMITS.streamBytesInFlightMax;
/** A recovery looks again at what seems damaged, since a read can fail where the bytes are well. */
const INSPECTIONS_MAX = 3;
/** Up to here a read takes header and payload at once, before the header is known. */
const FIRST_READ_BYTES_MAX = LIMITS.blockBytesMax + LIMITS.blockHeadBytesMax;
const CACHED_HEADERS_MAX = 128;
const CHUNK = LIMITS.checksumChunkBytes;

export interface ExtentPlace {
  readonly disk: Disk;
  readonly path: string;
  readonly extentId: ExtentId;
}

export interface RangeInBlock {
  readonly blockOffset: number;
  readonly start: number;
  readonly length: number;
}

/** What a scan of an unsealed replica's blocks found. */
export type RecoveredLength =
  /** All below `length` is intact, and nothing past it can be told from a torn tail. */
  | {
      readonly known: true;
      readonly length: number;
      /** There are bytes past it: torn, or acknowledged and damaged since, which nothing on this disk can tell. */
      readonly isTorn: boolean;
    }
  /** Acknowledged bytes are damaged; `length` is not shorter than anything acknowledged. */
  | { readonly known: false; readonly length: number };

/** One replica of an extent on a disk: bytes in, verified bytes out. Decides nothing about who may append. */
export class ExtentFile {
  readonly #place: ExtentPlace;
  #file: DiskFile;
  #header: ExtentHeader;
  /** Headers of blocks with several chunks, most recently used last. */
  readonly #cachedHeaders = new Map<number, Buffer>();

  private constructor(place: ExtentPlace, file: DiskFile, header: ExtentHeader) {
    this.#place = place;
    this.#file = file;
    this.#header = header;
  }

  /** Durable on return, name included; the caller syncs nothing more. */
  static async create(
    place: ExtentPlace & { readonly directory: string },
    epoch: number
  ): Promise<ExtentFile> {
    const { disk, path, extentId } = place;
    const file = await disk.createFile(path);
    try {
      const bytes = encodeExtentHeader({ extentId, epoch });
      await file.write([bytes], 0);
      await file.sync();
      await disk.syncDirectory(place.directory);
      return new ExtentFile(place, file, decodeExtentHeader(bytes, extentId));
    } catch (error) {
      // Best effort: whatever stays is deleted as an orphan, since no stream lists it.
      await file.close().catch(() => undefined);
      await disk.remove(path).catch(() => undefined);
      throw error;
    }
  }

  /** @throws StoreError `DiskFailed` for a file of another format version: nothing of it may be cut. */
  static async find(place: ExtentPlace): Promise<ExtentFile | undefined> {
    const file = await place.disk.findFile(place.path);
    if (!file) return undefined;
    try {
      const bytes = Buffer.alloc(EXTENT_HEADER_BYTES);
      const length = await file.read(bytes, 0);
      const version = findForeignVersion(bytes);
      if (version !== undefined) throw foreignVersion(place.path, version);
      return new ExtentFile(place, file, decodeExtentHeader(bytes.subarray(0, length), place.extentId));
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  /** The newest durable state, `undefined` when the header is damaged. */
  get slot(): ExtentSlot | undefined {
    return this.#header.identity && this.#header.slot;
  }

  /** Parts are whole blocks; borrowed until it resolves. */
  write(parts: readonly Uint8Array[], offset: number): Promise<void> {
    return this.#file.write(parts, offset);
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  truncate(length: number): Promise<void> {
    return this.#file.truncate(length);
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  /** After a failed sync the old handle is of no use. */
  async reopen(): Promise<void> {
    const { disk, path } = this.#place;
    const file = await disk.findFile(path);
    if (!file) throw new StoreError('ExtentNotFound', `${path} vanished. Restore it from another replica.`);
    const old = this.#file;
    this.#file = file;
    await old.close().catch(() => undefined);
  }

  /** Makes a new state durable, and every write that resolved before. */
  async writeSlot(slot: Omit<ExtentSlot, 'generation'>): Promise<void> {
    const next = { ...slot, generation: (this.#header.slot?.generation ?? 0) + 1 };
    await this.#file.write([encodeExtentSlot(this.#place.extentId, next)], extentSlotOffset(next.generation));
    await this.#file.sync();
    this.#header = { identity: this.#header.identity, slot: next };
  }

  /**
   * Verifies all blocks of an unsealed extent that another process, or an earlier life of this one, wrote. With several
   * groups in flight a crash may lose one and keep a later one, so damage counts as torn when nothing says that it was
   * durable: neither a later block nor the length that a freeze or a clean shutdown recorded.
   * @throws StoreError `ExtentNotFound` when neither header nor blocks are left, since the header was durable before any block.
   */
  async recover(): Promise<RecoveredLength> {
    const recorded = this.slot?.length;
    const size = await this.#file.size();
    if (size < EXTENT_HEADER_BYTES) throw this.#emptied();
    const found = await this.#inspect(recorded ?? size, false);
    const durableLength = Math.max(EXTENT_HEADER_BYTES, recorded ?? 0, found.durableLength);
    if (!this.slot && found.lastGoodEnd === EXTENT_HEADER_BYTES) throw this.#emptied();
    if (!this.slot || found.goodEnd < durableLength) {
      return { known: false, length: Math.max(found.lastGoodEnd, durableLength) };
    }
    await this.#writeAgain(durableLength, found.goodEnd);
    return { known: true, length: found.goodEnd, isTorn: recorded === undefined && found.goodEnd < size };
  }

  /**
   * Blocks that nothing proves durable may be in the system's cache only, and after a failed sync of an earlier life the
   * next sync would not write them. Writing them again makes it.
   */
  async #writeAgain(start: number, end: number): Promise<void> {
    // So much is unproven only where nobody waited for a sync.
    if (end - start > UNPROVEN_BYTES_MAX) return;
    for (let offset = start; offset < end; ) {
      const bytes = await this.readRaw(offset, Math.min(BLOCK_BYTES_MAX, end - offset));
      const intact = intactRun(bytes, { extentId: this.#place.extentId, offset });
      if (intact.byteLength === 0) throw this.#damaged(offset);
      await this.#file.write([intact], offset);
      offset += intact.byteLength;
    }
  }

  /** Whether the blocks fill [header, length) and every byte of them is intact. */
  async isIntact(length: number): Promise<boolean> {
    return (await this.#inspect(length, true)).goodEnd === length;
  }

  async #inspect(limit: number, stopsAtDamage: boolean): Promise<Inspection> {
    const { extentId } = this.#place;
    const options = { file: this.#file, extentId, limit, stopsAtDamage };
    let found = await inspectBlocks({ ...options, start: EXTENT_HEADER_BYTES });
    for (let count = 1; count < INSPECTIONS_MAX && found.goodEnd < limit; count++) {
      const again = await inspectBlocks({ ...options, start: found.goodEnd });
      found = {
        goodEnd: again.goodEnd,
        lastGoodEnd: Math.max(found.lastGoodEnd, again.lastGoodEnd),
        durableLength: Math.max(found.durableLength, again.durableLength)
      };
    }
    return found;
  }

  /** Reads bytes as they are; short at the end of the file. */
  async readRaw(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    return bytes.subarray(0, await this.#file.read(bytes, offset));
  }

  /**
   * Reads a verified range of a block's payload; short only if the payload ends.
   * @throws StoreError `ChecksumMismatch` when a byte that was read, or the header, is damaged.
   */
  async readBlock({ blockOffset, start, length }: RangeInBlock): Promise<Uint8Array> {
    const place = { extentId: this.#place.extentId, offset: blockOffset };
    const cached = this.#cachedHeaders.get(blockOffset);
    const first = cached ?? (await this.readRaw(blockOffset, firstReadBytes(start, length)));
    const header = decodeBlockHeader(first, 0, place);
    if (typeof header === 'string') throw this.#damaged(blockOffset);
    const end = Math.min(start + length, header.payloadLength);
    if (start >= end) return Buffer.alloc(0);

    const chunkStart = start - (start % CHUNK);
    const chunkEnd = Math.min(header.payloadLength, Math.ceil(end / CHUNK) * CHUNK);
    const payload =
      first.byteLength >= header.headerBytes + chunkEnd
        ? first.subarray(header.headerBytes + chunkStart, header.headerBytes + chunkEnd)
        : await this.readRaw(blockOffset + header.headerBytes + chunkStart, chunkEnd - chunkStart);
    if (payload.byteLength < chunkEnd - chunkStart) throw this.#damaged(blockOffset);
    if (!isPayloadIntact(first, 0, payload, chunkStart)) throw this.#damaged(blockOffset);
    if (header.payloadLength > CHUNK) this.#cacheHeader(blockOffset, first.subarray(0, header.headerBytes));
    return withoutExcess(payload.subarray(start - chunkStart, end - chunkStart));
  }

  #cacheHeader(blockOffset: number, header: Buffer): void {
    const kept = this.#cachedHeaders.get(blockOffset) ?? Buffer.from(header);
    this.#cachedHeaders.delete(blockOffset);
    this.#cachedHeaders.set(blockOffset, kept);
    if (this.#cachedHeaders.size <= CACHED_HEADERS_MAX) return;
    for (const oldest of this.#cachedHeaders.keys()) {
      this.#cachedHeaders.delete(oldest);
      return;
    }
  }

  #emptied(): StoreError {
    const { extentId, path } = this.#place;
    return new StoreError('ExtentNotFound', `${path} lost all of extent ${extentId}. Restore it.`);
  }

  #damaged(blockOffset: number): StoreError {
    const { extentId, path } = this.#place;
    return new StoreError(
      'ChecksumMismatch',
      `Block at ${blockOffset} of extent ${extentId} is damaged in ${path}. Read another replica.`
    );
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function foreignVersion(path: string, version: number): StoreError {
  const advice = 'Use a newer release of the program.';
  return new StoreError('DiskFailed', `${path} has format version ${version}, which is not known. ${advice}`);
}

/** Enough for the whole range when the block is small or the range near its start; else just for the header. */
function firstReadBytes(start: number, length: number): number {
  // Small blocks have small headers, and a little more than asked often holds the block's end, which must be verified.
  const headerBytes = start + length <= CHUNK ? 512 : BLOCK_HEADER_BYTES_MAX + CHUNK;
  const bytes = headerBytes + start + length;
  return start > length + CHUNK || bytes > FIRST_READ_BYTES_MAX ? CHUNK / 16 : bytes;
}

/** A small range must not keep a large buffer alive. */
function withoutExcess(bytes: Buffer): Uint8Array {
  return bytes.byteLength * 2 < bytes.buffer.byteLength ? Buffer.from(bytes) : bytes;
}
