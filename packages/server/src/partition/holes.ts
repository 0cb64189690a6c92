import { type HolesResult, LIMITS } from '../api/index.js';
import { checkConditions } from './conditions.js';
import { headOf } from './object-record.js';
import type { RangePartition } from './range-partition.js';
import { after, objectRow } from './row-key.js';
import { isSlice } from './slice.js';
import type { SliceMap } from './slice-map.js';
import { SLICE_PAGE_BYTES } from './slice-map-page.js';

/** What one call looks at, so that the largest objects keep nobody waiting. */
const PAGE_COUNT_MAX = 1024;
const PIECE_COUNT_MAX = 50_000;

interface HolesQuery {
  readonly bucket: string;
  readonly key: string;
  readonly offset?: number | undefined;
  readonly ifMatch?: string | undefined;
}

/** Where an object has holes, from its slice map alone. */
export function holesOf(partition: RangePartition, query: HolesQuery): Promise<HolesResult> {
  const { bucket, key, offset = 0, ifMatch } = query;
  const row = objectRow(bucket, key);
  return partition.reads.read({ start: row, end: after(row) }, () => {
    partition.view.bucket(bucket);
    const record = partition.view.object({ bucket, key });
    checkConditions(record, { ifMatch });
    return { head: headOf(bucket, key, record), ...holesIn(partition.view.openMap(record), offset) };
  });
}

/** A page of the holes of a map from `offset` on. */
export function holesIn(map: SliceMap, offset: number): Omit<HolesResult, 'head'> {
  const holes: { offset: number; length: number }[] = [];
  let pieceCount = 0;
  let at = offset;
  for (let pageCount = 0; at < map.size; pageCount++) {
    if (pageCount === PAGE_COUNT_MAX || pieceCount >= PIECE_COUNT_MAX) return { holes, nextOffset: at };
    for (const piece of map.range(at, SLICE_PAGE_BYTES - (at % SLICE_PAGE_BYTES))) {
      pieceCount++;
      if (!isSlice(piece)) {
        const last = holes.at(-1);
        if (last && last.offset + last.length === at) last.length += piece.length;
        else if (holes.length === LIMITS.listKeysMax) return { holes, nextOffset: at };
        else holes.push({ offset: at, length: piece.length });
      }
      at += piece.length;
    }
  }
  return { holes };
}
