import { isSlice, type Piece, type Slice } from './slice.js';
import { appendCrc } from './slice-map-crc.js';

export function lengthOfPieces(pieces: Iterable<Piece>): number {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  return length;
}

/** How many of the bytes take no space. */
export function holeBytesOf(pieces: Iterable<Piece>): number {
  let length = 0;
  for (const piece of pieces) if (!isSlice(piece)) length += piece.length;
  return length;
}

/** Bytes [start, end) of a piece. A slice that is not whole loses its checksum. */
export function cutPiece(piece: Piece, start: number, end: number): Piece {
  if (start === 0 && end === piece.length) return piece;
  if (!isSlice(piece)) return { length: end - start };
  const { extentId, blockOffset } = piece;
  return { extentId, blockOffset, start: piece.start + start, length: end - start };
}

/** One piece for both when they are two holes, or slices that lie back to back in one block. */
export function findMerged(left: Piece, right: Piece): Piece | undefined {
  if (!isSlice(left)) return isSlice(right) ? undefined : { length: left.length + right.length };
  if (!isSlice(right) || !isContiguous(left, right)) return undefined;
  const { extentId, blockOffset, start } = left;
  const length = left.length + right.length;
  const crc32c = appendCrc(left.crc32c, right.crc32c, right.length);
  return { extentId, blockOffset, start, length, ...(crc32c !== undefined && { crc32c }) };
}

function isContiguous(left: Slice, right: Slice): boolean {
  return (
    left.extentId === right.extentId &&
    left.blockOffset === right.blockOffset &&
    left.start + left.length === right.start
  );
}

/** Adds a piece at the end of a list, merged into the last one where that is possible. Empty ones are dropped. */
export function pushPiece(list: Piece[], piece: Piece): void {
  if (piece.length === 0) return;
  const last = list.at(-1);
  const merged = last && findMerged(last, piece);
  if (merged) list[list.length - 1] = merged;
  else list.push(piece);
}

/** The same bytes in as few pieces as there can be. */
export function coalescePieces(pieces: Iterable<Piece>): Piece[] {
  const list: Piece[] = [];
  for (const piece of pieces) pushPiece(list, piece);
  return list;
}
