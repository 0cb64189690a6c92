import { type ExtentId, isStoreError, type MemberId, StoreError, type StreamId } from '../api/index.js';
import type { Leadership, MetaStore } from '../coordination/index.js';
import type { Clock, Random } from '../platform/index.js';
import { ExtentCollector } from './extent-collector.js';
import { ExtentRepair } from './extent-repair.js';
import { ExtentSealer, sealedAnswer, sealedRecord } from './extent-sealer.js';
import { KeyedLock } from './keyed-lock.js';
import type { NodeDirectory } from './node-directory.js';
import { choosePlacement } from './placement.js';
import type { OnStreamEvent } from './stream-event.js';
import type { StreamExtent } from './stream-layer.js';
import type {
  AllocateExtentAnswer,
  AllocateExtentMessage,
  ExtentView,
  FindExtentMessage,
  MoveExtentsMessage,
  OpenStreamAnswer,
  OpenStreamMessage,
  ReleaseExtentsMessage,
  ReportDamageMessage,
  SealExtentAnswer,
  SealExtentMessage,
  StreamManagerApi
} from './stream-manager-api.js';
import { type ExtentRecord, type StreamRecord, StreamTables } from './stream-tables.js';

/** Other nodes are tried so many times when some fail to create a replica. */
const PLACEMENT_ATTEMPTS = 4;

/** One rebuild runs at a time; clients' traffic goes first. */
const REPAIR_BYTES_PER_SECOND = 64 * 1024 * 1024;

export interface StreamManagerOptions {
  readonly metaStore: MetaStore;
  /** Its proof is part of every transaction; the manager ends with it. */
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: Random;
  readonly nodes: NodeDirectory;
  readonly onEvent: OnStreamEvent;
}

/** The stream manager while it leads. */
export class StreamManager implements StreamManagerApi {
  readonly #options: StreamManagerOptions;
  readonly #tables: StreamTables;
  readonly #sealer: ExtentSealer;
  readonly #repair: ExtentRepair;
  readonly #collector: ExtentCollector;
  readonly #closed = new AbortController();
  /** By stream: its owner's calls and the opening of the next owner. */
  readonly #locks = new KeyedLock();
  readonly #allocating = new Set<ExtentId>();

