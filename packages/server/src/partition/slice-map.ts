import assert from 'node:assert';
import type { Run } from './laid-pieces.js';
import type { Piece } from './slice.js';
import { appendCrc, crcOfPieces, cutCrc, type KnownCrc, replaceCrc } from './slice-map-crc.js';
import { HOLE_PAGE, type PageSplice, SLICE_PAGE_BYTES, SliceMapPage } from './slice-map-page.js';
import { coalescePieces, cutPiece, lengthOfPieces, pushPiece } from './slice-map-pieces.js';
import { SliceMapTable } from './slice-map-table.js';

/** Gives the pieces of a stored page; `undefined` = a hole. Called when a page is first looked at. */
export type LoadSlicePage = (pageNumber: number) => readonly Piece[] | undefined;

export interface StoredSliceMap {
  readonly size: number;
  readonly crc32c?: number | undefined;
  readonly loadPage: LoadSlicePage;
}

/**
 * Where the bytes of an object are: an immutable ordered cover of [0, size) with slices and holes. An operation gives
 * a new map, shares all that it did not touch, and loads only the pages that it must look at. Offsets in bytes.
 */
export class SliceMap {
  static #empty: SliceMap | undefined;

  // Made when it is asked for: where private methods name their class, TypeScript 7.0 emits initializers of static
  // fields that refer to the class before it is there.
  static get empty(): SliceMap {
    SliceMap.#empty ??= new SliceMap(0, 0, { table: SliceMapTable.empty, source: undefined });
    return SliceMap.#empty;
  }

  readonly size: number;
  /**
   * Of all bytes; absent when it cannot be known without reading them. Carried from step to step, so that it survives
   * the cut of a slice at the end of a page.
   */
  readonly crc32c: number | undefined;
  readonly #table: SliceMapTable;
  readonly #source: PageSource | undefined;

  private constructor(size: number, crc32c: KnownCrc, pages: Pages) {
    this.size = size;
    this.crc32c = crc32c;
    this.#table = pages.table;
    this.#source = pages.source;
  }

  static from(pieces: Iterable<Piece>): SliceMap {
    return SliceMap.empty.append(pieces);
  }

