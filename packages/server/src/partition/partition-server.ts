import { isStoreError, type MemberId, type PartitionId, type StampStatus, StoreError } from '../api/index.js';
import type { MemberLife, Membership, MetaStore } from '../coordination/index.js';
import { WatchedRange } from '../coordination/index.js';
import type { Clock } from '../platform/index.js';
import { hostedCalls, type PartitionCalls } from './partition-calls.js';
import type { OnPartitionEvent } from './partition-event.js';
import { PartitionHost, type PartitionHostOptions } from './partition-host.js';
import { decodeRange, type OwnedRange, PARTITION_MAP_PREFIX } from './partition-map.js';
import type { PartitionMeasure } from './partition-measure.js';

export interface PartitionServerOptions
  extends Omit<PartitionHostOptions, 'range' | 'owner' | 'onlyIfAssigned' | 'indexDirectory'> {
  readonly meta: MetaStore;
  readonly clock: Clock;
  readonly membership: Membership;
  /** Each partition's index is in a folder of its name. */
  readonly indexDirectory: string;
  readonly onEvent: OnPartitionEvent;
}

const CHECK_MS = 1000;
const RETRY_MS = 200;

/** A range that this server loads or serves. */
interface Served {
  readonly life: MemberLife;
  readonly starting: Promise<PartitionHost | undefined>;
  host: PartitionHost | undefined;
  calls: PartitionCalls | undefined;
}

/**
 * Serves the ranges that the partition map gives to this member. It answers only within a life of its membership, which is
 * checked again right before each answer: when another server may have taken a range over, nothing leaves here any more.
 */
export class PartitionServer {
  readonly #options: PartitionServerOptions;
  readonly #map: WatchedRange;
  readonly #served = new Map<PartitionId, Served>();
  /** Hosts on their way out: the next one of the same range waits for them, since they share an index. */
  readonly #stopping = new Map<PartitionId, Promise<void>>();
  readonly #closing = new AbortController();
  #running: Promise<void> = Promise.resolve();

  private constructor(options: PartitionServerOptions, map: WatchedRange) {
    this.#options = options;
    this.#map = map;
  }

  static async start(options: PartitionServerOptions): Promise<PartitionServer> {
    const { meta, clock } = options;
    const map = await WatchedRange.open({ meta, clock, prefix: PARTITION_MAP_PREFIX });
    const server = new PartitionServer(options, map);
    server.#running = server.#run();
    return server;
  }

  get memberId(): MemberId {
    return this.#options.membership.memberId;
  }

  /**
   * Runs a call on a range and gives its answer if this server may still give answers for it.
   *
   * @throws StoreError `WrongPartition` when the range is another server's; a mutation may have been made all the same.
   */
  async answer<Result>(id: PartitionId, run: (calls: PartitionCalls) => Promise<Result>): Promise<Result> {
    const served = this.#find(id);
    const result = await run(served.calls!);
    this.#requireCurrent(id, served);
    return result;
  }

  /** The same for events. */
  async *answers<Event>(
    id: PartitionId,
    run: (calls: PartitionCalls) => AsyncIterable<Event>
  ): AsyncIterable<Event> {
    const served = this.#find(id);
    for await (const event of run(served.calls!)) {
      this.#requireCurrent(id, served);
      yield event;
    }
    this.#requireCurrent(id, served);
  }

  async status(id: PartitionId): Promise<StampStatus['partitions'][number]> {
    const served = this.#find(id);
    const status = await served.host!.status();
    this.#requireCurrent(id, served);
    return status;
  }

  /** Of the ranges that it has loaded. */
  measure(): readonly PartitionMeasure[] {
    return [...this.#served.values()].flatMap(({ host }) => host?.measure() ?? []);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    for (const [id, served] of [...this.#served]) this.#stop(id, served);
    await Promise.all(this.#stopping.values());
    await this.#map.close();
  }

  #find(id: PartitionId): Served {
    const served = this.#served.get(id);
    if (served?.calls && !served.life.isOver()) return served;
    throw wrongPartition(id, this.memberId);
  }

  #requireCurrent(id: PartitionId, served: Served): void {
    if (this.#served.get(id) !== served || served.life.isOver()) throw wrongPartition(id, this.memberId);
  }

  async #run(): Promise<void> {
    const { membership, onEvent } = this.#options;
    const { signal } = this.#closing;
    const closed = new Promise<undefined>((resolve) =>
      signal.addEventListener('abort', () => resolve(undefined))
    );
    while (!signal.aborted) {
      const life = await Promise.race([membership.life(), closed]);
      if (!life) return;
      const ended = AbortSignal.any([life.over, signal]);
      while (!ended.aborted && !life.isOver()) {
        this.#reconcile(life);
        await this.#map.changed(CHECK_MS, ended);
      }
      if (signal.aborted) return;
      onEvent({ type: 'membership-lost', memberId: membership.memberId });
      for (const [id, served] of [...this.#served]) this.#stop(id, served);
    }
  }

  /** Starts what the map gives to this server and stops what it does not. */
  #reconcile(life: MemberLife): void {
    const mine = new Map<PartitionId, OwnedRange>();
    for (const entry of this.#map.entries()) {
      const range = decodeRange(entry);
      if (range.owner === this.memberId) mine.set(range.partitionId, range);
    }
    for (const [id, served] of [...this.#served])
      if (!mine.has(id) || served.life !== life) this.#stop(id, served);
    for (const [id, range] of mine) if (!this.#served.has(id)) this.#start(range, life);
  }

  #start(range: OwnedRange, life: MemberLife): void {
    const id = range.partitionId;
    const served: Served = { life, host: undefined, calls: undefined, starting: this.#load(range, life) };
    this.#served.set(id, served);
    void served.starting.then((host) => {
      if (!host) {
        // The map is looked at again soon.
        if (this.#served.get(id) === served) this.#served.delete(id);
        return;
      }
      served.host = host;
      served.calls = hostedCalls(host, this.#options);
    });
  }

  async #load(range: OwnedRange, life: MemberLife): Promise<PartitionHost | undefined> {
    const { indexDirectory, onEvent, clock } = this.#options;
    const { partitionId: id, startKey, endKey } = range;
    await this.#stopping.get(id);
    if (life.isOver() || this.#closing.signal.aborted) return undefined;
    try {
      return await PartitionHost.start({
        ...this.#options,
        range: { partitionId: id, startKey, endKey },
        owner: this.memberId,
        onlyIfAssigned: true,
        indexDirectory: `${indexDirectory}/${id}`
      });
    } catch (cause) {
      if (!isStoreError(cause, 'WrongPartition'))
        onEvent({ type: 'partition-load-failed', partitionId: id, cause });
      await clock.sleep(RETRY_MS, this.#closing.signal).catch(() => undefined);
      return undefined;
    }
  }

  #stop(id: PartitionId, served: Served): void {
    if (this.#served.get(id) === served) this.#served.delete(id);
    const stopped = served.starting.then(async (host) => {
      await host?.close();
    });
    const before = this.#stopping.get(id);
    const all = Promise.all([before, stopped.catch(() => undefined)]).then(() => {
      if (this.#stopping.get(id) === all) this.#stopping.delete(id);
    });
    this.#stopping.set(id, all);
  }
}

function wrongPartition(id: PartitionId, memberId: MemberId): StoreError {
  return new StoreError('WrongPartition', `${memberId} does not serve ${id} now. Look its owner up again.`);
}
