import type { FreezeAnswer } from './extent-node-api.js';

/** What is known of one replica after the time to answer: `absent` = the node has no such file. */
export type ReplicaAnswer = FreezeAnswer | { readonly state: 'absent' } | { readonly state: 'unreachable' };

export type SealDecision =
  | { readonly result: 'sealed'; readonly length: number; readonly isDamaged: boolean }
  /** Some replica that did not answer may have acknowledged bytes that no other has. */
  | { readonly result: 'undecided' };

/** So many replicas do not rot at the same place at once. */
const UNCERTAIN_MIN = 2;

export interface SealQuery {
  /** One for each replica of the extent. */
  readonly answers: readonly ReplicaAnswer[];
  /** Of the R replicas, the fewest durable ones with which an append to this extent was acknowledged. */
  readonly acknowledgedBy: number;
}

/**
 * Decides the length of an extent whose reachable replicas are frozen.
 *
 * Replicas are prefixes of each other, since there is one fenced writer. An append acknowledged by A of R replicas is on
 * at least one of any R − A + 1, so that many known lengths contain everything acknowledged and the longest counts.
 * Damage is not a shorter length: a replica that cannot vouch for its bytes counts only when every replica has spoken
 * and none can. Nor is what seems torn: the last block of one may have been acknowledged and have rotted since. But not on
 * two at once: two such lengths count as known, or those that there are when every replica has spoken.
 */
export function decideSeal({ answers, acknowledgedBy }: SealQuery): SealDecision {
  // Sealing happened before: whoever comes second adopts it.
  const sealed = answers.find((answer) => answer.state === 'sealed');
  if (sealed) return { result: 'sealed', length: sealed.length, isDamaged: false };

  const everyoneSpoke = answers.every((answer) => answer.state !== 'unreachable');
  const frozen = answers.filter((answer) => answer.state === 'frozen');
  const lengths = frozen.map(({ length }) => length);
  const isKnown =
    everyoneSpoke || frozen.length >= UNCERTAIN_MIN || frozen.some(({ isUncertain }) => !isUncertain);
  if (isKnown && lengths.length >= answers.length - acknowledgedBy + 1) {
    return { result: 'sealed', length: Math.max(...lengths), isDamaged: false };
  }
  const structural = answers.flatMap((answer) =>
    answer.state === 'damaged' ? [answer.structuralLength] : []
  );
  if (!everyoneSpoke || lengths.length + structural.length === 0) return { result: 'undecided' };
  return { result: 'sealed', length: Math.max(...lengths, ...structural), isDamaged: true };
}
