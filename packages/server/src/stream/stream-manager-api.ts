import type { ExtentId, MemberId, StreamId } from '../api/index.js';
import type { MembershipApi } from './membership-api.js';
import type { SpaceUse } from './space-use.js';
import type { StreamExtent } from './stream-layer.js';

/**
 * The stream manager as owners and readers of streams see it: messages of plain data. It knows streams and extents;
 * every change is durable in the meta store before it is answered. Every call of an owner carries its epoch.
 */
export interface StreamManagerApi extends MembershipApi {
  /**
   * Makes the caller the owner: seals what earlier owners left open and refuses their epochs from now on.
   * @throws StoreError `StaleEpoch` unless the epoch is greater than all before, `ReplicaUnavailable` when an open
   * extent cannot be sealed yet: try again with the same epoch.
   */
  openStream(message: OpenStreamMessage): Promise<OpenStreamAnswer>;
  /**
   * Creates an extent at the end of the stream, its files durable on every replica named in the answer.
   * @throws StoreError `StaleEpoch`, `NoSpace`, `ReplicaUnavailable` (too few nodes).
   */
  allocateExtent(message: AllocateExtentMessage): Promise<AllocateExtentAnswer>;
  /** Freezes the reachable replicas and decides the length, once; a sealed extent answers what was decided. */
  sealExtent(message: SealExtentMessage): Promise<SealExtentAnswer>;
  /** Removes sealed extents from a stream's list; ids that are not listed are fine. */
  releaseExtents(message: ReleaseExtentsMessage): Promise<void>;
  /**
   * Moves sealed extents from one list to the end of another, whose extents are all sealed, in one step; those that
   * are in the other one already are fine.
   */
  moveExtents(message: MoveExtentsMessage): Promise<void>;
  findExtent(message: FindExtentMessage): Promise<ExtentView | undefined>;
  /** Has a replica that gave bad bytes rebuilt from the others, in the background, if its extent is sealed. */
  reportDamage(message: ReportDamageMessage): Promise<void>;
}

export interface OpenStreamMessage {
  readonly streamId: StreamId;
  readonly epoch: number;
}

export interface OpenStreamAnswer {
  /** In order, all sealed. */
  readonly extents: readonly StreamExtent[];
}

export interface AllocateExtentMessage extends OpenStreamMessage {
  /** The open extent that the new one follows, if its length is certain: acknowledged by all, nothing sent past it. */
  readonly previous?: { readonly extentId: ExtentId; readonly length: number };
  /** Nodes that just failed the caller. */
  readonly suspects: readonly MemberId[];
  /** Of the blocks that wait for it, the one that must end first; absent: `bytes`. */
  readonly use?: SpaceUse | undefined;
}

export interface AllocateExtentAnswer {
  readonly extentId: ExtentId;
  readonly replicas: readonly MemberId[];
}

export interface SealExtentMessage extends OpenStreamMessage {
  readonly extentId: ExtentId;
  /** As `previous` of `AllocateExtentMessage`: no replica needs to be asked. */
  readonly length?: number;
}

export interface SealExtentAnswer {
  readonly length: number;
  /** Every replica is known to have all of it durably; else some may have to be filled. */
  readonly isOnAllReplicas: boolean;
}

export interface ReleaseExtentsMessage extends OpenStreamMessage {
  readonly extentIds: readonly ExtentId[];
}

export interface MoveExtentsMessage {
  readonly from: OpenStreamMessage;
  readonly to: OpenStreamMessage;
  readonly extentIds: readonly ExtentId[];
}

export interface FindExtentMessage {
  readonly extentId: ExtentId;
}

export interface ExtentView {
  readonly replicas: readonly MemberId[];
  /** Absent until sealed. */
  readonly sealedLength?: number;
}

export interface ReportDamageMessage {
  readonly extentId: ExtentId;
  readonly memberId: MemberId;
}
