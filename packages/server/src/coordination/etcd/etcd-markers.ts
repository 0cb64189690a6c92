import { StoreError } from '../../api/index.js';
import { boundedCall } from '../bounded-call.js';
import type { Attempt, EtcdClient, Patience } from './etcd-client.js';
import { keepAliveOnce } from './etcd-keep-alive.js';

/*
 * Markers tell whether a transaction was carried out whose answer got lost. A marker is a key of one store that is used by one
 * transaction at a time. The transaction demands that the marker was not written since the last one and writes its own number
 * there: carried out once, it cannot be again, and the marker says so. They belong to a lease, so that those of a killed
 * process go, and so that nothing can write one again that has gone.
 */

export interface Marker {
  readonly key: Buffer;
  readonly leaseId: string;
  /** Of its last write; `0` = it is not there yet. */
  readonly revision: string;
  /** How many transactions have used it. */
  readonly useCount: number;
}

/** Longer than any call is repeated, so that a marker outlives its transaction. */
const TIME_TO_LIVE_S = 600;
const KEEP_ALIVE_MS = 120_000;
const KEEP_ALIVE_TIMEOUT_MS = 5000;
const IN_USE_MAX = 1024;

export class EtcdMarkers {
  readonly #client: EtcdClient;
  readonly #storeId: string;
  #free: Marker[] = [];
  #inUseCount = 0;
  #madeCount = 0;
  #leaseId: Promise<string> | undefined;

  constructor(client: EtcdClient, storeId: string) {
    this.#client = client;
    this.#storeId = storeId;
  }

  /**
   * Runs with a marker that nobody else uses meanwhile; the one in its answer may be used again.
   *
   * @throws StoreError `SlowDown` when too many are in use.
   */
  async use<Outcome extends { readonly marker: Marker | undefined }>(
    patience: Patience,
    run: (marker: Marker) => Promise<Outcome>
  ): Promise<Outcome> {
    if (this.#inUseCount >= IN_USE_MAX)
      throw new StoreError('SlowDown', 'Too many metadata transactions are in flight. Retry later.');
    this.#inUseCount += 1;
    try {
      const outcome = await run(this.#free.pop() ?? (await this.#make(patience)));
      const { marker } = outcome;
      if (marker && (await this.#isCurrent(marker.leaseId))) this.#free.push(marker);
      return outcome;
    } finally {
      this.#inUseCount -= 1;
    }
  }

  /** Whether etcd still has the lease of the marker; when not, new markers get a new one. */
  async isAlive({ leaseId }: Marker, patience: Patience): Promise<boolean> {
    const { TTL } = await this.#client.call('repeatable', patience, ({ etcd, options }) =>
      etcd.leaseClient.leaseTimeToLive({ ID: leaseId }, options)
    );
    if (Number(TTL) > 0) return true;
    if (await this.#isCurrent(leaseId)) this.#forget();
    return false;
  }

  /** Removes the markers; for when the store closes. */
  async revoke({ etcd, options }: Attempt): Promise<void> {
    const leaseId = await this.#leaseId?.catch(() => undefined);
    if (leaseId !== undefined) await etcd.leaseClient.leaseRevoke({ ID: leaseId }, options);
  }

  async #make(patience: Patience): Promise<Marker> {
    const { clock } = this.#client;
    const deadlineMs = patience.endMs - clock.monotonicMs();
    const options = { deadlineMs, ...(patience.signal && { signal: patience.signal }) };
    const leaseId = await boundedCall(clock, options, () => this.#findLease());
    const key = this.#client.ownKeyOf(`transactions/${this.#storeId}/${this.#madeCount++}`);
    return { key, leaseId, revision: '0', useCount: 0 };
  }

  /** One grant for all that wait for it. */
  #findLease(): Promise<string> {
    if (this.#leaseId) return this.#leaseId;
    const granting = this.#grant();
    this.#leaseId = granting;
    granting.catch(() => {
      if (this.#leaseId === granting) this.#forget();
    });
    return granting;
  }

  async #grant(): Promise<string> {
    const { ID } = await this.#client.call('repeatable', this.#client.patience({}), ({ etcd, options }) =>
      etcd.leaseClient.leaseGrant({ TTL: String(TIME_TO_LIVE_S) }, options)
    );
    const leaseId = String(ID);
    void this.#keepAlive(leaseId);
    return leaseId;
  }

  async #isCurrent(leaseId: string): Promise<boolean> {
    return (await this.#leaseId?.catch(() => undefined)) === leaseId;
  }

  #forget(): void {
    this.#leaseId = undefined;
    this.#free = [];
  }

  async #keepAlive(leaseId: string): Promise<void> {
    const { clock, closed } = this.#client;
    for (;;) {
      await clock.sleep(KEEP_ALIVE_MS, closed).catch(() => undefined);
      if (closed.aborted) return;
      // One that fails is made up for by the next ones, or its loss shows at the next transaction.
      const isAlive = await keepAliveOnce(this.#client, leaseId, KEEP_ALIVE_TIMEOUT_MS).catch(() => true);
      if (isAlive) continue;
      if (await this.#isCurrent(leaseId)) this.#forget();
      return;
    }
  }
}
