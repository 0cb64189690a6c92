import assert from 'node:assert/strict';
import { StoreError } from '../api/index.js';
import type { StoreOperation } from '../platform/index.js';
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
import type { MetaRows } from './meta-rows.js';
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
/** Keys of leases that ended are deleted in batches of this size, to bound memory. */
const REMOVAL_COUNT = 1000;

/**
 * Versioned entries on an ordered store.
 *
 * Transactions are decided one after another, each against everything decided before it, and written in that order;
 * the store groups them under one sync. Nothing is visible or answered before it is durable, a failed compare
 * included, because it may rest on a transaction that is still being written.
 *
 * After a failed write nobody knows what of it and of all that was decided upon it is stored. Those calls fail, nothing
 * more is accepted, and the store is opened anew: what it holds then is what happened. It was read back from the disk and
 * written to new files while opening, so that nothing rests on pages of the system that were never written.
 */
export class MetaTables {
  readonly #rows: MetaRows;
  #history: MetaHistory;
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
  /** Since a write failed, until the store was opened anew. */
  #failure: StoreError | undefined;
  #recovering: Promise<void> = Promise.resolve();

  /** Removes the keys that leases of the previous life left. The rows are closed with the tables. */
  static async open(rows: MetaRows): Promise<MetaTables> {
    const tables = new MetaTables(rows, revisionIn(rows));
    try {
      await tables.#removeLeftovers();
      return tables;
    } catch (error) {
      await tables.close(error as StoreError);
      throw error;
    }
  }

  private constructor(rows: MetaRows, revision: number) {
    this.#rows = rows;
    this.#decidedRevision = revision;
    this.#history = newHistory(revision);
  }

  find(key: string): MetaEntry | undefined {
    const entry = this.#findStored(key);
    return entry && withoutLease(entry);
  }

  async range(prefix: string): Promise<MetaRange> {
    // Waits until nothing is in flight, so that the snapshot is that of one known revision.
    const { rows, revision } = await this.#takeTurn(async () => {
      // What failed is not in the store, so what is there can still be read.
      await this.#published.catch(() => undefined);
      return { rows: this.#rows.scan(entryRange(prefix)), revision: this.#history.revision };
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
    try {
      await this.#decide(() => {
        const keys = this.#leases.get(leaseId);
        this.#leases.delete(leaseId);
        if (keys) this.#commit([], [...keys]);
      });
    } catch (error) {
      // Its holder is gone all the same; its keys go when the store is open again.
      if (this.#failure) this.#leases.delete(leaseId);
      throw error;
    }
  }

  /** Waits for what is in flight; watches end with `error`. */
  async close(error: StoreError): Promise<void> {
    this.#failure ??= error;
    await this.#published.catch(() => undefined);
    this.#rows.stop();
    await this.#recovering;
    await this.#rows.close();
    this.#history.close(error);
  }

  /** Deletes the keys whose leases have ended. */
  async #removeLeftovers(): Promise<void> {
    for (let isDone = false; !isDone; ) {
      const keys = await this.#findLeftovers();
      isDone = keys.length < REMOVAL_COUNT;
      await this.#decide(() =>
        this.#commit(
          [],
          keys.filter((key) => this.#isLeftover(key))
        )
      );
    }
  }

  async #findLeftovers(): Promise<readonly string[]> {
    const keys: string[] = [];
    for await (const { key } of this.#rows.scan(leasedRange())) {
      const name = parseLeasedKey(key);
      if (this.#isLeftover(name)) keys.push(name);
      if (keys.length === REMOVAL_COUNT) break;
    }
    return keys;
  }

  #isLeftover(key: string): boolean {
    const leaseId = this.#findDecided(key)?.leaseId;
    return leaseId !== undefined && !this.#leases.has(leaseId);
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
    return undurable ? undurable.entry : this.#findStored(key);
  }

  #findStored(key: string): StoredEntry | undefined {
    const storedKey = entryKey(key);
    const stored = this.#rows.get(storedKey);
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
    this.#publish(this.#rows.batch(operations), changes, revision);
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
        this.#fail(error);
        throw error;
      }
    );
    // Each caller that rests on it awaits it too; this only marks the rejection as handled.
    this.#published.catch(() => undefined);
  }

  #fail(error: StoreError): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#recovering = this.#recover(error).catch((cause: unknown) => {
      this.#failure ??= cause as StoreError;
    });
  }

  /** Nothing is decided from the failure to the end of it. */
  async #recover(error: StoreError): Promise<void> {
    await this.#published.catch(() => undefined);
    // Whatever was answered must be there; what failed may be.
    const isOpen = await this.#rows.openAnew(error, {
      isWhole: (rows) => revisionIn(rows) >= this.#history.revision,
      onFailure: (cause) => {
        this.#failure = cause;
      }
    });
    if (!isOpen) return;
    const revision = revisionIn(this.#rows);
    this.#undurable.clear();
    this.#decidedRevision = revision;
    if (revision > this.#history.revision) {
      // Who watches has not been told of these changes, and reads them.
      this.#history.close(lostChanges(revision));
      this.#history = newHistory(revision);
    }
    for (const keys of this.#leases.values()) keys.clear();
    for await (const { key } of this.#rows.scan(leasedRange())) {
      const name = parseLeasedKey(key);
      const leaseId = this.#findStored(name)?.leaseId;
      if (leaseId !== undefined) this.#leases.get(leaseId)?.add(name);
    }
    this.#published = Promise.resolve();
    this.#failure = undefined;
    // One that ended meanwhile could not delete its keys.
    await this.#removeLeftovers();
  }
}

function newHistory(revision: number): MetaHistory {
  return new MetaHistory({
    revision,
    changeCountMax: HISTORY_CHANGE_COUNT_MAX,
    bytesMax: HISTORY_BYTES_MAX
  });
}

function revisionIn(rows: Pick<MetaRows, 'get'>): number {
  const stored = rows.get(REVISION_KEY);
  return stored ? decodeRevision(stored) : 0;
}

function lostChanges(revision: number): StoreError {
  const advice = 'Read the range again and watch from its revision.';
  return new StoreError('MetaCompacted', `The changes up to revision ${revision} were not heard. ${advice}`);
}

function withoutLease({ key, value, revision, createRevision }: StoredEntry): MetaEntry {
  return { key, value, revision, createRevision };
}
