import type { RowKey, RowRange } from './row-key.js';

export interface LockRequest {
  /** Nobody else may hold them. */
  readonly exclusive?: readonly RowKey[];
  /** Others may share them. */
  readonly shared?: readonly RowKey[];
  /** Every key in them, exclusively. */
  readonly ranges?: readonly RowRange[];
  readonly signal?: AbortSignal | undefined;
}

interface Held {
  isExclusive: boolean;
  count: number;
  waiting: (() => void)[];
}

interface HeldRange {
  readonly range: RowRange;
  readonly waiting: (() => void)[];
}

/**
 * Keeps mutations that are decided but not yet applied apart from others of the same rows, so that each is decided on
 * what the earlier ones left. A request takes all of its locks in one step or waits without any: no deadlocks.
 */
export class KeyLocks {
  readonly #keys = new Map<RowKey, Held>();
  readonly #ranges = new Set<HeldRange>();

  /** Takes the locks; the result gives them back. Fails with the signal's reason when it aborts first. */
  async acquire(request: LockRequest): Promise<() => void> {
    for (;;) {
      request.signal?.throwIfAborted();
      const waiting = this.#findConflict(request);
      if (!waiting) return this.#take(request);
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  }

  #findConflict({ exclusive = [], shared = [], ranges = [] }: LockRequest): (() => void)[] | undefined {
    for (const key of exclusive) {
      const held = this.#keys.get(key);
      if (held) return held.waiting;
    }
    for (const key of shared) {
      const held = this.#keys.get(key);
      if (held?.isExclusive) return held.waiting;
    }
    if (this.#ranges.size > 0) {
      for (const held of this.#ranges) {
        for (const key of exclusive) if (contains(held.range, key)) return held.waiting;
        for (const key of shared) if (contains(held.range, key)) return held.waiting;
        for (const range of ranges) if (overlaps(held.range, range)) return held.waiting;
      }
    }
    for (const range of ranges)
      for (const [key, held] of this.#keys) if (contains(range, key)) return held.waiting;
    return undefined;
  }

  #take({ exclusive = [], shared = [], ranges = [] }: LockRequest): () => void {
    const taken: RowKey[] = [];
    for (const key of exclusive) {
      // A request may name a row twice.
      if (this.#keys.has(key)) continue;
      this.#keys.set(key, { isExclusive: true, count: 1, waiting: [] });
      taken.push(key);
    }
    for (const key of shared) {
      const held = this.#keys.get(key);
      if (!held) this.#keys.set(key, { isExclusive: false, count: 1, waiting: [] });
      else if (held.isExclusive) continue;
      else held.count += 1;
      taken.push(key);
    }
    const takenRanges = ranges.map((range) => ({ range, waiting: [] }));
    for (const range of takenRanges) this.#ranges.add(range);
    return () => this.#release(taken, takenRanges);
  }

  #release(keys: readonly RowKey[], ranges: readonly HeldRange[]): void {
    const waiting: (() => void)[] = [];
    for (const key of keys) {
      const held = this.#keys.get(key)!;
      held.count -= 1;
      if (held.count > 0) continue;
      this.#keys.delete(key);
      waiting.push(...held.waiting);
    }
    for (const range of ranges) {
      this.#ranges.delete(range);
      waiting.push(...range.waiting);
    }
    for (const wake of waiting) wake();
  }
}

export function contains({ start, end }: RowRange, key: RowKey): boolean {
  return key >= start && key < end;
}

export function overlaps(a: RowRange, b: RowRange): boolean {
  return a.start < b.end && b.start < a.end;
}