  private constructor(options: StreamManagerOptions, tables: StreamTables) {
    const { clock, nodes, onEvent, leadership } = options;
    const managerEpoch = leadership.epoch;
    this.#options = options;
    this.#tables = tables;
    this.#sealer = new ExtentSealer({ clock, nodes, tables, onEvent });
    this.#repair = new ExtentRepair({
      nodes,
      tables,
      onEvent,
      signal: this.#closed.signal,
      managerEpoch,
      bytesPerSecond: REPAIR_BYTES_PER_SECOND
    });
    const allocating = this.#allocating;
    this.#collector = new ExtentCollector({ nodes, tables, onEvent, allocating, managerEpoch });
  }

  static async open(options: StreamManagerOptions): Promise<StreamManager> {
    return new StreamManager(options, await StreamTables.load(options.metaStore, options.leadership));
  }

  /** Aborts when it does not know its tables any more: its leadership must end. */
  get inDoubt(): AbortSignal {
    return this.#tables.inDoubt;
  }

  async openStream({ streamId, epoch }: OpenStreamMessage): Promise<OpenStreamAnswer> {
    return await this.#locks.run(streamId, async () => {
      const known = this.#tables.findStream(streamId);
      if (known && epoch <= known.epoch) throw staleEpoch(streamId, epoch, known.epoch);
      const record = { epoch, extentIds: known?.extentIds ?? [] };
      // Sealed before the epoch is taken, so that the same call can be repeated when a replica does not answer.
      const extents = await this.#sealAll(record);
      await this.#tables.commit({ streams: new Map([[streamId, record]]) });
      return { extents };
    });
  }

  async #sealAll({ extentIds, epoch }: StreamRecord): Promise<readonly StreamExtent[]> {
    const extents: StreamExtent[] = [];
    for (const extentId of extentIds) {
      const record = this.#tables.findExtent(extentId);
      const { length } = record?.state === 'sealed' ? record : await this.#seal(extentId, epoch);
      extents.push({ extentId, state: 'sealed', length });
    }
    return extents;
  }

  async #seal(extentId: ExtentId, epoch: number): Promise<SealExtentAnswer> {
    const answer = await this.#sealer.seal(extentId, epoch);
    this.#repair.add(extentId);
    return answer;
  }

  async allocateExtent(message: AllocateExtentMessage): Promise<AllocateExtentAnswer> {
    for (const memberId of message.suspects) this.#options.nodes.suspect(memberId);
    return await this.#asOwner(message, async (stream) => {
      const { previous, epoch, streamId } = message;
      // What an earlier call may have left behind when its outcome got lost.
      const others = stream.extentIds.filter((extentId) => extentId !== previous?.extentId);
      await this.#sealAll({ epoch, extentIds: others });
      const created = await this.#createExtent(epoch);
      try {
        const extents = new Map<ExtentId, ExtentRecord>();
        const open = previous && this.#sealWithLength({ ...message, ...previous });
        if (open) extents.set(previous.extentId, open);
        extents.set(created.extentId, newRecord(created.replicas, epoch));
        const record = { epoch, extentIds: [...stream.extentIds, created.extentId] };
        await this.#tables.commit({ streams: new Map([[streamId, record]]), extents });
      } finally {
        this.#allocating.delete(created.extentId);
      }
      if (previous) this.#repair.add(previous.extentId);
      return created;
    });
  }

  /** The record to commit, or `undefined` when the extent is sealed already. */
  #sealWithLength({
    extentId,
    epoch,
    length
  }: SealExtentMessage & { length: number }): ExtentRecord | undefined {
    const record = this.#getExtent(extentId);
    if (record.state === 'sealed') {
      if (record.length === length) return undefined;
      const lengths = `${record.length}, not ${length}`;
      throw new StoreError(
        'InternalError',
        `Extent ${extentId} is sealed at ${lengths}. Open the stream again.`
      );
    }
    return sealedRecord({ record, epoch, length });
  }

  /** Creates the files first: a listed extent has durable files on all its replicas. */
  async #createExtent(epoch: number): Promise<AllocateExtentAnswer> {
    const { nodes, random, onEvent } = this.#options;
    for (let attempt = 1; ; attempt++) {
      if (nodes.isFull()) await nodes.measure();
      const wantedCount = nodes.reachableReplicaCount();
      const candidates = nodes.candidates();
      const placement = { candidates, replicaCount: wantedCount, fraction: () => random.fraction() };
      const replicas = choosePlacement(placement);
      if (wantedCount < nodes.replicaCountMin) throw tooFewNodes(wantedCount);
      if (replicas.length < wantedCount) throw noSpace(replicas.length, wantedCount);
      const extentId = await this.#tables.allocateId();
      this.#allocating.add(extentId);
      const failure = await this.#createReplicas({ extentId, epoch, replicas });
      if (!failure) {
        const isDegraded = replicas.length < nodes.replicaCount;
        const counts = { replicaCount: replicas.length, wantedCount: nodes.replicaCount };
        if (isDegraded) onEvent({ type: 'extent-under-replicated', extentId, ...counts });
        return { extentId, replicas };
      }
      this.#allocating.delete(extentId);
      if (attempt === PLACEMENT_ATTEMPTS) throw failure;
    }
  }

  async #createReplicas(created: AllocateExtentAnswer & { epoch: number }): Promise<StoreError | undefined> {
    const { extentId, epoch, replicas } = created;
    const { nodes } = this.#options;
    const what = `Creating extent ${extentId}`;
    const results = await Promise.allSettled(
      replicas.map((memberId) =>
        nodes.call({ memberId, replicaCount: replicas.length, what }, (node) =>
          node.createExtent({ extentId, epoch })
        )
      )
    );
    let failure: StoreError | undefined;
    results.forEach((result, index) => {
      if (result.status === 'fulfilled') return;
      const error: unknown = result.reason;
      failure = isStoreError(error)
        ? error
        : new StoreError('InternalError', `${what} failed.`, { cause: error });
      // A full disk is known as such by its status.
      if (!isStoreError(error, 'NoSpace')) nodes.exclude(replicas[index]!);
    });
    return failure;
  }

  async sealExtent(message: SealExtentMessage): Promise<SealExtentAnswer> {
    return await this.#asOwner(message, async (stream) => {
      const { extentId, length, epoch } = message;
      requireListed(stream, [extentId]);
      if (length === undefined) return await this.#seal(extentId, epoch);
      const sealed = this.#sealWithLength({ ...message, length });
      if (sealed) await this.#tables.commit({ extents: new Map([[extentId, sealed]]) });
      this.#repair.add(extentId);
      return sealedAnswer(this.#getSealed(extentId));
    });
  }

  async releaseExtents(message: ReleaseExtentsMessage): Promise<void> {
    await this.#asOwner(message, async (stream) => {
      const released = new Set(message.extentIds);
      for (const extentId of stream.extentIds) if (released.has(extentId)) this.#getSealed(extentId);
      const extentIds = stream.extentIds.filter((extentId) => !released.has(extentId));
      const record = { epoch: stream.epoch, extentIds };
      await this.#tables.commit({ streams: new Map([[message.streamId, record]]) });
    });
    this.#collectSoon();
  }

  async moveExtents({ from, to, extentIds }: MoveExtentsMessage): Promise<void> {
    await this.#locks.runBoth(from.streamId, to.streamId, async () => {
      const source = this.#getStream(from);
      const target = this.#getStream(to);
      if (from.streamId === to.streamId) throw wrong('A stream cannot be moved into itself.');
      for (const extentId of [...extentIds, ...target.extentIds]) this.#getSealed(extentId);
      // Those that are there already were moved by a call whose answer got lost.
      const arrived = new Set(target.extentIds);
      const moved = new Set(extentIds.filter((extentId) => !arrived.has(extentId)));
      requireListed(source, [...moved]);
      if (moved.size === 0) return;
      const streams = new Map<StreamId, StreamRecord>([
        [
          from.streamId,
          { epoch: from.epoch, extentIds: source.extentIds.filter((extentId) => !moved.has(extentId)) }
        ],
        [to.streamId, { epoch: to.epoch, extentIds: [...target.extentIds, ...moved] }]
      ]);
      await this.#tables.commit({ streams });
    });
  }

  async findExtent({ extentId }: FindExtentMessage): Promise<ExtentView | undefined> {
    const record = this.#tables.findExtent(extentId);
    if (!record) return undefined;
    const { replicas } = record;
    return record.state === 'sealed' ? { replicas, sealedLength: record.length } : { replicas };
  }

  async reportDamage({ extentId, memberId }: ReportDamageMessage): Promise<void> {
    this.#options.onEvent({ type: 'replica-damaged', extentId, memberId });
    if (this.#tables.findExtent(extentId)?.state === 'sealed') this.#repair.add(extentId, memberId);
  }

  /** Finds and finishes what crashes and failures left: unlisted extents, orphan files, unconfirmed replicas. */
  async sweep(): Promise<void> {
    await this.#options.nodes.measure();
    await this.#collector.collect();
    await this.#collector.sweepOrphans();
    for (const [extentId, record] of this.#tables.extents()) {
      if (record.state === 'sealed' && record.unconfirmed.length > 0) this.#repair.add(extentId);
    }
    await this.#repair.idle();
  }

  /** Stops background work at the next step and waits for it. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#repair.idle();
    // Also waits for a collection that goes on; a failed one is the next leader's.
    await this.#collector.idle();
  }

  #collectSoon(): void {
    this.#collector
      .collect()
      .catch((cause: unknown) => this.#options.onEvent({ type: 'sweep-failed', cause }));
  }

  async #asOwner<Result>(
    message: OpenStreamMessage,
    run: (stream: StreamRecord) => Promise<Result>
  ): Promise<Result> {
    return await this.#locks.run(message.streamId, () => run(this.#getStream(message)));
  }

  #getStream({ streamId, epoch }: OpenStreamMessage): StreamRecord {
    const stream = this.#tables.findStream(streamId);
    if (stream?.epoch !== epoch) throw staleEpoch(streamId, epoch, stream?.epoch);
    return stream;
  }

  #getExtent(extentId: ExtentId): ExtentRecord {
    const record = this.#tables.findExtent(extentId);
    if (!record)
      throw new StoreError('ExtentNotFound', `There is no extent ${extentId}. Open the stream again.`);
    return record;
  }

  #getSealed(extentId: ExtentId): ExtentRecord & { readonly state: 'sealed' } {
    const record = this.#getExtent(extentId);
    if (record.state !== 'sealed') throw wrong(`Extent ${extentId} is open. Only sealed ones can be moved.`);
    return record;
  }
}

function newRecord(replicas: readonly MemberId[], epoch: number): ExtentRecord {
  return { state: 'open', ownerEpoch: epoch, replicas, acknowledgedBy: replicas.length, unconfirmed: [] };
}

function requireListed(stream: StreamRecord, extentIds: readonly ExtentId[]): void {
  const listed = new Set(stream.extentIds);
  const missing = extentIds.find((extentId) => !listed.has(extentId));
  if (missing !== undefined) throw wrong(`Extent ${missing} is not in the stream. Read its list again.`);
}

function staleEpoch(streamId: StreamId, epoch: number, current: number | undefined): StoreError {
  const epochs = `epoch ${current ?? 'none'}, not ${epoch}`;
  return new StoreError('StaleEpoch', `Stream ${streamId} has ${epochs}. Open it with a greater one.`);
}

function tooFewNodes(count: number): StoreError {
  return new StoreError(
    'ReplicaUnavailable',
    `Only ${count} fault domains can be reached, too few for a new extent. Bring nodes back.`
  );
}

function noSpace(count: number, wantedCount: number): StoreError {
  const counts = `${count} of ${wantedCount} fault domains`;
  return new StoreError('NoSpace', `Only ${counts} have space for a new extent. Free space or add disks.`);
}

function wrong(message: string): StoreError {
  return new StoreError('InvalidArgument', message);
}
