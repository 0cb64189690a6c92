import { extentId, pack, StoreError, unpack } from '../api/index.js';
import type { StreamPosition } from '../stream/index.js';
import type { IndexPosition, Row } from './partition-index.js';
import type { RowKey } from './row-key.js';

/*
 * A checkpoint is a run of blocks in the checkpoint stream, each
 *
 *   u32 LE version = 1 | u32 LE row count | rows, each u16 LE key length | u32 LE value length | key | value
 *
 * and is found by the root: the newest block of the metadata stream, MessagePack [version, logId, checkpoint or nil]
 * with checkpoint = [first extentId, first offset, block count, row count, row bytes, blocks ever written,
 * sequence, extentId, offset].
 */

const VERSION = 1;
const BLOCK_HEADER_BYTES = 8;
const ROW_HEADER_BYTES = 6;

export interface Checkpoint {
  /** Of its first block in the checkpoint stream. */
  readonly first: StreamPosition;
  readonly blockCount: number;
  readonly rowCount: number;
  readonly rowBytes: number;
  /** Of all checkpoints so far: the next one goes on from it. */
  readonly lastBlockNumber: number;
  /** What of the log its rows hold. */
  readonly position: Omit<IndexPosition, 'logId'>;
}

/** What a partition starts from. */
export interface PartitionRoot {
  /** Of this partition's log for ever. */
  readonly logId: string;
  readonly checkpoint: Checkpoint | undefined;
}

export function encodeRoot({ logId, checkpoint }: PartitionRoot): Uint8Array {
  if (!checkpoint) return pack([VERSION, logId, null]);
  const { first, blockCount, rowCount, rowBytes, lastBlockNumber, position } = checkpoint;
  return pack([
    VERSION,
    logId,
    [
      first.extentId,
      first.offset,
      blockCount,
      rowCount,
      rowBytes,
      lastBlockNumber,
      position.sequence,
      position.extentId,
      position.offset
    ]
  ]);
}

export function decodeRoot(bytes: Uint8Array): PartitionRoot {
  const unpacked = unpack(bytes);
  if (!Array.isArray(unpacked)) throw unreadable('root', 0);
  const [version, logId, fields] = unpacked as [number, string, readonly number[] | null];
  if (version !== VERSION) throw unreadable('root', version);
  if (!Array.isArray(fields)) return { logId, checkpoint: undefined };
  const [
    firstExtent,
    firstOffset,
    blockCount,
    rowCount,
    rowBytes,
    lastBlockNumber,
    sequence,
    extent,
    offset
  ] = fields as [number, number, number, number, number, number, number, number, number];
  return {
    logId,
    checkpoint: {
      first: { extentId: extentId(firstExtent), offset: firstOffset },
      blockCount,
      rowCount,
      rowBytes,
      lastBlockNumber,
      position: { sequence, extentId: extentId(extent), offset }
    }
  };
}

/** Bytes that a row takes in a block. */
export const checkpointRowBytes = ({ key, value }: Row): number =>
  ROW_HEADER_BYTES + key.length + value.byteLength;

export function encodeCheckpointBlock(rows: readonly Row[]): Uint8Array {
  const bytes = rows.reduce((sum, row) => sum + checkpointRowBytes(row), BLOCK_HEADER_BYTES);
  const block = Buffer.allocUnsafe(bytes);
  block.writeUInt32LE(VERSION, 0);
  block.writeUInt32LE(rows.length, 4);
  let at = BLOCK_HEADER_BYTES;
  for (const { key, value } of rows) {
    block.writeUInt16LE(key.length, at);
    block.writeUInt32LE(value.byteLength, at + 2);
    block.write(key, at + ROW_HEADER_BYTES, 'latin1');
    block.set(value, at + ROW_HEADER_BYTES + key.length);
    at += ROW_HEADER_BYTES + key.length + value.byteLength;
  }
  return block;
}

export function decodeCheckpointBlock(bytes: Uint8Array): Row[] {
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (block.byteLength < BLOCK_HEADER_BYTES) throw cut();
  if (block.readUInt32LE(0) !== VERSION) throw unreadable('checkpoint', block.readUInt32LE(0));
  const rows: Row[] = [];
  let at = BLOCK_HEADER_BYTES;
  for (let count = block.readUInt32LE(4); count > 0; count--) {
    if (at + ROW_HEADER_BYTES > block.byteLength) throw cut();
    const keyEnd = at + ROW_HEADER_BYTES + block.readUInt16LE(at);
    const end = keyEnd + block.readUInt32LE(at + 2);
    if (end > block.byteLength) throw cut();
    const key = block.toString('latin1', at + ROW_HEADER_BYTES, keyEnd) as RowKey;
    rows.push({ key, value: block.subarray(keyEnd, end) });
    at = end;
  }
  return rows;
}

function unreadable(what: string, version: number): StoreError {
  return new StoreError(
    'ChecksumMismatch',
    `The partition's ${what} has version ${version}, not ${VERSION}. Open it with the release that wrote it.`
  );
}

function cut(): StoreError {
  return new StoreError('ChecksumMismatch', 'A block of a checkpoint ends early. Restore its stream.');
}
