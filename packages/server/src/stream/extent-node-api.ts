import type { ExtentId, MemberId } from '../api/index.js';
import type { SpaceRoom, SpaceUse } from './space-use.js';
import type { BlockRange, ExtentNodeSummary } from './stream-layer.js';

/**
 * An extent node as the stream manager, the writers and the readers see it: messages of plain data, so that it may be
 * in another process. A node knows extents, not streams. All calls are safe to repeat except `append`.
 */
export interface ExtentNodeApi {
  /**
   * Creates an empty replica, durably. @throws StoreError `NoSpace` when there is no room for its use, `DiskFailed`.
   */
  createExtent(message: CreateExtentMessage): Promise<void>;
  /**
   * Appends whole blocks at the replica's exact end. Resolves when they, and all before them, are durable (or written).
   * Any failure ends the replica's life as an appendable one.
   * @throws StoreError `StaleEpoch` (another owner took over; not a byte was accepted), `ExtentSealed` (frozen, sealed
   * or failed before), `ReplicaUnavailable` (frozen meanwhile: it may be stored or not), `NoSpace` (not a byte was
   * accepted, or the disk filled up), `DiskFailed`, `ExtentNotFound`.
   * With the signal nobody waits any more, and its bytes may change: those that have not left this process never do.
   */
  append(message: AppendMessage, options?: NodeCallOptions): Promise<void>;
  /** See `StreamLayer.readBlock`; of this replica only. */
  readBlock(message: BlockRange, options?: NodeCallOptions): Promise<Uint8Array>;
  /** The blocks that start in the next bytes of a replica; the way to read an extent in order. */
  scan(message: ScanMessage): Promise<ScanPage>;
  /** Bytes as they are, unverified; short at the end of the file. For rebuilding another replica. */
  fetch(message: FetchMessage): Promise<Uint8Array>;
  /**
   * Refuses appends from now on and freezes with a smaller epoch, durably; then tells the length. Whatever was not
   * acknowledged yet never will be. @throws StoreError `StaleEpoch`, `ExtentNotFound`, `DiskFailed`.
   */
  freeze(message: FreezeMessage): Promise<FreezeAnswer>;
  /** Cuts a replica to the decided length, durably, or tells that it cannot have it and needs a rebuild. */
  seal(message: SealMessage): Promise<SealAnswer>;
  /**
   * Replaces a replica, or makes one where there is none, by intact blocks, each from itself or from another node;
   * sealed. All or nothing.
   * @throws StoreError `ChecksumMismatch` when some block is intact nowhere, `ReplicaUnavailable`, `NoSpace`,
   * `StaleEpoch` (a newer stream manager, or owner, was here), `Cancelled`.
   */
  rebuild(message: RebuildMessage, options?: NodeCallOptions): Promise<void>;
  /**
   * Reads every byte of a sealed replica and compares its checksums.
   * @throws StoreError `ExtentNotFound`, `DiskFailed` when the bytes cannot be read, `Cancelled`.
   */
  verify(message: VerifyMessage, options?: NodeCallOptions): Promise<VerifyAnswer>;
  /** Removes replicas; absent ones are fine. @throws StoreError `StaleEpoch` when a newer stream manager was here. */
  deleteExtents(message: DeleteExtentsMessage): Promise<void>;
  /** Ids of all replicas in growing order, by pages. */
  list(message: ListExtentsMessage): Promise<readonly ExtentId[]>;
  status(): Promise<ExtentNodeStatus>;
}

export interface NodeCallOptions {
  readonly signal?: AbortSignal;
}

export interface CreateExtentMessage {
  readonly extentId: ExtentId;
  /** Of the stream's owner; only its appends are accepted. */
  readonly epoch: number;
  /** Absent: `bytes`. */
  readonly use?: SpaceUse | undefined;
}

export interface AppendMessage {
  readonly extentId: ExtentId;
  readonly epoch: number;
  /** Where the sender expects the replica to end. */
  readonly offset: number;
  /** Encoded blocks, back to back, each header within one part. Borrowed until the call settles. */
  readonly parts: readonly Uint8Array[];
  readonly durability: 'sync' | 'os';
  /** Of the one of its blocks that must end first; absent: `bytes`. */
  readonly use?: SpaceUse | undefined;
}

export interface ScanMessage {
  readonly extentId: ExtentId;
  /** Of a block. */
  readonly offset: number;
  /** Where the extent ends: its sealed length. */
  readonly limit: number;
  /** About how much to read for this page. */
  readonly pageBytes: number;
}

export interface ScanPage {
  readonly blocks: readonly ScannedHead[];
  /** Of the first block that is not in this page; the limit when there is none. */
  readonly nextOffset: number;
  /** The block at `nextOffset` is not readable here. */
  readonly isDamaged: boolean;
}

export interface ScannedHead {
  readonly offset: number;
  readonly sequence: number;
  readonly payloadLength: number;
  /** The first bytes of the payload, verified: all of it or at least `LIMITS.checksumChunkBytes`. */
  readonly head: Uint8Array;
}

export interface FetchMessage {
  readonly extentId: ExtentId;
  readonly offset: number;
  readonly length: number;
}

export interface FreezeMessage {
  readonly extentId: ExtentId;
  /** Of the owner on whose behalf the extent is sealed. */
  readonly epoch: number;
}

export type FreezeAnswer =
  | { readonly state: 'sealed'; readonly length: number }
  /** Every byte below `length` was verified or written by this process; nothing acknowledged lies past it. */
  | {
      readonly state: 'frozen';
      readonly length: number;
      /** Something lies past it that is torn, or was acknowledged and is damaged. */
      readonly isUncertain?: boolean | undefined;
    }
  /** Acknowledged bytes are damaged here; `structuralLength` is not shorter than anything acknowledged. */
  | { readonly state: 'damaged'; readonly structuralLength: number };

export interface SealMessage extends FreezeMessage {
  readonly length: number;
  /** Seal even what is damaged or short: no replica has better bytes. */
  readonly acceptsDamage: boolean;
}

export interface SealAnswer {
  /** False: the replica is shorter or damaged, and stays frozen. */
  readonly isComplete: boolean;
}

export interface RebuildMessage extends FreezeMessage {
  readonly length: number;
  /** Nodes to take blocks from, besides the replica itself, in order of preference. */
  readonly sources: readonly MemberId[];
  /** Of the stream manager's leadership: a node obeys no older one once it has heard of a newer. */
  readonly managerEpoch: number;
  /** At most so fast, so that the traffic of clients goes first. */
  readonly bytesPerSecond: number;
}

export interface VerifyMessage {
  readonly extentId: ExtentId;
  /** Sealed. */
  readonly length: number;
  readonly bytesPerSecond: number;
}

export interface VerifyAnswer {
  /** Intact ones, up to the first that is not. */
  readonly blockCount: number;
  readonly verifiedBytes: number;
  /** False: some byte, or the header that says that it is sealed, is damaged. */
  readonly isIntact: boolean;
}

export interface DeleteExtentsMessage {
  readonly extentIds: readonly ExtentId[];
  /** See `RebuildMessage`. */
  readonly managerEpoch: number;
}

export interface ListExtentsMessage {
  /** Exclusive; absent = from the first. */
  readonly after?: ExtentId;
  readonly limit: number;
}

export interface ExtentNodeStatus extends ExtentNodeSummary {
  /** `bytes` below its high watermark. */
  readonly room: SpaceRoom;
}

/** Finds the node of a member; `undefined` when it cannot be reached. */
export type FindExtentNode = (memberId: MemberId) => ExtentNodeApi | undefined;
