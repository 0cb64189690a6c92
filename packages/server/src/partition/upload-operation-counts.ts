import { LIMITS, StoreError } from '../api/index.js';
import type { PartitionIndex } from './partition-index.js';
import { RecentMap } from './recent-map.js';
import { operationRows } from './row-key.js';

const UPLOADS_REMEMBERED_MIN = 1000;
const PAGE_ROWS = 1000;

/** How many operations each upload has: counted once, then kept in memory for the uploads that are in use. */
export class UploadOperationCounts {
  readonly #index: PartitionIndex;
  readonly #counts = new RecentMap<string, number>(UPLOADS_REMEMBERED_MIN);

  constructor(index: PartitionIndex) {
    this.#index = index;
  }

  /**
   * Counts one more operation; those in flight together may exceed the limit by as many as they are.
   *
   * @throws StoreError `EntityTooLarge` when the upload has as many as it may have.
   */
  async add(uploadId: string): Promise<void> {
    if (!this.#counts.has(uploadId)) {
      let count = 0;
      for await (const rows of this.#index.pages(operationRows(uploadId), PAGE_ROWS)) count += rows.length;
      if (!this.#counts.has(uploadId)) this.#counts.set(uploadId, count);
    }
    const count = this.#counts.get(uploadId) ?? 0;
    if (count >= LIMITS.uploadOperationsMax)
      throw new StoreError(
        'EntityTooLarge',
        `An upload takes at most ${LIMITS.uploadOperationsMax} writes, cuts and holes. Complete it, and start another one from it.`
      );
    this.#counts.set(uploadId, count + 1);
  }
}
