import type { Piece } from './slice.js';
import { cutPiece, lengthOfPieces } from './slice-map-pieces.js';

/** Pieces back to back from an offset. */
export interface Run {
  readonly offset: number;
  readonly pieces: readonly Piece[];
}

interface Laid {
  readonly offset: number;
  readonly piece: Piece;
}

/**
 * Collects writes at any offsets, later ones over earlier ones, so that many of them change a slice map in one pass
 * instead of one by one.
 */
export class LaidPieces {
  /** In order, none over another. */
  readonly #laid: Laid[] = [];

  get isEmpty(): boolean {
    return this.#laid.length === 0;
  }

  lay(offset: number, pieces: readonly Piece[]): void {
    const end = offset + lengthOfPieces(pieces);
    if (end === offset) return;
    const first = this.#indexEndingAfter(offset);
    let next = first;
    while (next < this.#laid.length && this.#laid[next]!.offset < end) next += 1;
    const added: Laid[] = [];
    const left = first < next ? this.#laid[first]! : undefined;
    if (left && left.offset < offset)
      added.push({ offset: left.offset, piece: cutPiece(left.piece, 0, offset - left.offset) });
    let at = offset;
    for (const piece of pieces) {
      added.push({ offset: at, piece });
      at += piece.length;
    }
    const right = first < next ? this.#laid[next - 1]! : undefined;
    if (right && right.offset + right.piece.length > end)
      added.push({ offset: end, piece: cutPiece(right.piece, end - right.offset, right.piece.length) });
    this.#laid.splice(first, next - first, ...added);
  }

  /** What was collected, as runs with gaps between them. */
  runs(): Run[] {
    const runs: { offset: number; pieces: Piece[]; end: number }[] = [];
    for (const { offset, piece } of this.#laid) {
      const last = runs.at(-1);
      if (last?.end === offset) last.pieces.push(piece);
      else runs.push({ offset, pieces: [piece], end: offset });
      runs.at(-1)!.end += piece.length;
    }
    return runs;
  }

  /** The first that ends after an offset. */
  #indexEndingAfter(offset: number): number {
    let low = 0;
    let high = this.#laid.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { offset: start, piece } = this.#laid[middle]!;
      if (start + piece.length > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
