import { LIMITS, pack, unpack } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { PartitionIndex } from './partition-index.js';
import { type RowKey, requestOfRow, requestRow, requestRowsBefore, requestRowsFrom } from './row-key.js';

const RECENT_COUNT_MAX = 10_000;
const PAGE_ROWS = 1000;
const PERIOD_MS = LIMITS.requestIdKeptMs;

/**
 * The answers to mutations that came with a request id, so that a repeat changes nothing: rows of the index by the
 * period in which they were made, kept for one to two periods; the latest ones in memory too.
 */
export class RequestTable {
  readonly #index: PartitionIndex;
  readonly #clock: Clock;
  readonly #recent = new Map<string, Uint8Array>();
  /** When an answer was dropped from memory last; before that, and one period on, the rows must be looked up. */
  #droppedAtMs = Number.NEGATIVE_INFINITY;

  private constructor(index: PartitionIndex, clock: Clock) {
    this.#index = index;
    this.#clock = clock;
  }

  static async load(index: PartitionIndex, clock: Clock): Promise<RequestTable> {
    const table = new RequestTable(index, clock);
    const first = Math.max(0, table.#periodNow() - 1);
    for await (const rows of index.pages(requestRowsFrom(first), PAGE_ROWS)) {
      for (const { key, value } of rows) table.#remember(requestOfRow(key).requestId, value);
      if (table.#recent.size >= RECENT_COUNT_MAX) break;
    }
    return table;
  }

  /** The answer of an earlier call, in a box since it may be `undefined`. */
  find(requestId: string): { readonly answer: unknown } | undefined {
    const packed = this.#recent.get(requestId) ?? this.#findRow(requestId);
    return packed && { answer: unpack(packed) ?? undefined };
  }

  /** Keeps an answer; the row becomes durable with the mutation's. */
  add(
    requestId: string,
    answer: unknown,
    made: { atMs: number; rows: Map<RowKey, Uint8Array | undefined> }
  ): void {
    const packed = pack(answer ?? null);
    made.rows.set(requestRow(periodOf(made.atMs), requestId), packed);
    this.#remember(requestId, packed);
  }

  /** Removes what is older than anybody repeats. */
  async expire(): Promise<void> {
    const range = requestRowsBefore(Math.max(0, this.#periodNow() - 1));
    for await (const rows of this.#index.pages(range, PAGE_ROWS)) {
      this.#index.apply(new Map(rows.map(({ key }) => [key, undefined])));
      await this.#index.flushed();
    }
  }

  #findRow(requestId: string): Uint8Array | undefined {
    if (this.#clock.monotonicMs() - this.#droppedAtMs > 2 * PERIOD_MS) return undefined;
    const period = this.#periodNow();
    return (
      this.#index.get(requestRow(period, requestId)) ??
      (period > 0 ? this.#index.get(requestRow(period - 1, requestId)) : undefined)
    );
  }

  #remember(requestId: string, packed: Uint8Array): void {
    this.#recent.set(requestId, packed);
    if (this.#recent.size <= RECENT_COUNT_MAX) return;
    this.#recent.delete(this.#recent.keys().next().value!);
    this.#droppedAtMs = this.#clock.monotonicMs();
  }

  #periodNow(): number {
    return periodOf(this.#clock.nowMs());
  }
}

function periodOf(atMs: number): number {
  return Math.max(0, Math.floor(atMs / PERIOD_MS));
}
