import { type ExtentId, extentId } from '../api/index.js';
import type { PartitionIndex } from './partition-index.js';
import { extentOfLiveBytesRow, liveBytesRow, liveBytesRows, type RowKey } from './row-key.js';
import type { LiveBytesDelta } from './slice-map-live-bytes.js';
import { decodeCount, encodeCount } from './small-records.js';

const PAGE_ROWS = 1000;

/**
 * How many bytes of each extent objects and uploads use: rows of the index, copied here. An extent may go when it counts
 * none and nothing that is under way has put bytes into it.
 */
export class LiveBytes {
  readonly #counts = new Map<ExtentId, number>();
  readonly #pins = new Map<ExtentId, number>();

  static async load(index: PartitionIndex): Promise<LiveBytes> {
    const liveBytes = new LiveBytes();
    for await (const rows of index.pages(liveBytesRows(), PAGE_ROWS))
      for (const { key, value } of rows)
        liveBytes.#counts.set(extentId(extentOfLiveBytesRow(key)), decodeCount(value));
    return liveBytes;
  }

  of(id: ExtentId): number {
    return this.#counts.get(id) ?? 0;
  }

  total(): number {
    let bytes = 0;
    for (const count of this.#counts.values()) bytes += count;
    return bytes;
  }

  isFree(id: ExtentId): boolean {
    return !this.#counts.has(id) && !this.#pins.has(id);
  }

  /** Applies a change and adds the rows that hold it. */
  apply(delta: LiveBytesDelta, rows: Map<RowKey, Uint8Array | undefined>): void {
    for (const [id, change] of delta) {
      const count = this.of(id) + change;
      if (count > 0) this.#counts.set(id, count);
      else this.#counts.delete(id);
      rows.set(liveBytesRow(id), count > 0 ? encodeCount(count) : undefined);
    }
  }

  /** Keeps an extent while bytes in it wait for the mutation that points to them. */
  pin(id: ExtentId): void {
    this.#pins.set(id, (this.#pins.get(id) ?? 0) + 1);
  }

  unpin(id: ExtentId): void {
    const count = (this.#pins.get(id) ?? 0) - 1;
    if (count > 0) this.#pins.set(id, count);
    else this.#pins.delete(id);
  }
}
