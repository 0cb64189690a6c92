import assert from 'node:assert';
import type { Piece } from './slice.js';
import { cutPiece, lengthOfPieces, pushPiece } from './slice-map-pieces.js';

/** Bytes of an object that one page of its slice map covers; the last page may be shorter. */
export const SLICE_PAGE_BYTES = 64 * 1024 * 1024;

/** Pieces that stand instead of [start, end) of a page; of the same length. */
export interface PageSplice {
  readonly start: number;
  readonly end: number;
  readonly pieces: readonly Piece[];
}

/** The pieces of one page, back to back from the page's start. Never changes. */
export class SliceMapPage {
  readonly pieces: readonly Piece[];
  readonly length: number;
  /** starts[i] is where pieces[i] starts in the page. Made at the first search. */
  #starts: Float64Array | undefined;

  constructor(pieces: readonly Piece[]) {
    this.pieces = pieces;
    this.length = lengthOfPieces(pieces);
    assert(this.length <= SLICE_PAGE_BYTES, 'a page covers at most its part of the object');
  }

  /** Pieces of [start, end), cut at both ends. */
  range(start: number, end: number): readonly Piece[] {
    if (start === 0 && end === this.length) return this.pieces;
    const list: Piece[] = [];
    for (const piece of this.#cuts(start, end)) list.push(piece);
    return list;
  }

  /** A page in which `pieces` stand instead of [start, end). Their length may differ at the page's end. */
  splice(start: number, end: number, pieces: readonly Piece[]): SliceMapPage {
    const list: Piece[] = start === 0 ? [] : [...this.#cuts(0, start)];
    for (const piece of pieces) pushPiece(list, piece);
    if (end < this.length) {
      const right = [...this.#cuts(end, this.length)];
      pushPiece(list, right[0]!);
      for (let index = 1; index < right.length; index++) list.push(right[index]!);
    }
    return new SliceMapPage(list);
  }

  /** The same for many places, in order and none over another. */
  spliceAll(splices: readonly PageSplice[]): SliceMapPage {
    const list: Piece[] = [];
    let at = 0;
    for (const { start, end, pieces } of splices) {
      for (const piece of this.#cuts(at, start)) pushPiece(list, piece);
      for (const piece of pieces) pushPiece(list, piece);
      at = end;
    }
    for (const piece of this.#cuts(at, this.length)) pushPiece(list, piece);
    return new SliceMapPage(list);
  }

  *#cuts(start: number, end: number): Generator<Piece> {
    const starts = this.#searchStarts();
    for (let index = this.#indexAt(start); index < this.pieces.length; index++) {
      const pieceStart = starts[index]!;
      if (pieceStart >= end) return;
      const piece = this.pieces[index]!;
      const from = Math.max(0, start - pieceStart);
      const to = Math.min(piece.length, end - pieceStart);
      if (from < to) yield cutPiece(piece, from, to);
    }
  }

  /** The index of the piece that holds the byte at `offset`. */
  #indexAt(offset: number): number {
    const starts = this.#searchStarts();
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low;
  }

  #searchStarts(): Float64Array {
    if (this.#starts) return this.#starts;
    const starts = new Float64Array(this.pieces.length);
    let offset = 0;
    for (let index = 0; index < starts.length; index++) {
      starts[index] = offset;
      offset += this.pieces[index]!.length;
    }
    this.#starts = starts;
    return starts;
  }
}

/** A full page without a byte. */
export const HOLE_PAGE = new SliceMapPage([{ length: SLICE_PAGE_BYTES }]);
