import type { MemberId } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import { type Member, putMember } from './member-table.js';
import type { MetaLease, MetaStore } from './meta-store.js';
import { type RowProof, SteadyStore } from './steady-store.js';

export interface MembershipOptions {
  readonly meta: MetaStore;
  readonly clock: Clock;
  readonly member: Omit<Member, 'revision'>;
  /** How long a member that cannot reach the meta store still counts as there. */
  readonly timeToLiveMs?: number | undefined;
  /** The meta store could not be reached, or the lease was lost; it is tried again. */
  readonly onTrouble?: ((cause: unknown) => void) | undefined;
}

/** One stretch of time in which nobody may take this member for gone. */
export interface MemberLife {
  /** Checked right before each answer that depends on it. */
  isOver(): boolean;
  /** Aborts when it is known to be over. */
  readonly over: AbortSignal;
}

const TIME_TO_LIVE_MS = 5000;
const RETRY_MS = 250;

/** Keeps a process in the table of members by a lease, again and again after it was lost. */
export class Membership {
  readonly memberId: MemberId;
  readonly #options: MembershipOptions;
  readonly #closing = new AbortController();
  readonly #waiters = new Set<(life: MemberLife) => void>();
  #life: MemberLife | undefined;
  #lease: MetaLease | undefined;
  #keeping: Promise<void> = Promise.resolve();

  private constructor(options: MembershipOptions) {
    this.#options = options;
    this.memberId = options.member.memberId;
  }

  /** Resolves when the member is in the table. @throws StoreError when the meta store cannot be reached at first. */
  static async start(options: MembershipOptions): Promise<Membership> {
    const membership = new Membership(options);
    await membership.#begin();
    membership.#keeping = membership.#keep();
    return membership;
  }

  /** The life that goes on now, or the next one. Never resolves after `close`. */
  life(): Promise<MemberLife> {
    if (this.#life && !this.#life.isOver()) return Promise.resolve(this.#life);
    return new Promise((resolve) => this.#waiters.add(resolve));
  }

  /** Whether nobody may take this member for gone now. */
  get isAlive(): boolean {
    return this.#life !== undefined && !this.#life.isOver();
  }

  /** Leaves the table. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#keeping;
    await this.#lease?.revoke().catch(() => undefined);
  }

  async #begin(): Promise<void> {
    const { meta, member, timeToLiveMs = TIME_TO_LIVE_MS } = this.#options;
    const lease = await meta.grantLease(timeToLiveMs, { signal: this.#closing.signal });
    try {
      const row = await putMember(meta, member, { lease, yields: this.#life !== undefined });
      this.#lease = lease;
      this.#life = this.#beginLife(lease, row);
    } catch (error) {
      // With it goes a row that may have been put after all.
      this.#giveUp(lease);
      throw error;
    }
    for (const resolve of this.#waiters) resolve(this.#life);
    this.#waiters.clear();
  }

  /** It ends with the lease, or when others took the member for gone and removed its row. */
  #beginLife(lease: MetaLease, row: RowProof): MemberLife {
    const { meta, clock } = this.#options;
    const gone = new AbortController();
    const over = AbortSignal.any([lease.lost, gone.signal]);
    const end = (): void => gone.abort();
    // Also when it cannot be read: then joining again tells why.
    new SteadyStore(meta, clock, AbortSignal.any([over, this.#closing.signal]))
      .untilRowGone(row)
      .then(end, end);
    return { over, isOver: () => over.aborted || clock.elapsedMs() >= lease.deadlineElapsedMs() };
  }

  /** Not waited for: it is not kept alive any more, so it runs out where it cannot be revoked. */
  #giveUp(lease: MetaLease): void {
    if (!lease.lost.aborted) lease.revoke().catch(() => undefined);
  }

  async #keep(): Promise<void> {
    const { clock, onTrouble } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await aborted(AbortSignal.any([this.#life!.over, signal]));
      if (!signal.aborted) this.#giveUp(this.#lease!);
      for (let isBack = false; !isBack && !signal.aborted; ) {
        try {
          await this.#begin();
          isBack = true;
        } catch (cause) {
          if (!signal.aborted) onTrouble?.(cause);
          await clock.sleep(RETRY_MS, signal).catch(() => undefined);
        }
      }
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
