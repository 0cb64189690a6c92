import { crc32c, type ExtentId, extentId } from '../api/index.js';
import { readUint64, writeUint64 } from './uint64.js';

/*
 * The first 4096 bytes of an extent file; the blocks follow (block-format.ts). All numbers are little endian.
 *
 *   0     identity, written once
 *         0    8  "STMPEXT1"
 *         8    4  format version
 *         16   8  extent id
 *         24   8  creation epoch
 *         508  4  CRC32C of bytes 0..508
 *   512   state slot 0
 *   1024  state slot 1
 *         0    4  "SLOT"
 *         4    1  state: 1 open, 2 frozen, 3 sealed
 *         5    1  1 = the length is known
 *         8    8  generation: slot generation % 2 is written next, the greater valid one counts
 *         16   8  epoch: appends and freezes with a smaller one are refused
 *         24   8  length of the extent, header included; zero when unknown
 *         32   8  extent id
 *         508  4  CRC32C of bytes 0..508
 *   1536  zeros
 *
 * Each slot has a sector of its own, so a torn write of one leaves the other, older one.
 */

export const EXTENT_HEADER_BYTES = 4096;
export const EXTENT_FORMAT_VERSION = 1;

const SECTOR_BYTES = 512;
const CHECKSUM_AT = SECTOR_BYTES - 4;
const IDENTITY_MAGIC = Buffer.from('STMPEXT1', 'latin1');
const SLOT_MAGIC = Buffer.from('SLOT', 'latin1').readUInt32LE(0);
const STATES = ['open', 'frozen', 'sealed'] as const;

export interface ExtentIdentity {
  readonly extentId: ExtentId;
  /** Of the owner for whom the extent was created. */
  readonly epoch: number;
}

/** What an extent node knows durably of a replica's life. */
export interface ExtentSlot {
  readonly generation: number;
  readonly epoch: number;
  readonly state: (typeof STATES)[number];
  /**
   * Bytes, header included. Sealed: the final length. Frozen: what the freeze answered. Open: a clean shutdown
   * recorded it. Absent: only a scan of the blocks can tell.
   */
  readonly length?: number;
}

export interface ExtentHeader {
  /** `undefined` when damaged or another format. */
  readonly identity: ExtentIdentity | undefined;
  /** The newest valid slot; `undefined` when both are damaged. */
  readonly slot: ExtentSlot | undefined;
}

/** The whole header of a new extent, whose first slot is open. */
export function encodeExtentHeader(identity: ExtentIdentity): Buffer {
  const bytes = Buffer.alloc(EXTENT_HEADER_BYTES);
  IDENTITY_MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(EXTENT_FORMAT_VERSION, 8);
  writeUint64(bytes, identity.extentId, 16);
  writeUint64(bytes, identity.epoch, 24);
  writeChecksum(bytes.subarray(0, SECTOR_BYTES));
  const slot = { generation: 1, epoch: identity.epoch, state: 'open' } as const;
  encodeExtentSlot(identity.extentId, slot).copy(bytes, extentSlotOffset(slot.generation));
  return bytes;
}

export function encodeExtentSlot(id: ExtentId, slot: ExtentSlot): Buffer {
  const bytes = Buffer.alloc(SECTOR_BYTES);
  bytes.writeUInt32LE(SLOT_MAGIC, 0);
  bytes.writeUInt8(STATES.indexOf(slot.state) + 1, 4);
  bytes.writeUInt8(slot.length === undefined ? 0 : 1, 5);
  writeUint64(bytes, slot.generation, 8);
  writeUint64(bytes, slot.epoch, 16);
  writeUint64(bytes, slot.length ?? 0, 24);
  writeUint64(bytes, id, 32);
  writeChecksum(bytes);
  return bytes;
}

/** Where the slot of a generation lies in the file. */
export function extentSlotOffset(generation: number): number {
  return SECTOR_BYTES * (1 + (generation % 2));
}

/** The version of a file that is an extent's, undamaged, but not of a version that this code knows. */
export function findForeignVersion(bytes: Buffer): number | undefined {
  if (bytes.byteLength < SECTOR_BYTES) return undefined;
  const sector = bytes.subarray(0, SECTOR_BYTES);
  if (!hasChecksum(sector) || !sector.subarray(0, 8).equals(IDENTITY_MAGIC)) return undefined;
  const version = sector.readUInt32LE(8);
  return version === EXTENT_FORMAT_VERSION ? undefined : version;
}

/** Reads what of a header is valid; damage is a value, since blocks are readable without it. */
export function decodeExtentHeader(bytes: Buffer, expected: ExtentId): ExtentHeader {
  if (bytes.byteLength < EXTENT_HEADER_BYTES) return { identity: undefined, slot: undefined };
  const slots = [0, 1]
    .map((generation) => extentSlotOffset(generation))
    .map((at) => decodeSlot(bytes.subarray(at, at + SECTOR_BYTES), expected))
    .filter((slot) => slot !== undefined)
    .sort((a, b) => b.generation - a.generation);
  return { identity: decodeIdentity(bytes.subarray(0, SECTOR_BYTES), expected), slot: slots[0] };
}

function decodeIdentity(sector: Buffer, expected: ExtentId): ExtentIdentity | undefined {
  if (!hasChecksum(sector) || !sector.subarray(0, 8).equals(IDENTITY_MAGIC)) return undefined;
  if (sector.readUInt32LE(8) !== EXTENT_FORMAT_VERSION || readUint64(sector, 16) !== expected)
    return undefined;
  return { extentId: extentId(readUint64(sector, 16)), epoch: readUint64(sector, 24) };
}

function decodeSlot(sector: Buffer, expected: ExtentId): ExtentSlot | undefined {
  if (!hasChecksum(sector) || sector.readUInt32LE(0) !== SLOT_MAGIC) return undefined;
  const state = STATES[sector.readUInt8(4) - 1];
  if (!state || readUint64(sector, 32) !== expected) return undefined;
  const slot = { state, generation: readUint64(sector, 8), epoch: readUint64(sector, 16) };
  return sector.readUInt8(5) === 1 ? { ...slot, length: readUint64(sector, 24) } : slot;
}

function writeChecksum(sector: Buffer): void {
  sector.writeUInt32LE(crc32c(sector.subarray(0, CHECKSUM_AT)), CHECKSUM_AT);
}

function hasChecksum(sector: Buffer): boolean {
  return crc32c(sector.subarray(0, CHECKSUM_AT)) === sector.readUInt32LE(CHECKSUM_AT);
}
