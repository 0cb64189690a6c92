import { isStoreError, StoreError } from '../../api/index.js';
import { campaign, findLeader } from '../../coordination/election.js';
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
} from '../../coordination/index.js';
import type { Clock, Random } from '../../platform/index.js';
import type { RoleConnection } from '../../rpc/index.js';
import { META } from './meta-service.js';

export interface MetaSessionOptions {
  readonly connection: RoleConnection;
  readonly clock: Clock;
  readonly random: Random;
}

const DEADLINE_MS_DEFAULT = 5000;
/** Part of the time to live that the holder gives up, so that it stops before anyone else can start. */
const MARGIN_PART = 1 / 10;

/** The meta store as one life of a machine reaches it over the network. */
export class MetaSession implements MetaStore {
  readonly #options: MetaSessionOptions;
  readonly #closed = new AbortController();
  readonly #leases = new Set<SimulatedLease>();

  constructor(options: MetaSessionOptions) {
    this.#options = options;
  }

  async find(key: string, options: MetaCallOptions = {}): Promise<MetaEntry | undefined> {
    return ((await this.#call('find', { key }, options)) as MetaEntry | null) ?? undefined;
  }

  async range(prefix: string, options: MetaCallOptions = {}): Promise<MetaRange> {
    return (await this.#call('range', { prefix }, options)) as MetaRange;
  }

  async transact(
    transaction: MetaTransaction,
    options: MetaCallOptions = {}
  ): Promise<MetaTransactionResult> {
    return (await this.#call('transact', { transaction }, options)) as MetaTransactionResult;
  }

  async *watch(prefix: string, { afterRevision, signal }: MetaWatchOptions): AsyncIterable<MetaChange> {
    const either = AbortSignal.any([signal, this.#closed.signal]);
    const payload = { prefix, afterRevision };
    yield* this.#options.connection.subscribe(`${META}.watch`, payload, {
      signal: either
    }) as AsyncIterable<MetaChange>;
    if (!signal.aborted) this.#requireOpen();
  }

  async grantLease(timeToLiveMs: number, options: MetaCallOptions = {}): Promise<MetaLease> {
    const { clock, random } = this.#options;
    const leaseId = random.uuid();
    const sentMs = clock.elapsedMs();
    await this.#call('grant', { leaseId, timeToLiveMs }, options);
    const lease = new SimulatedLease({
      leaseId,
      timeToLiveMs,
      clock,
      sentMs,
      call: (name, deadlineMs) => this.#call(name, { leaseId }, { deadlineMs })
    });
    this.#leases.add(lease);
    return lease;
  }

  campaign(election: string, candidate: string, { lease, signal }: CampaignOptions): Promise<Leadership> {
    const { clock, random } = this.#options;
    return campaign(this, { lease, signal, election, candidate, campaignId: random.uuid(), clock });
  }

  findLeader(election: string, options?: MetaCallOptions): Promise<LeaderEntry | undefined> {
    return findLeader(this, election, options);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    for (const lease of this.#leases) lease.end();
    this.#options.connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #call(
    name: string,
    message: object,
    { signal, deadlineMs = DEADLINE_MS_DEFAULT }: MetaCallOptions
  ): Promise<unknown> {
    this.#requireOpen();
    if (signal?.aborted)
      throw new StoreError('Cancelled', 'The caller gave the metadata call up.', { cause: signal.reason });
    return await this.#options.connection.call(`${META}.${name}`, message, { deadlineMs, signal });
  }

  #requireOpen(): void {
    if (!this.#closed.signal.aborted) return;
    throw new StoreError('ServiceUnavailable', 'The session with the meta store has ended. Open a new one.');
  }
}

interface SimulatedLeaseOptions {
  readonly leaseId: string;
  readonly timeToLiveMs: number;
  readonly clock: Clock;
  /** When it was asked for. */
  readonly sentMs: number;
  readonly call: (name: 'keepAlive' | 'revoke', deadlineMs: number) => Promise<unknown>;
}

/** A lease that its holder keeps alive by calls, and gives up by its own clock when they are not answered. */
class SimulatedLease implements MetaLease {
  readonly leaseId: string;
  readonly #options: SimulatedLeaseOptions;
  readonly #lost = new AbortController();
  #deadlineMs: number;
  #timers: Disposable[] = [];

  constructor(options: SimulatedLeaseOptions) {
    this.leaseId = options.leaseId;
    this.#options = options;
    this.#deadlineMs = options.sentMs + options.timeToLiveMs * (1 - MARGIN_PART);
    this.#scheduleKeepAlive();
    this.#scheduleEnd();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  deadlineElapsedMs(): number {
    return this.#deadlineMs;
  }

  async revoke(): Promise<void> {
    this.end();
    await this.#options.call('revoke', this.#options.timeToLiveMs);
  }

  end(): void {
    this.#deadlineMs = Math.min(this.#deadlineMs, this.#options.clock.elapsedMs());
    for (const timer of this.#timers) timer[Symbol.dispose]();
    if (!this.#lost.signal.aborted)
      this.#lost.abort(new StoreError('StaleEpoch', `The lease ${this.leaseId} has ended.`));
  }

  #scheduleKeepAlive(): void {
    const { clock, timeToLiveMs, call } = this.#options;
    this.#timers[0] = clock.setTimer(timeToLiveMs / 3, () => {
      const sentMs = clock.elapsedMs();
      call('keepAlive', timeToLiveMs / 2).then(
        () => {
          if (clock.elapsedMs() >= this.#deadlineMs) this.end();
          if (!this.#lost.signal.aborted)
            this.#deadlineMs = Math.max(this.#deadlineMs, sentMs + timeToLiveMs * (1 - MARGIN_PART));
        },
        (error: unknown) => {
          if (isStoreError(error, 'StaleEpoch')) this.end();
        }
      );
      this.#scheduleKeepAlive();
    });
  }

  #scheduleEnd(): void {
    const { clock } = this.#options;
    this.#timers[1] = clock.setTimer(this.#deadlineMs - clock.elapsedMs(), () => {
      if (clock.elapsedMs() >= this.#deadlineMs) this.end();
      else this.#scheduleEnd();
    });
  }
}
