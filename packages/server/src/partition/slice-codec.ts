import assert from 'node:assert';
import { extentId, StoreError } from '../api/index.js';
import { isSlice, type Piece, type Slice } from './slice.js';

/*
 * Pieces in few bytes: most slices differ from the one before in two or three fields only.
 *
 *   u8 version = 1 | varint count | count × piece
 *   piece = u8 flags | the fields that the flags do not spare, in this order:
 *     hole:  varint length
 *     slice: varint extentId (unless the same)
 *            zigzag blockOffset - previous blockOffset (unless the step is the same; from 0 in another extent)
 *            varint start (unless the same) | varint length (unless the same) | u32 LE crc32c (if known)
 * "The same" and "previous" are those of the last slice before; at the start all are 0.
 */

const VERSION = 1;
const HOLE = 1;
const SAME_EXTENT = 2;
const SAME_STEP = 4;
const SAME_START = 8;
const SAME_LENGTH = 16;
const HAS_CRC = 32;
/** Flags, four varints of safe integers, and a checksum. */
const PIECE_BYTES_MAX = 1 + 4 * 8 + 4;
const TWO_TO_31 = 2 ** 31;

export function encodePieces(pieces: readonly Piece[]): Uint8Array {
  const into = Buffer.allocUnsafe(1 + 8 + pieces.length * PIECE_BYTES_MAX);
  into[0] = VERSION;
  let at = writeVarint(into, pieces.length, 1);
  const last = { extentId: 0, blockOffset: 0, step: 0, start: 0, length: 0 };
  for (const piece of pieces) {
    if (!isSlice(piece)) {
      into[at] = HOLE;
      at = writeVarint(into, piece.length, at + 1);
      continue;
    }
    const isSameExtent = piece.extentId === last.extentId;
    const step = piece.blockOffset - (isSameExtent ? last.blockOffset : 0);
    const flags =
      (isSameExtent ? SAME_EXTENT : 0) |
      (step === last.step ? SAME_STEP : 0) |
      (piece.start === last.start ? SAME_START : 0) |
      (piece.length === last.length ? SAME_LENGTH : 0) |
      (piece.crc32c === undefined ? 0 : HAS_CRC);
    into[at++] = flags;
    if (!isSameExtent) at = writeVarint(into, piece.extentId, at);
    if (step !== last.step) at = writeVarint(into, step < 0 ? -2 * step - 1 : 2 * step, at);
    if (piece.start !== last.start) at = writeVarint(into, piece.start, at);
    if (piece.length !== last.length) at = writeVarint(into, piece.length, at);
    if (piece.crc32c !== undefined) at = into.writeUInt32LE(piece.crc32c, at);
    last.extentId = piece.extentId;
    last.blockOffset = piece.blockOffset;
    last.step = step;
    last.start = piece.start;
    last.length = piece.length;
  }
  // A copy, so that a small encoding does not hold on to the large scratch space.
  return Uint8Array.prototype.slice.call(into, 0, at);
}

/**
 * @throws StoreError `ChecksumMismatch` when the bytes are no encoding of pieces.
 */
export function decodePieces(bytes: Uint8Array): Piece[] {
  if (bytes[0] !== VERSION)
    throw damaged(`Its version is ${bytes[0]}, not ${VERSION}: read it with the release that wrote it.`);
  const reader = new PieceReader(bytes, 1);
  const count = reader.varint();
  if (count > bytes.byteLength) throw damaged('It names more pieces than it can hold.');
  const pieces = new Array<Piece>(count);
  for (let index = 0; index < count; index++) pieces[index] = reader.piece();
  if (reader.at !== bytes.byteLength) throw damaged('It goes on after its last piece.');
  return pieces;
}

class PieceReader {
  at: number;
  readonly #from: Buffer;
  #extentId = 0;
  #blockOffset = 0;
  #step = 0;
  #start = 0;
  #length = 0;

  constructor(bytes: Uint8Array, at: number) {
    this.#from = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  piece(): Piece {
    const flags = this.#byte();
    if (flags & HOLE) return { length: this.varint() };
    if (!(flags & SAME_EXTENT)) {
      this.#extentId = this.varint();
      this.#blockOffset = 0;
    }
    if (!(flags & SAME_STEP)) this.#step = unzigzag(this.varint());
    this.#blockOffset += this.#step;
    if (!(flags & SAME_START)) this.#start = this.varint();
    if (!(flags & SAME_LENGTH)) this.#length = this.varint();
    const slice: Slice = {
      extentId: extentId(this.#extentId),
      blockOffset: this.#blockOffset,
      start: this.#start,
      length: this.#length
    };
    return flags & HAS_CRC ? { ...slice, crc32c: this.#crc32c() } : slice;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = this.#byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw damaged('A number in it has no end.');
  }

  #byte(): number {
    const byte = this.#from[this.at++];
    if (byte === undefined) throw damaged('It ends too early.');
    return byte;
  }

  #crc32c(): number {
    if (this.at + 4 > this.#from.byteLength) throw damaged('It ends too early.');
    this.at += 4;
    return this.#from.readUInt32LE(this.at - 4);
  }
}

function writeVarint(into: Buffer, value: number, at: number): number {
  assert(Number.isSafeInteger(value) && value >= 0, 'a varint is a safe integer');
  let rest = value;
  let end = at;
  // Bit operations are for 32 bits only.
  while (rest >= TWO_TO_31) {
    into[end++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  while (rest >= 128) {
    into[end++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  into[end++] = rest;
  return end;
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

function damaged(reason: string): StoreError {
  return new StoreError('ChecksumMismatch', `A list of slices cannot be read. ${reason}`);
}
