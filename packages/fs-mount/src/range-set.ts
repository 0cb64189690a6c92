/** A part of a range that lies in a set as a whole, or outside of it. */
export interface RangePart {
  readonly start: number;
  readonly end: number;
  readonly isIn: boolean;
}

/** Disjoint half-open ranges of bytes, sorted; neighbours are one. */
export class RangeSet {
  #ranges: { readonly start: number; readonly end: number }[] = [];

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  get count(): number {
    return this.#ranges.length;
  }

  get end(): number {
    return this.#ranges.at(-1)?.end ?? 0;
  }

  /** How many bytes lie in the ranges. */
  get bytes(): number {
    return this.#ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  all(): readonly { readonly start: number; readonly end: number }[] {
    return this.#ranges;
  }

  add(start: number, end: number): void {
    if (start >= end) return;
    const first = this.#indexEndingAt(start);
    let next = first;
    let merged = { start, end };
    for (; next < this.#ranges.length && this.#ranges[next]!.start <= end; next++) {
      const range = this.#ranges[next]!;
      merged = { start: Math.min(merged.start, range.start), end: Math.max(merged.end, range.end) };
    }
    this.#ranges.splice(first, next - first, merged);
  }

  overlaps(start: number, end: number): boolean {
    for (const part of this.parts(start, end)) if (part.isIn) return true;
    return false;
  }

  /** Whether [start, end) lies in these ranges as a whole. */
  covers(start: number, end: number): boolean {
    for (const part of this.parts(start, end)) if (!part.isIn) return false;
    return true;
  }

  /** [start, end) in order, cut where a range of the set begins or ends. */
  *parts(start: number, end: number): Generator<RangePart> {
    let position = start;
    for (let index = this.#indexEndingAt(start + 1); position < end; index++) {
      const range = this.#ranges[index];
      if (!range || range.start >= end) {
        yield { start: position, end, isIn: false };
        return;
      }
      if (range.start > position) yield { start: position, end: range.start, isIn: false };
      const stop = Math.min(end, range.end);
      yield { start: Math.max(position, range.start), end: stop, isIn: true };
      position = stop;
    }
  }

  /** The index of the first range that ends at `position` or behind it. */
  #indexEndingAt(position: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ranges[middle]!.end < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
