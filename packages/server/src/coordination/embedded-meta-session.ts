import { StoreError } from '../api/index.js';
import type { Clock, Random } from '../platform/index.js';
import { boundedCall } from './bounded-call.js';
import { campaign, findLeader } from './election.js';
import { EmbeddedLease } from './embedded-lease.js';
import type {
  CampaignOptions,
  LeaderEntry,
  Leadership,
  MetaCallOptions,
  MetaChange,
  MetaEntry,
  MetaLease,
  MetaRange,
  MetaStore,
  MetaTransaction,
  MetaTransactionResult,
  MetaWatchOptions
} from './meta-store.js';
import type { MetaTables } from './meta-tables.js';

export interface EmbeddedMetaSessionOptions {
  readonly tables: MetaTables;
  readonly clock: Clock;
  readonly random: Random;
}

/** One member's view of the embedded meta store. Closing it revokes its leases. */
export class EmbeddedMetaSession implements MetaStore {
  readonly #tables: MetaTables;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #leases = new Set<EmbeddedLease>();
  readonly #ended = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(options: EmbeddedMetaSessionOptions) {
    this.#tables = options.tables;
    this.#clock = options.clock;
    this.#random = options.random;
  }

  find(key: string, options: MetaCallOptions = {}): Promise<MetaEntry | undefined> {
    return this.#call(options, async () => this.#tables.find(key));
  }

  range(prefix: string, options: MetaCallOptions = {}): Promise<MetaRange> {
    return this.#call(options, () => this.#tables.range(prefix));
  }

  transact(transaction: MetaTransaction, options: MetaCallOptions = {}): Promise<MetaTransactionResult> {
    return this.#call(options, () => this.#tables.transact(transaction));
  }

  watch(prefix: string, options: MetaWatchOptions): AsyncIterable<MetaChange> {
    const signal = AbortSignal.any([options.signal, this.#ended.signal]);
    const changes = this.#tables.watch(prefix, { afterRevision: options.afterRevision, signal });
    const requireConnected = (): void => {
      if (!options.signal.aborted) this.#requireConnected();
    };
    return {
      async *[Symbol.asyncIterator]() {
        yield* changes;
        requireConnected();
      }
    };
  }

  grantLease(timeToLiveMs: number, options: MetaCallOptions = {}): Promise<MetaLease> {
    return this.#call(options, async () => {
      const leaseId = this.#random.uuid();
      this.#tables.addLease(leaseId);
      const lease = new EmbeddedLease({
        leaseId,
        timeToLiveMs,
        clock: this.#clock,
        requireConnected: () => this.#requireConnected(),
        removeKeys: async () => {
          this.#leases.delete(lease);
          await this.#tables.endLease(leaseId);
        }
      });
      this.#leases.add(lease);
      return lease;
    });
  }

  campaign(election: string, candidate: string, options: CampaignOptions): Promise<Leadership> {
    const campaignId = this.#random.uuid();
    return campaign(this, { ...options, election, candidate, campaignId, clock: this.#clock });
  }

  findLeader(election: string, options?: MetaCallOptions): Promise<LeaderEntry | undefined> {
    return findLeader(this, election, options);
  }

  /**
   * Cuts the member off, as a lost network or a killed process would: its calls fail with `ServiceUnavailable`, its
   * watches end, and its leases run out after their time to live. For tests and simulation.
   */
  cutOff(): void {
    for (const lease of this.#leases) lease.cutOff();
    this.#ended.abort();
  }

  /** Ends everything at once and leaves the keys of leases to the next life of the store. */
  end(): void {
    for (const lease of this.#leases) lease.end();
    this.#leases.clear();
    this.#ended.abort();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    if (this.#ended.signal.aborted) return;
    try {
      await Promise.all([...this.#leases].map((lease) => lease.revoke()));
    } finally {
      this.end();
    }
  }

  async #call<Result>(options: MetaCallOptions, start: () => Promise<Result>): Promise<Result> {
    this.#requireConnected();
    const result = await boundedCall(this.#clock, options, start);
    // Cut off in between: the answer never arrives.
    this.#requireConnected();
    return result;
  }

  #requireConnected(): void {
    if (!this.#ended.signal.aborted) return;
    throw new StoreError('ServiceUnavailable', 'The session with the meta store has ended. Open a new one.');
  }
}
