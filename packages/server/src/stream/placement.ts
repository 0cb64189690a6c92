import type { FaultDomain, MemberId } from '../api/index.js';

export interface PlacementCandidate {
  readonly memberId: MemberId;
  readonly faultDomain: FaultDomain;
  readonly freeBytes: number;
  /** It has no room for what the extent is for. */
  readonly isFull: boolean;
  /** Failed recently: used only when there are not enough others. */
  readonly isSuspect: boolean;
}

export interface PlacementQuery {
  /** Nodes that can be reached. */
  readonly candidates: readonly PlacementCandidate[];
  readonly replicaCount: number;
  /** Uniform in [0, 1). */
  readonly fraction: () => number;
}

/**
 * Chooses nodes for a new extent: each in another fault domain, weighted by free space, trusted ones first. Gives
 * fewer than asked when there are fewer domains with space.
 */
export function choosePlacement({ candidates, replicaCount, fraction }: PlacementQuery): readonly MemberId[] {
  const chosen: PlacementCandidate[] = [];
  const usable = candidates.filter((candidate) => !candidate.isFull && candidate.freeBytes > 0);
  for (const isSuspect of [false, true]) {
    while (chosen.length < replicaCount) {
      const eligible = usable.filter(
        (candidate) =>
          candidate.isSuspect === isSuspect &&
          !chosen.some((other) => other.faultDomain === candidate.faultDomain)
      );
      const next = pickByFreeSpace(eligible, fraction());
      if (!next) break;
      chosen.push(next);
    }
  }
  return chosen.map((candidate) => candidate.memberId);
}

/** How many replicas the domains that can be reached could hold if none were full. */
export function countDomains(candidates: readonly PlacementCandidate[]): number {
  return new Set(candidates.map((candidate) => candidate.faultDomain)).size;
}

function pickByFreeSpace(
  candidates: readonly PlacementCandidate[],
  fraction: number
): PlacementCandidate | undefined {
  const totalBytes = candidates.reduce((sum, candidate) => sum + candidate.freeBytes, 0);
  let rest = fraction * totalBytes;
  for (const candidate of candidates) {
    rest -= candidate.freeBytes;
    if (rest < 0) return candidate;
  }
  return candidates.at(-1);
}
