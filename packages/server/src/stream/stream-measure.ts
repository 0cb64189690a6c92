import type { ExtentId, MemberId } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { MemberView, ReplicaCondition } from './membership-api.js';
import { conditionOf, type RepairQuery } from './repair-plan.js';
import type { ExtentRecord, ExtentState } from './stream-tables.js';

/** Why a replica is written: one is lost or damaged, its node shall go, or its node is fuller than others. */
export type CopyReason = 'repair' | 'drain' | 'rebalance';

/** What repair has before it and under way. */
export interface RepairMeasure {
  /** Extents that wait, and those that are worked on. */
  readonly queuedCount: number;
  readonly activeCount: number;
  /** Extents that could not be repaired, and are tried again later. */
  readonly failedCount: number;
  /** Of replicas that are on their way to emptier nodes. */
  readonly moveBytes: number;
}

/** Files on nodes that no list names. */
export interface OrphanMeasure {
  /** Of extents that these tables never made: never deleted. */
  readonly unknownCount: number;
  /** Deleted after a grace time. */
  readonly waitingCount: number;
}

/** How extents and replicas fare, counted from the tables of the stream manager that leads. */
export interface ExtentMeasure {
  readonly extentCounts: Readonly<Record<ExtentState['state'], number>>;
  /** missingCounts[n]: extents that lack n good replicas. */
  readonly missingCounts: readonly number[];
  /** Extents that have no good replica on a node that is not dead. */
  readonly unavailableCount: number;
  /** Sealed although no replica was whole: reads of the damaged blocks fail. */
  readonly possibleLossCount: number;
  readonly replicaCounts: Readonly<Record<ReplicaCondition | 'missing', number>>;
  /** Of sealed extents, counted once. */
  readonly sealedBytes: number;
  /** Of all replicas of sealed extents. */
  readonly replicaBytes: number;
  /** Bytes to write so that all have what they should have, and so that draining nodes have nothing. */
  readonly repairBytes: number;
  readonly drainBytes: number;
  /** Of sealed replicas, those that the walk under way has not verified yet. */
  readonly scrubBytes: ReadonlyMap<MemberId, number>;
}

export interface StreamMeasure extends ExtentMeasure {
  /** Extents whose length cannot be decided, as too few replicas answer. */
  readonly unknownLengthCount: number;
  readonly repair: RepairMeasure;
  readonly orphans: OrphanMeasure;
  readonly members: readonly MemberView[];
}

export interface ExtentMeasureQuery extends Pick<RepairQuery, 'findMember'> {
  readonly extents: Iterable<readonly [ExtentId, ExtentRecord]>;
  readonly wantedCount: number;
  /** Of replicas that are damaged: there is no file. */
  readonly isMissing: (extentId: ExtentId, memberId: MemberId) => boolean;
  /** The last extent that the walk of a member has verified, of walks that are under way. */
  readonly scrubbedTo: ReadonlyMap<MemberId, ExtentId | undefined>;
  readonly clock: Clock;
}

/** Others get their turn after so many extents: there may be a million. */
const EXTENTS_PER_TURN = 10_000;

/** Counts all extents. They may change meanwhile: the counts are for people. */
export async function measureExtents({ clock, ...query }: ExtentMeasureQuery): Promise<ExtentMeasure> {
  const tally = new Tally(query);
  let count = 0;
  for (const [extentId, record] of query.extents) {
    tally.add(extentId, record);
    count += 1;
    if (count % EXTENTS_PER_TURN === 0) await clock.sleep(0);
  }
  return tally;
}

class Tally implements ExtentMeasure {
  readonly #query: Omit<ExtentMeasureQuery, 'clock'>;
  readonly extentCounts = { open: 0, sealing: 0, sealed: 0 };
  readonly missingCounts: number[];
  readonly replicaCounts = { good: 0, unconfirmed: 0, damaged: 0, missing: 0, dead: 0, draining: 0 };
  unavailableCount = 0;
  possibleLossCount = 0;
  sealedBytes = 0;
  replicaBytes = 0;
  repairBytes = 0;
  drainBytes = 0;
  readonly scrubBytes = new Map<MemberId, number>();

  constructor(query: Omit<ExtentMeasureQuery, 'clock'>) {
    this.#query = query;
    this.missingCounts = Array.from({ length: query.wantedCount + 1 }, () => 0);
  }

  add(extentId: ExtentId, record: ExtentRecord): void {
    const { wantedCount, findMember, isMissing, scrubbedTo } = this.#query;
    let good = 0;
    let draining = 0;
    for (const memberId of record.replicas) {
      const condition = conditionOf({ record, findMember }, memberId);
      const isGone = condition === 'damaged' && isMissing(extentId, memberId);
      this.replicaCounts[isGone ? 'missing' : condition] += 1;
      if (condition === 'good') good += 1;
      if (condition === 'draining') draining += 1;
    }
    this.extentCounts[record.state] += 1;
    const missing = Math.max(0, wantedCount - good - draining);
    this.missingCounts[missing]! += 1;
    if (good + draining === 0) this.unavailableCount += 1;
    if (record.isDamaged) this.possibleLossCount += 1;
    if (record.state !== 'sealed') return;
    const { length } = record;
    this.sealedBytes += length;
    this.replicaBytes += length * record.replicas.length;
    this.repairBytes += length * missing;
    this.drainBytes += length * (Math.max(0, wantedCount - good) - missing);
    for (const memberId of record.replicas) {
      if (!scrubbedTo.has(memberId) || extentId <= (scrubbedTo.get(memberId) ?? 0)) continue;
      this.scrubBytes.set(memberId, (this.scrubBytes.get(memberId) ?? 0) + length);
    }
  }
}
