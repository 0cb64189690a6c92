import type { MembershipApi, MemberView } from '../stream/index.js';

/** What is wrong with extent nodes and replicas, as sentences for operators; also when the stream manager cannot tell. */
export async function findStreamProblems(
  membership: Pick<MembershipApi, 'members' | 'extents'>
): Promise<readonly string[]> {
  try {
    const [{ members }, { totals }] = await Promise.all([
      membership.members(),
      membership.extents({ filter: 'under-replicated', limit: 1 })
    ]);
    const problems = members.flatMap(memberProblems);
    const { underReplicatedCount, damagedCount, unavailableCount } = totals;
    if (unavailableCount > 0)
      problems.push(
        `${unavailableCount} extents have no good replica that can be reached. Bring their nodes back ("admin extents --filter under-replicated").`
      );
    if (underReplicatedCount > 0)
      problems.push(
        `${underReplicatedCount} extents lack replicas; they are made as far as there are nodes in enough fault domains.`
      );
    if (damagedCount > 0)
      problems.push(`${damagedCount} extents have a damaged replica ("admin extents --filter damaged").`);
    return problems;
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

function memberProblems({ memberId, liveness, duty, silentMs, isFull }: MemberView): string[] {
  const problems: string[] = [];
  const silent = `silent for ${Math.round(silentMs / 1000)} s`;
  const name = `Extent node ${memberId}`;
  if (liveness !== 'up' && duty === 'drained')
    problems.push(`${name} is drained and does not run. Remove it ("admin remove ${memberId}").`);
  else if (liveness === 'suspect')
    problems.push(`${name} is ${silent}. See whether it runs and its disk answers.`);
  else if (liveness === 'dead')
    problems.push(`${name} is dead: ${silent}. Start it again, or remove it when it has no replicas left.`);
  if (isFull && duty === 'active')
    problems.push(`The disk of extent node ${memberId} is full. Add a node or a disk.`);
  return problems;
}
