import { crc32c, type ExtentId, LIMITS } from '../api/index.js';
import { readUint64, writeUint64 } from './uint64.js';

/*
 * One block of an extent, at an offset that is a multiple of 8. All numbers are little endian.
 *
 *   0    4  "SBLK"
 *   4    4  CRC32C of bytes 8 .. end of the header, table included
 *   8    1  type: 1 = payload of the stream's owner
 *   9    1  version
 *   10   2  zero
 *   12   4  payload length, 1 .. BLOCK_PAYLOAD_BYTES_MAX
 *   16   8  sequence
 *   24   8  extent id
 *   32   8  offset of this header in the extent
 *   40   8  length of the extent that was known to be durable on every replica when the block was written
 *   48   4n CRC32C of each 64 KiB of the payload, n = ceil(payload length / 64 KiB); 4 zero bytes more when n is odd
 *           payload, then zeros up to a multiple of 8
 *
 * Extent id and offset make a misplaced block, or the image of one inside a payload, invalid where it lies. The durable
 * length tells recovery which bytes were surely acknowledged, so that damage is not taken for a torn write.
 */

export const BLOCK_PAYLOAD_BYTES_MAX = LIMITS.blockBytesMax + LIMITS.blockHeadBytesMax;
export const BLOCK_ALIGNMENT = 8;
export const BLOCK_MAGIC_BYTES = Buffer.from('SBLK', 'latin1');

const MAGIC = BLOCK_MAGIC_BYTES.readUInt32LE(0);
const TYPE_PAYLOAD = 1;
const VERSION = 1;
const TABLE_AT = 48;
const CHUNK = LIMITS.checksumChunkBytes;

/** Of the longest possible header. */
export const BLOCK_HEADER_BYTES_MAX = blockHeaderBytes(BLOCK_PAYLOAD_BYTES_MAX);
/** Of the longest possible block. */
export const BLOCK_BYTES_MAX = blockBytes(BLOCK_PAYLOAD_BYTES_MAX);

export interface BlockHeader {
  readonly offset: number;
  readonly headerBytes: number;
  readonly payloadLength: number;
  /** Of header, payload and padding: the next block starts at `offset + blockBytes`. */
  readonly blockBytes: number;
  readonly sequence: number;
  readonly durableLength: number;
}

export interface BlockPlace {
  readonly extentId: ExtentId;
  readonly offset: number;
}

export interface BlockHeaderFields extends BlockPlace {
  readonly payloadLength: number;
  readonly sequence: number;
  readonly durableLength: number;
}

export function blockHeaderBytes(payloadLength: number): number {
  const chunkCount = Math.ceil(payloadLength / CHUNK);
  return TABLE_AT + 4 * (chunkCount + (chunkCount % 2));
}

/** What a payload takes in the extent. */
export function blockBytes(payloadLength: number): number {
  return blockHeaderBytes(payloadLength) + alignUp(payloadLength);
}

/** Bytes after a payload so that the next block is aligned. */
export function paddingBytes(payloadLength: number): number {
  return alignUp(payloadLength) - payloadLength;
}

/**
 * Writes a header at `at` of `into`. The payload is read where it is: `parts` are its bytes, back to back; chunks of
 * the checksum table may straddle them.
 */
export function encodeBlockHeader(
  into: Buffer,
  at: number,
  block: BlockHeaderFields & { readonly parts: readonly Uint8Array[] }
): void {
  const end = at + blockHeaderBytes(block.payloadLength);
  into.writeUInt32LE(MAGIC, at);
  into.writeUInt32LE(TYPE_PAYLOAD | (VERSION << 8), at + 8);
  into.writeUInt32LE(block.payloadLength, at + 12);
  writeUint64(into, block.sequence, at + 16);
  writeUint64(into, block.extentId, at + 24);
  writeUint64(into, block.offset, at + 32);
  writeUint64(into, block.durableLength, at + 40);
  const tableEnd = writeTable(into, at + TABLE_AT, block.parts);
  if (tableEnd < end) into.writeUInt32LE(0, tableEnd);
  into.writeUInt32LE(crc32c(into.subarray(at + 8, end)), at + 4);
}

function writeTable(into: Buffer, tableAt: number, parts: readonly Uint8Array[]): number {
  let at = tableAt;
  let crc = 0;
  let room = CHUNK;
  for (const part of parts) {
    let start = 0;
    while (start < part.byteLength) {
      const length = Math.min(room, part.byteLength - start);
      crc = crc32c(length === part.byteLength ? part : part.subarray(start, start + length), crc);
      start += length;
      room -= length;
      if (room > 0) continue;
      at = into.writeUInt32LE(crc, at);
      crc = 0;
      room = CHUNK;
    }
  }
  return room === CHUNK ? at : into.writeUInt32LE(crc, at);
}

/**
 * Reads the header that should be at `at` of `bytes`. `bad`: there is no valid one; `short`: the bytes end before it
 * does, so it may or may not be valid.
 */
export function decodeBlockHeader(
  bytes: Buffer,
  at: number,
  place: BlockPlace
): BlockHeader | 'bad' | 'short' {
  const available = bytes.byteLength - at;
  if (available < TABLE_AT) return 'short';
  if (bytes.readUInt32LE(at) !== MAGIC || bytes.readUInt32LE(at + 8) !== (TYPE_PAYLOAD | (VERSION << 8)))
    return 'bad';
  const payloadLength = bytes.readUInt32LE(at + 12);
  if (payloadLength === 0 || payloadLength > BLOCK_PAYLOAD_BYTES_MAX) return 'bad';
  const headerBytes = blockHeaderBytes(payloadLength);
  if (available < headerBytes) return 'short';
  if (crc32c(bytes.subarray(at + 8, at + headerBytes)) !== bytes.readUInt32LE(at + 4)) return 'bad';
  if (readUint64(bytes, at + 24) !== place.extentId || readUint64(bytes, at + 32) !== place.offset)
    return 'bad';
  const durableLength = readUint64(bytes, at + 40);
  // A client's bytes could forge the image of a block, but not that later bytes were durable.
  if (durableLength > place.offset) return 'bad';
  return {
    offset: place.offset,
    headerBytes,
    payloadLength,
    blockBytes: headerBytes + alignUp(payloadLength),
    sequence: readUint64(bytes, at + 16),
    durableLength
  };
}

/**
 * Whether `payload`, the bytes of a block's payload from `start` on, matches the table of the block's header at
 * `headerAt` of `header`. `start` is a multiple of the chunk size and `payload` ends with a chunk or the payload.
 */
export function isPayloadIntact(header: Buffer, headerAt: number, payload: Uint8Array, start = 0): boolean {
  let entryAt = headerAt + TABLE_AT + (start / CHUNK) * 4;
  if (payload.byteLength <= CHUNK) return crc32c(payload) === header.readUInt32LE(entryAt);
  for (let at = 0; at < payload.byteLength; at += CHUNK) {
    if (crc32c(payload.subarray(at, at + CHUNK)) !== header.readUInt32LE(entryAt)) return false;
    entryAt += 4;
  }
  return true;
}

function alignUp(length: number): number {
  return Math.ceil(length / BLOCK_ALIGNMENT) * BLOCK_ALIGNMENT;
}
