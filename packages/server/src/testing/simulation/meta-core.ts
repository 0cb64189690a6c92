import { StoreError } from '../../api/index.js';
import type {
  MetaChange,
  MetaEntry,
  MetaRange,
  MetaTransaction,
  MetaTransactionResult
} from '../../coordination/index.js';
import { checkTransaction } from '../../coordination/meta-transaction-check.js';
import type { World } from './world.js';

interface StoredEntry extends MetaEntry {
  readonly leaseId: string | undefined;
}

interface StoredLease {
  readonly timeToLiveMs: number;
  expiresAtMs: number;
  readonly keys: Set<string>;
}

export interface MetaCommit {
  readonly revision: number;
  readonly changes: readonly MetaChange[];
}

/** Told of each commit right after it happened, with what each changed key held before. */
export type OnMetaCommit = (commit: MetaCommit, before: ReadonlyMap<string, MetaEntry | undefined>) => void;

/** What a meta store of several machines agrees on: one state, one order. Every step is one moment. */
export class MetaCore {
  readonly #world: World;
  readonly #entries = new Map<string, StoredEntry>();
  /** In the order of their bytes; absent after a key came or went. */
  #keys: readonly string[] | undefined;
  readonly #leases = new Map<string, StoredLease>();
  readonly #listeners = new Set<OnMetaCommit>();
  #history: MetaCommit[] = [];
  #revision = 0;
  #compactedRevision = 0;

  constructor(world: World) {
    this.#world = world;
  }

  get revision(): number {
    return this.#revision;
  }

  find(key: string): MetaEntry | undefined {
    const entry = this.#entries.get(key);
    return entry && withoutLease(entry);
  }

  range(prefix: string): MetaRange {
    this.#keys ??= [...this.#entries.keys()].sort(byBytes);
    const keys = this.#keys.filter((key) => key.startsWith(prefix));
    return { entries: keys.map((key) => withoutLease(this.#entries.get(key)!)), revision: this.#revision };
  }

  transact(transaction: MetaTransaction): MetaTransactionResult {
    checkTransaction(transaction);
    const { compares, puts = [], deletes = [] } = transaction;
    if (!compares.every(({ key, revision }) => (this.#entries.get(key)?.revision ?? 0) === revision))
      return { committed: false };
    for (const { leaseId } of puts)
      if (leaseId !== undefined && !this.#leases.has(leaseId))
        throw new StoreError('StaleEpoch', `The lease ${leaseId} has ended. Grant a new one.`);
    return { committed: true, revision: this.#commit(puts, deletes) };
  }

  /** @throws StoreError `MetaCompacted` */
  changesAfter(prefix: string, afterRevision: number): readonly MetaChange[] {
    if (afterRevision < this.#compactedRevision)
      throw new StoreError(
        'MetaCompacted',
        `Changes up to ${this.#compactedRevision} are gone. Read the range again.`
      );
    return this.#history
      .filter(({ revision }) => revision > afterRevision)
      .flatMap(({ changes }) => changes.filter((change) => keyOf(change).startsWith(prefix)));
  }

  /** Forgets how the present came to be. */
  compact(): void {
    this.#compactedRevision = this.#revision;
    this.#history = [];
  }

  onCommit(run: OnMetaCommit): Disposable {
    this.#listeners.add(run);
    return { [Symbol.dispose]: () => void this.#listeners.delete(run) };
  }

  grant(leaseId: string, timeToLiveMs: number): void {
    const expiresAtMs = this.#world.nowMs + timeToLiveMs;
    this.#leases.set(leaseId, { timeToLiveMs, expiresAtMs, keys: new Set() });
    this.#watchExpiry(leaseId, timeToLiveMs);
  }

  /** @throws StoreError `StaleEpoch` when it has ended. */
  keepAlive(leaseId: string): void {
    const lease = this.#leases.get(leaseId);
    if (!lease) throw new StoreError('StaleEpoch', `The lease ${leaseId} has ended. Grant a new one.`);
    lease.expiresAtMs = this.#world.nowMs + lease.timeToLiveMs;
  }

  revoke(leaseId: string): void {
    const lease = this.#leases.get(leaseId);
    if (!lease) return;
    this.#leases.delete(leaseId);
    this.#commit([], [...lease.keys]);
  }

  hasLease(leaseId: string): boolean {
    return this.#leases.has(leaseId);
  }

  /** A new leader gives every lease its whole time again. */
  extendLeases(): void {
    for (const lease of this.#leases.values()) lease.expiresAtMs = this.#world.nowMs + lease.timeToLiveMs;
  }

  #watchExpiry(leaseId: string, afterMs: number): void {
    this.#world.schedule({
      afterMs,
      label: '',
      run: () => {
        const lease = this.#leases.get(leaseId);
        if (!lease) return;
        const leftMs = lease.expiresAtMs - this.#world.nowMs;
        if (leftMs > 0.01) {
          this.#watchExpiry(leaseId, leftMs);
          return;
        }
        this.#world.note(`etcd lease ${leaseId} expires`);
        this.revoke(leaseId);
      }
    });
  }

  #commit(puts: NonNullable<MetaTransaction['puts']>, deletes: readonly string[]): number {
    const revision = this.#revision + 1;
    const changes: MetaChange[] = [];
    const before = new Map<string, MetaEntry | undefined>();
    for (const { key, value, leaseId } of puts) {
      const previous = this.#entries.get(key);
      before.set(key, previous);
      if (previous?.leaseId !== undefined) this.#leases.get(previous.leaseId)?.keys.delete(key);
      if (leaseId !== undefined) this.#leases.get(leaseId)!.keys.add(key);
      const createRevision = previous?.createRevision ?? revision;
      const entry = { key, value: new Uint8Array(value), revision, createRevision, leaseId };
      if (!previous) this.#keys = undefined;
      this.#entries.set(key, entry);
      changes.push({ type: 'put', entry: withoutLease(entry) });
    }
    for (const key of deletes) {
      const previous = this.#entries.get(key);
      if (!previous) continue;
      before.set(key, previous);
      if (previous.leaseId !== undefined) this.#leases.get(previous.leaseId)?.keys.delete(key);
      this.#entries.delete(key);
      this.#keys = undefined;
      changes.push({ type: 'delete', key, revision });
    }
    if (changes.length === 0) return this.#revision;
    this.#revision = revision;
    const commit = { revision, changes };
    this.#history.push(commit);
    this.#world.note(
      () => `etcd ${revision} ${changes.map((change) => `${change.type} ${keyOf(change)}`).join(', ')}`
    );
    for (const run of [...this.#listeners]) run(commit, before);
    return revision;
  }
}

export function keyOf(change: MetaChange): string {
  return change.type === 'put' ? change.entry.key : change.key;
}

function withoutLease({ key, value, revision, createRevision }: StoredEntry): MetaEntry {
  return { key, value, revision, createRevision };
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
