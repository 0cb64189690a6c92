import type { StoreCalls } from '@stampede/client';
import type { Clock } from '../clock.js';
import { FileSystemError } from '../errno.js';

export interface LeaseOptions {
  readonly store: Pick<StoreCalls, 'locks'>;
  readonly bucket: string;
  readonly clock: Clock;
  readonly newId: () => string;
  /** Nothing is lost by a session that ends while nothing is held. */
  readonly isIdle: () => boolean;
  /** The store knows nothing of the session: what is held is claimed again. False when that is in vain. */
  readonly onForgotten: (graceMs: number) => Promise<boolean>;
  /** Everything that was held is lost. */
  readonly onLost: () => void;
}

/** Of its length, after which it is renewed. */
const RENEWAL_SHARE = 1 / 3;
const RETRY_MS = 200;

/**
 * The mount's session of locks: renewed for as long as it is needed. It ends by its own clocks, counted from before the
 * renewal was asked for, so that it never believes in locks that the store has given to others.
 */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #closing = new AbortController();
  #sessionId: string;
  #leaseMs = 0;
  #incarnation: string | undefined;
  #lost = new AbortController();
  #endsAtMs = Number.NEGATIVE_INFINITY;
  /** The same by the wall clock, which goes on while the machine sleeps. */
  #endsAtWallMs = Number.NEGATIVE_INFINITY;
  #renewing: Promise<void> | undefined;
  #isOpen = false;
  #timer: Disposable | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#sessionId = options.newId();
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  /** Aborts when what the session has now is lost. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** For how long the session is there for sure. */
  get leftMs(): number {
    return Math.max(0, this.#endsAtMs - this.#options.clock.monotonicMs());
  }

  /** Says that everything is lost if it is, by either clock. */
  check(): void {
    if (!this.#isOpen) return;
    const { clock } = this.#options;
    if (clock.monotonicMs() >= this.#endsAtMs || clock.nowMs() >= this.#endsAtWallMs) this.#lose();
  }

  /** Resolves when there is a session whose holder may ask for locks. */
  async ready(): Promise<void> {
    this.check();
    if (!this.#isOpen) await this.renew();
  }

  /** Asks the store at once, which may have forgotten the session. */
  async renew(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    await this.#renewing;
  }

  async close(deadlineMs: number): Promise<void> {
    const wasOpen = this.#isOpen;
    this.#closing.abort();
    this.#timer?.[Symbol.dispose]();
    this.#isOpen = false;
    const { store, bucket } = this.#options;
    if (wasOpen)
      await store.locks.end({ bucket, sessionId: this.#sessionId }, { deadlineMs }).catch(() => undefined);
  }

  async #renew(): Promise<void> {
    const { store, bucket, clock, isIdle, onForgotten } = this.#options;
    if (this.#closing.signal.aborted) throw new FileSystemError('EIO', 'the drive is being closed');
    const sessionId = this.#sessionId;
    const askedAtMs = clock.monotonicMs();
    const askedAtWallMs = clock.nowMs();
    const deadlineMs = this.#isOpen ? Math.max(1, this.#endsAtMs - askedAtMs) : undefined;
    const { leaseMs, incarnation, graceMs } = await store.locks.renew(
      { bucket, sessionId },
      { signal: this.#closing.signal, ...(deadlineMs !== undefined && { deadlineMs }) }
    );
    this.check();
    // It was lost meanwhile, or closed.
    if (this.#sessionId !== sessionId || this.#closing.signal.aborted) return;
    const isForgotten = this.#isOpen && incarnation !== this.#incarnation;
    // Kept as it is until everything is claimed, so that the next renewal goes on where this one fails.
    if (isForgotten && !isIdle() && !(await onForgotten(graceMs))) return this.#lose();
    if (this.#sessionId !== sessionId) return;
    this.#incarnation = incarnation;
    this.#leaseMs = leaseMs;
    this.#endsAtMs = askedAtMs + leaseMs;
    this.#endsAtWallMs = askedAtWallMs + leaseMs;
    this.#isOpen = true;
    this.#arm(leaseMs * RENEWAL_SHARE);
  }

  #arm(delayMs: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#options.clock.setTimer(delayMs, () => void this.#tick());
  }

  async #tick(): Promise<void> {
    this.check();
    if (!this.#isOpen || this.#closing.signal.aborted) return;
    // It ends by itself when nobody needs it.
    if (this.#options.isIdle() && this.#leaseMs > 0) return this.#letGo();
    this.#arm(Math.max(1, this.#endsAtMs - this.#options.clock.monotonicMs()));
    await this.renew().catch(() => {
      if (this.#isOpen) this.#arm(RETRY_MS);
    });
  }

  /** Asked for again with the next lock. */
  #letGo(): void {
    this.#isOpen = false;
    const { store, bucket } = this.#options;
    const sessionId = this.#sessionId;
    this.#sessionId = this.#options.newId();
    store.locks.end({ bucket, sessionId }).catch(() => undefined);
  }

  #lose(): void {
    this.#isOpen = false;
    // Calls of the lost session that are still on their way must find nothing.
    this.#sessionId = this.#options.newId();
    this.#options.onLost();
    this.#lost.abort();
    this.#lost = new AbortController();
  }
}
