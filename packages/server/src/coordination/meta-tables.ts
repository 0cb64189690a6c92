import assert from 'node:assert/strict';
import { StoreError } from '../api/index.js';
import type { OrderedStore, StoreOperation } from '../platform/index.js';
import {
  decodeEntry,
  decodeRevision,
  encodeEntry,
  encodeRevision,
  entryKey,
  entryRange,
  leasedKey,
  leasedRange,
  parseLeasedKey,
  REVISION_KEY,
  type StoredEntry
} from './meta-entry-format.js';
import { MetaHistory } from './meta-history.js';
import type {
  MetaChange,
  MetaEntry,
  MetaRange,
  MetaTransaction,
  MetaTransactionResult,
  MetaWatchOptions
} from './meta-store.js';
import { checkTransaction } from './meta-transaction-check.js';

const HISTORY_CHANGE_COUNT_MAX = 100_000;
const HISTORY_BYTES_MAX = 64 * 1024 * 1024;
const IN_FLIGHT_COUNT_MAX = 4096;
/** Open leases deletes in batches of this size, to bound memory. */
const REMOVAL_COUNT = 1000;

/**
 * Versioned entries on an ordered store.
 *
 * Transactions are decided one after another, each against everything decided before it, and written in that order;
 * the store groups them under one sync. Nothing is visible or answered before it is durable, a failed compare
 * included, because it may rest on a transaction that is still being written.
 */
export class MetaTables {
  readonly #store: OrderedStore;
  readonly #history: MetaHistory;
  /** Entries as decided but not yet durable; `undefined` = deleted. */
  readonly #undurable = new Map<
    string,
    { readonly revision: number; readonly entry: StoredEntry | undefined }
  >();
  /** The keys of each live lease, as decided. */
  readonly #leases = new Map<string, Set<string>>();
  /** The revision of the newest decided transaction; the history's is that of the newest durable one. */
  #decidedRevision: number;
  #inFlightCount = 0;
  /** Decisions take turns; resolves when the last one in the queue was taken. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Resolves when everything decided is durable and published; rejects when a write failed. */
  #published: Promise<void> = Promise.resolve();
  /** After a failed write nothing is known of it and what was decided upon it, so nothing more is accepted. */
  #failure: StoreError | undefined;

  /** Removes the keys that leases of the previous life left. */
  static async open(store: OrderedStore): Promise<MetaTables> {
    const stored = store.get(REVISION_KEY);
    const tables = new MetaTables(store, stored ? decodeRevision(stored) : 0);
    await tables.#removeLeftovers();
    return tables;
  }

