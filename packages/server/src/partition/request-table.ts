import { LIMITS, type ObjectHead, pack, unpack } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import { decodeObjectRecord, headOf } from './object-record.js';
import type { PartitionIndex } from './partition-index.js';
import { RecentMap } from './recent-map.js';
import { RequestFilter } from './request-filter.js';
import { type RowKey, requestOfRow, requestRow, requestRowsBefore, requestRowsFrom } from './row-key.js';

const RECENT_COUNT_MIN = 5000;
/** Ids of a period that are read at load to know them all. */
const LOADED_COUNT_MAX = 10_000;
const PAGE_ROWS = 1000;
const PERIOD_MS = LIMITS.requestIdKeptMs;

/** An object's head, as its row already holds it. */
export interface HeadAnswer {
  readonly head: ObjectHead;
  readonly row: Uint8Array;
}

interface Made {
  readonly atMs: number;
  readonly rows: Map<RowKey, Uint8Array | undefined>;
  /** What the mutation wrote, when that is the answer too. */
  readonly written: HeadAnswer | undefined;
}

/**
 * The answers to mutations that came with a request id, so that a repeat changes nothing: rows of the index by the
 * period in which they were made, kept for one to two periods; the latest ones in memory too.
 */
export class RequestTable {
  readonly #index: PartitionIndex;
  readonly #clock: Clock;
  readonly #recent = new RecentMap<string, Uint8Array>(RECENT_COUNT_MIN);
  /** Of each period; absent = not all of its rows are known, so any id may be among them. */
  readonly #filters = new Map<number, RequestFilter>();

  /** The newest period that had begun, maybe in an earlier life, when the table was loaded. */
  #loadedPeriod: number;

  private constructor(index: PartitionIndex, clock: Clock) {
    this.#index = index;
    this.#clock = clock;
    this.#loadedPeriod = this.#periodNow();
  }

  static async load(index: PartitionIndex, clock: Clock): Promise<RequestTable> {
    const table = new RequestTable(index, clock);
    const period = table.#periodNow();
    for (const each of [period - 1, period]) await table.#loadPeriod(each);
    // Left by a clock that was ahead: later periods may hold any id.
    const ahead = await index.range(requestRowsFrom(period + 1), 1);
    if (ahead.length > 0) table.#loadedPeriod = Number.POSITIVE_INFINITY;
    return table;
  }

  /** The answer of an earlier call, in a box since it may be `undefined`. */
  find(requestId: string): { readonly answer: unknown } | undefined {
    const packed = this.#recent.get(requestId) ?? this.#findRow(requestId);
    return packed && { answer: decodeAnswer(packed) };
  }

  /** Keeps an answer; the row becomes durable with the mutation's. */
  add(requestId: string, answer: unknown, { atMs, rows, written }: Made): void {
    const packed =
      written && written.head === answer
        ? pack([written.head.bucket, written.head.key, written.row])
        : pack([answer ?? null]);
    const period = periodOf(atMs);
    rows.set(requestRow(period, requestId), packed);
    this.#remember(requestId, packed);
    this.#filterOf(period)?.add(requestId);
  }

  /** Removes what is older than anybody repeats. */
  async expire(): Promise<void> {
    const first = Math.max(0, this.#periodNow() - 1);
    for (const period of this.#filters.keys()) if (period < first) this.#filters.delete(period);
    for await (const rows of this.#index.pages(requestRowsBefore(first), PAGE_ROWS)) {
      this.#index.apply(new Map(rows.map(({ key }) => [key, undefined])));
      await this.#index.flushed();
    }
  }

  /** Knows all ids of a period, unless there are many: then they are looked up. */
  async #loadPeriod(period: number): Promise<void> {
    if (period < 0) return;
    const { start } = requestRowsFrom(period);
    const rows = await this.#index.range(
      { start, end: requestRowsFrom(period + 1).start },
      LOADED_COUNT_MAX + 1
    );
    if (rows.length > LOADED_COUNT_MAX) return;
    const filter = new RequestFilter();
    this.#filters.set(period, filter);
    for (const { key, value } of rows) {
      const { requestId } = requestOfRow(key);
      filter.add(requestId);
      this.#remember(requestId, value);
    }
  }

  /** Periods that begin while the table is in use are known from their start. */
  #filterOf(period: number): RequestFilter | undefined {
    const known = this.#filters.get(period);
    if (known || period <= this.#loadedPeriod) return known;
    const filter = new RequestFilter();
    this.#filters.set(period, filter);
    return filter;
  }

  #findRow(requestId: string): Uint8Array | undefined {
    const period = this.#periodNow();
    for (const each of [period, period - 1]) {
      if (each < 0 || this.#filterOf(each)?.mayHave(requestId) === false) continue;
      const row = this.#index.get(requestRow(each, requestId));
      if (row) return row;
    }
    return undefined;
  }

  #remember(requestId: string, packed: Uint8Array): void {
    this.#recent.set(requestId, packed);
  }

  #periodNow(): number {
    return periodOf(this.#clock.nowMs());
  }
}

function decodeAnswer(packed: Uint8Array): unknown {
  const fields = unpack(packed) as readonly unknown[];
  if (fields.length === 1) return fields[0] ?? undefined;
  const [bucket, key, row] = fields as [string, string, Uint8Array];
  return headOf(bucket, key, decodeObjectRecord(row));
}

function periodOf(atMs: number): number {
  return Math.max(0, Math.floor(atMs / PERIOD_MS));
}
