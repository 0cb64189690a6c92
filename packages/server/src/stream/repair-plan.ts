import type { FaultDomain, MemberId } from '../api/index.js';
import type { ReplicaCondition } from './membership-api.js';
import type { MemberState } from './node-registry.js';
import type { ExtentRecord } from './stream-tables.js';

/** What a plan needs to know of a member. */
export type PlanMember = Pick<MemberState, 'faultDomain' | 'liveness' | 'duty'>;

export interface RepairQuery {
  readonly record: Pick<ExtentRecord, 'replicas' | 'unconfirmed' | 'damaged'>;
  /** How many replicas an extent shall have. */
  readonly wantedCount: number;
  /** `undefined` for one that nobody has heard of yet, which counts as suspect. */
  readonly findMember: (memberId: MemberId) => PlanMember | undefined;
  /** Members whose disks could not take their replica back just now. */
  readonly failed: ReadonlySet<MemberId>;
}

/** The next thing to do for a sealed extent. */
export type RepairStep =
  /** Write a damaged or missing replica anew where it is. */
  | { readonly type: 'rebuild'; readonly memberId: MemberId }
  /** Have a node say that its replica has the sealed length. */
  | { readonly type: 'confirm'; readonly memberId: MemberId }
  /** Make a replica in none of these fault domains; it takes the place of `leaving`, if any. */
  | { readonly type: 'copy'; readonly leaving: MemberId | undefined; readonly taken: readonly FaultDomain[] }
  /** There are enough others: take it off the list. */
  | { readonly type: 'drop'; readonly memberId: MemberId };

/**
 * What brings the replicas of a sealed extent to what they should be, cheapest first; nothing when they are. Replicas
 * that stay are those on active nodes that are not dead, one for each fault domain; the others leave once there are
 * enough.
 */
export function planRepair(query: RepairQuery): readonly RepairStep[] {
  const { record, wantedCount, failed } = query;
  const { unconfirmed, damaged = [] } = record;
  const steps: RepairStep[] = [];
  for (const memberId of record.replicas) {
    if (query.findMember(memberId)?.liveness === 'dead' || failed.has(memberId)) continue;
    if (damaged.includes(memberId)) steps.push({ type: 'rebuild', memberId });
    else if (unconfirmed.includes(memberId)) steps.push({ type: 'confirm', memberId });
  }
  const staying = findStaying(query);
  const leaving = findLeaving(query, staying);
  if (staying.length < wantedCount) {
    const taken = staying.flatMap((memberId) => query.findMember(memberId)?.faultDomain ?? []);
    const isListFull = record.replicas.length >= wantedCount;
    steps.push({ type: 'copy', leaving: isListFull ? leaving[0] : undefined, taken });
  } else if (leaving.length > 0) {
    const isGood = (memberId: MemberId) => conditionOf(query, memberId) === 'good';
    if (staying.every(isGood)) steps.push({ type: 'drop', memberId: leaving[0]! });
  }
  return steps;
}

function findStaying({ record, findMember, failed }: RepairQuery): readonly MemberId[] {
  const domains = new Set<FaultDomain>();
  return record.replicas.filter((memberId) => {
    const member = findMember(memberId);
    if (failed.has(memberId)) return false;
    // Nobody knows its fault domain yet, but it may well be there.
    if (!member) return true;
    if (member.liveness === 'dead' || member.duty !== 'active' || domains.has(member.faultDomain))
      return false;
    domains.add(member.faultDomain);
    return true;
  });
}

/** Those of least use first. */
function findLeaving(query: RepairQuery, staying: readonly MemberId[]): readonly MemberId[] {
  const order: readonly ReplicaCondition[] = ['dead', 'damaged', 'unconfirmed', 'draining', 'good'];
  return query.record.replicas
    .filter((memberId) => !staying.includes(memberId))
    .map((memberId) => ({ memberId, rank: order.indexOf(conditionOf(query, memberId)) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ memberId }) => memberId);
}

export function conditionOf(
  { record, findMember }: Pick<RepairQuery, 'record' | 'findMember'>,
  memberId: MemberId
): ReplicaCondition {
  const member = findMember(memberId);
  if (member?.liveness === 'dead') return 'dead';
  if (record.damaged?.includes(memberId)) return 'damaged';
  if (record.unconfirmed.includes(memberId)) return 'unconfirmed';
  return member && member.duty !== 'active' ? 'draining' : 'good';
}

/** Replicas known to be whole, on nodes that are not dead: the fewer, the more urgent. */
export function goodCount(query: Pick<RepairQuery, 'record' | 'findMember'>): number {
  return query.record.replicas.filter((memberId) =>
    ['good', 'draining'].includes(conditionOf(query, memberId))
  ).length;
}
