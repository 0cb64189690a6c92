import type { FreezeAnswer } from './extent-node-api.js';

/** What is known of one replica after the time to answer: `absent` = the node has no such file. */
export type ReplicaAnswer = FreezeAnswer | { readonly state: 'absent' } | { readonly state: 'unreachable' };

export type SealDecision =
  | { readonly result: 'sealed'; readonly length: number; readonly isDamaged: boolean }
  /** Some replica that did not answer may have acknowledged bytes that no other has. */
  | { readonly result: 'undecided' };

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
 * and none can.
 */
export function decideSeal({ answers, acknowledgedBy }: SealQuery): SealDecision {
  // Sealing happened before: whoever comes second adopts it.
  const sealed = answers.find((answer) => answer.state === 'sealed');
  if (sealed) return { result: 'sealed', length: sealed.length, isDamaged: false };

  const lengths = answers.flatMap((answer) => (answer.state === 'frozen' ? [answer.length] : []));
  if (lengths.length >= answers.length - acknowledgedBy + 1) {
    return { result: 'sealed', length: Math.max(...lengths), isDamaged: false };
  }
  const structural = answers.flatMap((answer) =>
    answer.state === 'damaged' ? [answer.structuralLength] : []
  );
  const everyoneSpoke = answers.every((answer) => answer.state !== 'unreachable');
  if (!everyoneSpoke || lengths.length + structural.length === 0) return { result: 'undecided' };
  return { result: 'sealed', length: Math.max(...lengths, ...structural), isDamaged: true };
}
