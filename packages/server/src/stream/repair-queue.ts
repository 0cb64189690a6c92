import type { ExtentId } from '../api/index.js';

/** Of each rank; what does not fit is found again by the next sweep. */
const RANK_SIZE_MAX = 10_000;

/** Extents that wait for repair, the lowest rank first, each once, and in order of arrival within a rank. */
export class RepairQueue {
  readonly #ranks: Set<ExtentId>[] = [];

  get size(): number {
    return this.#ranks.reduce((sum, ids) => sum + ids.size, 0);
  }

  has(extentId: ExtentId): boolean {
    return this.#ranks.some((ids) => ids.has(extentId));
  }

  /** An extent that waits already takes the lower of both ranks. */
  add(extentId: ExtentId, rank: number): void {
    while (this.#ranks.length <= rank) this.#ranks.push(new Set());
    if (this.#ranks.slice(0, rank).some((ids) => ids.has(extentId))) return;
    for (const ids of this.#ranks) ids.delete(extentId);
    const ids = this.#ranks[rank]!;
    if (ids.size < RANK_SIZE_MAX) ids.add(extentId);
  }

  /** Takes the first one that is not excluded. */
  take(excluded: ReadonlySet<ExtentId>): ExtentId | undefined {
    for (const ids of this.#ranks) {
      for (const extentId of ids) {
        if (excluded.has(extentId)) continue;
        ids.delete(extentId);
        return extentId;
      }
    }
    return undefined;
  }

  clear(): void {
    for (const ids of this.#ranks) ids.clear();
  }
}
