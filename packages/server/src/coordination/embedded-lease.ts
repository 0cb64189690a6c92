import { StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { MetaLease } from './meta-store.js';

/** Part of the time to live that the holder gives up, so that it stops before anyone else can start. */
const MARGIN_PART = 1 / 10;

export interface EmbeddedLeaseOptions {
  readonly leaseId: string;
  readonly timeToLiveMs: number;
  readonly clock: Clock;
  /** Throws when the session was cut off or closed. */
  readonly requireConnected: () => void;
  /** Deletes the keys of the lease, durably. */
  readonly removeKeys: () => Promise<void>;
}

/**
 * A lease whose holder lives in the same process as the table of leases: asking for the deadline is the keep-alive.
 * It ends when revoked, or `timeToLiveMs` after its session was cut off.
 */
export class EmbeddedLease implements MetaLease {
  readonly #options: EmbeddedLeaseOptions;
  readonly #lost = new AbortController();
  /** When the holder must stop; set once keep-alives cannot succeed any more. */
  #lastDeadlineMs: number | undefined;
  #timers: Disposable[] = [];

  constructor(options: EmbeddedLeaseOptions) {
    this.#options = options;
  }

  get leaseId(): string {
    return this.#options.leaseId;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  deadlineElapsedMs(): number {
    return this.#lastDeadlineMs ?? this.#nextDeadlineMs();
  }

  async revoke(): Promise<void> {
    this.#options.requireConnected();
    this.end();
    await this.#options.removeKeys();
  }

  /** Ends the lease for its holder and leaves the keys to the next life of the store. */
  end(): void {
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#timers = [];
    this.#lastDeadlineMs = Math.min(this.#lastDeadlineMs ?? Infinity, this.#options.clock.elapsedMs());
    if (!this.#lost.signal.aborted)
      this.#lost.abort(new StoreError('StaleEpoch', `The lease ${this.leaseId} has ended.`));
  }

  /** No keep-alive succeeds from now on: the holder loses the lease first, then the keys go. */
  cutOff(): void {
    if (this.#lastDeadlineMs !== undefined) return;
    const { clock, timeToLiveMs, removeKeys } = this.#options;
    this.#lastDeadlineMs = this.#nextDeadlineMs();
    const remainingMs = this.#lastDeadlineMs - clock.elapsedMs();
    this.#timers = [
      clock.setTimer(remainingMs, () => {
        this.#lost.abort(new StoreError('StaleEpoch', `The lease ${this.leaseId} has run out.`));
      }),
      // A failed removal means that the store failed; then its next life removes the keys.
      clock.setTimer(timeToLiveMs, () => void removeKeys().catch(() => undefined))
    ];
  }

  #nextDeadlineMs(): number {
    return this.#options.clock.elapsedMs() + this.#options.timeToLiveMs * (1 - MARGIN_PART);
  }
}
