import type { ExtentId, FaultDomain, MemberId } from '../api/index.js';
import type { ExtentNodeStatus } from './extent-node-api.js';

/**
 * Which extent nodes there are and how their replicas fare: the part of the stream manager that nodes and operators
 * talk to. Messages of plain data.
 */
export interface MembershipApi {
  /**
   * Says that a node is alive and what it has. A member that is heard for the first time is registered durably.
   * @throws StoreError `ServiceUnavailable` when this stream manager does not lead: tell the leader.
   */
  heartbeat(message: HeartbeatMessage): Promise<HeartbeatAnswer>;
  members(): Promise<MembersAnswer>;
  /** Extents by what is wrong with them, in growing order of their ids, by pages. */
  extents(message: ExtentsMessage): Promise<ExtentsAnswer>;
  /**
   * Has everything moved off a node, in the background, or takes that back. Durable when it resolves; `members` tells
   * how far it is. @throws StoreError `InvalidArgument` for an unknown member.
   */
  drain(message: DrainMessage): Promise<void>;
  /**
   * Forgets a member that has no replica left. @throws StoreError `InvalidArgument` for an unknown member, or one that
   * has replicas or may still take some.
   */
  removeMember(message: RemoveMemberMessage): Promise<void>;
  /** Starts to verify every block of every sealed extent now, also where a cycle is under way; `members` tells how far it is. */
  scrub(message: ScrubMessage): Promise<void>;
}

export type HeartbeatMessage = ExtentNodeStatus;

export interface HeartbeatAnswer {
  /** When to send the next one. */
  readonly intervalMs: number;
}

/** By heartbeats: up, then suspect (gets no new extents), then dead (its replicas are made anew elsewhere). */
export type MemberLiveness = 'up' | 'suspect' | 'dead';

/** By an operator: draining and drained ones get no new extents; of drained ones nothing is left. */
export type MemberDuty = 'active' | 'draining' | 'drained';

export interface MembersAnswer {
  readonly members: readonly MemberView[];
}

export interface MemberView {
  readonly memberId: MemberId;
  readonly faultDomain: FaultDomain;
  readonly liveness: MemberLiveness;
  readonly duty: MemberDuty;
  /** Since it was heard last, or since this stream manager began to lead. */
  readonly silentMs: number;
  /** As of the last heartbeat; zero before the first. */
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly isFull: boolean;
  /** Replicas that it should have. */
  readonly replicaCount: number;
  /** Of them, in sealed extents. */
  readonly replicaBytes: number;
  readonly scrub: ScrubView;
}

/** A walk over all sealed replicas of a node. The last one ended, or is under way. */
export interface ScrubView {
  /** Wall clock; absent before the first. */
  readonly startedAtMs?: number | undefined;
  /** Absent while it is under way. */
  readonly finishedAtMs?: number | undefined;
  readonly blockCount: number;
  readonly verifiedBytes: number;
  /** Replicas that were damaged or missing, and those of them that are whole again. */
  readonly corruptCount: number;
  readonly repairedCount: number;
}

/**
 * `under-replicated`: fewer good replicas on nodes that are not dead than there should be.
 * `damaged`: some replica is damaged, missing or not confirmed. `moving`: a replica is on a draining node.
 */
export type ExtentFilter = 'all' | 'open' | 'under-replicated' | 'damaged' | 'moving';

export interface ExtentsMessage {
  readonly filter: ExtentFilter;
  /** Exclusive; absent = from the first. */
  readonly after?: ExtentId | undefined;
  readonly limit: number;
}

export interface ExtentsAnswer {
  readonly extents: readonly ExtentStateView[];
  /** The page is full: more may follow its last id. */
  readonly isTruncated: boolean;
  /** Over all extents, whatever the filter. */
  readonly totals: ExtentTotals;
}

export interface ExtentStateView {
  readonly extentId: ExtentId;
  readonly state: 'open' | 'sealing' | 'sealed';
  /** Absent until sealed. */
  readonly length?: number | undefined;
  readonly wantedCount: number;
  readonly replicas: readonly { readonly memberId: MemberId; readonly condition: ReplicaCondition }[];
}

/** `unconfirmed`: sealed, but the node has not yet said that it has all of it. */
export type ReplicaCondition = 'good' | 'unconfirmed' | 'damaged' | 'dead' | 'draining';

export interface ExtentTotals {
  readonly extentCount: number;
  readonly openCount: number;
  readonly underReplicatedCount: number;
  readonly damagedCount: number;
  /** Of extents that have no good replica on a node that is not dead. */
  readonly unavailableCount: number;
  readonly movingCount: number;
  /** That must be written so that all have what they should have and draining nodes have nothing. */
  readonly bytesToCopy: number;
}

export interface DrainMessage {
  readonly memberId: MemberId;
  /** True: the member is active again; what was moved stays where it is. */
  readonly isCancelled: boolean;
}

export interface RemoveMemberMessage {
  readonly memberId: MemberId;
}

export interface ScrubMessage {
  /** Absent = all. */
  readonly memberIds?: readonly MemberId[] | undefined;
}
