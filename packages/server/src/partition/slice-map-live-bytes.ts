import type { ExtentId } from '../api/index.js';
import { isSlice, type Piece } from './slice.js';
import type { SliceMap } from './slice-map.js';

/** By how much the bytes in use of each extent change; no entry is zero. */
export type LiveBytesDelta = ReadonlyMap<ExtentId, number>;

/** What replacing one map by another changes. Looks only at pages in which they differ. */
export function liveBytesDelta(before: SliceMap, after: SliceMap): LiveBytesDelta {
  const delta = new Map<ExtentId, number>();
  for (const pageNumber of before.pagesUnlike(after)) count(delta, before.page(pageNumber).pieces, -1);
  for (const pageNumber of after.pagesUnlike(before)) count(delta, after.page(pageNumber).pieces, 1);
  return withoutZeros(delta);
}

/** The bytes in use that pieces stand for. */
export function liveBytesOf(pieces: Iterable<Piece>): LiveBytesDelta {
  const delta = new Map<ExtentId, number>();
  count(delta, pieces, 1);
  return delta;
}

export function sumLiveBytes(deltas: Iterable<LiveBytesDelta>): LiveBytesDelta {
  const sum = new Map<ExtentId, number>();
  for (const delta of deltas)
    for (const [extentId, bytes] of delta) sum.set(extentId, (sum.get(extentId) ?? 0) + bytes);
  return withoutZeros(sum);
}

function count(delta: Map<ExtentId, number>, pieces: Iterable<Piece>, sign: 1 | -1): void {
  for (const piece of pieces)
    if (isSlice(piece)) delta.set(piece.extentId, (delta.get(piece.extentId) ?? 0) + sign * piece.length);
}

function withoutZeros(delta: Map<ExtentId, number>): LiveBytesDelta {
  for (const [extentId, bytes] of delta) if (bytes === 0) delta.delete(extentId);
  return delta;
}
