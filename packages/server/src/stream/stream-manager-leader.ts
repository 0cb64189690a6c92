import { isStoreError, StoreError } from '../api/index.js';
import type { Leadership, MetaLease } from '../coordination/index.js';
import { StreamManager, type StreamManagerOptions } from './stream-manager.js';
import type { StreamManagerApi } from './stream-manager-api.js';
import type { StreamMeasure } from './stream-measure.js';

export const STREAM_MANAGER_ELECTION = 'stream-manager';
const LEASE_MS = 5000;
const SWEEP_MS = 60_000;
const RETRY_MS = 1000;
/** For so long calls wait for the next term, when one has ended only to read the tables again. */
const NEXT_TERM_MS = 1000;

export interface StreamManagerLeaderOptions extends Omit<StreamManagerOptions, 'leadership'> {
  /** Of this process, for those who look who leads. */
  readonly candidate: string;
  /** Runs before each sweep, such as to find nodes that came back. */
  readonly beforeSweep?: () => Promise<void>;
}

/** Campaigns to be the stream manager, is it while it leads, and campaigns again when that ends. */
export class StreamManagerLeader implements StreamManagerApi {
  readonly #options: StreamManagerLeaderOptions;
  readonly #closed = new AbortController();
  #manager: StreamManager | undefined;
  #leadership: Leadership | undefined;
  /** Calls that wait for it. */
  readonly #waiting = new Set<() => void>();
  #isBetweenTerms = false;
  #leading: Promise<void> = Promise.resolve();
  #sweepTimer: Disposable | undefined;

  private constructor(options: StreamManagerLeaderOptions) {
    this.#options = options;
  }

  /** Resolves when it leads for the first time. */
  static async start(options: StreamManagerLeaderOptions): Promise<StreamManagerLeader> {
    const leader = new StreamManagerLeader(options);
    await new Promise<void>((resolve, reject) => {
      leader.#leading = leader.#run(resolve, reject);
    });
    leader.#scheduleSweep();
    return leader;
  }

  /** Campaigns in the background: another one may lead for long. */
  static standBy(options: StreamManagerLeaderOptions): StreamManagerLeader {
    const leader = new StreamManagerLeader(options);
    leader.#leading = leader.#run();
    leader.#scheduleSweep();
    return leader;
  }

