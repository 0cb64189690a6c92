import type { ExtentId, FaultDomain, MemberId } from '../api/index.js';
import type { ReplicaMove } from './extent-repair.js';

/** Used fractions so near to the mean are balanced: moving costs more than it gains. */
const TOLERANCE = 0.05;

/** A node that may give and take replicas. */
export interface BalanceNode {
  readonly memberId: MemberId;
  readonly faultDomain: FaultDomain;
  readonly totalBytes: number;
  readonly freeBytes: number;
}

export interface BalanceExtent {
  readonly extentId: ExtentId;
  /** All of them good. */
  readonly replicas: readonly MemberId[];
  readonly length: number;
}

export interface RebalanceQuery {
  readonly nodes: readonly BalanceNode[];
  readonly extents: Iterable<BalanceExtent>;
  readonly movesMax: number;
}

/**
 * Chooses replicas to move from nodes that are fuller than the mean to emptier ones, each extent at most once and never
 * two replicas into one fault domain. Gives none when the used fractions of all nodes are near to the mean.
 */
export function planRebalance({ nodes, extents, movesMax }: RebalanceQuery): readonly ReplicaMove[] {
  const totalBytes = nodes.reduce((sum, node) => sum + node.totalBytes, 0);
  const freeBytes = nodes.reduce((sum, node) => sum + node.freeBytes, 0);
  if (totalBytes === 0 || nodes.length < 2) return [];
  const mean = 1 - freeBytes / totalBytes;
  const free = new Map(nodes.map((node) => [node.memberId, node.freeBytes]));
  const usedOf = (node: BalanceNode): number => 1 - free.get(node.memberId)! / node.totalBytes;
  const isEmptier = (node: BalanceNode): boolean => usedOf(node) < mean - TOLERANCE;
  // The usual case costs no walk over the extents.
  if (!nodes.some(isEmptier) || !nodes.some((node) => usedOf(node) > mean + TOLERANCE)) return [];
  const byId = new Map(nodes.map((node) => [node.memberId, node]));

  const moves: ReplicaMove[] = [];
  for (const { extentId, replicas, length } of extents) {
    if (moves.length >= movesMax) break;
    const from = fullest(
      replicas.flatMap((memberId) => byId.get(memberId) ?? []),
      usedOf
    );
    if (!from || usedOf(from) <= mean + TOLERANCE) continue;
    const others = replicas.filter((memberId) => memberId !== from.memberId);
    const taken = new Set(others.map((memberId) => byId.get(memberId)?.faultDomain));
    const targets = nodes.filter(
      (node) => isEmptier(node) && !taken.has(node.faultDomain) && !replicas.includes(node.memberId)
    );
    const to = fullest(targets, (node) => -usedOf(node));
    if (!to || free.get(to.memberId)! < length) continue;
    free.set(from.memberId, free.get(from.memberId)! + length);
    free.set(to.memberId, free.get(to.memberId)! - length);
    moves.push({ extentId, from: from.memberId, to: to.memberId });
  }
  return moves;
}

function fullest(
  nodes: readonly BalanceNode[],
  scoreOf: (node: BalanceNode) => number
): BalanceNode | undefined {
  let best: BalanceNode | undefined;
  for (const node of nodes) if (!best || scoreOf(node) > scoreOf(best)) best = node;
  return best;
}
