/** More blocks than a writer can have in flight, hence than a retry can repeat. */
const SEQUENCES_KEPT = 4096 * 4;

/**
 * Finds the blocks that a retry left twice: after a failure the writer sends what was not acknowledged again, in order,
 * at the start of a new extent. Sequences of different extents of a stream need not grow, since extents can be moved
 * between streams, so only a repetition of the blocks right before counts.
 */
export class RepeatFilter {
  /** The last ones, oldest first, of the extents before and the current one. */
  #recent: number[] = [];
  /** Those that may repeat now; `undefined` once the current extent showed a block that is new. */
  #repeatable: ReadonlySet<number> | undefined;

  startExtent(): void {
    this.#repeatable = new Set(this.#recent);
  }

  isRepeat(sequence: number): boolean {
    if (this.#repeatable?.has(sequence)) return true;
    this.#repeatable = undefined;
    this.#recent.push(sequence);
    if (this.#recent.length >= 2 * SEQUENCES_KEPT) this.#recent = this.#recent.slice(-SEQUENCES_KEPT);
    return false;
  }
}
