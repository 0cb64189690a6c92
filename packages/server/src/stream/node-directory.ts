import { LIMITS, type MemberId, StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import { withDeadline } from './deadline.js';
import type { ExtentNodeApi, ExtentNodeStatus, FindExtentNode } from './extent-node-api.js';
import { countDomains, type PlacementCandidate } from './placement.js';
import { isRoomFor, type SpaceUse } from './space-use.js';

/** For so long a node that failed gets no new extents if there are others. */
const SUSPECT_MS = 30_000;
/** A single replica has no other to go on with, so its disk gets the time that a long stall may take. */
const SINGLE_REPLICA_PATIENCE = 15;

/** Slower than this a disk, busy with all else, counts as hanging. */
const BYTES_PER_MS_MIN = 8192;

export interface NodeDirectoryOptions {
  readonly clock: Clock;
  /** How many replicas a new extent shall have. */
  readonly replicaCount: number;
  readonly find: FindExtentNode;
  /** The last known status of the nodes that can be reached. */
  readonly reachable: () => readonly ExtentNodeStatus[];
}

/** Which extent nodes there are, which of them to trust, and how long to wait for them. */
export class NodeDirectory {
  readonly replicaCount: number;
  readonly #options: NodeDirectoryOptions;
  readonly #suspectUntilMs = new Map<MemberId, number>();
  readonly #excludedUntilMs = new Map<MemberId, number>();

  constructor(options: NodeDirectoryOptions) {
    this.#options = options;
    this.replicaCount = options.replicaCount;
  }

  /** How long one of several replicas, or the only one, may take to answer. */
  static timeoutMs(replicaCount: number): number {
    return LIMITS.appendTimeoutMs * (replicaCount > 1 ? 1 : SINGLE_REPLICA_PATIENCE);
  }

  find(memberId: MemberId): ExtentNodeApi | undefined {
    return this.#options.find(memberId);
  }

  /** Calls a node with a deadline. @throws StoreError `ReplicaUnavailable` when it cannot be reached in time. */
  async call<Result>(
    { memberId, replicaCount, what, timeoutMs = NodeDirectory.timeoutMs(replicaCount) }: NodeCall,
    run: (node: ExtentNodeApi) => Promise<Result>
  ): Promise<Result> {
    const node = this.find(memberId);
    if (!node) {
      throw new StoreError(
        'ReplicaUnavailable',
        `Extent node ${memberId} cannot be reached. Check its folder.`
      );
    }
    const { clock } = this.#options;
    return await withDeadline({ clock, timeoutMs, what: `${what} on extent node ${memberId}` }, run(node));
  }

  /** For a call that may have to read and write so many bytes of an extent. */
  static timeoutMsFor(bytes: number): number {
    return NodeDirectory.timeoutMs(1) + bytes / BYTES_PER_MS_MIN;
  }

  /** A call failed: others are preferred for a while. */
  suspect(memberId: MemberId): void {
    this.#suspectUntilMs.set(memberId, this.#options.clock.monotonicMs() + SUSPECT_MS);
  }

  /** It could not create an extent: it is not asked again for a while, unless the others are too few. */
  exclude(memberId: MemberId): void {
    this.#excludedUntilMs.set(memberId, this.#options.clock.monotonicMs() + SUSPECT_MS);
  }

  reachable(): readonly ExtentNodeStatus[] {
    return this.#options.reachable();
  }

  /** Where of these nodes a new extent may be placed. */
  candidates(
    statuses: readonly ExtentNodeStatus[] = this.reachable(),
    use: SpaceUse = 'bytes'
  ): readonly PlacementCandidate[] {
    const nowMs = this.#options.clock.monotonicMs();
    const found = statuses.filter(({ memberId }) => this.find(memberId) !== undefined);
    const all = found.map((status) => ({
      memberId: status.memberId,
      faultDomain: status.faultDomain,
      freeBytes: status.freeBytes,
      isFull: !isRoomFor(status.room, use),
      isSuspect: (this.#suspectUntilMs.get(status.memberId) ?? 0) > nowMs
    }));
    const trusted = all.filter(({ memberId }) => (this.#excludedUntilMs.get(memberId) ?? 0) <= nowMs);
    return countDomains(trusted) >= this.replicaCountMin ? trusted : all;
  }

  /** One fewer than configured keeps a stamp going that lost a rack; fewer would not survive the next loss. */
  get replicaCountMin(): number {
    return Math.max(1, this.replicaCount - 1);
  }

  /** How many replicas a new extent can have in the domains of the candidates, were their disks not full. */
  placeableCount(candidates: readonly PlacementCandidate[]): number {
    return Math.min(this.replicaCount, countDomains(candidates));
  }

  /** No new extent for what the candidates were asked for, or for bytes, can be placed for want of space. */
  isFull(candidates: readonly PlacementCandidate[] = this.candidates()): boolean {
    const withSpace = candidates.filter((candidate) => !candidate.isFull);
    return withSpace.length < candidates.length && countDomains(withSpace) < this.placeableCount(candidates);
  }
}

export interface NodeCall {
  readonly memberId: MemberId;
  /** Of the extent that the call is about. */
  readonly replicaCount: number;
  /** Of the message, such as "Freezing extent 7". */
  readonly what: string;
  /** Absent: what one small step may take. */
  readonly timeoutMs?: number;
}
