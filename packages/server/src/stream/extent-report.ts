import type { ExtentId, MemberId } from '../api/index.js';
import type {
  ExtentFilter,
  ExtentStateView,
  ExtentsAnswer,
  ExtentsMessage,
  ExtentTotals,
  ReplicaCondition
} from './membership-api.js';
import { conditionOf, type PlanMember } from './repair-plan.js';
import type { ExtentRecord } from './stream-tables.js';

const PAGE_MAX = 1000;

export interface ExtentReportQuery {
  readonly extents: Iterable<readonly [ExtentId, ExtentRecord]>;
  readonly wantedCount: number;
  readonly findMember: (memberId: MemberId) => PlanMember | undefined;
}

/** What is wrong with an extent; nothing when all is well. */
interface Judgement {
  readonly isOpen: boolean;
  readonly isUnderReplicated: boolean;
  readonly isDamaged: boolean;
  readonly isUnavailable: boolean;
  readonly isMoving: boolean;
  readonly bytesToCopy: number;
}

/** One page of the extents that a filter asks for, and what there is of all. */
export function reportExtents(query: ExtentReportQuery, message: ExtentsMessage): ExtentsAnswer {
  const limit = Math.min(Math.max(1, message.limit), PAGE_MAX);
  const found: ExtentStateView[] = [];
  const tally = new Tally();
  for (const [extentId, record] of query.extents) {
    const view = viewOf(query, extentId, record);
    const judgement = judge(view, record);
    tally.add(judgement);
    const isAfter = message.after === undefined || extentId > message.after;
    if (isAfter && matches(message.filter, judgement)) found.push(view);
  }
  found.sort((a, b) => a.extentId - b.extentId);
  return { extents: found.slice(0, limit), isTruncated: found.length > limit, totals: tally.totals() };
}

function viewOf(query: ExtentReportQuery, extentId: ExtentId, record: ExtentRecord): ExtentStateView {
  const { wantedCount, findMember } = query;
  const replicas = record.replicas.map((memberId) => ({
    memberId,
    condition: conditionOf({ record, findMember }, memberId)
  }));
  const length = record.state === 'sealed' ? { length: record.length } : {};
  return { extentId, state: record.state, ...length, wantedCount, replicas };
}

function judge({ replicas, wantedCount, length = 0 }: ExtentStateView, { state }: ExtentRecord): Judgement {
  const count = (...conditions: readonly ReplicaCondition[]): number =>
    replicas.filter(({ condition }) => conditions.includes(condition)).length;
  const movingCount = count('draining');
  const good = count('good') + movingCount;
  return {
    isOpen: state !== 'sealed',
    isUnderReplicated: good < wantedCount,
    isDamaged: count('damaged', 'unconfirmed') > 0,
    isUnavailable: good === 0,
    isMoving: movingCount > 0,
    bytesToCopy: Math.max(0, wantedCount - count('good')) * length
  };
}

function matches(filter: ExtentFilter, judgement: Judgement): boolean {
  switch (filter) {
    case 'all':
      return true;
    case 'open':
      return judgement.isOpen;
    case 'under-replicated':
      return judgement.isUnderReplicated;
    case 'damaged':
      return judgement.isDamaged;
    case 'moving':
      return judgement.isMoving;
  }
}

class Tally {
  #extentCount = 0;
  #openCount = 0;
  #underReplicatedCount = 0;
  #damagedCount = 0;
  #unavailableCount = 0;
  #movingCount = 0;
  #bytesToCopy = 0;

  add(judgement: Judgement): void {
    this.#extentCount += 1;
    this.#openCount += Number(judgement.isOpen);
    this.#underReplicatedCount += Number(judgement.isUnderReplicated);
    this.#damagedCount += Number(judgement.isDamaged);
    this.#unavailableCount += Number(judgement.isUnavailable);
    this.#movingCount += Number(judgement.isMoving);
    this.#bytesToCopy += judgement.bytesToCopy;
  }

  totals(): ExtentTotals {
    return {
      extentCount: this.#extentCount,
      openCount: this.#openCount,
      underReplicatedCount: this.#underReplicatedCount,
      damagedCount: this.#damagedCount,
      unavailableCount: this.#unavailableCount,
      movingCount: this.#movingCount,
      bytesToCopy: this.#bytesToCopy
    };
  }
}