  /** A map of these pieces whose checksum was made earlier. */
  static withCrc(pieces: Iterable<Piece>, crc32c: number | undefined): SliceMap {
    const unknown = new SliceMap(0, undefined, { table: SliceMapTable.empty, source: undefined });
    const map = unknown.append(pieces);
    return new SliceMap(map.size, map.size === 0 ? 0 : crc32c, { table: map.#table, source: undefined });
  }

  /** A map whose pages stay where they are until they are needed. */
  static stored(stored: StoredSliceMap): SliceMap {
    const pageCount = Math.ceil(stored.size / SLICE_PAGE_BYTES);
    return new SliceMap(stored.size, stored.crc32c, {
      table: SliceMapTable.unchanged(pageCount),
      source: new PageSource(stored)
    });
  }

  get pageCount(): number {
    return this.#table.pageCount;
  }

  /** Lays pieces over what is at `offset`; past the end a hole comes first. */
  lay(offset: number, pieces: Iterable<Piece>): SliceMap {
    const list = coalescePieces(pieces);
    const end = offset + lengthOfPieces(list);
    if (end === offset) return this;
    if (end <= this.size) return this.#replace(offset, end, list);
    return this.truncate(offset).append(list);
  }

  /** Lays many runs, in order and none over another, in one pass. */
  layAll(runs: readonly Run[]): SliceMap {
    const [first] = runs;
    if (!first) return this;
    if (runs.length === 1) return this.lay(first.offset, first.pieces);
    const lists = runs.map(({ offset, pieces }) => ({ offset, list: coalescePieces(pieces) }));
    const last = lists.at(-1)!;
    const end = last.offset + lengthOfPieces(last.list);
    const base = end > this.size ? this.truncate(end) : this;
    let crc = base.crc32c;
    let table = base.#table;
    const splices = new Map<number, PageSplice[]>();
    for (const { offset, list } of lists) {
      const listEnd = offset + lengthOfPieces(list);
      const suffixLength = base.size - listEnd;
      if (crc !== undefined)
        crc = replaceCrc(crc, {
          before: base.#crcOf(offset, listEnd),
          after: crcOfPieces(list),
          suffixLength
        });
      for (const part of splitAtPages(offset, list)) {
        if (part.type === 'holes') table = table.withHoles(part.start, part.end);
        else {
          const { pageNumber, offset: start, pieces } = part;
          const ofPage = splices.get(pageNumber) ?? [];
          splices.set(pageNumber, ofPage);
          ofPage.push({ start, end: start + lengthOfPieces(pieces), pieces });
        }
      }
    }
    const changed = new Map<number, SliceMapPage>();
    for (const [pageNumber, ofPage] of splices)
      changed.set(pageNumber, base.page(pageNumber).spliceAll(ofPage));
    return new SliceMap(base.size, crc, { table: table.with(changed), source: base.#source });
  }

  append(pieces: Iterable<Piece>): SliceMap {
    const list = coalescePieces(pieces);
    const length = lengthOfPieces(list);
    const size = this.size + length;
    assert(Number.isSafeInteger(size), 'the size of an object is a safe integer');
    if (length === 0) return this;
    let table = this.#table;
    let changed = new Map<number, SliceMapPage>();
    for (const part of splitAtPages(this.size, list)) {
      if (part.type === 'holes') {
        table = table.with(changed).withHoles(part.start, part.end);
        changed = new Map();
      } else {
        const page =
          part.offset === 0
            ? new SliceMapPage(part.pieces)
            : this.page(part.pageNumber).splice(part.offset, part.offset, part.pieces);
        changed.set(part.pageNumber, page);
      }
    }
    const crc = appendCrc(this.crc32c, this.crc32c === undefined ? undefined : crcOfPieces(list), length);
    return new SliceMap(size, crc, { table: table.with(changed), source: this.#source });
  }

  /** Cuts, or extends with a hole. */
  truncate(size: number): SliceMap {
    if (size > this.size) return this.append([{ length: size - this.size }]);
    if (size === this.size) return this;
    if (size === 0) return new SliceMap(0, 0, { table: SliceMapTable.empty, source: this.#source });
    const crc = cutCrc(this.crc32c, this.#crcOf(size, this.size), this.size - size);
    const last = Math.ceil(size / SLICE_PAGE_BYTES) - 1;
    let table = this.#table.truncated(last + 1);
    const length = size - last * SLICE_PAGE_BYTES;
    const page = this.page(last);
    if (length < page.length) table = table.with(new Map([[last, page.splice(length, page.length, [])]]));
    return new SliceMap(size, crc, { table, source: this.#source });
  }

  /** Replaces [offset, offset + length) with a hole; never extends. */
  punch(offset: number, length: number): SliceMap {
    const end = Math.min(this.size, offset + length);
    return offset >= end ? this : this.#replace(offset, end, [{ length: end - offset }]);
  }

  /** The pieces of [offset, offset + length), cut at the end of the object; slices cut at the ends lose their checksum. */
  range(offset: number, length: number): Piece[] {
    const list: Piece[] = [];
    for (const piece of this.#piecesOf(offset, Math.min(this.size, offset + length))) pushPiece(list, piece);
    return list;
  }

  /** Everything, in order, page by page. */
  pieces(): Iterable<Piece> {
    return this.#piecesOf(0, this.size);
  }

  concat(other: SliceMap): SliceMap {
    const joined = this.append(other.pieces());
    // What the other knows of itself may be more than what its pieces tell.
    const crc = appendCrc(this.crc32c, other.crc32c, other.size);
    return new SliceMap(joined.size, crc, { table: joined.#table, source: joined.#source });
  }

  /** The same map with its checksum made anew from all slices, if each has one. */
  withCombinedCrc(): SliceMap {
    if (this.crc32c !== undefined) return this;
    return new SliceMap(this.size, crcOfPieces(this.pieces()), { table: this.#table, source: this.#source });
  }

  /** The same map with a checksum that was found by reading all bytes. */
  withKnownCrc(crc32c: number): SliceMap {
    return new SliceMap(this.size, crc32c, { table: this.#table, source: this.#source });
  }

  page(pageNumber: number): SliceMapPage {
    const page = this.#table.get(pageNumber) ?? this.#source?.page(pageNumber);
    assert(page && pageNumber < this.pageCount, 'a map has all its pages');
    return page;
  }

  /** Numbers of the pages that differ from what is stored (all of them when nothing is), ascending. */
  changedPages(): Iterable<number> {
    return this.#table.changedPages();
  }

  /** True when the pages that are not `changedPages` are stored as those of `other`, which was made by `stored`. */
  isMadeFrom(other: SliceMap): boolean {
    return this.#source !== undefined && this.#source === other.#source;
  }

  /** Numbers of this map's pages that `other` has not or has otherwise; those of an unrelated map are all unlike. */
  pagesUnlike(other: SliceMap): Iterable<number> {
    const isRelated = this.#source === other.#source || other.pageCount === 0;
    return this.#table.pagesUnlike(isRelated ? other.#table : SliceMapTable.empty);
  }

  #replace(offset: number, end: number, list: readonly Piece[]): SliceMap {
    const crc = this.#crcAfterReplace(offset, end, list);
    let table = this.#table;
    const changed = new Map<number, SliceMapPage>();
    for (const part of splitAtPages(offset, list)) {
      if (part.type === 'holes') table = table.withHoles(part.start, part.end);
      else {
        const partEnd = part.offset + lengthOfPieces(part.pieces);
        const page = this.page(part.pageNumber).splice(part.offset, partEnd, part.pieces);
        changed.set(part.pageNumber, page);
      }
    }
    return new SliceMap(this.size, crc, { table: table.with(changed), source: this.#source });
  }

  #crcAfterReplace(offset: number, end: number, list: readonly Piece[]): KnownCrc {
    if (offset === 0 && end === this.size) return crcOfPieces(list);
    if (this.crc32c === undefined) return undefined;
    const after = crcOfPieces(list);
    if (after === undefined) return undefined;
    return replaceCrc(this.crc32c, {
      before: this.#crcOf(offset, end),
      after,
      suffixLength: this.size - end
    });
  }

  #crcOf(offset: number, end: number): KnownCrc {
    return this.crc32c === undefined ? undefined : crcOfPieces(this.#piecesOf(offset, end));
  }

  *#piecesOf(offset: number, end: number): Generator<Piece> {
    for (let at = offset; at < end; ) {
      const pageNumber = Math.floor(at / SLICE_PAGE_BYTES);
      const pageStart = pageNumber * SLICE_PAGE_BYTES;
      const page = this.page(pageNumber);
      yield* page.range(at - pageStart, Math.min(page.length, end - pageStart));
      at = pageStart + SLICE_PAGE_BYTES;
    }
  }
}

interface Pages {
  readonly table: SliceMapTable;
  readonly source: PageSource | undefined;
}

/** The stored pages of a map; remembers a few. */
class PageSource {
  readonly #stored: StoredSliceMap;
  readonly #remembered = new Map<number, SliceMapPage>();

  constructor(stored: StoredSliceMap) {
    this.#stored = stored;
  }

  page(pageNumber: number): SliceMapPage {
    const remembered = this.#remembered.get(pageNumber);
    if (remembered) return remembered;
    const length = Math.min(SLICE_PAGE_BYTES, this.#stored.size - pageNumber * SLICE_PAGE_BYTES);
    const pieces = this.#stored.loadPage(pageNumber);
    const page = pieces ? new SliceMapPage(pieces) : holePage(length);
    assert(page.length === length, 'a stored page covers its part of the object');
    if (this.#remembered.size >= REMEMBERED_COUNT_MAX)
      this.#remembered.delete(this.#remembered.keys().next().value!);
    this.#remembered.set(pageNumber, page);
    return page;
  }
}

const REMEMBERED_COUNT_MAX = 64;

function holePage(length: number): SliceMapPage {
  return length === SLICE_PAGE_BYTES ? HOLE_PAGE : new SliceMapPage([{ length }]);
}

type PagePart =
  | {
      readonly type: 'pieces';
      readonly pageNumber: number;
      readonly offset: number;
      readonly pieces: Piece[];
    }
  /** Full pages [start, end) of nothing but hole. */
  | { readonly type: 'holes'; readonly start: number; readonly end: number };

/** Cuts pieces that are laid at `offset` at the borders of pages. */
function* splitAtPages(offset: number, pieces: readonly Piece[]): Generator<PagePart> {
  let at = offset;
  let open: Extract<PagePart, { type: 'pieces' }> | undefined;
  for (const piece of pieces) {
    for (let taken = 0; taken < piece.length; ) {
      const pageNumber = Math.floor(at / SLICE_PAGE_BYTES);
      const inPage = at - pageNumber * SLICE_PAGE_BYTES;
      const fullPageCount = Math.floor((piece.length - taken) / SLICE_PAGE_BYTES);
      const isHoles = inPage === 0 && fullPageCount > 0 && !('extentId' in piece);
      const length = isHoles
        ? fullPageCount * SLICE_PAGE_BYTES
        : Math.min(piece.length - taken, SLICE_PAGE_BYTES - inPage);
      if (open && (isHoles || open.pageNumber !== pageNumber)) {
        yield open;
        open = undefined;
      }
      if (isHoles) yield { type: 'holes', start: pageNumber, end: pageNumber + fullPageCount };
      else {
        open ??= { type: 'pieces', pageNumber, offset: inPage, pieces: [] };
        open.pieces.push(cutPiece(piece, taken, taken + length));
      }
      taken += length;
      at += length;
    }
  }
  if (open) yield open;
}
