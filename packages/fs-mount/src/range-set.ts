/** Disjoint half-open ranges of bytes, sorted; neighbours are one. */
export class RangeSet {
  #ranges: { start: number; end: number }[] = [];

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  get end(): number {
    return this.#ranges.at(-1)?.end ?? 0;
  }

  add(start: number, end: number): void {
    const before = this.#ranges.filter((range) => range.end < start);
    const after = this.#ranges.filter((range) => range.start > end);
    const touching = this.#ranges.slice(before.length, this.#ranges.length - after.length);
    const merged = {
      start: Math.min(start, touching[0]?.start ?? start),
      end: Math.max(end, touching.at(-1)?.end ?? end)
    };
    this.#ranges = [...before, merged, ...after];
  }

  overlaps(start: number, end: number): boolean {
    return this.#ranges.some((range) => range.start < end && start < range.end);
  }

  /** Whether [start, end) lies in these ranges as a whole. */
  covers(start: number, end: number): boolean {
    return start >= end || this.#ranges.some((range) => range.start <= start && end <= range.end);
  }
}
