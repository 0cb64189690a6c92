import {
  type ExtentId,
  extentId,
  type FaultDomain,
  LIMITS,
  type MemberId,
  StoreError
} from '../api/index.js';
import type { Clock, Disk } from '../platform/index.js';
import { decodeBlockHeader } from './block-format.js';
import { withDeadline } from './deadline.js';
import { ExtentFile } from './extent-file.js';
import type {
  AppendMessage,
  CreateExtentMessage,
  DeleteExtentsMessage,
  ExtentNodeApi,
  ExtentNodeStatus,
  FetchMessage,
  FindExtentNode,
  FreezeAnswer,
  FreezeMessage,
  ListExtentsMessage,
  NodeCallOptions,
  RebuildMessage,
  ScanMessage,
  ScanPage,
  SealAnswer,
  SealMessage,
  VerifyAnswer,
  VerifyMessage
} from './extent-node-api.js';
import { ExtentReplica } from './extent-replica.js';
import { ManagerFence } from './manager-fence.js';
import { NodeSpace } from './node-space.js';
import { OpenReplicas } from './open-replicas.js';
import { Pacer } from './pacer.js';
import { rebuildExtent } from './rebuild-extent.js';
import { parseScanPage } from './scan-page.js';
import { isRoomFor, type SpaceUse } from './space-use.js';
import type { BlockRange } from './stream-layer.js';
import { verifyExtent } from './verify-extent.js';

const EXTENT_NAME = /^(\d{16})\.extent$/;
const REBUILD_SUFFIX = '.rebuild';
/** A header of any size and the chunk after it. */
const PAGE_BYTES_MIN = 2 * LIMITS.checksumChunkBytes;
const PAGE_BYTES_MAX = 8 * 1024 * 1024;
const FETCH_TIMEOUT_MS = 5 * LIMITS.appendTimeoutMs;

export interface ExtentNodeOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** Exists; the node keeps one file for each replica in it. */
  readonly directory: string;
  readonly memberId: MemberId;
  readonly faultDomain: FaultDomain;
  /** Other nodes, to rebuild from. */
  readonly findNode: FindExtentNode;
  readonly openFilesMax?: number;
  readonly spaceHighWatermark?: number;
}

/** Keeps extent replicas in a folder of one disk. */
export class ExtentNode implements ExtentNodeApi {
  readonly #options: ExtentNodeOptions;
  readonly #space: NodeSpace;
  readonly #replicas: OpenReplicas;
  readonly #fence: ManagerFence;
  readonly #extentIds: Set<ExtentId>;
  /** `undefined` after a change. */
  #sortedIds: readonly ExtentId[] | undefined;
  readonly #rebuilding = new Set<ExtentId>();