  private constructor(store: OrderedStore, revision: number) {
    this.#store = store;
    this.#decidedRevision = revision;
    this.#history = new MetaHistory({
      revision,
      changeCountMax: HISTORY_CHANGE_COUNT_MAX,
      bytesMax: HISTORY_BYTES_MAX
    });
  }

  find(key: string): MetaEntry | undefined {
    const storedKey = entryKey(key);
    const stored = this.#store.get(storedKey);
    return stored && withoutLease(decodeEntry(storedKey, stored));
  }

  async range(prefix: string): Promise<MetaRange> {
    // Waits until nothing is in flight, so that the snapshot is that of one known revision.
    const { rows, revision } = await this.#takeTurn(async () => {
      // What failed is not in the store, so what is there can still be read.
      await this.#published.catch(() => undefined);
      return { rows: this.#store.scan(entryRange(prefix)), revision: this.#history.revision };
    });
    const entries: MetaEntry[] = [];
    for await (const { key, value } of rows) entries.push(withoutLease(decodeEntry(key, value)));
    return { entries, revision };
  }

  async transact(transaction: MetaTransaction): Promise<MetaTransactionResult> {
    checkTransaction(transaction);
    return await this.#decide(() => {
      const { compares, puts = [], deletes = [] } = transaction;
      const holds = compares.every(
        ({ key, revision }) => (this.#findDecided(key)?.revision ?? 0) === revision
      );
      if (!holds) return { committed: false };
      for (const { leaseId } of puts) {
        if (leaseId === undefined || this.#leases.has(leaseId)) continue;
        throw new StoreError('StaleEpoch', `The lease ${leaseId} has ended. Grant a new one.`);
      }
      return { committed: true, revision: this.#commit(puts, deletes) };
    });
  }

  watch(prefix: string, options: MetaWatchOptions): AsyncIterable<MetaChange> {
    return this.#history.watch(prefix, options);
  }

  addLease(leaseId: string): void {
    this.#leases.set(leaseId, new Set());
  }

  /** Deletes the keys of the lease in one revision; resolves when that is durable. */
  async endLease(leaseId: string): Promise<void> {
    await this.#decide(() => {
      const keys = this.#leases.get(leaseId);
      this.#leases.delete(leaseId);
      if (keys) this.#commit([], [...keys]);
    });
  }

  /** Waits for what is in flight; watches end with `error`. */
  async close(error: StoreError): Promise<void> {
    this.#failure ??= error;
    await this.#published.catch(() => undefined);
    this.#history.close(error);
  }

  async #removeLeftovers(): Promise<void> {
    let keys: string[] = [];
    for await (const { key } of this.#store.scan(leasedRange())) {
      keys.push(parseLeasedKey(key));
      if (keys.length < REMOVAL_COUNT) continue;
      this.#commit([], keys);
      await this.#published;
      keys = [];
    }
    this.#commit([], keys);
    await this.#published;
  }

  #takeTurn<Result>(run: () => Result | Promise<Result>): Promise<Result> {
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** Runs a decision in turn and resolves once all that it rests on is durable. */
  async #decide<Result>(decide: () => Result): Promise<Result> {
    if (this.#inFlightCount >= IN_FLIGHT_COUNT_MAX) {
      throw new StoreError('SlowDown', 'Too many metadata transactions are in flight. Retry later.');
    }
    this.#inFlightCount += 1;
    try {
      const { result, published } = await this.#takeTurn(() => {
        if (this.#failure) throw this.#failure;
        return { result: decide(), published: { done: this.#published } };
      });
      await published.done;
      return result;
    } finally {
      this.#inFlightCount -= 1;
    }
  }

  #findDecided(key: string): StoredEntry | undefined {
    const undurable = this.#undurable.get(key);
    if (undurable) return undurable.entry;
    const storedKey = entryKey(key);
    const stored = this.#store.get(storedKey);
    return stored && decodeEntry(storedKey, stored);
  }

  /** Returns the revision; one that changes nothing makes no new one. */
  #commit(puts: NonNullable<MetaTransaction['puts']>, deletes: readonly string[]): number {
    const revision = this.#decidedRevision + 1;
    const operations: StoreOperation[] = [];
    const changes: MetaChange[] = [];
    for (const { key, value, leaseId } of puts) {
      const previous = this.#findDecided(key);
      const entry: StoredEntry = {
        key,
        value: Uint8Array.from(value),
        revision,
        createRevision: previous?.createRevision ?? revision,
        ...(leaseId !== undefined && { leaseId })
      };
      this.#moveLease(key, previous?.leaseId, leaseId, operations);
      operations.push({ type: 'put', key: entryKey(key), value: encodeEntry(entry) });
      changes.push({ type: 'put', entry: withoutLease(entry) });
      this.#undurable.set(key, { revision, entry });
    }
    for (const key of deletes) {
      const previous = this.#findDecided(key);
      if (!previous) continue;
      this.#moveLease(key, previous.leaseId, undefined, operations);
      operations.push({ type: 'delete', key: entryKey(key) });
      changes.push({ type: 'delete', key, revision });
      this.#undurable.set(key, { revision, entry: undefined });
    }
    if (changes.length === 0) return this.#decidedRevision;
    operations.push({ type: 'put', key: REVISION_KEY, value: encodeRevision(revision) });
    this.#decidedRevision = revision;
    this.#publish(this.#store.batch(operations, { sync: true }), changes, revision);
    return revision;
  }

  #moveLease(
    key: string,
    from: string | undefined,
    to: string | undefined,
    operations: StoreOperation[]
  ): void {
    if (from === to) return;
    if (from !== undefined) this.#leases.get(from)?.delete(key);
    if (to !== undefined) this.#leases.get(to)?.add(key);
    if (to !== undefined) operations.push({ type: 'put', key: leasedKey(key), value: new Uint8Array(0) });
    else operations.push({ type: 'delete', key: leasedKey(key) });
  }

  #publish(written: Promise<void>, changes: readonly MetaChange[], revision: number): void {
    this.#published = Promise.all([this.#published, written]).then(
      () => {
        assert.equal(revision, this.#history.revision + 1, 'revisions are published in order');
        this.#history.add({ revision, changes });
        for (const change of changes) {
          const key = change.type === 'put' ? change.entry.key : change.key;
          if (this.#undurable.get(key)?.revision === revision) this.#undurable.delete(key);
        }
      },
      (error: StoreError) => {
        this.#failure ??= error;
        throw error;
      }
    );
    // Each caller that rests on it awaits it too; this only marks the rejection as handled.
    this.#published.catch(() => undefined);
  }
}

function withoutLease({ key, value, revision, createRevision }: StoredEntry): MetaEntry {
  return { key, value, revision, createRevision };
}
