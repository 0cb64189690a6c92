import { isStoreError, LIMITS, type ObjectHead, pack, type StoreError, unpack } from '../api/index.js';
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
  readonly #refusals = new RecentMap<string, StoreError>(RECENT_COUNT_MIN);
  /**
   * Every period that has rows, with its ids; `undefined` = not all of them are known, so any id may be among them. As
   * the wall clock jumps there may be periods behind the current one and ahead of it.
   */
  readonly #periods = new Map<number, RequestFilter | undefined>();
  /** Periods before `before` are old since then, in monotonic time; growing. */
  readonly #oldPeriods: { readonly before: number; readonly sinceMs: number }[] = [];

  private constructor(index: PartitionIndex, clock: Clock) {
    this.#index = index;
    this.#clock = clock;
  }

  static async load(index: PartitionIndex, clock: Clock): Promise<RequestTable> {
    const table = new RequestTable(index, clock);
    let [first] = await index.range(requestRowsFrom(0), 1);
    while (first) {
      const { period } = requestOfRow(first.key);
      await table.#loadPeriod(period);
      [first] = await index.range(requestRowsFrom(period + 1), 1);
    }
    return table;
  }

  /** The answer of an earlier call, in a box since it may be `undefined`. @throws StoreError what it was refused with. */
  find(requestId: string): { readonly answer: unknown } | undefined {
    const refusal = this.#refusals.get(requestId);
    if (refusal) throw refusal;
    const packed = this.#recent.get(requestId) ?? this.#findRow(requestId);
    return packed && { answer: decodeAnswer(packed) };
  }

  /**
   * Runs the judgement of a request. One that changes nothing, or is refused, is remembered for a while in memory: who
   * made the request has its answer then, and a copy of it that arrives later must not change anything either.
   */
  judged<Judged extends object>(requestId: string | undefined, judge: () => Judged): Judged {
    if (requestId === undefined) return judge();
    try {
      const judged = judge();
      if ('answer' in judged) this.#recent.set(requestId, pack([judged.answer ?? null]));
      return judged;
    } catch (error) {
      if (isRefusal(error)) this.#refusals.set(requestId, error);
      throw error;
    }
  }

  /** Keeps an answer; the row becomes durable with the mutation's. */
  add(requestId: string, answer: unknown, { atMs, rows, written }: Made): void {
    const packed =
      written && written.head === answer
        ? pack([written.head.bucket, written.head.key, written.row])
        : pack([answer ?? null]);
    const period = periodOf(atMs);
    rows.set(requestRow(period, requestId), packed);
    this.#recent.set(requestId, packed);
    if (!this.#periods.has(period)) this.#periods.set(period, new RequestFilter());
    this.#periods.get(period)?.add(requestId);
  }

  /**
   * Removes what is older than anybody repeats. The wall clock may have jumped ahead, so a period must have been old
   * for as long as answers are kept.
   */
  async expire(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const old = Math.max(0, this.#periodNow() - 1);
    if (old > (this.#oldPeriods.at(-1)?.before ?? 0)) this.#oldPeriods.push({ before: old, sinceMs: nowMs });
    let first = 0;
    while (this.#oldPeriods[0] && nowMs - this.#oldPeriods[0].sinceMs >= PERIOD_MS)
      first = this.#oldPeriods.shift()!.before;
    // It may also have gone back since.
    first = Math.min(first, old);
    if (first === 0) return;
    for (const period of this.#periods.keys()) if (period < first) this.#periods.delete(period);
    for await (const rows of this.#index.pages(requestRowsBefore(first), PAGE_ROWS)) {
      this.#index.apply(new Map(rows.map(({ key }) => [key, undefined])));
      await this.#index.flushed();
    }
  }

  /** Knows all ids of a period, unless there are many: then they are looked up. */
  async #loadPeriod(period: number): Promise<void> {
    const { start } = requestRowsFrom(period);
    const rows = await this.#index.range(
      { start, end: requestRowsFrom(period + 1).start },
      LOADED_COUNT_MAX + 1
    );
    const filter = rows.length > LOADED_COUNT_MAX ? undefined : new RequestFilter();
    this.#periods.set(period, filter);
    for (const { key } of rows) filter?.add(requestOfRow(key).requestId);
  }

  #findRow(requestId: string): Uint8Array | undefined {
    for (const [period, filter] of this.#periods) {
      if (filter?.mayHave(requestId) === false) continue;
      const row = this.#index.get(requestRow(period, requestId));
      if (row) return row;
    }
    return undefined;
  }

  #periodNow(): number {
    return periodOf(this.#clock.nowMs());
  }
}

/** Of the call itself, not of the state of the disks. */
function isRefusal(error: unknown): error is StoreError {
  if (!isStoreError(error)) return false;
  const { retry, outcome } = error.traits;
  const isOfDisks = error.code === 'NoSpace' || error.code === 'ChecksumMismatch';
  return retry === 'never' && outcome === 'none' && !isOfDisks;
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
