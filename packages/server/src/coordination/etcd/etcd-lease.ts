import { StoreError } from '../../api/index.js';
import type { MetaLease } from '../meta-store.js';
import type { EtcdClient } from './etcd-client.js';

/** Part of the time to live that the holder gives up, so that it stops before etcd gives the keys to anyone else. */
const MARGIN_PART = 1 / 10;
/** How many keep-alives may fail in a row before the lease runs out. */
const KEEP_ALIVES_PER_LIFE = 4;

export interface EtcdLeaseOptions {
  readonly client: EtcdClient;
  readonly leaseId: string;
  readonly timeToLiveMs: number;
  /** Monotonic, taken before the grant was sent. */
  readonly grantedAtMs: number;
  readonly onEnd: () => void;
}

/**
 * A lease that is kept alive until revoked or lost. Its deadline counts from before each keep-alive was sent, on the
 * monotonic clock: a client library's own word on the loss may come a whole time to live too late.
 */
export class EtcdLease implements MetaLease {
  readonly leaseId: string;
  readonly #options: EtcdLeaseOptions;
  readonly #lost = new AbortController();
  #deadlineMs: number;
  #expiry: Disposable | undefined;

  constructor(options: EtcdLeaseOptions) {
    this.#options = options;
    this.leaseId = options.leaseId;
    this.#deadlineMs = this.#deadlineFrom(options.grantedAtMs);
    this.#watchDeadline();
    void this.#keepAlive();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  deadlineMonotonicMs(): number {
    return this.#deadlineMs;
  }

  async revoke(): Promise<void> {
    const { client } = this.#options;
    this.end('was revoked');
    // Whoever holds it has stopped already; unrevoked it runs out by itself.
    await client.call('read', {}, (attempt) =>
      client.etcd.leaseClient.leaseRevoke({ ID: this.leaseId }, attempt).catch((error: unknown) => {
        if (error instanceof Error && /lease not found/.test(error.message)) return;
        throw error;
      })
    );
  }

  /** For its holder; its keys go when it runs out. */
  end(how: string): void {
    if (this.lost.aborted) return;
    this.#expiry?.[Symbol.dispose]();
    this.#deadlineMs = Math.min(this.#deadlineMs, this.#options.client.clock.monotonicMs());
    this.#options.onEnd();
    this.#lost.abort(new StoreError('StaleEpoch', `The lease ${this.leaseId} ${how}. Grant a new one.`));
  }

  #deadlineFrom(sentAtMs: number): number {
    return sentAtMs + this.#options.timeToLiveMs * (1 - MARGIN_PART);
  }

  #watchDeadline(): void {
    const { clock } = this.#options.client;
    this.#expiry?.[Symbol.dispose]();
    const leftMs = this.#deadlineMs - clock.monotonicMs();
    if (leftMs <= 0) this.end('has run out');
    else this.#expiry = clock.setTimer(leftMs, () => this.#watchDeadline());
  }

  async #keepAlive(): Promise<void> {
    const { client, timeToLiveMs } = this.#options;
    const { clock } = client;
    const intervalMs = timeToLiveMs / KEEP_ALIVES_PER_LIFE;
    while (!this.lost.aborted) {
      await clock.sleep(intervalMs, this.lost).catch(() => undefined);
      if (this.lost.aborted) return;
      const sentAtMs = clock.monotonicMs();
      try {
        const isAlive = await this.#sendKeepAlive(intervalMs);
        if (!isAlive) this.end('was lost');
        if (this.lost.aborted) return;
        this.#deadlineMs = Math.max(this.#deadlineMs, this.#deadlineFrom(sentAtMs));
        this.#watchDeadline();
      } catch {
        // Another member may answer the next one; the deadline stands.
      }
    }
  }

  /** @returns Whether etcd still has the lease. */
  async #sendKeepAlive(timeoutMs: number): Promise<boolean> {
    const { client } = this.#options;
    const deadline = new Date(client.clock.nowMs() + timeoutMs);
    const stream = await client.etcd.leaseClient.leaseKeepAlive({ deadline });
    try {
      return await new Promise<boolean>((resolve, reject) => {
        stream.on('data', (answer: { readonly TTL: string | number }) => resolve(Number(answer.TTL) > 0));
        stream.on('error', reject);
        stream.on('end', () => reject(new Error('etcd ended the stream')));
        stream.write({ ID: this.leaseId });
      });
    } finally {
      stream.on('error', () => undefined);
      stream.cancel();
    }
  }
}
