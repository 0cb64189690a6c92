import { type ExtentId, isStoreError, type MemberId, StoreError, type StreamId } from '../api/index.js';
import type { Leadership, MetaStore } from '../coordination/index.js';
import type { Clock, Random } from '../platform/index.js';
import { ExtentCreator } from './extent-creator.js';
import { ExtentSealer, sealedAnswer, sealedRecord } from './extent-sealer.js';
import { KeyedLock } from './keyed-lock.js';
import type { NodeDirectory } from './node-directory.js';
import { NodeRegistry } from './node-registry.js';
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
import type { StreamMeasure } from './stream-measure.js';
import { type ExtentRecord, type StreamRecord, StreamTables } from './stream-tables.js';
import { StreamUpkeep } from './stream-upkeep.js';
import { UPKEEP_DEFAULTS, type UpkeepSettings } from './upkeep-settings.js';

export interface StreamManagerOptions {
  readonly metaStore: MetaStore;
  /** Its proof is part of every transaction; the manager ends with it. */
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: Random;
  readonly nodes: NodeDirectory;
  readonly onEvent: OnStreamEvent;
  readonly settings?: Partial<UpkeepSettings> | undefined;
}

interface StreamManagerParts {
  readonly tables: StreamTables;
  readonly upkeep: StreamUpkeep;
  readonly creator: ExtentCreator;
}

/** The stream manager while it leads. */
export class StreamManager implements StreamManagerApi {
  readonly #options: StreamManagerOptions;
  readonly #tables: StreamTables;
  readonly #sealer: ExtentSealer;
  readonly #creator: ExtentCreator;
  readonly #upkeep: StreamUpkeep;
  /** By stream: its owner's calls and the opening of the next owner. */
  readonly #locks = new KeyedLock();

  private constructor(options: StreamManagerOptions, parts: StreamManagerParts) {
    const { clock, nodes, onEvent } = options;
    const { tables, upkeep, creator } = parts;
    this.#options = options;
    this.#tables = tables;
    this.#sealer = new ExtentSealer({ clock, nodes, tables, onEvent });
    this.#creator = creator;
    this.#upkeep = upkeep;
  }

  static async open(options: StreamManagerOptions): Promise<StreamManager> {
    const tables = await StreamTables.load(options.metaStore, options.leadership);
    const settings = { ...UPKEEP_DEFAULTS, ...options.settings };
    const registry = await NodeRegistry.load({ ...options, ...settings });
    const poll = (): Promise<void> => upkeep.poll();
    const creator = new ExtentCreator({ ...options, tables, registry, poll });
    const upkeep: StreamUpkeep = await StreamUpkeep.open({
      ...options,
      tables,
      registry,
      settings,
      allocating: creator.allocating,
      sealOpen: (isLeaving) => manager.#sealOpen(isLeaving)
    });
    const manager: StreamManager = new StreamManager(options, { tables, upkeep, creator });
    return manager;
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
    this.#upkeep.repair.add(extentId);
    return answer;
  }

  async allocateExtent(message: AllocateExtentMessage): Promise<AllocateExtentAnswer> {
    for (const memberId of message.suspects) this.#options.nodes.suspect(memberId);
    return await this.#asOwner(message, async (stream) => {
      const { previous, epoch, streamId, use } = message;
      // What an earlier call may have left behind when its outcome got lost.
      const others = stream.extentIds.filter((extentId) => extentId !== previous?.extentId);
      await this.#sealAll({ epoch, extentIds: others });
      const created = await this.#creator.withExtent({ epoch, use }, async (extent) => {
        const extents = new Map<ExtentId, ExtentRecord>();
        const open = previous && this.#sealWithLength({ ...message, ...previous });
        if (open) extents.set(previous.extentId, open);
        extents.set(extent.extentId, newRecord(extent.replicas, epoch));
        const record = { epoch, extentIds: [...stream.extentIds, extent.extentId] };
        await this.#tables.commit({ streams: new Map([[streamId, record]]), extents });
        return extent;
      });
      if (previous) this.#upkeep.repair.add(previous.extentId);
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

  async sealExtent(message: SealExtentMessage): Promise<SealExtentAnswer> {
    return await this.#asOwner(message, async (stream) => {
      const { extentId, length, epoch } = message;
      requireListed(stream, [extentId]);
      if (length === undefined) return await this.#seal(extentId, epoch);
      const sealed = this.#sealWithLength({ ...message, length });
      if (sealed) await this.#tables.commit({ extents: new Map([[extentId, sealed]]) });
      this.#upkeep.repair.add(extentId);
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
    this.#upkeep.collectSoon();
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
    await this.#upkeep.repair.noteDamage(extentId, memberId);
  }

  heartbeat: StreamManagerApi['heartbeat'] = (message) => this.#upkeep.heartbeat(message);
  members: StreamManagerApi['members'] = () => this.#upkeep.members();
  extents: StreamManagerApi['extents'] = (message) => this.#upkeep.extents(message);
  drain: StreamManagerApi['drain'] = (message) => this.#upkeep.drain(message);
  removeMember: StreamManagerApi['removeMember'] = (message) => this.#upkeep.removeMember(message);
  scrub: StreamManagerApi['scrub'] = (message) => this.#upkeep.scrub(message);

  /**
   * Seals the open extents that are to go, for their owners, whose next append meets it and goes on in a new extent.
   * What cannot be sealed yet is tried again.
   */
  async #sealOpen(isLeaving: (record: ExtentRecord) => boolean): Promise<void> {
    for (const [streamId, { extentIds }] of this.#tables.streams()) {
      for (const extentId of extentIds) {
        const find = () => findLeaving(this.#tables.findExtent(extentId), isLeaving);
        if (!find()) continue;
        await this.#locks.run(streamId, async () => {
          const record = find();
          const stream = this.#tables.findStream(streamId);
          if (!record || !stream) return;
          const epoch = record.state === 'sealing' ? Math.max(record.epoch, stream.epoch) : stream.epoch;
          try {
            await this.#seal(extentId, epoch);
          } catch (error) {
            if (!isStoreError(error, 'ReplicaUnavailable', 'StaleEpoch')) throw error;
          }
        });
      }
    }
  }

  get epoch(): number {
    return this.#options.leadership.epoch;
  }

  /** For metrics. */
  async measure(): Promise<StreamMeasure> {
    const unknownLengthCount = this.#sealer.undecidedCount();
    return { unknownLengthCount, ...(await this.#upkeep.measure()) };
  }

  /** See `StreamUpkeep.sweep`. */
  async sweep(options: { readonly includesFailed: boolean }): Promise<void> {
    await this.#upkeep.sweep(options);
  }

  /** Resolves when no repair is left to do now. */
  async idle(): Promise<void> {
    await this.#upkeep.idle();
  }

  /** Stops background work at the next step and waits for it. */
  async close(): Promise<void> {
    await this.#upkeep.close();
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

function findLeaving(
  record: ExtentRecord | undefined,
  isLeaving: (record: ExtentRecord) => boolean
): ExtentRecord | undefined {
  return record && record.state !== 'sealed' && isLeaving(record) ? record : undefined;
}

function wrong(message: string): StoreError {
  return new StoreError('InvalidArgument', message);
}