  private constructor(options: ExtentNodeOptions, extentIds: readonly ExtentId[]) {
    this.#options = options;
    this.#fence = new ManagerFence(options.disk, options.directory);
    this.#extentIds = new Set(extentIds);
    this.#space = new NodeSpace({
      disk: options.disk,
      clock: options.clock,
      directory: options.directory,
      highWatermark: options.spaceHighWatermark ?? LIMITS.spaceHighWatermark
    });
    this.#replicas = new OpenReplicas(options.openFilesMax ?? LIMITS.extentNodeOpenFilesMax, (id) =>
      this.#openReplica(id)
    );
  }

  /** Fails with `DiskFailed` when the folder cannot be listed or measured. */
  static async open(options: ExtentNodeOptions): Promise<ExtentNode> {
    const names = await options.disk.list(options.directory);
    for (const name of names.filter((name) => name.endsWith(REBUILD_SUFFIX))) {
      await options.disk.remove(`${options.directory}/${name}`);
    }
    const ids = names.flatMap((name) => {
      const match = EXTENT_NAME.exec(name);
      return match ? [extentId(Number(match[1]))] : [];
    });
    const node = new ExtentNode(options, ids);
    await node.#space.measure();
    return node;
  }

  async createExtent({ extentId, epoch, use = 'bytes' }: CreateExtentMessage): Promise<void> {
    await this.#space.measure();
    if (!isRoomFor(this.#space.room, use)) throw this.#noSpace(use);
    const { disk, directory } = this.#options;
    const file = await ExtentFile.create({ disk, directory, extentId, path: this.#pathOf(extentId) }, epoch);
    this.#remember(extentId);
    this.#replicas.add(extentId, new ExtentReplica({ extentId, file, isNew: true }));
  }

  append(message: AppendMessage): Promise<void> {
    // No await before the replica has queued the append: see `ExtentReplica`.
    const replica = this.#replicas.findActive(message.extentId);
    if (!replica) return this.#refuseAppend(message);
    const byteLength = checkedLength(message);
    if (byteLength === undefined) {
      const advice = 'Send whole blocks encoded for this place.';
      return Promise.reject(new StoreError('InvalidArgument', `Not blocks at ${message.offset}. ${advice}`));
    }
    const { use = 'bytes' } = message;
    if (!this.#space.accept(byteLength, use)) return Promise.reject(this.#noSpace(use));
    return replica.append(message, byteLength);
  }

  #refuseAppend(message: AppendMessage): Promise<void> {
    return this.#use(message.extentId, (replica) => replica.append(message, 0));
  }

  readBlock(message: BlockRange, options: NodeCallOptions = {}): Promise<Uint8Array> {
    return this.#use(message.extentId, (replica) => {
      if (options.signal?.aborted) throw new StoreError('Cancelled', 'The caller gave the read up.');
      return replica.file.readBlock(message);
    });
  }

  scan({ extentId, offset, limit, pageBytes }: ScanMessage): Promise<ScanPage> {
    return this.#use(extentId, async (replica) => {
      const wanted = Math.min(Math.max(pageBytes, PAGE_BYTES_MIN), PAGE_BYTES_MAX, limit - offset);
      const view = await replica.file.readRaw(offset, wanted);
      return parseScanPage(view, { extentId, offset }, limit);
    });
  }

  fetch({ extentId, offset, length }: FetchMessage): Promise<Uint8Array> {
    return this.#use(extentId, (replica) => replica.file.readRaw(offset, Math.min(length, PAGE_BYTES_MAX)));
  }

  freeze({ extentId, epoch }: FreezeMessage): Promise<FreezeAnswer> {
    return this.#use(extentId, (replica) => replica.freeze(epoch));
  }

  seal(message: SealMessage): Promise<SealAnswer> {
    return this.#use(message.extentId, (replica) => replica.seal(message));
  }

  async rebuild(message: RebuildMessage, options: NodeCallOptions = {}): Promise<void> {
    const { extentId, managerEpoch, length } = message;
    await this.#fence.admit(managerEpoch);
    if (!this.#space.accept(length, 'changes')) throw this.#noSpace('changes');
    if (this.#rebuilding.has(extentId)) {
      throw new StoreError('ReplicaUnavailable', `Extent ${extentId} is being rebuilt here. Wait for it.`);
    }
    this.#rebuilding.add(extentId);
    try {
      await this.#rebuild(message, options);
    } finally {
      this.#rebuilding.delete(extentId);
    }
  }

  async #rebuild(message: RebuildMessage, { signal }: NodeCallOptions): Promise<void> {
    const { extentId, epoch, length, sources, bytesPerSecond } = message;
    const { disk, directory, clock, findNode } = this.#options;
    await this.#replicas.use(extentId, async (replica) => replica?.prepareRebuild(epoch, length));
    const path = this.#pathOf(extentId);
    const temporaryPath = path + REBUILD_SUFFIX;
    await disk.remove(temporaryPath);
    const file = await disk.createFile(temporaryPath);
    try {
      const own = this.#extentIds.has(extentId) ? [this] : [];
      const others = sources.flatMap((memberId) => findNode(memberId) ?? []);
      const fetches = [...own, ...others].map((node) => (message: FetchMessage) => {
        const deadline = { clock, timeoutMs: FETCH_TIMEOUT_MS, what: `Reading extent ${extentId}` };
        return withDeadline(deadline, node.fetch(message));
      });
      const pacer = new Pacer({ clock, bytesPerSecond, signal });
      await rebuildExtent({ file, extentId, epoch, length, sources: fetches, pacer });
    } catch (error) {
      await file.close().catch(() => undefined);
      await disk.remove(temporaryPath).catch(() => undefined);
      throw error;
    }
    await file.close();
    await disk.rename(temporaryPath, path);
    this.#remember(extentId);
    // Readers of the old file finish on it; later ones open the new one.
    this.#replicas.drop(extentId);
    await disk.syncDirectory(directory);
  }

  verify(
    { extentId, length, bytesPerSecond }: VerifyMessage,
    { signal }: NodeCallOptions = {}
  ): Promise<VerifyAnswer> {
    const pacer = new Pacer({ clock: this.#options.clock, bytesPerSecond, signal });
    return this.#use(extentId, (replica) => {
      const read = (offset: number, byteLength: number) => replica.file.readRaw(offset, byteLength);
      return verifyExtent({ extentId, length, read, pacer });
    });
  }

  async deleteExtents({ extentIds, managerEpoch }: DeleteExtentsMessage): Promise<void> {
    const { disk, directory } = this.#options;
    await this.#fence.admit(managerEpoch);
    for (const extentId of extentIds) {
      this.#replicas.drop(extentId);
      await disk.remove(this.#pathOf(extentId));
      this.#extentIds.delete(extentId);
    }
    this.#sortedIds = undefined;
    await disk.syncDirectory(directory);
    await this.#space.measure();
  }

  async list({ after, limit }: ListExtentsMessage): Promise<readonly ExtentId[]> {
    this.#sortedIds ??= [...this.#extentIds].sort((a, b) => a - b);
    const start = after === undefined ? 0 : this.#sortedIds.findIndex((id) => id > after);
    return start < 0 ? [] : this.#sortedIds.slice(start, start + limit);
  }

  async status(): Promise<ExtentNodeStatus> {
    await this.#space.measure();
    return this.lastStatus();
  }

  /** Without asking the disk. */
  lastStatus(): ExtentNodeStatus {
    return {
      memberId: this.#options.memberId,
      faultDomain: this.#options.faultDomain,
      totalBytes: this.#space.totalBytes,
      freeBytes: this.#space.freeBytes,
      extentCount: this.#extentIds.size,
      room: this.#space.room
    };
  }

  /** Finishes what was accepted and closes all files. */
  close(): Promise<void> {
    return this.#replicas.close();
  }

  #use<Result>(id: ExtentId, run: (replica: ExtentReplica) => Promise<Result>): Promise<Result> {
    return this.#replicas.use(id, (replica) => {
      if (replica) return run(replica);
      const message = `Node ${this.#options.memberId} has no replica of extent ${id}. Ask another.`;
      throw new StoreError('ExtentNotFound', message);
    });
  }

  async #openReplica(id: ExtentId): Promise<ExtentReplica | undefined> {
    const place = { disk: this.#options.disk, path: this.#pathOf(id), extentId: id };
    const file = await ExtentFile.find(place);
    return file && new ExtentReplica({ extentId: id, file, isNew: false });
  }

  #remember(id: ExtentId): void {
    this.#extentIds.add(id);
    this.#sortedIds = undefined;
  }

  #pathOf(id: ExtentId): string {
    return `${this.#options.directory}/${String(id).padStart(16, '0')}.extent`;
  }

  #noSpace(use: SpaceUse): StoreError {
    const { memberId, directory } = this.#options;
    const full = use === 'bytes' ? 'is full' : 'is full, with what is kept for deletions';
    return new StoreError(
      'NoSpace',
      `The disk of ${memberId} ${full} (${directory}). Free space or add a disk.`
    );
  }
}

/** The bytes of an append, or `undefined` when its parts are not blocks made for its place. */
function checkedLength({ parts, offset, extentId }: AppendMessage): number | undefined {
  let byteLength = 0;
  let nextBlockAt = 0;
  for (const part of parts) {
    const bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
    while (nextBlockAt < byteLength + bytes.byteLength) {
      const place = { extentId, offset: offset + nextBlockAt };
      const header = decodeBlockHeader(bytes, nextBlockAt - byteLength, place);
      if (typeof header === 'string') return undefined;
      nextBlockAt += header.blockBytes;
    }
    byteLength += bytes.byteLength;
  }
  return nextBlockAt === byteLength && byteLength > 0 ? byteLength : undefined;
}
