import { isStoreError } from '../../api/index.js';
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
import { checkTransaction } from '../meta-transaction-check.js';
import { EtcdClient, type EtcdOptions } from './etcd-client.js';
import { EtcdLease } from './etcd-lease.js';
import { entryOf, watchPrefix } from './etcd-watch.js';

export interface EtcdMetaStoreOptions extends EtcdOptions {
  readonly random: Random;
}

const PAGE_KEYS = 1000;
/** etcd keeps leases by whole seconds. */
const TIME_TO_LIVE_MS_MIN = 2000;

/**
 * The meta store of a stamp on several machines: etcd. Nothing is sent before the first call.
 *
 * A write whose answer got lost fails with `ServiceUnavailable` and may have been carried out; leases and elections hold as
 * the contract says, whatever etcd's members or this process's clock do.
 */
export function openEtcdMetaStore(options: EtcdMetaStoreOptions): MetaStore {
  return new EtcdMetaStore(new EtcdClient(options), options.random);
}

class EtcdMetaStore implements MetaStore {
  readonly #client: EtcdClient;
  readonly #random: Random;
  readonly #leases = new Set<EtcdLease>();

  constructor(client: EtcdClient, random: Random) {
    this.#client = client;
    this.#random = random;
  }

  async find(key: string, options: MetaCallOptions = {}): Promise<MetaEntry | undefined> {
    const client = this.#client;
    const { kvs } = await client.call('read', options, (attempt) =>
      client.etcd.kv.range({ key: client.keyOf(key) }, attempt)
    );
    const [kv] = kvs;
    return kv && entryOf(client, kv);
  }

  async range(prefix: string, options: MetaCallOptions = {}): Promise<MetaRange> {
    for (;;) {
      try {
        return await this.#range(prefix, options);
      } catch (error) {
        // Its revision was compacted between two pages.
        if (!isStoreError(error, 'MetaCompacted')) throw error;
      }
    }
  }

  async transact(
    transaction: MetaTransaction,
    options: MetaCallOptions = {}
  ): Promise<MetaTransactionResult> {
    checkTransaction(transaction);
    const client = this.#client;
    const { compares, puts = [], deletes = [] } = transaction;
    const request = {
      compare: compares.map(({ key, revision }) => ({
        key: client.keyOf(key),
        target: 'Mod' as const,
        result: 'Equal' as const,
        mod_revision: String(revision)
      })),
      success: [
        ...puts.map(({ key, value, leaseId }) => ({
          request_put: {
            key: client.keyOf(key),
            value: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
            ...(leaseId !== undefined && { lease: leaseId })
          }
        })),
        ...deletes.map((key) => ({ request_delete_range: { key: client.keyOf(key) } }))
      ]
    };
    const { succeeded, header } = await client.call('write', options, (attempt) =>
      client.etcd.kv.txn(request, attempt)
    );
    return succeeded ? { committed: true, revision: Number(header.revision) } : { committed: false };
  }

  watch(prefix: string, options: MetaWatchOptions): AsyncIterable<MetaChange> {
    return watchPrefix(this.#client, prefix, options);
  }

  async grantLease(timeToLiveMs: number, options: MetaCallOptions = {}): Promise<MetaLease> {
    const client = this.#client;
    const seconds = Math.ceil(Math.max(timeToLiveMs, TIME_TO_LIVE_MS_MIN) / 1000);
    let grantedAtMs = client.clock.monotonicMs();
    // One that was granted without an answer to it runs out by itself.
    const { ID } = await client.call('read', options, (attempt) => {
      grantedAtMs = client.clock.monotonicMs();
      return client.etcd.leaseClient.leaseGrant({ TTL: String(seconds) }, attempt);
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
    const { lease, signal } = options;
    return campaign(this, { lease, signal, election, candidate, campaignId: this.#random.uuid() });
  }

  findLeader(election: string, options?: MetaCallOptions): Promise<LeaderEntry | undefined> {
    return findLeader(this, election, options);
  }

  async close(): Promise<void> {
    for (const lease of [...this.#leases]) lease.end('ended with its store');
    this.#client.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** By pages, all as of the revision of the first. */
  async #range(prefix: string, options: MetaCallOptions): Promise<MetaRange> {
    const client = this.#client;
    const range_end = client.endOf(prefix);
    const entries: MetaEntry[] = [];
    let key = client.keyOf(prefix);
    if (key.length === 0) key = Buffer.of(0);
    let revision: number | undefined;
    for (;;) {
      const page = { key, range_end, limit: PAGE_KEYS, ...(revision && { revision: String(revision) }) };
      const { kvs, more, header } = await client.call('read', options, (attempt) =>
        client.etcd.kv.range(page, attempt)
      );
      revision ??= Number(header.revision);
      for (const kv of kvs) entries.push(entryOf(client, kv));
      if (!more) return { entries, revision };
      key = Buffer.concat([kvs.at(-1)!.key, Buffer.of(0)]);
    }
  }
}
