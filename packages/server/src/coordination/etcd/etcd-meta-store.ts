import type { Random } from '../../platform/index.js';
import { campaign, findLeader } from '../election.js';
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
} from '../meta-store.js';
import { EtcdClient } from './etcd-client.js';
import type { EtcdOptions } from './etcd-endpoint.js';
import { EtcdLease } from './etcd-lease.js';
import { EtcdMarkers } from './etcd-markers.js';
import { entryOf, readRange } from './etcd-range.js';
import { EtcdTransactions } from './etcd-transactions.js';
import { watchPrefix } from './etcd-watch.js';

export interface EtcdMetaStoreOptions extends EtcdOptions {
  readonly random: Random;
}

/** etcd keeps leases by whole seconds. */
const TIME_TO_LIVE_MS_MIN = 2000;

/**
 * The meta store of a stamp on several machines: etcd. Nothing is sent before the first call. Closing it revokes its leases.
 *
 * Calls wait while etcd's members fail and come back. `ServiceUnavailable` and `DeadlineExceeded` come when they do not come
 * back in time; then a write may have been carried out. Leases and elections hold as the contract says, whatever etcd's members
 * or this process's clock do.
 */
export function openEtcdMetaStore(options: EtcdMetaStoreOptions): MetaStore {
  return new EtcdMetaStore(new EtcdClient(options, options.random.fraction()), options.random);
}

class EtcdMetaStore implements MetaStore {
  readonly #client: EtcdClient;
  readonly #random: Random;
  readonly #markers: EtcdMarkers;
  readonly #transactions: EtcdTransactions;
  readonly #leases = new Set<EtcdLease>();

  constructor(client: EtcdClient, random: Random) {
    this.#client = client;
    this.#random = random;
    this.#markers = new EtcdMarkers(client, random.uuid());
    this.#transactions = new EtcdTransactions(client, this.#markers);
  }

  async find(key: string, options: MetaCallOptions = {}): Promise<MetaEntry | undefined> {
    const client = this.#client;
    const request = { key: client.keyOf(key) };
    const { kvs } = await client.call('repeatable', client.patience(options), (attempt) =>
      attempt.etcd.kv.range(request, attempt.options)
    );
    const [kv] = kvs;
    return kv && entryOf(client, kv);
  }

  range(prefix: string, options: MetaCallOptions = {}): Promise<MetaRange> {
    return readRange(this.#client, prefix, this.#client.patience(options));
  }

  transact(transaction: MetaTransaction, options: MetaCallOptions = {}): Promise<MetaTransactionResult> {
    return this.#transactions.transact(transaction, options);
  }

  watch(prefix: string, options: MetaWatchOptions): AsyncIterable<MetaChange> {
    return watchPrefix(this.#client, prefix, options);
  }

  async grantLease(timeToLiveMs: number, options: MetaCallOptions = {}): Promise<MetaLease> {
    const client = this.#client;
    const seconds = Math.ceil(Math.max(timeToLiveMs, TIME_TO_LIVE_MS_MIN) / 1000);
    let grantedAtMs = client.clock.elapsedMs();
    // One that was granted without an answer to it runs out by itself.
    const { ID } = await client.call('repeatable', client.patience(options), (attempt) => {
      grantedAtMs = client.clock.elapsedMs();
      return attempt.etcd.leaseClient.leaseGrant({ TTL: String(seconds) }, attempt.options);
    });
    const lease: EtcdLease = new EtcdLease({
      client,
      leaseId: String(ID),
      timeToLiveMs: seconds * 1000,
      grantedAtMs,
      onEnd: () => this.#leases.delete(lease)
    });
    this.#leases.add(lease);
    return lease;
  }

  campaign(election: string, candidate: string, options: CampaignOptions): Promise<Leadership> {
    const { clock } = this.#client;
    return campaign(this, { ...options, election, candidate, campaignId: this.#random.uuid(), clock });
  }

  findLeader(election: string, options?: MetaCallOptions): Promise<LeaderEntry | undefined> {
    return findLeader(this, election, options);
  }

  async close(): Promise<void> {
    const leases = [...this.#leases];
    // Their holders stop before anyone else can start.
    for (const lease of leases) lease.end('ended with its store');
    await this.#client.close([
      ...leases.map(
        (lease) => (attempt: Parameters<EtcdLease['sendRevoke']>[0]) => lease.sendRevoke(attempt)
      ),
      (attempt) => this.#markers.revoke(attempt)
    ]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