  async #run(onLeading?: () => void, onFailure?: (error: unknown) => void): Promise<void> {
    let hasLed = false;
    while (!this.#closed.signal.aborted) {
      try {
        await this.#lead(() => {
          hasLed = true;
          onLeading?.();
        });
      } catch (cause) {
        // The first time someone may wait for it; later ones can only be tried again.
        if (!hasLed && onFailure) return onFailure(cause);
        if (this.#closed.signal.aborted) return;
        this.#options.onEvent({ type: 'sweep-failed', cause });
        await this.#options.clock.sleep(RETRY_MS, this.#closed.signal).catch(() => undefined);
      }
    }
  }

  /** One term: from the campaign to the loss of the leadership. */
  async #lead(onLeading: () => void): Promise<void> {
    const { metaStore, candidate, onEvent } = this.#options;
    const { signal } = this.#closed;
    const lease = await metaStore.grantLease(LEASE_MS, { signal });
    try {
      const leadership = await metaStore.campaign(STREAM_MANAGER_ELECTION, candidate, { lease, signal });
      const manager = await StreamManager.open({ ...this.#options, leadership });
      this.#leadership = leadership;
      this.#manager = manager;
      this.#endWaiting();
      onLeading();
      onEvent({ type: 'stream-manager-leads', epoch: leadership.epoch });
      await aborted(AbortSignal.any([leadership.lost, signal, manager.inDoubt]));
      this.#manager = undefined;
      this.#isBetweenTerms = !leadership.lost.aborted;
      onEvent({ type: 'stream-manager-ended', epoch: leadership.epoch });
      await manager.close();
    } finally {
      await this.#revoke(lease);
    }
  }

  /** So that a standby need not wait for the lease to run out. */
  async #revoke(lease: MetaLease): Promise<void> {
    if (!lease.lost.aborted) await lease.revoke().catch(() => undefined);
  }

  #scheduleSweep(): void {
    this.#sweepTimer = this.#options.clock.setTimer(SWEEP_MS, () => {
      this.sweep({ includesFailed: false })
        .catch((cause: unknown) => {
          if (!isStoreError(cause, 'ServiceUnavailable'))
            this.#options.onEvent({ type: 'sweep-failed', cause });
        })
        .finally(() => {
          if (!this.#closed.signal.aborted) this.#scheduleSweep();
        });
    });
  }

  /** Finds what there is to do, and does it in the background; what failed a moment ago too, when told so. */
  async sweep(options: { readonly includesFailed: boolean }): Promise<void> {
    await this.#options.beforeSweep?.();
    await (await this.#get()).sweep(options);
  }

  /** Absent while another one leads. */
  async measure(): Promise<StreamMeasure | undefined> {
    return this.isLeading ? await this.#manager!.measure() : undefined;
  }

  /** Of its leadership; absent while another one leads. */
  get epoch(): number | undefined {
    if (!this.#manager || this.#manager.inDoubt.aborted || this.#leadership!.isOver()) return undefined;
    return this.#manager.epoch;
  }

  get isLeading(): boolean {
    return this.epoch !== undefined;
  }

  /** Resolves when no repair is left to do now. */
  async idle(): Promise<void> {
    await this.#manager?.idle();
  }

  async close(): Promise<void> {
    this.#sweepTimer?.[Symbol.dispose]();
    this.#closed.abort();
    await this.#leading;
  }

  #endWaiting(): void {
    this.#isBetweenTerms = false;
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  async #get(): Promise<StreamManager> {
    const { clock } = this.#options;
    const endMs = clock.monotonicMs() + NEXT_TERM_MS;
    while (this.#isBetweenTerms || this.#manager?.inDoubt.aborted) {
      const leftMs = endMs - clock.monotonicMs();
      if (leftMs <= 0 || this.#closed.signal.aborted) break;
      const woken = new AbortController();
      this.#waiting.add(() => woken.abort());
      await clock.sleep(leftMs, AbortSignal.any([woken.signal, this.#closed.signal])).catch(() => undefined);
    }
    if (this.isLeading) return this.#manager!;
    throw notLeading();
  }

  /** What was done in a term that is over by now stays done, and is not answered: the next leader is asked again. */
  async #answer<Result>(run: (manager: StreamManager) => Promise<Result>): Promise<Result> {
    const manager = await this.#get();
    const leadership = this.#leadership!;
    const result = await run(manager);
    if (leadership.isOver()) throw notLeading();
    return result;
  }

  openStream: StreamManagerApi['openStream'] = async (message) =>
    await this.#answer((manager) => manager.openStream(message));
  allocateExtent: StreamManagerApi['allocateExtent'] = async (message) =>
    await this.#answer((manager) => manager.allocateExtent(message));
  sealExtent: StreamManagerApi['sealExtent'] = async (message) =>
    await this.#answer((manager) => manager.sealExtent(message));
  releaseExtents: StreamManagerApi['releaseExtents'] = async (message) =>
    await this.#answer((manager) => manager.releaseExtents(message));
  moveExtents: StreamManagerApi['moveExtents'] = async (message) =>
    await this.#answer((manager) => manager.moveExtents(message));
  findExtent: StreamManagerApi['findExtent'] = async (message) =>
    await this.#answer((manager) => manager.findExtent(message));
  reportDamage: StreamManagerApi['reportDamage'] = async (message) =>
    await this.#answer((manager) => manager.reportDamage(message));
  heartbeat: StreamManagerApi['heartbeat'] = async (message) =>
    await this.#answer((manager) => manager.heartbeat(message));
  extents: StreamManagerApi['extents'] = async (message) =>
    await this.#answer((manager) => manager.extents(message));
  drain: StreamManagerApi['drain'] = async (message) =>
    await this.#answer((manager) => manager.drain(message));
  removeMember: StreamManagerApi['removeMember'] = async (message) =>
    await this.#answer((manager) => manager.removeMember(message));
  scrub: StreamManagerApi['scrub'] = async (message) =>
    await this.#answer((manager) => manager.scrub(message));
  members: StreamManagerApi['members'] = async () => await this.#answer((manager) => manager.members());
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function notLeading(): StoreError {
  return new StoreError('ServiceUnavailable', 'This stream manager does not lead now. Ask the leader.');
}
