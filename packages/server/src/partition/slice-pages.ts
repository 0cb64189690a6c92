import { isSlice, type Piece } from './slice.js';
import { decodePieces, encodePieces } from './slice-codec.js';
import { SliceMap } from './slice-map.js';
import { SLICE_PAGE_BYTES } from './slice-map-page.js';
import { pushPiece } from './slice-map-pieces.js';

/**
 * How an object record holds its slices: few of them inline; many in rows of their own, one for each 64 MiB of the
 * object, under a `layoutId` that belongs to this one record. A page that is all hole has no row.
 */
export type SliceLayout =
  | { readonly type: 'inline'; readonly pieces: readonly Piece[] }
  | { readonly type: 'paged'; readonly layoutId: number };

/** One page's row to write; without `value`, to delete if it is there. */
export interface SlicePageRow {
  readonly layoutId: number;
  readonly pageNumber: number;
  readonly value?: Uint8Array;
}

/** What of an object's record its slice map is made from. */
export interface SliceRecord {
  readonly size: number;
  readonly crc32c?: number | undefined;
  readonly layout: SliceLayout;
}

/** Most pieces that a record holds inline. */
export const INLINE_PIECES_MAX = 32;
/** A paged layout goes back inline at half of that, so that an object at the bound does not flip with each edit. */
const INLINE_AGAIN_PIECES_MAX = INLINE_PIECES_MAX / 2;

/** Only the pages of a small object are looked at for that. */
const INLINE_AGAIN_PAGES_MAX = 4;

export type LoadPageRow = (layoutId: number, pageNumber: number) => Uint8Array | undefined;

/** The slice map of a stored record. Page rows are loaded only when an operation looks at them, and while it does. */
export function openSliceMap(record: SliceRecord, loadRow: LoadPageRow): SliceMap {
  const { size, crc32c, layout } = record;
  if (layout.type === 'inline') return SliceMap.withCrc(layout.pieces, crc32c);
  return SliceMap.stored({
    size,
    crc32c,
    loadPage: (pageNumber) => {
      const row = loadRow(layout.layoutId, pageNumber);
      return row && decodePieces(row);
    }
  });
}

export interface StoredSlices {
  readonly layout: SliceLayout;
  readonly rows: readonly SlicePageRow[];
}

export interface StoreSliceMapOptions {
  /** What the record had before; its rows are rewritten, dropped, or kept where `map` was made from it. */
  readonly before?: { readonly layout: SliceLayout; readonly map: SliceMap } | undefined;
  readonly map: SliceMap;
  /** For a new paged layout: unique in the partition and never used again, such as the mutation's sequence number. */
  readonly newLayoutId: number;
}

/** Decides the layout of a changed map and gives exactly the rows that differ from what is stored. */
export function storeSliceMap(options: StoreSliceMapOptions): StoredSlices {
  const { before, map, newLayoutId } = options;
  const pagedBefore =
    before?.layout.type === 'paged' ? { ...before, layoutId: before.layout.layoutId } : undefined;
  const staysPaged = pagedBefore && map.pageCount > INLINE_AGAIN_PAGES_MAX;
  const countMax = pagedBefore ? INLINE_AGAIN_PIECES_MAX : INLINE_PIECES_MAX;
  const inline = staysPaged ? undefined : findInline(map, countMax);
  if (inline) {
    const rows = pagedBefore ? dropSliceRows(pagedBefore.layoutId, 0, pagedBefore.map.pageCount) : [];
    return { layout: { type: 'inline', pieces: inline }, rows };
  }
  if (!pagedBefore)
    return { layout: { type: 'paged', layoutId: newLayoutId }, rows: copySlicePages(map, newLayoutId) };
  const { layoutId } = pagedBefore;
  const isDerived = map.isMadeFrom(pagedBefore.map);
  const numbers = isDerived ? map.changedPages() : allPages(map);
  const rows: SlicePageRow[] = [];
  for (const pageNumber of numbers) {
    const row = encodePage(map, { layoutId, pageNumber });
    if (row.value || pageNumber < pagedBefore.map.pageCount) rows.push(row);
  }
  rows.push(...dropSliceRows(layoutId, map.pageCount, pagedBefore.map.pageCount));
  return { layout: { type: 'paged', layoutId }, rows };
}

/** All rows of a map under a new layout, as for a copy. */
export function copySlicePages(map: SliceMap, layoutId: number): SlicePageRow[] {
  const rows: SlicePageRow[] = [];
  for (const pageNumber of allPages(map)) {
    const row = encodePage(map, { layoutId, pageNumber });
    if (row.value) rows.push(row);
  }
  return rows;
}

/** The deletes of pages [start, end) of a layout. */
export function dropSliceRows(layoutId: number, start: number, end: number): SlicePageRow[] {
  const rows: SlicePageRow[] = [];
  for (let pageNumber = start; pageNumber < end; pageNumber++) rows.push({ layoutId, pageNumber });
  return rows;
}

/** How many page rows an object of this size has at most. */
export function slicePageCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / SLICE_PAGE_BYTES);
}

function encodePage(map: SliceMap, place: { layoutId: number; pageNumber: number }): SlicePageRow {
  const { pieces } = map.page(place.pageNumber);
  return pieces.some(isSlice) ? { ...place, value: encodePieces(pieces) } : place;
}

function* allPages(map: SliceMap): Generator<number> {
  for (let pageNumber = 0; pageNumber < map.pageCount; pageNumber++) yield pageNumber;
}

/** The pieces of a map when they are at most `countMax`. Looks no further than that. */
function findInline(map: SliceMap, countMax: number): readonly Piece[] | undefined {
  const pieces: Piece[] = [];
  for (const piece of map.pieces()) {
    pushPiece(pieces, piece);
    if (pieces.length > countMax) return undefined;
  }
  return pieces;
}
