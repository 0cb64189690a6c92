import { StoreError } from '../../api/index.js';
import type { MetaLease } from '../meta-store.js';
import type { Attempt, EtcdClient } from './etcd-client.js';
import { keepAliveOnce } from './etcd-keep-alive.js';

/** Part of the time to live that the holder gives up, so that it stops before etcd gives the keys to anyone else. */
const MARGIN_PART = 1 / 10;
/** How often in its life a lease is kept alive while all is well. */
const KEEP_ALIVES_PER_LIFE = 4;
/** How many tries fit into one interval, so that members that do not answer are passed over in time. */
const TRIES_PER_INTERVAL = 2;
const RETRY_MS = 50;
/** Timers stand still while the machine sleeps: after so much of them at most it is known that the lease ran out meanwhile. */
const CHECK_MS = 250;

export interface EtcdLeaseOptions {
  readonly client: EtcdClient;
  readonly leaseId: string;
  readonly timeToLiveMs: number;
  /** By `Clock.elapsedMs`, taken before the grant was sent. */
  readonly grantedAtMs: number;
  readonly onEnd: () => void;
}

/**
 * A lease that is kept alive until revoked or lost. Its deadline counts from before each keep-alive was sent, on a clock
 * that goes on while the machine sleeps: a client library's own word on the loss may come a whole time to live too late.
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

  deadlineElapsedMs(): number {
    return this.#deadlineMs;
  }

  async revoke(): Promise<void> {
    const { client } = this.#options;
    this.end('was revoked');
    // Whoever holds it has stopped already; unrevoked it runs out by itself.
    await client.call('repeatable', client.patience({}), (attempt) => this.sendRevoke(attempt));
  }

  /** The bare call, for a store that closes. */
  async sendRevoke({ etcd, options }: Attempt): Promise<void> {
    await etcd.leaseClient.leaseRevoke({ ID: this.leaseId }, options).catch((error: unknown) => {
      if (error instanceof Error && /lease not found/.test(error.message)) return;
      throw error;
    });
  }

  /** For its holder; its keys go when it runs out. */
  end(how: string): void {
    if (this.lost.aborted) return;
    this.#expiry?.[Symbol.dispose]();
    this.#deadlineMs = Math.min(this.#deadlineMs, this.#options.client.clock.elapsedMs());
    this.#options.onEnd();
    this.#lost.abort(new StoreError('StaleEpoch', `The lease ${this.leaseId} ${how}. Grant a new one.`));
  }

  #deadlineFrom(sentAtMs: number): number {
    return sentAtMs + this.#options.timeToLiveMs * (1 - MARGIN_PART);
  }

  #watchDeadline(): void {
    const { clock } = this.#options.client;
    this.#expiry?.[Symbol.dispose]();
    const leftMs = this.#deadlineMs - clock.elapsedMs();
    if (leftMs <= 0) this.end('has run out');
    else this.#expiry = clock.setTimer(Math.min(leftMs, CHECK_MS), () => this.#watchDeadline());
  }

  async #keepAlive(): Promise<void> {
    const { client, timeToLiveMs } = this.#options;
    const { clock } = client;
    const intervalMs = timeToLiveMs / KEEP_ALIVES_PER_LIFE;
    let pauseMs = intervalMs;
    for (;;) {
      await clock.sleep(pauseMs, this.lost).catch(() => undefined);
      if (this.lost.aborted) return;
      const sentAtMs = clock.elapsedMs();
      try {
        const isAlive = await keepAliveOnce(client, this.leaseId, intervalMs / TRIES_PER_INTERVAL);
        if (!isAlive) this.end('was lost');
        // Who looked at the deadline has stopped, and waits for the end of this lease.
        if (clock.elapsedMs() >= this.#deadlineMs) this.end('has run out');
        if (this.lost.aborted) return;
        this.#deadlineMs = Math.max(this.#deadlineMs, this.#deadlineFrom(sentAtMs));
        this.#watchDeadline();
        pauseMs = intervalMs;
      } catch {
        // Another member may answer the next one; the deadline stands.
        pauseMs = RETRY_MS;
      }
    }
  }
}
